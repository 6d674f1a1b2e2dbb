/** The operations of `examples/graphql`, for the initial tabs and the list. */

/** An example operation. */
export interface Example {
  name: string;
  query: string;
  variables: string;
}

const texts = import.meta.glob<string>("../../examples/graphql/*.graphql", {
  query: "?raw",
  import: "default",
  eager: true,
});

/** Variables of the examples that need some. */
const VARIABLES: Record<string, object> = {
  auditEvents: { first: 10 },
  createApiToken: { input: { name: "my script" } },
  createUser: { input: { email: "ada@example.com" } },
  outgoingMails: { first: 10 },
  recentSamples: { first: 10 },
  requestReset: { input: { email: "ada@example.com" } },
  updateMe: { input: { bio: "I collect samples." } },
  users: { first: 10, search: "" },
};

/** Operations with secrets, left out because GraphiQL saves its tabs in the browser's storage. */
const SECRET = [
  ...["changePassword", "completeLogin", "confirmReset", "deactivateMe", "deleteMe", "login", "loginWithPasskey"],
  ...["reauthenticate", "refresh", "register", "setUserPassword"],
];

/** Operations with files, which GraphiQL cannot send. */
const WITH_FILES = ["importUsers", "uploadAvatar"];

/** All examples, ordered by name. */
export const EXAMPLES: Example[] = Object.entries(texts)
  .map(([path, query]) => ({ name: path.replace(/^.*\/|\.graphql$/g, ""), query: query.trimEnd() }))
  .filter(({ name }) => !SECRET.includes(name) && !WITH_FILES.includes(name))
  .map(({ name, query }) => ({ name, query, variables: variablesOf(name) }));

/** The examples in the initial tabs. */
export const FIRST: Example[] = ["me", "updateMe", "sessions", "users", "onlineUsers.subscription", "auditEvents"].flatMap(
  (name) => EXAMPLES.filter((example) => example.name === name),
);

function variablesOf(name: string): string {
  const variables = VARIABLES[name];
  return variables ? JSON.stringify(variables, null, 2) : "";
}
