import graphql from "@graphql-eslint/eslint-plugin";
import { fileURLToPath } from "node:url";

const schema = process.env.VESTIBULE_SCHEMA ?? fileURLToPath(new URL("../../schema.graphql", import.meta.url));
const recommended = graphql.configs["flat/schema-recommended"].rules;
const relay = graphql.configs["flat/schema-relay"].rules;

/** The schema by the rules that graphql-eslint recommends, those of Relay, and a description of everything. */
export default [
  {
    files: ["**/*.graphql"],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema } } },
    plugins: { "@graphql-eslint": graphql },
    rules: {
      ...recommended,
      ...relay,
      "@graphql-eslint/require-description": [
        "error",
        {
          types: true,
          rootField: true,
          DirectiveDefinition: true,
          EnumValueDefinition: true,
          FieldDefinition: true,
          InputValueDefinition: true,
          // The directives of the schema are those of GraphQL itself, whose arguments its specification describes.
          ignoredSelectors: ["DirectiveDefinition > InputValueDefinition"],
        },
      ],
      "@graphql-eslint/strict-id-in-types": [
        "error",
        {
          exceptions: {
            // Outcomes, and parts of lists, by the Relay cursor specification.
            suffixes: ["Payload", "Connection", "Edge"],
            // Values that are a part of another object and exist nowhere else.
            types: [
              "ActionCheck",
              "AuditFieldChange",
              "AuthTokens",
              "DayStatistics",
              "ImportErrorKind",
              "ImportMappedColumn",
              "ImportRightsChange",
              "ImportRightsDifference",
              "ImportRowError",
              "ImportSheetColumn",
              "ImportWord",
              "PageInfo",
              "PasskeyAuthenticatorSelection",
              "PasskeyCreationOptions",
              "PasskeyDescriptor",
              "PasskeyParameters",
              "PasskeyRelyingParty",
              "PasskeyRequestOptions",
              "PasskeyUser",
              "PasswordPolicy",
              "SignInChallenge",
              "SignInProblem",
              "Statistics",
              "System",
              "SystemFinding",
              "SystemKey",
              "SystemSetting",
              "TotpEnrollment",
              "UserActions",
              "UserError",
              "UserErrorParam",
            ],
          },
        },
      ],
      "@graphql-eslint/relay-edge-types": [
        "error",
        {
          withEdgeSuffix: true,
          shouldImplementNode: true,
          // Lists of a fixed length, such as the sessions of a user, are plain lists, and connections have `nodes`.
          listTypeCanWrapOnlyEdgeType: false,
        },
      ],
      // It knows no exceptions, and `User.username` is a word of its own. Nothing else is found by it.
      "@graphql-eslint/no-typename-prefix": "off",
    },
  },
];
