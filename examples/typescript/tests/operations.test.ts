import { buildSchema, type DocumentNode, Kind, parse } from "graphql";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { GraphQLResult } from "../src";
import { startService } from "./service";

const folder = new URL("../../graphql/", import.meta.url);
const schema = buildSchema(
  readFileSync(process.env["VESTIBULE_SCHEMA"] ?? new URL("../../../schema.graphql", import.meta.url), "utf8"),
);

/** Codes of errors in a document itself. Without variables and a user, most documents fail for other reasons. */
const DOCUMENT_REFUSED = new Set(["GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_COMPLEX"]);

function rootFieldOf(document: DocumentNode): string {
  const [operation] = document.definitions;
  if (document.definitions.length !== 1 || operation?.kind !== Kind.OPERATION_DEFINITION) return "";
  const [field] = operation.selectionSet.selections;
  if (operation.selectionSet.selections.length !== 1 || field?.kind !== Kind.FIELD) return "";
  return `${operation.operation} ${field.name.value}`;
}

test("every operation of the schema has a document, and every document is named for its one root field", () => {
  const documents = readdirSync(folder).map((name) => {
    const root = rootFieldOf(parse(readFileSync(new URL(name, folder), "utf8")));
    expect(root.split(" ")[1]).toBe(name.replace(/(\.subscription)?\.graphql$/, ""));
    return root;
  });
  const fields = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    type ? Object.keys(type.getFields()).map((field) => `${type.name.toLowerCase()} ${field}`) : [],
  );
  expect(documents.sort()).toEqual(fields.sort());
});

test("the service knows every field of every document, and none is too large for it", async () => {
  const service = await startService();
  try {
    const refused: string[] = [];
    for (const name of readdirSync(folder)) {
      const query = readFileSync(new URL(name, folder), "utf8");
      const headers = { "content-type": "application/json" };
      const response = await fetch(service.url, { method: "POST", headers, body: JSON.stringify({ query }) });
      const { errors = [] } = (await response.json()) as GraphQLResult;
      const codes = errors.map(({ extensions }) => String(extensions?.["code"]));
      if (codes.some((code) => DOCUMENT_REFUSED.has(code))) refused.push(`${name}: ${errors[0]?.message}`);
    }
    expect(refused).toEqual([]);
  } finally {
    service.stop();
  }
});
