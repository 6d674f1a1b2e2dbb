// Vestibule as a subgraph: composed with another one by Apollo's library, and asked through Apollo's gateway.
// Usage: node check.mjs BINARY

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ApolloGateway, LocalGraphQLDataSource, RemoteGraphQLDataSource } from "@apollo/gateway";
import { composeServices } from "@apollo/composition";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { parse, specifiedRules, validate } from "graphql";

const [binary] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "vestibule-federation-"));
const password = "a rather long phrase of mine";
const settings = {
  PATH: process.env.PATH,
  VESTIBULE_LISTEN: "127.0.0.1:0",
  VESTIBULE_ADMIN_PASSWORD: password,
  VESTIBULE_FEDERATION: "true",
};

/** Starts the service on a fresh folder and resolves to it and its address. */
async function start() {
  const service = spawn(binary, [], { cwd: folder, env: settings, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: service.stdout })) {
    const found = line.match(/^listening on (.*)$/);
    if (found) return { service, url: `${found[1]}/graphql` };
  }
  throw new Error("the service did not start");
}

/** Asks the service itself. */
async function ask(url, query, variables = {}, token = undefined) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

/** Composes the subgraphs, and fails with what does not fit. */
function compose(subgraphs) {
  const { errors, supergraphSdl, hints } = composeServices(subgraphs);
  assert.equal(errors, undefined, errors?.map((error) => error.message).join("\n"));
  return { supergraphSdl, hints };
}

const neighbour = parse(readFileSync(new URL("neighbour.graphql", import.meta.url), "utf8"));
const { service, url } = await start();
try {
  const printed = execFileSync(binary, ["schema", "--federation"], { cwd: folder, env: { PATH: settings.PATH }, encoding: "utf8" });
  const { _service } = await ask(url, "{ _service { sdl } }");
  for (const [name, sdl] of [["as printed", printed], ["as served", _service.sdl]]) {
    const { supergraphSdl, hints } = compose([
      { name: "vestibule", url, typeDefs: parse(sdl) },
      { name: "reviews", url: "http://reviews.example", typeDefs: neighbour },
    ]);
    assert.match(supergraphSdl, /type Subscription/);
    console.log(`composed with the schema ${name}, ${hints.length} hints`);
  }
  const { supergraphSdl } = compose([
    { name: "vestibule", url, typeDefs: parse(_service.sdl) },
    { name: "reviews", url: "http://reviews.example", typeDefs: neighbour },
  ]);

  const login = "mutation($input: LoginInput!) { login(input: $input) { tokens { accessToken } user { id } } }";
  const { login: signedIn } = await ask(url, login, { input: { identifier: "admin@localhost", password } });
  const token = signedIn.tokens.accessToken;
  const admin = signedIn.user.id;
  const record = "mutation($input: RecordSampleInput!) { recordSample(input: $input) { sample { id } } }";
  const { recordSample } = await ask(url, record, { input: { key: "a", title: "A sample" } }, token);

  const nobody = "01890000-0000-7000-8000-000000000000";
  const reviews = [
    { id: "1", text: "Fine.", author: { id: admin }, about: { id: recordSample.sample.id } },
    { id: "2", text: "By nobody.", author: { id: nobody }, about: null },
    { id: "3", text: "By the same.", author: { id: admin }, about: null },
  ];
  const end = { hasPreviousPage: false, hasNextPage: false, startCursor: null, endCursor: null };
  const reviewsSchema = buildSubgraphSchema({
    typeDefs: neighbour,
    resolvers: {
      Query: { reviews: () => reviews },
      User: { reviews: ({ id }) => ({ nodes: reviews.filter(({ author }) => author.id === id), pageInfo: end }) },
      Sample: { reviews: ({ id }) => reviews.filter(({ about }) => about?.id === id) },
    },
  });

  // What the gateway asks of the service passes through here, so that it can be counted.
  const asked = [];
  const gateway = new ApolloGateway({
    supergraphSdl,
    buildService: ({ name, url: address }) =>
      name === "reviews"
        ? new LocalGraphQLDataSource(reviewsSchema)
        : new RemoteGraphQLDataSource({
            url: address,
            willSendRequest({ request, context }) {
              asked.push(request);
              if (context?.token) request.http.headers.set("authorization", `Bearer ${context.token}`);
            },
          }),
  });
  const { schema, executor } = await gateway.load();
  const cache = new Map();
  const through = async (query, context) => {
    const document = parse(query);
    assert.deepEqual(validate(schema, document, specifiedRules), []);
    asked.length = 0;
    const operation = document.definitions[0];
    return executor({
      document,
      request: { query, variables: {} },
      operationName: null,
      operation,
      queryHash: query,
      context,
      cache: { get: async (key) => cache.get(key), set: async (key, value) => cache.set(key, value) },
      schema,
      logger: console,
      metrics: {},
      source: query,
      overallCachePolicy: { restrict() {} },
    });
  };

  const forth = await through("{ reviews { text author { username isSuperuser } about { title modifiedBy { username } } } }", { token });
  assert.equal(forth.errors, undefined, JSON.stringify(forth.errors));
  const author = { username: "admin", isSuperuser: true };
  assert.deepEqual(JSON.parse(JSON.stringify(forth.data)), {
    reviews: [
      { text: "Fine.", author, about: { title: "A sample", modifiedBy: { username: "admin" } } },
      { text: "By nobody.", author: null, about: null },
      { text: "By the same.", author, about: null },
    ],
  });
  assert.equal(asked.length, 2, "one request for the users, one for the samples");
  console.log("the gateway finds users and samples by what its neighbour knows of them");

  const back = await through("{ me { username reviews { nodes { text } pageInfo { hasNextPage } } recentSamples { title reviews { text } } } }", { token });
  assert.equal(back.errors, undefined, JSON.stringify(back.errors));
  assert.deepEqual(JSON.parse(JSON.stringify(back.data)), {
    me: {
      username: "admin",
      reviews: { nodes: [{ text: "Fine." }, { text: "By the same." }], pageInfo: { hasNextPage: false } },
      recentSamples: [{ title: "A sample", reviews: [{ text: "Fine." }] }],
    },
  });
  console.log("the gateway finds the neighbour's fields of users and samples");

  const anonymous = await through("{ reviews { text author { username } } }", {});
  assert.deepEqual(anonymous.data.reviews.map((review) => review.author), [null, null, null]);
  assert.equal(anonymous.errors[0].extensions.code, "UNAUTHENTICATED");
  console.log("the gateway gives strangers no users");

  console.log("federation: fine");
} finally {
  service.kill();
  rmSync(folder, { recursive: true, force: true });
}
