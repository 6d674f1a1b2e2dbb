//! Limits on the cost of a document, checked before its execution.
//!
//! The library walks a fragment once per spread, before it validates anything: two dozen fragments that spread each
//! other twice keep it busy for minutes. These checks count each fragment once, in time proportional to the document's
//! length.

// Strings of a document, rewritten for the parser.
mod strings;
// Checks of the text before it is parsed.
mod text;

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Request};

use self::strings::plain;
use self::text::{bracket_depth, names_twice};
use crate::graphql::context::OperationKind;
use crate::graphql::execution::rejected_document::RejectedDocument;
use crate::graphql::execution::selections::{select, top_fields};
use crate::tools::cache::Cache;

/// Longest document, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Maximum nesting of brackets: the parser recurses into each.
const MAX_BRACKETS: usize = 64;

/// Maximum number of operations in a document.
const MAX_OPERATIONS: usize = 10;

/// Maximum number of fragments in a document.
const MAX_FRAGMENTS: usize = 50;

/// Maximum number of selections in an operation, fragments counted once per spread.
const MAX_SELECTIONS: u32 = 500;

/// Maximum nesting of selections, fragments included. The limit on fields alone is `graphql::MAX_FIELD_DEPTH`.
const MAX_SELECTION_NESTING: u32 = 32;

/// Maximum number of aliases in an operation.
const MAX_ALIASES: u32 = 30;

/// Maximum number of directives in an operation.
const MAX_DIRECTIVES: u32 = 50;

/// Maximum number of root fields in a mutation.
const MAX_MUTATIONS: usize = 4;

/// Lists of the introspection schema, and the text of a subgraph's schema. Each multiplies the response, and nested ones
/// return to the same types.
const INTROSPECTION_LISTS: [&str; 9] =
    ["args", "directives", "enumValues", "fields", "inputFields", "interfaces", "possibleTypes", "sdl", "types"];

/// Maximum number of these lists in an operation; the usual introspection query has nine.
const MAX_INTROSPECTION_LISTS: u32 = 16;

/// Size of the cache, in bytes of document text. A parsed document takes up to a hundred times its length, usually ten
/// times.
const CACHE_BYTES: usize = 256 * 1024;

/// Fields limited to one per mutation: each guesses a secret, sends a mail, or is slow.
const SENSITIVE: [&str; 30] = [
    "login",
    "completeLogin",
    "loginWithPasskey",
    "reauthenticate",
    "refresh",
    "logout",
    "requestReset",
    "confirmReset",
    "register",
    "registerWithoutPassword",
    "startPasskeySignUp",
    "verifyEmail",
    "undoEmailChange",
    "resendVerification",
    "resendEmailChange",
    "changePassword",
    "setUserPassword",
    "retryMail",
    "sendLink",
    "createUser",
    "confirmTotpEnrollment",
    "finishPasskeyRegistration",
    "createApiToken",
    "rotateApiToken",
    "deactivateMe",
    "deleteMe",
    "uploadAvatar",
    "importUsers",
    "startImport",
    "checkImport",
];

/// Query fields that take a secret, which must not appear in a URL.
const POST_ONLY: [&str; 1] = ["resetTokenIsValid"];

/// A document within the limits.
#[derive(Clone, Debug)]
pub(crate) struct ParsedDocument {
    /// Kind of the selected operation.
    pub(crate) kind: OperationKind,
    /// The document, shared with the cache.
    pub(crate) document: Arc<ExecutableDocument>,
}

/// Parser of documents with a cache, so that repeated documents are parsed and checked once.
#[derive(Debug)]
pub(crate) struct Documents(Cache<String, ExecutableDocument>);

impl Default for Documents {
    fn default() -> Self {
        Self(Cache::new(64, CACHE_BYTES))
    }
}

impl Documents {
    /// Parses the request's document, and checks it against the limits.
    ///
    /// # Errors
    /// - GRAPHQL_PARSE_FAILED
    /// - BAD_REQUEST for NUL in a string
    /// - QUERY_TOO_COMPLEX
    /// - GRAPHQL_VALIDATION_FAILED for recursive fragments and subscriptions with several fields
    /// - OPERATION_RESOLUTION_FAILURE if the request does not select one operation
    pub(crate) fn parse(&self, request: &mut Request) -> Result<ParsedDocument, RejectedDocument> {
        let document = match self.0.get(&request.query) {
            Some(known) => known,
            None => {
                let document = Arc::new(parse_checked(&request.query)?);
                // Literals may contain passwords, and rarely repeat: clients send values in variables.
                if !request.query.contains('"') {
                    self.0.insert(request.query.clone(), Arc::clone(&document), request.query.len());
                }
                document
            }
        };
        let kind = select(&document, request.operation_name.as_deref())?.ty.into();
        request.set_parsed_query(ExecutableDocument::clone(&document));
        Ok(ParsedDocument { kind, document })
    }
}

/// Parses a document, and checks each of its operations.
fn parse_checked(text: &str) -> Result<ExecutableDocument, RejectedDocument> {
    if text.len() > MAX_BYTES {
        return Err(too_complex(format!("A document may have at most {MAX_BYTES} bytes.")));
    }
    let written = plain(text)?;
    let text = written.as_deref().unwrap_or(text);
    if bracket_depth(text) > MAX_BRACKETS {
        return Err(too_complex("The document is nested too deeply."));
    }
    if names_twice(text) {
        return Err(invalid("An input object has a field twice."));
    }
    let document = parse_query(text).map_err(|error| RejectedDocument {
        location: error.positions().next().map(|pos| (pos.line, pos.column)),
        ..RejectedDocument::new("GRAPHQL_PARSE_FAILED", "The document is not valid GraphQL.")
    })?;
    if document.operations.iter().count() > MAX_OPERATIONS || document.fragments.len() > MAX_FRAGMENTS {
        let most = format!("A document may have at most {MAX_OPERATIONS} operations and {MAX_FRAGMENTS} fragments.");
        return Err(too_complex(most));
    }
    let mut counter = Counter { document: &document, fragments: HashMap::new(), level: 0 };
    for name in document.fragments.keys() {
        counter.fragment(name)?;
    }
    for (_, operation) in document.operations.iter() {
        check(&mut counter, &operation.node)?;
    }
    Ok(document)
}

/// True if a query of this document takes a secret, so that GET is not allowed: URLs are logged and stored.
pub(super) fn takes_secret(document: &ExecutableDocument) -> bool {
    let fields =
        document.operations.iter().flat_map(|(_, operation)| top_fields(document, &operation.node.selection_set.node));
    fields.into_iter().any(|field| POST_ONLY.contains(&field.name.node.as_str()))
}

/// Cost of selections, fragments included.
#[derive(Clone, Copy, Default)]
struct Cost {
    selections: u32,
    depth: u32,
    aliases: u32,
    directives: u32,
    introspection_lists: u32,
    /// The lists of the introspection schema among the selections, as bits in the order of [`INTROSPECTION_LISTS`].
    kinds_of_lists: u16,
}

/// Counter of costs that counts each fragment once. The walks of [`selections`](super::selections) need its results.
struct Counter<'a> {
    document: &'a ExecutableDocument,
    /// Costs of fragments; none while a fragment is being counted.
    fragments: HashMap<&'a Name, Option<Cost>>,
    /// Depth of the recursion.
    level: u32,
}

impl<'a> Counter<'a> {
    fn fragment(&mut self, name: &'a Name) -> Result<Cost, RejectedDocument> {
        if let Some(known) = self.fragments.get(name) {
            return known.ok_or_else(|| invalid("A fragment must not spread itself, directly or through others."));
        }
        // Validation reports missing fragments.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Cost::default()) };
        self.fragments.insert(name, None);
        let cost = self.set(&fragment.node.selection_set.node)?;
        self.fragments.insert(name, Some(cost));
        Ok(cost)
    }

    fn field(&mut self, field: &'a Field) -> Result<Cost, RejectedDocument> {
        let inner = self.set(&field.selection_set.node)?;
        let Some(place) = INTROSPECTION_LISTS.iter().position(|name| *name == field.name.node) else {
            return Ok(inner);
        };
        if inner.kinds_of_lists & (1 << place) != 0 {
            return Err(too_complex("A list of the introspection schema must not contain itself."));
        }
        Ok(Cost {
            introspection_lists: inner.introspection_lists.saturating_add(1),
            kinds_of_lists: inner.kinds_of_lists | 1 << place,
            ..inner
        })
    }

    fn set(&mut self, set: &'a SelectionSet) -> Result<Cost, RejectedDocument> {
        self.level += 1;
        if self.level > 2 * MAX_SELECTION_NESTING {
            return Err(too_complex("The document is nested too deeply, fragments included."));
        }
        let mut sum = Cost::default();
        for item in &set.items {
            let (inner, aliases) = match &item.node {
                Selection::Field(field) => (self.field(&field.node)?, u32::from(field.node.alias.is_some())),
                Selection::InlineFragment(fragment) => (self.set(&fragment.node.selection_set.node)?, 0),
                Selection::FragmentSpread(spread) => (self.fragment(&spread.node.fragment_name.node)?, 0),
            };
            let directives = u32::try_from(item.node.directives().len()).unwrap_or(u32::MAX);
            sum.selections = sum.selections.saturating_add(inner.selections).saturating_add(1);
            sum.depth = sum.depth.max(inner.depth.saturating_add(1));
            sum.aliases = sum.aliases.saturating_add(inner.aliases).saturating_add(aliases);
            sum.directives = sum.directives.saturating_add(inner.directives).saturating_add(directives);
            sum.introspection_lists = sum.introspection_lists.saturating_add(inner.introspection_lists);
            sum.kinds_of_lists |= inner.kinds_of_lists;
        }
        self.level -= 1;
        Ok(sum)
    }
}

fn check<'a>(counter: &mut Counter<'a>, operation: &'a OperationDefinition) -> Result<(), RejectedDocument> {
    let cost = counter.set(&operation.selection_set.node)?;
    for (value, most, what) in [
        (cost.selections, MAX_SELECTIONS, "selections"),
        (cost.depth, MAX_SELECTION_NESTING, "levels"),
        (cost.aliases, MAX_ALIASES, "aliases"),
        (cost.directives, MAX_DIRECTIVES, "directives"),
        (cost.introspection_lists, MAX_INTROSPECTION_LISTS, "lists of the introspection schema"),
    ] {
        if value > most {
            return Err(too_complex(format!("An operation may have at most {most} {what}, fragments included.")));
        }
    }
    let roots = top_fields(counter.document, &operation.selection_set.node);
    match operation.ty {
        // The library would subscribe to each of them (October 2021, section 5.2.3.1, requires one).
        OperationType::Subscription if roots.len() > 1 => {
            Err(invalid("A subscription must have one field at its root."))
        }
        OperationType::Mutation if roots.len() > MAX_MUTATIONS => {
            Err(too_complex(format!("A mutation may have at most {MAX_MUTATIONS} fields at its root.")))
        }
        OperationType::Mutation
            if roots.iter().filter(|field| SENSITIVE.contains(&field.name.node.as_str())).count() > 1 =>
        {
            Err(too_complex(
                "A mutation may have at most one field that signs in or out, sends a mail, or takes a file.",
            ))
        }
        _ => Ok(()),
    }
}

fn too_complex(message: impl Into<String>) -> RejectedDocument {
    RejectedDocument::new("QUERY_TOO_COMPLEX", message)
}

fn invalid(message: &str) -> RejectedDocument {
    RejectedDocument::new("GRAPHQL_VALIDATION_FAILED", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(request: &mut Request) -> Result<OperationKind, RejectedDocument> {
        Documents::default().parse(request).map(|parsed| parsed.kind)
    }

    fn parse_text(document: &str) -> Result<OperationKind, &'static str> {
        parse(&mut Request::new(document)).map_err(|rejected| rejected.code)
    }

    /// Fragments that each spread the next several times.
    fn cascade(levels: usize, spreads: usize) -> String {
        let mut document = "{ ...f0 }".to_owned();
        for level in 0..levels {
            let next = format!("...f{} ", level + 1).repeat(spreads);
            document += &format!(" fragment f{level} on Query {{ {next} }}");
        }
        document + &format!(" fragment f{levels} on Query {{ __typename }}")
    }

    #[test]
    fn documents_beyond_the_limits_are_rejected() {
        assert_eq!(parse_text(&cascade(24, 2)), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(parse_text(&cascade(4, 60)), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(parse_text(&cascade(49, 1)), Err("QUERY_TOO_COMPLEX"), "too deep");
        assert_eq!(parse_text(&cascade(20, 1)), Ok(OperationKind::Query));
        assert_eq!(parse_text(&format!("{{ {} }}", "a ".repeat(501))), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(parse_text(&format!("{{ {} }}", "a ".repeat(500))), Ok(OperationKind::Query));
        assert_eq!(parse_text(&format!("{}{}", "{a".repeat(5000), "}".repeat(5000))), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(parse_text(&format!("{{ a(b: {}) }}", "[".repeat(8000))), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(parse_text(&format!("{{ a }} # {}", "x".repeat(17_000))), Err("QUERY_TOO_COMPLEX"));
        let aliases: String = (0..31).map(|number| format!("a{number}: a ")).collect();
        assert_eq!(parse_text(&format!("{{ {aliases} }}")), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(parse_text(&format!("{{ a {} }}", "@skip(if: false)".repeat(51))), Err("QUERY_TOO_COMPLEX"));
    }

    #[test]
    fn introspection_does_not_multiply() {
        let chain = "possibleTypes{interfaces{possibleTypes{name}}}";
        for document in [
            format!("{{__type(name:\"Node\"){{{chain}}}}}"),
            format!("{{__type(name:\"Node\"){{...f}}}} fragment f on __Type{{{chain}}}"),
            "{__schema{types{...f}}} fragment f on __Type{fields{type{...g}}} fragment g on __Type{fields{name}}"
                .to_owned(),
            format!("{{_service{{{}}}}}", (0..17).map(|n| format!("a{n}:sdl ")).collect::<String>()),
            format!("{{__schema{{{}}}}}", (0..9).map(|n| format!("a{n}:types{{fields{{name}}}}")).collect::<String>()),
        ] {
            assert_eq!(parse_text(&document), Err("QUERY_TOO_COMPLEX"), "{document}");
        }
        let usual = "{ __schema { types { ...t } directives { args { ...v } } } }
            fragment t on __Type { fields { args { ...v } } inputFields { ...v } interfaces { ...r } enumValues { name }
                possibleTypes { ...r } }
            fragment v on __InputValue { type { ...r } }
            fragment r on __Type { name ofType { name ofType { name ofType { name } } } }";
        assert_eq!(parse_text(usual), Ok(OperationKind::Query));
    }

    #[test]
    fn no_field_of_the_service_is_named_like_a_list_of_the_introspection() {
        let sdl = crate::graphql::federation_sdl();
        let mut names = sdl.lines().filter_map(|line| line.trim().split(['(', ':']).next());
        assert_eq!(names.find(|name| INTROSPECTION_LISTS.contains(name)), None);
    }

    #[test]
    fn nothing_nested_reaches_the_end_of_the_stack() {
        let lists = |start: &str| format!("{{a(b:[{start}{}{}])}}", "[".repeat(500), "]".repeat(500));
        assert_eq!(parse_text(&lists("\"\"\"a\\\\\"\"\" \"\"\" ")), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(parse_text(&lists("\"\"\"\" ")), Err("GRAPHQL_PARSE_FAILED"), "the block string has no end");
        let nested = format!("{}...f1{}", "a{".repeat(30), "}".repeat(30));
        let chain: String = (0..45)
            .map(|n| format!(" fragment f{n} on Q {{ {} }}", nested.replace("f1", &format!("f{}", n + 1))))
            .collect();
        assert_eq!(parse_text(&format!("{{ ...f0 }} {chain}")), Err("QUERY_TOO_COMPLEX"));
    }

    #[test]
    fn operations_and_fragments_are_limited() {
        let document = |operations: usize, fragments: usize| {
            let operations: String = (0..operations).map(|number| format!("query A{number} {{ a }} ")).collect();
            let fragments = (0..fragments).map(|number| format!("fragment F{number} on A {{ a }} "));
            operations + &fragments.collect::<String>()
        };
        assert_eq!(parse_text(&document(1, MAX_FRAGMENTS)), Ok(OperationKind::Query));
        assert_eq!(parse_text(&document(1, MAX_FRAGMENTS + 1)), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(parse_text(&document(MAX_OPERATIONS, 0)), Err("OPERATION_RESOLUTION_FAILURE"));
        assert_eq!(parse_text(&document(MAX_OPERATIONS + 1, 0)), Err("QUERY_TOO_COMPLEX"));
    }

    #[test]
    fn a_mutation_has_few_fields_and_one_sensitive_field() {
        let fields = |names: &[&str]| names.iter().map(|name| format!("{name}{{x}} ")).collect::<String>();
        let mutation = |names: &[&str]| parse_text(&format!("mutation {{ {} }}", fields(names)));
        assert_eq!(mutation(&["login", "a", "b", "c"]), Ok(OperationKind::Mutation));
        assert_eq!(mutation(&["a", "b", "c", "d", "e"]), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(mutation(&["login", "confirmReset"]), Err("QUERY_TOO_COMPLEX"));
        let spread = "mutation { a: login{x} ...more } fragment more on Mutation { ... { b: login{x} } }";
        assert_eq!(parse_text(spread), Err("QUERY_TOO_COMPLEX"));
    }

    #[test]
    fn a_subscription_has_one_field() {
        assert_eq!(
            parse_text("subscription { ...f } fragment f on Subscription { a { b c } }"),
            Ok(OperationKind::Subscription)
        );
        assert_eq!(parse_text("subscription { a { b } c: a { b } }"), Err("GRAPHQL_VALIDATION_FAILED"));
        let spread = "subscription { a ...f } fragment f on Subscription { b }";
        assert_eq!(parse_text(spread), Err("GRAPHQL_VALIDATION_FAILED"));
    }

    #[test]
    fn fragments_that_spread_themselves_are_refused() {
        assert_eq!(parse_text("{ ...a } fragment a on Query { ...a ...a }"), Err("GRAPHQL_VALIDATION_FAILED"));
        let circle = "{ x } fragment a on Q { ...b ...b } fragment b on Q { ...a }";
        assert_eq!(parse_text(circle), Err("GRAPHQL_VALIDATION_FAILED"));
        assert_eq!(parse_text("{ ...unknown }"), Ok(OperationKind::Query));
    }

    #[test]
    fn repeated_documents_are_cached_unless_they_contain_strings() {
        let documents = Documents::default();
        let is_cached = |text: &str| documents.0.get(text).is_some();
        let two = "query A { a } mutation B { b }";
        for (name, kind) in [("A", OperationKind::Query), ("B", OperationKind::Mutation), ("A", OperationKind::Query)] {
            let mut request = Request::new(two);
            request.operation_name = Some(name.to_owned());
            assert_eq!(documents.parse(&mut request).unwrap().kind, kind);
            assert!(is_cached(two));
        }
        for text in ["{ a(b: \"secret\") }", "{ a(b: \"\"\"secret\"\"\") }", "{ a(b: { c: 1, c: 1 }) }", "{ a"] {
            let _ = documents.parse(&mut Request::new(text));
            assert!(!is_cached(text), "{text}");
        }
    }

    #[test]
    fn the_operation_must_be_clear() {
        let named = |document: &str, name: &str| {
            let mut request = Request::new(document);
            request.operation_name = Some(name.to_owned());
            parse(&mut request).map_err(|rejected| rejected.code)
        };
        let two = "query A { a } mutation B { b }";
        assert_eq!(named(two, "A"), Ok(OperationKind::Query));
        assert_eq!(named(two, "B"), Ok(OperationKind::Mutation));
        assert_eq!(named(two, "C"), Err("OPERATION_RESOLUTION_FAILURE"));
        assert_eq!(named("{ a }", "A"), Err("OPERATION_RESOLUTION_FAILURE"));
        assert_eq!(parse_text(two), Err("OPERATION_RESOLUTION_FAILURE"));
        assert_eq!(parse_text("subscription { a }"), Ok(OperationKind::Subscription));
    }

    #[test]
    fn a_parse_error_names_the_place_and_no_text_of_the_document() {
        let rejected = parse(&mut Request::new("{ secret\n  ) }")).unwrap_err();
        assert_eq!((rejected.code, rejected.location), ("GRAPHQL_PARSE_FAILED", Some((2, 3))));
        assert!(!rejected.message.contains("secret"));
        assert_eq!(parse_text(""), Err("GRAPHQL_PARSE_FAILED"));
    }

    #[test]
    fn escapes_that_stand_for_no_character_do_not_reach_the_parser() {
        let string = |content: &str| parse_text(&format!("{{ a(b: \"{content}\") }}"));
        assert_eq!(string("\\u00e4\\\\ud800\\n"), Ok(OperationKind::Query));
        for lone in ["\\ud83d", "\\udE00", "\\uD83Dx\\uDE00", "\\ud83d\\ud83d", "\\\\\\ud83d", "\\\"\\ud83d"] {
            assert_eq!(string(lone), Err("GRAPHQL_PARSE_FAILED"), "{lone}");
        }
        assert_eq!(string("\\u0000"), Err("BAD_REQUEST"));
        assert_eq!(parse_text("{ a # \"\\ud800\n }"), Ok(OperationKind::Query));
        assert_eq!(
            parse_text("{ a(b: \"\"\"x\\ud800\"\"\") }"),
            Ok(OperationKind::Query),
            "block strings have no such escapes"
        );
        assert_eq!(parse_text("{ a(b: \"\"\"x\"\"\", c: \"\\ud800\") }"), Err("GRAPHQL_PARSE_FAILED"));
        assert_eq!(parse_text("{ a(b: \"\"\"x\"\"\", c: \"\\u0000\") }"), Err("BAD_REQUEST"));

        let mut request = Request::new("{ a(b: \"x\\ud83d\\uDE00y\\\\ud83d\") }");
        assert_eq!(parse(&mut request), Ok(OperationKind::Query));
        let document = format!("{:?}", request.parsed_query().unwrap());
        assert!(document.contains("\"x😀y\\\\ud83d\""), "{document}");
    }

    #[test]
    fn an_input_object_names_each_field_once() {
        for document in [
            "{ a(b: { c: 1, c: 1 }) }",
            "{ a(b: { c: { d: X } # }\n c :2 }) }",
            "{ a(b: [{ d: 1, c: \"}\", e: [{ c: 1, c # :\n : 2 }] }]) }",
            "query($a: A = { b: 1, b: $c }) { a }",
            "{ a(b: { c: \"\"\"x\"\"\", c: 1 }) }",
        ] {
            assert_eq!(parse_text(document), Err("GRAPHQL_VALIDATION_FAILED"), "{document}");
        }
        for document in [
            "{ a(b: { c: { c: 1 }, d: { c: 1 } }, c: { c: c }) { c: a c: a(c: { c: 1 }) } }",
            "query($a: A = { b: 1 }, $b: A = { b: 1 }) { a(b: [{ c: $b }, { c: $b }]) @skip(if: true) { b: a, b: a } }",
            "{ a(b: { c: \"c: 1\" # c: 1\n d: 1e5 }) }",
        ] {
            assert_eq!(parse_text(document), Ok(OperationKind::Query), "{document}");
        }
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        assert_eq!(bracket_depth("{ a(b: \"[[[\\\"[\") # [[[\n { b } }"), 2);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            text in "\\PC{0,200}",
            brackets in "[\\[\\]{}()\"#a \n\\\\]{0,200}",
            escapes in "(\\\\u[dD][89c]00|\\\\u0000|\\\\u\\{[0-9a-f]{0,7}\\}|\r|\\\\|\"|u|#|\n|a|ä|\"\"\"){0,40}",
        ) {
            let _ = parse_text(&text);
            let _ = parse_text(&format!("{{ a(b: \"{escapes}\") }}"));
            let _ = parse_text(&brackets);
            let _ = names_twice(&format!("({brackets}"));
        }
    }
}
