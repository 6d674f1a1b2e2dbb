//! What a document may cost, decided before it is executed.
//!
//! The library walks fragments each time that they are spread, before it validates anything: two dozen fragments that
//! spread each other twice keep it busy for minutes. Here each fragment is counted once, and what would grow too large
//! is refused in a time that is proportional to the document's length.

// The strings of a document, for the parser.
mod strings;
// What is looked at before it is parsed.
mod text;

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Request};

use self::strings::plain;
use self::text::{bracket_depth, names_twice};
use crate::tools::cache::Cache;

/// The longest document, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// How deep brackets may be nested: the parser calls itself for each.
const MAX_BRACKETS: usize = 64;

/// How many operations a document may hold.
const MAX_OPERATIONS: usize = 10;

/// How many fragments a document may hold.
const MAX_FRAGMENTS: usize = 50;

/// How many selections an operation may have, fragments counted where they are spread.
const MAX_SELECTIONS: u32 = 500;

/// How deep selections may be nested, fragments included.
const MAX_DEPTH: u32 = 32;

/// How many fields of an operation may have aliases.
const MAX_ALIASES: u32 = 30;

/// How many directives an operation may carry.
const MAX_DIRECTIVES: u32 = 50;

/// How many fields a mutation may have at its root.
const MAX_MUTATIONS: usize = 4;

/// For how many bytes of documents there is room. A parsed document takes up to a hundred times its length, an ordinary
/// one ten times.
const ROOM: usize = 256 * 1024;

/// Fields of which a mutation may have one: each is an attempt at a secret, sends a mail, or takes long.
const SENSITIVE: [&str; 19] = [
    "login",
    "refresh",
    "logout",
    "requestReset",
    "confirmReset",
    "register",
    "verifyEmail",
    "undoEmailChange",
    "resendVerification",
    "changePassword",
    "setUserPassword",
    "retryMail",
    "createUser",
    "createApiToken",
    "rotateApiToken",
    "deactivateMe",
    "deleteMe",
    "uploadAvatar",
    "importUsers",
];

/// Fields of queries that are given a secret, which must not stand in the address of a request.
const BY_POST: [&str; 1] = ["resetTokenIsValid"];

/// Why a document is not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `extensions.code` of the error.
    pub code: &'static str,
    /// What to do about it; never a part of the document.
    pub message: String,
    /// The line and column that it is about, both counted from 1.
    pub location: Option<(usize, usize)>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It asks.
    Query,
    /// It changes something.
    Mutation,
    /// It listens.
    Subscription,
}

/// A document that may be executed, and which of its operations is meant.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// What the operation does.
    pub kind: Kind,
    /// The document, as the request has it.
    pub document: Arc<ExecutableDocument>,
}

/// Decides what is executed, and remembers documents, so that what clients send again and again need not be parsed and
/// counted again.
#[derive(Debug)]
pub struct Documents(Cache<String, ExecutableDocument>);

impl Default for Documents {
    fn default() -> Self {
        Self(Cache::new(ROOM))
    }
}

impl Documents {
    /// Parses the request's document and tells what its operation does, if it may be executed.
    ///
    /// # Errors
    /// GRAPHQL_PARSE_FAILED, BAD_REQUEST for NUL in a string, QUERY_TOO_COMPLEX, GRAPHQL_VALIDATION_FAILED for fragments
    /// that spread themselves and subscriptions of several fields, and OPERATION_RESOLUTION_FAILURE where it is not clear
    /// which operation is meant.
    pub fn admit(&self, request: &mut Request) -> Result<Admitted, Refusal> {
        let document = match self.0.get(&request.query) {
            Some(known) => known,
            None => {
                let document = Arc::new(parse(&request.query)?);
                // What holds strings may hold passwords, and comes but once: clients send what differs in variables.
                if !request.query.contains('"') {
                    self.0.insert(request.query.clone(), Arc::clone(&document), request.query.len());
                }
                document
            }
        };
        let kind = match select(&document, request.operation_name.as_deref())?.ty {
            OperationType::Query => Kind::Query,
            OperationType::Mutation => Kind::Mutation,
            OperationType::Subscription => Kind::Subscription,
        };
        request.set_parsed_query(ExecutableDocument::clone(&document));
        Ok(Admitted { kind, document })
    }
}

/// Parses a document, if each of its operations may be executed.
fn parse(text: &str) -> Result<ExecutableDocument, Refusal> {
    if text.len() > MAX_BYTES {
        return Err(too_complex(&format!("The document must have {MAX_BYTES} bytes at most.")));
    }
    let written = plain(text)?;
    let text = written.as_deref().unwrap_or(text);
    if bracket_depth(text) > MAX_BRACKETS {
        return Err(too_complex("The document is nested too deeply."));
    }
    if names_twice(text) {
        return Err(Refusal {
            code: "GRAPHQL_VALIDATION_FAILED",
            message: "An input object names each field once.".to_owned(),
            location: None,
        });
    }
    let document = parse_query(text).map_err(|error| Refusal {
        code: "GRAPHQL_PARSE_FAILED",
        message: "The document is no valid GraphQL.".to_owned(),
        location: error.positions().next().as_ref().map(place),
    })?;
    if document.operations.iter().count() > MAX_OPERATIONS || document.fragments.len() > MAX_FRAGMENTS {
        let most = format!("A document may hold {MAX_OPERATIONS} operations and {MAX_FRAGMENTS} fragments at most.");
        return Err(too_complex(&most));
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

/// Whether a document that was admitted gives a secret to a query, so that it must not come by GET: addresses are logged
/// and kept.
pub fn gives_a_secret(document: &ExecutableDocument) -> bool {
    let mut operations = document.operations.iter();
    operations.any(|(_, operation)| {
        root_fields(document, &operation.node).iter().any(|field| BY_POST.contains(&field.name.node.as_str()))
    })
}

/// What a selection costs, with all that it spreads.
#[derive(Clone, Copy, Default)]
struct Cost {
    selections: u32,
    depth: u32,
    aliases: u32,
    directives: u32,
}

/// Counts each fragment once, however often it is spread.
struct Counter<'a> {
    document: &'a ExecutableDocument,
    /// The costs so far; none for a fragment that is being counted.
    fragments: HashMap<&'a Name, Option<Cost>>,
    /// How deep the counting is, which calls itself for each level.
    level: u32,
}

impl<'a> Counter<'a> {
    fn fragment(&mut self, name: &'a Name) -> Result<Cost, Refusal> {
        match self.fragments.get(name) {
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => {
                return Err(Refusal {
                    code: "GRAPHQL_VALIDATION_FAILED",
                    message: "A fragment must not spread itself, not even through others.".to_owned(),
                    location: None,
                });
            }
            None => {}
        }
        // A fragment that does not exist is left to the validation, which says so.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Cost::default()) };
        self.fragments.insert(name, None);
        let cost = self.set(&fragment.node.selection_set.node)?;
        self.fragments.insert(name, Some(cost));
        Ok(cost)
    }

    fn set(&mut self, set: &'a SelectionSet) -> Result<Cost, Refusal> {
        self.level += 1;
        if self.level > 2 * MAX_DEPTH {
            return Err(too_complex("The document is nested too deeply, fragments included."));
        }
        let mut sum = Cost::default();
        for item in &set.items {
            let (inner, own_depth, alias, directives) = match &item.node {
                Selection::Field(field) => {
                    let Field { alias, selection_set, directives, .. } = &field.node;
                    (self.set(&selection_set.node)?, 1, alias.is_some(), directives.len())
                }
                Selection::InlineFragment(fragment) => {
                    let inner = self.set(&fragment.node.selection_set.node)?;
                    (inner, 1, false, fragment.node.directives.len())
                }
                Selection::FragmentSpread(spread) => {
                    let inner = self.fragment(&spread.node.fragment_name.node)?;
                    (inner, 1, false, spread.node.directives.len())
                }
            };
            sum.selections = sum.selections.saturating_add(inner.selections).saturating_add(1);
            sum.aliases = sum.aliases.saturating_add(inner.aliases).saturating_add(u32::from(alias));
            let directives = u32::try_from(directives).unwrap_or(u32::MAX);
            sum.directives = sum.directives.saturating_add(inner.directives).saturating_add(directives);
            sum.depth = sum.depth.max(inner.depth.saturating_add(own_depth));
        }
        self.level -= 1;
        Ok(sum)
    }
}

fn check<'a>(counter: &mut Counter<'a>, operation: &'a OperationDefinition) -> Result<(), Refusal> {
    let cost = counter.set(&operation.selection_set.node)?;
    for (value, most, what) in [
        (cost.selections, MAX_SELECTIONS, "selections"),
        (cost.depth, MAX_DEPTH, "levels"),
        (cost.aliases, MAX_ALIASES, "aliases"),
        (cost.directives, MAX_DIRECTIVES, "directives"),
    ] {
        if value > most {
            return Err(too_complex(&format!("An operation may have {most} {what} at most, fragments included.")));
        }
    }
    if operation.ty == OperationType::Subscription {
        let roots = root_fields(counter.document, operation);
        // The library would listen to each of them (October 2021, section 5.2.3.1, wants one).
        if roots.len() > 1 {
            return Err(Refusal {
                code: "GRAPHQL_VALIDATION_FAILED",
                message: "A subscription has one field at its root.".to_owned(),
                location: None,
            });
        }
    }
    if operation.ty == OperationType::Mutation {
        let roots = root_fields(counter.document, operation);
        if roots.len() > MAX_MUTATIONS {
            return Err(too_complex(&format!("A mutation may have {MAX_MUTATIONS} fields at most.")));
        }
        if roots.iter().filter(|field| SENSITIVE.contains(&field.name.node.as_str())).count() > 1 {
            return Err(too_complex(
                "A mutation may have one field at most that signs in or out, sends a mail, or takes a file.",
            ));
        }
    }
    Ok(())
}

/// The fields at the root of an operation whose size was checked before.
pub(crate) fn root_fields<'a>(document: &'a ExecutableDocument, operation: &'a OperationDefinition) -> Vec<&'a Field> {
    let mut found = Vec::new();
    collect(document, &operation.selection_set.node, &mut found);
    found
}

fn collect<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet, found: &mut Vec<&'a Field>) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => found.push(&field.node),
            Selection::InlineFragment(fragment) => collect(document, &fragment.node.selection_set.node, found),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    collect(document, &fragment.node.selection_set.node, found);
                }
            }
        }
    }
}

pub(in crate::graphql) fn select<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, Refusal> {
    let unclear =
        |message: &str| Refusal { code: "OPERATION_RESOLUTION_FAILURE", message: message.to_owned(), location: None };
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(&operation.node),
        (DocumentOperations::Multiple(operations), None) => match operations.len() {
            1 => operations.values().next().map(|operation| &operation.node),
            _ => None,
        }
        .ok_or_else(|| unclear("The document has several operations: say by `operationName` which one.")),
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .get(name)
            .map(|operation| &operation.node)
            .ok_or_else(|| unclear("There is no operation of this name.")),
        (DocumentOperations::Single(_), Some(_)) => Err(unclear("There is no operation of this name.")),
    }
}

fn place(position: &Pos) -> (usize, usize) {
    (position.line, position.column)
}

fn too_complex(message: &str) -> Refusal {
    Refusal { code: "QUERY_TOO_COMPLEX", message: message.to_owned(), location: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn admit(request: &mut Request) -> Result<Kind, Refusal> {
        Documents::default().admit(request).map(|admitted| admitted.kind)
    }

    fn admit_text(document: &str) -> Result<Kind, &'static str> {
        admit(&mut Request::new(document)).map_err(|refusal| refusal.code)
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
    fn what_would_grow_beyond_measure_is_refused() {
        assert_eq!(admit_text(&cascade(24, 2)), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(admit_text(&cascade(4, 60)), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(admit_text(&cascade(49, 1)), Err("QUERY_TOO_COMPLEX"), "too deep");
        assert_eq!(admit_text(&cascade(20, 1)), Ok(Kind::Query));
        assert_eq!(admit_text(&format!("{{ {} }}", "a ".repeat(501))), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(admit_text(&format!("{{ {} }}", "a ".repeat(500))), Ok(Kind::Query));
        assert_eq!(admit_text(&format!("{}{}", "{a".repeat(5000), "}".repeat(5000))), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(admit_text(&format!("{{ a(b: {}) }}", "[".repeat(8000))), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(admit_text(&format!("{{ a }} # {}", "x".repeat(17_000))), Err("QUERY_TOO_COMPLEX"));
        let aliases: String = (0..31).map(|number| format!("a{number}: a ")).collect();
        assert_eq!(admit_text(&format!("{{ {aliases} }}")), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(admit_text(&format!("{{ a {} }}", "@skip(if: false)".repeat(51))), Err("QUERY_TOO_COMPLEX"));
    }

    #[test]
    fn nothing_nested_reaches_the_end_of_the_stack() {
        let lists = |start: &str| format!("{{a(b:[{start}{}{}])}}", "[".repeat(500), "]".repeat(500));
        assert_eq!(admit_text(&lists("\"\"\"a\\\\\"\"\" \"\"\" ")), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(admit_text(&lists("\"\"\"\" ")), Err("GRAPHQL_PARSE_FAILED"), "the block string has no end");
        let nested = format!("{}...f1{}", "a{".repeat(30), "}".repeat(30));
        let chain: String = (0..45)
            .map(|n| format!(" fragment f{n} on Q {{ {} }}", nested.replace("f1", &format!("f{}", n + 1))))
            .collect();
        assert_eq!(admit_text(&format!("{{ ...f0 }} {chain}")), Err("QUERY_TOO_COMPLEX"));
    }

    #[test]
    fn so_many_operations_and_fragments_are_in_a_document() {
        let document = |operations: usize, fragments: usize| {
            let operations: String = (0..operations).map(|number| format!("query A{number} {{ a }} ")).collect();
            let fragments = (0..fragments).map(|number| format!("fragment F{number} on A {{ a }} "));
            operations + &fragments.collect::<String>()
        };
        assert_eq!(admit_text(&document(1, MAX_FRAGMENTS)), Ok(Kind::Query));
        assert_eq!(admit_text(&document(1, MAX_FRAGMENTS + 1)), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(admit_text(&document(MAX_OPERATIONS, 0)), Err("OPERATION_RESOLUTION_FAILURE"));
        assert_eq!(admit_text(&document(MAX_OPERATIONS + 1, 0)), Err("QUERY_TOO_COMPLEX"));
    }

    #[test]
    fn a_mutation_has_few_fields_and_one_that_is_sensitive() {
        let fields = |names: &[&str]| names.iter().map(|name| format!("{name}{{x}} ")).collect::<String>();
        let mutation = |names: &[&str]| admit_text(&format!("mutation {{ {} }}", fields(names)));
        assert_eq!(mutation(&["login", "a", "b", "c"]), Ok(Kind::Mutation));
        assert_eq!(mutation(&["a", "b", "c", "d", "e"]), Err("QUERY_TOO_COMPLEX"));
        assert_eq!(mutation(&["login", "confirmReset"]), Err("QUERY_TOO_COMPLEX"));
        let spread = "mutation { a: login{x} ...more } fragment more on Mutation { ... { b: login{x} } }";
        assert_eq!(admit_text(spread), Err("QUERY_TOO_COMPLEX"));
    }

    #[test]
    fn a_subscription_has_one_field() {
        assert_eq!(
            admit_text("subscription { ...f } fragment f on Subscription { a { b c } }"),
            Ok(Kind::Subscription)
        );
        assert_eq!(admit_text("subscription { a { b } c: a { b } }"), Err("GRAPHQL_VALIDATION_FAILED"));
        let spread = "subscription { a ...f } fragment f on Subscription { b }";
        assert_eq!(admit_text(spread), Err("GRAPHQL_VALIDATION_FAILED"));
    }

    #[test]
    fn fragments_that_spread_themselves_are_refused() {
        assert_eq!(admit_text("{ ...a } fragment a on Query { ...a ...a }"), Err("GRAPHQL_VALIDATION_FAILED"));
        let circle = "{ x } fragment a on Q { ...b ...b } fragment b on Q { ...a }";
        assert_eq!(admit_text(circle), Err("GRAPHQL_VALIDATION_FAILED"));
        assert_eq!(admit_text("{ ...unknown }"), Ok(Kind::Query));
    }

    #[test]
    fn what_comes_again_is_remembered_but_no_string_is() {
        let documents = Documents::default();
        let remembers = |text: &str| documents.0.get(text).is_some();
        let two = "query A { a } mutation B { b }";
        for (name, kind) in [("A", Kind::Query), ("B", Kind::Mutation), ("A", Kind::Query)] {
            let mut request = Request::new(two);
            request.operation_name = Some(name.to_owned());
            assert_eq!(documents.admit(&mut request).unwrap().kind, kind);
            assert!(remembers(two));
        }
        for text in ["{ a(b: \"secret\") }", "{ a(b: \"\"\"secret\"\"\") }", "{ a(b: { c: 1, c: 1 }) }", "{ a"] {
            let _ = documents.admit(&mut Request::new(text));
            assert!(!remembers(text), "{text}");
        }
    }

    #[test]
    fn the_operation_must_be_clear() {
        let named = |document: &str, name: &str| {
            let mut request = Request::new(document);
            request.operation_name = Some(name.to_owned());
            admit(&mut request).map_err(|refusal| refusal.code)
        };
        let two = "query A { a } mutation B { b }";
        assert_eq!(named(two, "A"), Ok(Kind::Query));
        assert_eq!(named(two, "B"), Ok(Kind::Mutation));
        assert_eq!(named(two, "C"), Err("OPERATION_RESOLUTION_FAILURE"));
        assert_eq!(named("{ a }", "A"), Err("OPERATION_RESOLUTION_FAILURE"));
        assert_eq!(admit_text(two), Err("OPERATION_RESOLUTION_FAILURE"));
        assert_eq!(admit_text("subscription { a }"), Ok(Kind::Subscription));
    }

    #[test]
    fn a_parse_error_tells_the_place_and_nothing_of_the_document() {
        let refusal = admit(&mut Request::new("{ secret\n  ) }")).unwrap_err();
        assert_eq!((refusal.code, refusal.location), ("GRAPHQL_PARSE_FAILED", Some((2, 3))));
        assert!(!refusal.message.contains("secret"));
        assert_eq!(admit_text(""), Err("GRAPHQL_PARSE_FAILED"));
    }

    #[test]
    fn escapes_that_stand_for_no_character_do_not_reach_the_parser() {
        let string = |content: &str| admit_text(&format!("{{ a(b: \"{content}\") }}"));
        assert_eq!(string("\\u00e4\\\\ud800\\n"), Ok(Kind::Query));
        for lone in ["\\ud83d", "\\udE00", "\\uD83Dx\\uDE00", "\\ud83d\\ud83d", "\\\\\\ud83d", "\\\"\\ud83d"] {
            assert_eq!(string(lone), Err("GRAPHQL_PARSE_FAILED"), "{lone}");
        }
        assert_eq!(string("\\u0000"), Err("BAD_REQUEST"));
        assert_eq!(admit_text("{ a # \"\\ud800\n }"), Ok(Kind::Query));
        assert_eq!(admit_text("{ a(b: \"\"\"x\\ud800\"\"\") }"), Ok(Kind::Query), "block strings have no such escapes");
        assert_eq!(admit_text("{ a(b: \"\"\"x\"\"\", c: \"\\ud800\") }"), Err("GRAPHQL_PARSE_FAILED"));
        assert_eq!(admit_text("{ a(b: \"\"\"x\"\"\", c: \"\\u0000\") }"), Err("BAD_REQUEST"));

        let mut request = Request::new("{ a(b: \"x\\ud83d\\uDE00y\\\\ud83d\") }");
        assert_eq!(admit(&mut request), Ok(Kind::Query));
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
            assert_eq!(admit_text(document), Err("GRAPHQL_VALIDATION_FAILED"), "{document}");
        }
        for document in [
            "{ a(b: { c: { c: 1 }, d: { c: 1 } }, c: { c: c }) { c: a c: a(c: { c: 1 }) } }",
            "query($a: A = { b: 1 }, $b: A = { b: 1 }) { a(b: [{ c: $b }, { c: $b }]) @skip(if: true) { b: a, b: a } }",
            "{ a(b: { c: \"c: 1\" # c: 1\n d: 1e5 }) }",
        ] {
            assert_eq!(admit_text(document), Ok(Kind::Query), "{document}");
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
            let _ = admit_text(&text);
            let _ = admit_text(&format!("{{ a(b: \"{escapes}\") }}"));
            let _ = admit_text(&brackets);
            let _ = names_twice(&format!("({brackets}"));
        }
    }
}
