import graphql from "@graphql-eslint/eslint-plugin";
import { fileURLToPath } from "node:url";

const schema = process.env.VESTIBULE_SCHEMA ?? fileURLToPath(new URL("../../schema.graphql", import.meta.url));
const documents = fileURLToPath(new URL("../graphql/*.graphql", import.meta.url));

/** Checks the operation documents against the schema, with the rules that graphql-eslint recommends for operations. */
export default [
  {
    files: ["**/*.graphql"],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema, documents } } },
    plugins: { "@graphql-eslint": graphql },
    rules: graphql.configs["flat/operations-recommended"].rules,
  },
];
