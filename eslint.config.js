// Lints the TypeScript and JavaScript of the examples, GraphiQL and the tests. Rules for types need the generated ones:
// npm run generate --workspace examples/typescript. Documents and the schema have their own configurations, in
// examples/typescript and tests/schema.

import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import typescript from "typescript-eslint";

/** Global names of Node.js, and of pages for functions that the tests run in a browser. */
const globals = [
  ...["AbortController", "Buffer", "FormData", "Headers", "Response", "URL", "URLSearchParams", "clearTimeout"],
  ...["console", "fetch", "performance", "process", "setTimeout"],
  ...["document", "innerWidth", "localStorage", "location", "navigator", "sessionStorage"],
];

/** Global names of the scripts that the pages of the service load. */
const pageGlobals = [
  ...["DOMParser", "PublicKeyCredential", "addEventListener", "atob", "btoa", "clearInterval", "history", "setInterval"],
  "window",
];

export default defineConfig(
  globalIgnores([
    "target/",
    "graphiql/bundle/",
    "examples/web/dist/",
    "examples/typescript/src/gql/",
    "examples/typescript/src/tada/graphql-env.d.ts",
  ]),
  { linterOptions: { reportUnusedDisableDirectives: "error", reportUnusedInlineConfigs: "error" } },
  {
    files: ["**/*.{js,mjs}"],
    extends: [js.configs.recommended],
    languageOptions: { globals: Object.fromEntries(globals.map((name) => [name, "readonly"])) },
  },
  {
    files: ["src/http/pages/**/*.js"],
    languageOptions: { globals: Object.fromEntries(pageGlobals.map((name) => [name, "readonly"])) },
  },
  {
    files: ["**/*.{ts,tsx}"],
    extends: [js.configs.recommended, typescript.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Handlers in one line: `onClick={() => go("/")}`.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "no-restricted-syntax": [
        "error",
        {
          selector: "TSAsExpression > TSAsExpression > TSUnknownKeyword",
          message: "A cast by `unknown` turns off all checks. Check the value, or correct its type.",
        },
      ],
    },
  },
);
