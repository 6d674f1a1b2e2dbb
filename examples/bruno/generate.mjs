// Writes this collection from examples/graphql/*.graphql: one request for each query and mutation.
// Usage: node generate.mjs [--check]; --check only compares, and fails on differences.
// Requires `npm ci`, for the package graphql. Subscriptions need a WebSocket and are omitted.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as graphql from "graphql";

const here = fileURLToPath(new URL(".", import.meta.url));
const documents = join(here, "../graphql");
const schema = graphql.buildSchema(
  readFileSync(process.env.VESTIBULE_SCHEMA ?? join(here, "../../schema.graphql"), "utf8"),
);

/** Example values by name of field. */
const EXAMPLES = {
  identifier: "{{identifier}}",
  password: "{{password}}",
  currentPassword: "{{password}}",
  oldPassword: "{{password}}",
  newPassword: "correct horse battery staple 43",
  email: "ada@example.com",
  firstName: "Ada",
  lastName: "Lovelace",
  name: "nightly",
  key: "S-1",
  title: "A first sample",
  first: 20,
};

/** Example values by type, for all other fields. */
const SCALARS = { Boolean: false, Int: 1, Upload: null, DateTime: "2030-01-01T00:00:00Z", Date: "2030-01-01" };

/** Example values of inputs whose required fields are not enough. */
const INPUTS = {
  RefreshInput: { refreshToken: "{{refreshToken}}" },
  LogoutInput: {},
  ChangePasswordInput: { newPassword: EXAMPLES.newPassword, oldPassword: EXAMPLES.oldPassword },
  DeactivateMeInput: { currentPassword: EXAMPLES.currentPassword },
  DeleteMeInput: { currentPassword: EXAMPLES.currentPassword },
};

/** Returns an example value of this type. */
function example(type, name) {
  if (graphql.isNonNullType(type)) return example(type.ofType, name);
  if (graphql.isListType(type)) return [example(type.ofType, name)];
  if (graphql.isInputObjectType(type)) return exampleObject(type);
  if (name in EXAMPLES) return EXAMPLES[name];
  if (graphql.isEnumType(type)) return type.getValues()[0].name;
  return type.name in SCALARS ? SCALARS[type.name] : "";
}

/** Returns an example of an input: its required fields, or its names if none is required. */
function exampleObject(type) {
  if (type.name in INPUTS) return INPUTS[type.name];
  const fields = Object.values(type.getFields()).sort((a, b) => (a.name < b.name ? -1 : 1));
  const required = fields.filter(graphql.isRequiredInputField);
  const chosen = required.length > 0 ? required : fields.filter(({ name }) => ["firstName", "lastName"].includes(name));
  return Object.fromEntries(chosen.map(({ name, type: inner }) => [name, example(inner, name)]));
}

function variablesOf(operation) {
  const chosen = (operation.variableDefinitions ?? []).filter(({ variable, type, defaultValue }) => {
    const name = variable.name.value;
    return name === "first" || name === "input" || (type.kind === graphql.Kind.NON_NULL_TYPE && !defaultValue);
  });
  return Object.fromEntries(
    chosen.map(({ variable, type }) => [
      variable.name.value,
      example(graphql.typeFromAST(schema, type), variable.name.value),
    ]),
  );
}

function hasFile(type) {
  const inner = graphql.getNamedType(type);
  if (inner.name === "Upload") return true;
  return graphql.isInputObjectType(inner) && Object.values(inner.getFields()).some((field) => hasFile(field.type));
}

/** One block of a .bru file. */
function block(name, text) {
  return `${name} {\n${text.trim().split("\n").map((line) => (line === "" ? "" : `  ${line}`)).join("\n")}\n}\n`;
}

function request(field, text, sequence) {
  const { definitions: [operation] } = graphql.parse(text);
  const comment = text.match(/^(# .*\n)*/)[0].replace(/^# /gm, "");
  const variables = variablesOf(operation);
  const upload = operation.variableDefinitions?.some(({ type }) => hasFile(graphql.typeFromAST(schema, type)));
  const kind = upload ? "http" : "graphql";
  const blocks = [
    block("meta", `name: ${field}\ntype: ${kind}\nseq: ${sequence}`),
    block("post", `url: {{url}}\nbody: ${upload ? "multipartForm" : "graphql"}\nauth: inherit`),
  ];
  if (upload) {
    const query = graphql.stripIgnoredCharacters(text);
    blocks.push(
      block("headers", "graphql-require-preflight: 1"),
      block(
        "body:multipart-form",
        `operations: ${JSON.stringify({ query, variables })}\nmap: {"0":["variables.input.file"]}\n0: @file()`,
      ),
    );
  } else {
    blocks.push(
      block("body:graphql", text.replace(/^(# .*\n)*/, "")),
      block("body:graphql:vars", JSON.stringify(variables, null, 2)),
    );
  }
  if (/^ {4}tokens \{/m.test(text)) {
    blocks.push(
      block(
        "script:post-response",
        `const tokens = res.body.data?.${field}?.tokens;\nif (tokens) {\n  bru.setEnvVar("accessToken", tokens.accessToken);\n  bru.setEnvVar("refreshToken", tokens.refreshToken);\n}`,
      ),
    );
  }
  blocks.push(block("docs", comment));
  return blocks.join("\n");
}

/** Returns all files of the collection except this script. */
function collection() {
  const files = new Map([
    ["bruno.json", `${JSON.stringify({ version: "1", name: "Vestibule", type: "collection" }, null, 2)}\n`],
    [
      "collection.bru",
      [
        block("auth", "mode: bearer"),
        block("auth:bearer", "token: {{accessToken}}"),
        block("docs", "Start with `mutations/login`: it saves the tokens for all other requests. Generated by generate.mjs."),
      ].join("\n"),
    ],
    [
      "environments/local.bru",
      `${block("vars", "url: http://127.0.0.1:8000/graphql\nidentifier: admin@localhost")}vars:secret [\n  password,\n  accessToken,\n  refreshToken\n]\n`,
    ],
  ]);
  const sequence = { query: 0, mutation: 0 };
  for (const name of readdirSync(documents).sort()) {
    const text = readFileSync(join(documents, name), "utf8");
    const [{ operation }] = graphql.parse(text).definitions;
    if (operation === "subscription") continue;
    const field = name.replace(".graphql", "");
    sequence[operation] += 1;
    const folder = operation === "query" ? "queries" : "mutations";
    files.set(`${folder}/${field}.bru`, request(field, text, sequence[operation]));
  }
  return files;
}

const wanted = collection();
const own = new Set(["generate.mjs", "README.md"]);
const present = readdirSync(here, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(here.length))
  .filter((name) => !own.has(name));
const read = (name) => (present.includes(name) ? readFileSync(join(here, name), "utf8") : undefined);
const differing = [...new Set([...wanted.keys(), ...present])].filter((name) => read(name) !== wanted.get(name));

if (process.argv.includes("--check")) {
  for (const name of differing) console.error(`examples/bruno/${name} is out of date: run generate.mjs`);
  process.exitCode = differing.length > 0 ? 1 : 0;
} else {
  for (const name of differing) {
    const text = wanted.get(name);
    if (text === undefined) {
      rmSync(join(here, name));
    } else {
      mkdirSync(dirname(join(here, name)), { recursive: true });
      writeFileSync(join(here, name), text);
    }
  }
}
