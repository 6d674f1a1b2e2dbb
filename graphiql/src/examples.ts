/** The operations of `examples/graphql`, as the page begins with them and lists them. */

/** An operation to begin with. */
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

/** Variables for those that need some to be of use. */
const VARIABLES: Record<string, object> = {
  auditEvents: { first: 10 },
  createApiToken: { input: { name: "my script" } },
  createUser: { input: { email: "ada@example.com" } },
  outgoingMails: { first: 10 },
  recentSamples: { first: 10 },
  requestReset: { input: { email: "ada@example.com" } },
  updateMe: { input: { bio: "I keep the door." } },
  users: { first: 10, search: "" },
};

/** What takes or gives a secret: GraphiQL keeps what is typed in the browser's storage, where none belongs. */
const SECRET = ["changePassword", "confirmReset", "deactivateMe", "deleteMe", "login", "refresh", "register", "setUserPassword"];

/** Those that take a file, which GraphiQL cannot send. */
const WITH_FILES = ["importUsers", "uploadAvatar"];

/** All, in the order of their names. */
export const EXAMPLES: Example[] = Object.entries(texts)
  .map(([path, query]) => ({ name: path.replace(/^.*\/|\.graphql$/g, ""), query: query.trimEnd() }))
  .filter(({ name }) => !SECRET.includes(name) && !WITH_FILES.includes(name))
  .map(({ name, query }) => ({ name, query, variables: variablesOf(name) }));

/** Those of the tabs that a page begins with that nobody has changed yet. */
export const FIRST: Example[] = ["me", "updateMe", "sessions", "users", "onlineUsers.subscription", "auditEvents"].flatMap(
  (name) => EXAMPLES.filter((example) => example.name === name),
);

function variablesOf(name: string): string {
  const variables = VARIABLES[name];
  return variables ? JSON.stringify(variables, null, 2) : "";
}
