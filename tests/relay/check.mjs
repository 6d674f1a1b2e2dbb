// Runs the compiled documents with Relay against the service, and checks what Relay then has in its store.
// Usage: node check.mjs BINARY ARTIFACTS

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { signIn, start } from "../graphql-http/service.mjs";

const require = createRequire(import.meta.url);
const { commitMutation, createOperationDescriptor, Environment, fetchQuery, getSelector, Network, RecordSource, Store } =
  require("relay-runtime");

const [binary, artifacts] = process.argv.slice(2);
const artifact = (name) => require(join(artifacts, `${name}.graphql.js`));

const service = await start(binary);
const token = await signIn(service.url);

async function post(query, variables = {}) {
  const response = await fetch(`${service.url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const answer = await response.json();
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
  return answer;
}

const source = new RecordSource();
const environment = new Environment({
  network: Network.create(({ text }, variables) => post(text, variables)),
  store: new Store(source),
});

/** Runs a query with Relay, and returns its data. The records stay in the store. */
async function query(name, variables) {
  environment.retain(createOperationDescriptor(artifact(name), variables));
  return fetchQuery(environment, artifact(name), variables).toPromise();
}

/** Runs a mutation with Relay. */
function mutate(name, input) {
  return new Promise((onCompleted, onError) => {
    commitMutation(environment, { mutation: artifact(name), variables: { input }, onCompleted, onError });
  });
}

/** Reads a fragment from the store. */
const read = (name, reference) => environment.lookup(getSelector(artifact(name), reference)).data;

const create = "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } } }";
const users = [];
for (const username of ["ada", "grace", "joan", "mary"]) {
  const { data } = await post(create, { input: { username, email: `${username}@example.com` } });
  users.unshift(data.createUser.user.id);
}
const [mary, joan, grace, ada] = users;

// @connection: the second page continues the first.
const page = await query("usersPageQuery", {});
const list = () => read("users_list", page).users;
const listed = () => list().edges.map(({ node }) => node?.id);
assert.deepEqual(listed(), [mary, joan]);
await query("usersListPaginationQuery", { first: 2, after: list().pageInfo.endCursor });
assert.deepEqual(listed(), users);
assert.equal(list().pageInfo.hasNextPage, true);
console.log("@connection: two pages");

// @refetchable: the new name arrives in the list.
const profile = (id) => read("users_profile", list().edges.find(({ node }) => node?.id === id).node);
assert.equal(profile(joan).name, "joan");
await post("mutation($input: UpdateUserInput!) { updateUser(input: $input) { user { id } } }", {
  input: { id: joan, firstName: "Joan", lastName: "Clarke" },
});
await query("usersProfileRefetchQuery", { id: joan });
assert.equal(profile(joan).name, "Joan Clarke");
console.log("@refetchable: a changed name");

// Objects of all types, in the order of their ids.
const { data: made } = await post(`mutation {
  recordSample(input: { key: "S-1", title: "A sample" }) { sample { id } }
  createApiToken(input: { name: "script", scopes: [READ] }) { apiToken { id } }
}`);
const { data: own } = await post(`{
  sessions { id }
  auditEvents(first: 1, filter: { action: USER_CREATED }) { nodes { id } }
  outgoingMails(first: 1) { nodes { id } }
}`);
const objects = [
  ["users_profile", joan, { username: "joan" }],
  ["users_sample", made.recordSample.sample.id, { title: "A sample" }],
  ["users_session", own.sessions[0].id, { isCurrent: true }],
  ["users_apiToken", made.createApiToken.apiToken.id, {}],
  ["users_auditEvent", own.auditEvents.nodes[0].id, { action: "USER_CREATED" }],
  ["users_outgoingMail", own.outgoingMails.nodes[0].id, {}],
];
const { nodes } = await query("usersObjectsQuery", { ids: objects.map(([, id]) => id) });
for (const [index, [name, id, expected]] of objects.entries()) {
  const data = read(name, nodes[index][name]);
  assert.deepEqual({ ...data, ...expected, id }, data, name);
  const others = objects.map(([other]) => other).filter((other) => other !== name);
  assert.ok(others.every((other) => nodes[index][other] == null), name);
}
for (const [name, fragment] of [["Sample", 1], ["Session", 2], ["ApiToken", 3], ["AuditEvent", 4], ["OutgoingMail", 5]]) {
  const { node } = await query(`users${name}RefetchQuery`, { id: objects[fragment][1] });
  assert.equal(read(objects[fragment][0], node).id, objects[fragment][1], name);
}
console.log("node and nodes: objects of six types");

// @deleteRecord: what no longer exists disappears.
const { deleteUser } = await mutate("usersRemoveMutation", { id: mary });
assert.deepEqual(deleteUser, { deletedId: mary, errors: [] });
assert.equal(source.get(mary), null);
assert.deepEqual(listed(), [undefined, joan, grace, ada]);
await mutate("usersRemoveManyMutation", { ids: [grace, ada] });
assert.deepEqual(listed(), [undefined, joan, undefined, undefined]);
const removed = [["usersRemoveTokenMutation", objects[3][1]], ["usersRemoveSessionMutation", own.sessions[0].id]];
for (const [name, id] of removed) {
  assert.ok(source.get(id), name);
  await mutate(name, { id });
  assert.equal(source.get(id), null, name);
}
console.log("@deleteRecord: users, an API token and a session");

await service.stop();
console.log("relay: fine");
