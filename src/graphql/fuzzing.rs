//! Fuzz targets that need GraphQL.

use async_graphql::Request;

use crate::fuzzing::Target;
use crate::graphql::execution::limits::Documents;
use crate::graphql::schema_diff;

/// An admitted document is admitted again with the same result, spelled as it was given.
pub(crate) const DOCUMENT: Target = Target {
    name: "document",
    run: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let mut request = Request::new(text);
        let documents = Documents::default();
        match documents.parse(&mut request) {
            Ok(parsed) => {
                let again = documents.parse(&mut Request::new(text)).map(|parsed| parsed.kind);
                assert_eq!(again, Ok(parsed.kind));
            }
            Err(rejected) => assert!(!rejected.code.is_empty() && rejected.message.ends_with('.')),
        }
    },
    seeds: || {
        let documents = [
            "query A($a: [B!]! = [{ c: 1 }]) @d { e: f(g: $a) { ...H ... on I @include(if: true) { j } } } fragment H on I { k }",
            "mutation { login(input: { identifier: \"a\\u00e4\\ud83d\\ude00\", password: \"\"\"b\"\"\" }) { tokens { accessToken } } }",
            "subscription { onlineUsers { id } } # {[(",
            "{ a(b: [[[[{ c: { d: \"}\" } }]]]]) } query B { b } fragment C on D { ...C }",
        ];
        documents.map(|document| document.as_bytes().to_vec()).into()
    },
};

/// A schema has no changes compared with itself.
pub(crate) const SCHEMA: Target = Target {
    name: "schema",
    run: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(changes) = schema_diff::compare(text, text) {
            assert!(changes.is_empty(), "{changes:?}");
        }
    },
    seeds: || {
        let start =
            "schema { query: Query } directive @a(b: Int = 1) repeatable on FIELD | QUERY type Query { c: Int } ";
        let types = [
            "interface D { e(f: [Int!]! = [1], g: H): String! @deprecated(reason: \"i\") } type J implements D & K { e: Int }",
            "\"\"\"Words.\"\"\" input H @oneOf { l: Int = 1 } enum M { N O @deprecated } union P = J | Q",
            "scalar R @specifiedBy(url: \"https://a.example\") extend type Query { s: R }",
        ];
        types.map(|types| format!("{start}{types}").into_bytes()).into()
    },
};
