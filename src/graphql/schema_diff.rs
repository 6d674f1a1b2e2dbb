//! Changes between two schemas, and their effect on clients.
//!
//! A change is breaking if a document or a response that worked before may fail now. It is dangerous if they stay valid
//! but a client may be surprised (an unknown value, another default), and safe otherwise. The rules are those of
//! GraphQL Inspector, with one more: removing the default of a non-null argument is breaking. Repeatability of
//! directives is not compared, because the parser does not expose it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ConstDirective, DirectiveDefinition, EnumType, EnumValueDefinition, FieldDefinition,
    InputValueDefinition, SchemaDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, Positioned};

/// Effect of a change on clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Correct clients may fail.
    Breaking,
    /// Clients stay correct, but may meet unexpected values.
    Dangerous,
    /// No client is affected.
    Safe,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Effect on clients.
    pub severity: Severity,
    /// Changed element, as `Type.field(argument:)` or `@directive(argument:)`.
    pub path: String,
    /// Description of the change.
    pub what: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Breaking => "breaking",
            Severity::Dangerous => "dangerous",
            Severity::Safe => "safe",
        };
        write!(f, "{severity:<9}  {}: {}", self.path, self.what)
    }
}

/// Changes from the old to the new document, most severe first.
///
/// # Errors
/// Problem of a document, in one line.
pub fn compare(old: &str, new: &str) -> Result<Vec<Change>, String> {
    let (old, new) = (Document::read(old)?, Document::read(new)?);
    let mut changes = Changes::default();
    changes.roots(&old.roots, &new.roots);
    for (name, pair) in pairs(&old.types, &new.types) {
        match pair {
            Pair::Gone(_) => changes.breaking(name, "removed"),
            Pair::New(_) => changes.safe(name, "added"),
            Pair::Both(old, new) => changes.types(name, old, new),
        }
    }
    for (name, pair) in pairs(&old.directives, &new.directives) {
        let path = format!("@{name}");
        match pair {
            Pair::Gone(_) => changes.breaking(&path, "removed"),
            Pair::New(_) => changes.safe(&path, "added"),
            Pair::Both(old, new) => changes.directives(&path, old, new),
        }
    }
    changes.0.sort();
    Ok(changes.0)
}

/// Definitions of a schema by name.
struct Document {
    /// Types of queries, mutations and subscriptions.
    roots: BTreeMap<String, String>,
    types: BTreeMap<String, TypeDefinition>,
    directives: BTreeMap<String, DirectiveDefinition>,
}

impl Document {
    fn read(text: &str) -> Result<Self, String> {
        let parsed = parse_schema(text).map_err(|error| match error.positions().next() {
            Some(at) => format!("not a valid schema: error at line {}, column {}", at.line, at.column),
            None => "not a valid schema".to_owned(),
        })?;
        let (mut types, mut directives) = (BTreeMap::new(), BTreeMap::new());
        let mut schema = None;
        for definition in parsed.definitions {
            match definition {
                TypeSystemDefinition::Type(definition) if definition.node.extend => {
                    let name = &definition.node.name.node;
                    return Err(format!("type extensions are not supported (extend type {name})"));
                }
                TypeSystemDefinition::Type(definition) => {
                    types.insert(definition.node.name.node.to_string(), definition.node);
                }
                TypeSystemDefinition::Directive(definition) => {
                    directives.insert(definition.node.name.node.to_string(), definition.node);
                }
                TypeSystemDefinition::Schema(definition) if definition.node.extend => {}
                TypeSystemDefinition::Schema(definition) => schema = Some(definition.node),
            }
        }
        let roots = roots(schema.as_ref(), &types);
        if !roots.contains_key("query") {
            return Err("the query type is missing".to_owned());
        }
        Ok(Self { roots, types, directives })
    }
}

/// Root types that a document names, or those with the default names.
fn roots(schema: Option<&SchemaDefinition>, types: &BTreeMap<String, TypeDefinition>) -> BTreeMap<String, String> {
    let named = |operation: &str, name: &Option<Positioned<Name>>| {
        name.as_ref().map(|name| (operation.to_owned(), name.node.to_string()))
    };
    let usual = |operation: &str, name: &str| types.get(name).map(|_| (operation.to_owned(), name.to_owned()));
    let found = match schema {
        Some(schema) => [
            named("query", &schema.query),
            named("mutation", &schema.mutation),
            named("subscription", &schema.subscription),
        ],
        None => [usual("query", "Query"), usual("mutation", "Mutation"), usual("subscription", "Subscription")],
    };
    found.into_iter().flatten().collect()
}

/// Element of the old schema, the new one, or both.
enum Pair<'a, T> {
    Gone(&'a T),
    New(&'a T),
    Both(&'a T, &'a T),
}

fn pairs<'a, K: Ord, T>(old: &'a BTreeMap<K, T>, new: &'a BTreeMap<K, T>) -> Vec<(&'a K, Pair<'a, T>)> {
    let before = old.iter().map(|(name, old)| {
        let pair = new.get(name).map_or(Pair::Gone(old), |new| Pair::Both(old, new));
        (name, pair)
    });
    let added = new.iter().filter(|(name, _)| !old.contains_key(name)).map(|(name, new)| (name, Pair::New(new)));
    before.chain(added).collect()
}

/// Items by name.
fn by_name<T: Named>(items: &[Positioned<T>]) -> BTreeMap<&str, &T> {
    items.iter().map(|item| (item.node.name().as_str(), &item.node)).collect()
}

/// Elements of lists in a document.
trait Named {
    fn name(&self) -> &Name;
}

impl Named for Name {
    fn name(&self) -> &Name {
        self
    }
}

impl Named for FieldDefinition {
    fn name(&self) -> &Name {
        &self.name.node
    }
}

impl Named for InputValueDefinition {
    fn name(&self) -> &Name {
        &self.name.node
    }
}

impl Named for EnumValueDefinition {
    fn name(&self) -> &Name {
        &self.value.node
    }
}

/// Changes found so far.
#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn breaking(&mut self, path: &str, what: impl Into<String>) {
        self.0.push(Change { severity: Severity::Breaking, path: path.to_owned(), what: what.into() });
    }

    fn dangerous(&mut self, path: &str, what: impl Into<String>) {
        self.0.push(Change { severity: Severity::Dangerous, path: path.to_owned(), what: what.into() });
    }

    fn safe(&mut self, path: &str, what: impl Into<String>) {
        self.0.push(Change { severity: Severity::Safe, path: path.to_owned(), what: what.into() });
    }

    fn roots(&mut self, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
        for (operation, pair) in pairs(old, new) {
            let path = format!("schema.{operation}");
            match pair {
                Pair::Gone(name) => self.breaking(&path, format!("removed, was {name}")),
                Pair::New(name) => self.safe(&path, format!("now {name}")),
                Pair::Both(old, new) if old != new => self.breaking(&path, format!("changed from {old} to {new}")),
                Pair::Both(..) => {}
            }
        }
    }

    fn types(&mut self, path: &str, old: &TypeDefinition, new: &TypeDefinition) {
        self.description(path, old.description.as_ref(), new.description.as_ref());
        match (&old.kind, &new.kind) {
            (TypeKind::Scalar, TypeKind::Scalar) => self.specification(path, &old.directives, &new.directives),
            (TypeKind::Object(old), TypeKind::Object(new)) => {
                self.implements(path, &old.implements, &new.implements);
                self.fields(path, &old.fields, &new.fields);
            }
            (TypeKind::Interface(old), TypeKind::Interface(new)) => {
                self.implements(path, &old.implements, &new.implements);
                self.fields(path, &old.fields, &new.fields);
            }
            (TypeKind::Union(old), TypeKind::Union(new)) => {
                for (name, pair) in pairs(&by_name(&old.members), &by_name(&new.members)) {
                    match pair {
                        Pair::Gone(_) => self.breaking(path, format!("member {name} removed")),
                        Pair::New(_) => self.dangerous(path, format!("member {name} added")),
                        Pair::Both(..) => {}
                    }
                }
            }
            (TypeKind::Enum(old), TypeKind::Enum(new)) => self.values(path, old, new),
            (TypeKind::InputObject(input), TypeKind::InputObject(next)) => {
                match (has_directive(&old.directives, "oneOf"), has_directive(&new.directives, "oneOf")) {
                    (false, true) => self.breaking(path, "now takes exactly one of its fields"),
                    (true, false) => self.safe(path, "no longer restricted to one of its fields"),
                    _ => {}
                }
                self.inputs(|name| format!("{path}.{name}"), &input.fields, &next.fields);
            }
            (old, new) => self.breaking(path, format!("changed from {} to {}", kind(old), kind(new))),
        }
    }

    fn implements(&mut self, path: &str, old: &[Positioned<Name>], new: &[Positioned<Name>]) {
        for (name, pair) in pairs(&by_name(old), &by_name(new)) {
            match pair {
                Pair::Gone(_) => self.breaking(path, format!("no longer implements {name}")),
                Pair::New(_) => self.dangerous(path, format!("now implements {name}")),
                Pair::Both(..) => {}
            }
        }
    }

    fn fields(&mut self, path: &str, old: &[Positioned<FieldDefinition>], new: &[Positioned<FieldDefinition>]) {
        let (old, new) = (by_name(old), by_name(new));
        for (name, pair) in pairs(&old, &new) {
            let path = format!("{path}.{name}");
            match pair {
                Pair::Gone(_) => self.breaking(&path, "removed"),
                Pair::New(_) => self.safe(&path, "added"),
                Pair::Both(old, new) => {
                    self.description(&path, old.description.as_ref(), new.description.as_ref());
                    self.deprecation(&path, &old.directives, &new.directives);
                    let (was, is) = (&old.ty.node, &new.ty.node);
                    if was != is {
                        let what = format!("type changed from {was} to {is}");
                        if is_within(is, was) { self.safe(&path, what) } else { self.breaking(&path, what) }
                    }
                    self.inputs(|name| format!("{path}({name}:)"), &old.arguments, &new.arguments);
                }
            }
        }
    }

    fn inputs(
        &mut self,
        path: impl Fn(&str) -> String,
        old: &[Positioned<InputValueDefinition>],
        new: &[Positioned<InputValueDefinition>],
    ) {
        let (old, new) = (by_name(old), by_name(new));
        for (name, pair) in pairs(&old, &new) {
            let path = path(name);
            match pair {
                Pair::Gone(_) => self.breaking(&path, "removed"),
                Pair::New(input) if is_required(input) => self.breaking(&path, "added as required"),
                Pair::New(_) => self.dangerous(&path, "added as optional"),
                Pair::Both(old, new) => self.input(&path, old, new),
            }
        }
    }

    fn input(&mut self, path: &str, old: &InputValueDefinition, new: &InputValueDefinition) {
        self.description(path, old.description.as_ref(), new.description.as_ref());
        self.deprecation(path, &old.directives, &new.directives);
        let (was, is) = (&old.ty.node, &new.ty.node);
        if was != is {
            let what = format!("type changed from {was} to {is}");
            if is_within(was, is) { self.safe(path, what) } else { self.breaking(path, what) }
        }
        let default = |input: &InputValueDefinition| input.default_value.as_ref().map(|value| value.node.to_string());
        match (default(old), default(new)) {
            (old, new) if old == new => {}
            (Some(was), None) if is_required(new) => {
                self.breaking(path, format!("required now, its default was {was}"));
            }
            (was, is) => {
                let word = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
                self.dangerous(path, format!("default changed from {} to {}", word(was), word(is)));
            }
        }
    }

    fn values(&mut self, path: &str, old: &EnumType, new: &EnumType) {
        let (old, new) = (by_name(&old.values), by_name(&new.values));
        for (name, pair) in pairs(&old, &new) {
            let path = format!("{path}.{name}");
            match pair {
                Pair::Gone(_) => self.breaking(&path, "removed"),
                Pair::New(_) => self.dangerous(&path, "added"),
                Pair::Both(old, new) => {
                    self.description(&path, old.description.as_ref(), new.description.as_ref());
                    self.deprecation(&path, &old.directives, &new.directives);
                }
            }
        }
    }

    fn directives(&mut self, path: &str, old: &DirectiveDefinition, new: &DirectiveDefinition) {
        self.description(path, old.description.as_ref(), new.description.as_ref());
        let places = |directive: &DirectiveDefinition| -> BTreeSet<String> {
            directive.locations.iter().map(|location| format!("{:?}", location.node)).collect()
        };
        let (before, now) = (places(old), places(new));
        for place in before.difference(&now) {
            self.breaking(path, format!("no longer allowed on {place}"));
        }
        for place in now.difference(&before) {
            self.safe(path, format!("now allowed on {place}"));
        }
        self.inputs(|name| format!("{path}({name}:)"), &old.arguments, &new.arguments);
    }

    fn description(&mut self, path: &str, old: Option<&Positioned<String>>, new: Option<&Positioned<String>>) {
        if old.map(|text| text.node.trim()) != new.map(|text| text.node.trim()) {
            self.safe(path, "description changed");
        }
    }

    fn deprecation(&mut self, path: &str, old: &[Positioned<ConstDirective>], new: &[Positioned<ConstDirective>]) {
        match (has_directive(old, "deprecated"), has_directive(new, "deprecated")) {
            (false, true) => self.safe(path, "deprecated"),
            (true, false) => self.dangerous(path, "no longer deprecated"),
            (true, true) if argument(old, "deprecated", "reason") != argument(new, "deprecated", "reason") => {
                self.safe(path, "deprecation reason changed");
            }
            _ => {}
        }
    }

    fn specification(&mut self, path: &str, old: &[Positioned<ConstDirective>], new: &[Positioned<ConstDirective>]) {
        if argument(old, "specifiedBy", "url") != argument(new, "specifiedBy", "url") {
            self.dangerous(path, "specification URL changed");
        }
    }
}

fn has_directive(directives: &[Positioned<ConstDirective>], name: &str) -> bool {
    directives.iter().any(|directive| directive.node.name.node == name)
}

fn argument(directives: &[Positioned<ConstDirective>], name: &str, argument: &str) -> Option<String> {
    let directive = directives.iter().find(|directive| directive.node.name.node == name)?;
    directive.node.get_argument(argument).map(|value| value.node.to_string())
}

fn is_required(input: &InputValueDefinition) -> bool {
    !input.ty.node.nullable && input.default_value.is_none()
}

/// True if every value of one type is a value of the other. GraphQL coerces an input outside a list to a list of one.
/// That change still counts as breaking, because it breaks variables.
fn is_within(narrow: &Type, wide: &Type) -> bool {
    let base = match (&narrow.base, &wide.base) {
        (BaseType::Named(narrow), BaseType::Named(wide)) => narrow == wide,
        (BaseType::List(narrow), BaseType::List(wide)) => is_within(narrow, wide),
        _ => false,
    };
    base && (wide.nullable || !narrow.nullable)
}

fn kind(kind: &TypeKind) -> &'static str {
    match kind {
        TypeKind::Scalar => "a scalar",
        TypeKind::Object(_) => "an object",
        TypeKind::Interface(_) => "an interface",
        TypeKind::Union(_) => "a union",
        TypeKind::Enum(_) => "an enum",
        TypeKind::InputObject(_) => "an input",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Changes between two documents that share a query type.
    fn changes(old: &str, new: &str) -> Vec<String> {
        let document = |text: &str| format!("type Query {{ a: Int }} {text}");
        let changes = compare(&document(old), &document(new)).unwrap();
        changes.iter().map(|change| change.to_string().split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    fn check(cases: &[(&str, &str, &[&str])]) {
        for (old, new, expected) in cases {
            assert_eq!(changes(old, new), *expected, "from {old} to {new}");
            assert!(changes(old, old).is_empty() && changes(new, new).is_empty());
        }
    }

    #[test]
    fn types_come_and_go() {
        check(&[
            ("", "scalar A", &["safe A: added"]),
            ("scalar A", "", &["breaking A: removed"]),
            ("scalar A", "enum A { B }", &["breaking A: changed from a scalar to an enum"]),
            ("input A { b: Int }", "type A { b: Int }", &["breaking A: changed from an input to an object"]),
            ("interface A { b: Int }", "union A = Query", &["breaking A: changed from an interface to a union"]),
            ("scalar A", "\"Described.\" scalar A", &["safe A: description changed"]),
            (
                "scalar A @specifiedBy(url: \"https://a.example\")",
                "scalar A @specifiedBy(url: \"https://b.example\")",
                &["dangerous A: specification URL changed"],
            ),
            ("", "type Mutation { a: Int }", &["safe Mutation: added", "safe schema.mutation: now Mutation"]),
            (
                "type Mutation { a: Int }",
                "",
                &["breaking Mutation: removed", "breaking schema.mutation: removed, was Mutation"],
            ),
            (
                "schema { query: Query } type Q { a: Int }",
                "schema { query: Q } type Q { a: Int }",
                &["breaking schema.query: changed from Query to Q"],
            ),
        ]);
    }

    #[test]
    fn fields_may_promise_more_and_not_less() {
        let to = |old: &str, new: &str| changes(&format!("type A {{ b: {old} }}"), &format!("type A {{ b: {new} }}"));
        for (narrow, wide) in [("Int!", "Int"), ("[Int!]", "[Int]"), ("[Int!]!", "[Int]"), ("[[Int]!]", "[[Int]]")] {
            assert_eq!(to(wide, narrow), [format!("safe A.b: type changed from {wide} to {narrow}")]);
            assert_eq!(to(narrow, wide), [format!("breaking A.b: type changed from {narrow} to {wide}")]);
        }
        for (old, new) in [("Int", "String"), ("Int", "[Int]"), ("[Int]", "Int"), ("[Int!]", "[Int]!")] {
            assert_eq!(to(old, new), [format!("breaking A.b: type changed from {old} to {new}")]);
        }
        check(&[
            ("type A { b: Int }", "type A { b: Int c: Int! }", &["safe A.c: added"]),
            ("type A { b: Int c: Int! }", "type A { b: Int }", &["breaking A.c: removed"]),
            ("interface A { b: Int }", "interface A { b: Int! }", &["safe A.b: type changed from Int to Int!"]),
            ("type A { b: Int }", "type A { \"Words.\" b: Int }", &["safe A.b: description changed"]),
            ("type A { b: Int }", "type A { b: Int @deprecated }", &["safe A.b: deprecated"]),
            ("type A { b: Int @deprecated }", "type A { b: Int }", &["dangerous A.b: no longer deprecated"]),
            (
                "type A { b: Int @deprecated(reason: \"c\") }",
                "type A { b: Int @deprecated(reason: \"d\") }",
                &["safe A.b: deprecation reason changed"],
            ),
        ]);
    }

    #[test]
    fn arguments_and_input_fields_may_ask_for_less_and_not_more() {
        for (start, end, path) in [
            ("type A { b(z: Int ", "): Int }", "A.b(c:)"),
            ("input A { z: Int ", "}", "A.c"),
            ("directive @a(z: Int ", ") on FIELD", "@a(c:)"),
        ] {
            let to = |old: &str, new: &str| changes(&format!("{start}{old}{end}"), &format!("{start}{new}{end}"));
            for (old, new, expected) in [
                ("", "c: Int", "dangerous PATH: added as optional"),
                ("", "c: Int! = 1", "dangerous PATH: added as optional"),
                ("", "c: Int!", "breaking PATH: added as required"),
                ("c: Int", "", "breaking PATH: removed"),
                ("c: Int", "c: Int!", "breaking PATH: type changed from Int to Int!"),
                ("c: Int!", "c: Int", "safe PATH: type changed from Int! to Int"),
                ("c: [Int!]", "c: [Int]", "safe PATH: type changed from [Int!] to [Int]"),
                ("c: [Int]", "c: [Int!]", "breaking PATH: type changed from [Int] to [Int!]"),
                ("c: Int", "c: String", "breaking PATH: type changed from Int to String"),
                ("c: Int", "c: [Int]", "breaking PATH: type changed from Int to [Int]"),
                ("c: Int = 1", "c: Int = 2", "dangerous PATH: default changed from 1 to 2"),
                ("c: Int = 1", "c: Int", "dangerous PATH: default changed from 1 to none"),
                ("c: Int", "c: Int = 1", "dangerous PATH: default changed from none to 1"),
                ("c: Int! = 1", "c: Int!", "breaking PATH: required now, its default was 1"),
                ("c: Int", "\"Words.\" c: Int", "safe PATH: description changed"),
                ("c: Int", "c: Int @deprecated", "safe PATH: deprecated"),
            ] {
                assert_eq!(to(old, new), [expected.replace("PATH", path)], "from {old} to {new}");
            }
        }
        check(&[
            ("input A { b: Int }", "input A @oneOf { b: Int }", &["breaking A: now takes exactly one of its fields"]),
            ("input A @oneOf { b: Int }", "input A { b: Int }", &["safe A: no longer restricted to one of its fields"]),
        ]);
    }

    #[test]
    fn what_clients_may_not_know_is_dangerous() {
        check(&[
            ("enum A { B }", "enum A { B C }", &["dangerous A.C: added"]),
            ("enum A { B C }", "enum A { B }", &["breaking A.C: removed"]),
            ("enum A { B }", "enum A { B @deprecated }", &["safe A.B: deprecated"]),
            ("enum A { B }", "enum A { \"Words.\" B }", &["safe A.B: description changed"]),
            ("union A = B", "union A = B | C", &["dangerous A: member C added"]),
            ("union A = B | C", "union A = B", &["breaking A: member C removed"]),
            ("type A { b: Int }", "type A implements C { b: Int }", &["dangerous A: now implements C"]),
            ("type A implements C { b: Int }", "type A { b: Int }", &["breaking A: no longer implements C"]),
            ("directive @a on FIELD", "", &["breaking @a: removed"]),
            ("", "directive @a on FIELD", &["safe @a: added"]),
            (
                "directive @a on FIELD",
                "directive @a on QUERY",
                &["breaking @a: no longer allowed on Field", "safe @a: now allowed on Query"],
            ),
        ]);
    }

    #[test]
    fn the_worst_comes_first() {
        let all = changes("scalar A enum B { C } scalar D", "enum B { C D } scalar D scalar E");
        assert_eq!(all, ["breaking A: removed", "dangerous B.D: added", "safe E: added"]);
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        assert_eq!(
            compare("type Query {\n", "type Query { a: Int }").unwrap_err(),
            "not a valid schema: error at line 2, column 1"
        );
        assert_eq!(compare("scalar A", "type Query { a: Int }").unwrap_err(), "the query type is missing");
        let extended = compare("type Query { a: Int } extend type Query { b: Int }", "type Query { a: Int }");
        assert_eq!(extended.unwrap_err(), "type extensions are not supported (extend type Query)");
        assert_eq!(
            compare("{ a }", "type Query { a: Int }").unwrap_err().split(':').next(),
            Some("not a valid schema")
        );
    }

    #[test]
    fn the_schemas_that_we_print_are_read() {
        for sdl in [crate::graphql::sdl(), crate::graphql::federation_sdl()] {
            assert_eq!(compare(&sdl, &sdl), Ok(Vec::new()));
        }
    }

    /// Types, fields, arguments, input fields and enum values by number, some of them optional.
    fn document(parts: &[(u8, u8, u8, bool)]) -> String {
        let mut types: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (kind, owner, item, is_list) in parts {
            let ty = if *is_list { "[Int]" } else { "Int!" };
            let (start, text) = match kind % 3 {
                0 => ("type T", format!("f{item}(a: {ty}, b: Int = {item}): {ty}")),
                1 => ("input I", format!("f{item}: {ty}")),
                _ => ("enum E", format!("V{item}")),
            };
            types.entry(format!("{start}{}", owner % 3)).or_default().insert(format!("{item}"), text);
        }
        types
            .iter()
            .map(|(head, items)| {
                format!("{head} {{ {} }} ", items.values().map(String::as_str).collect::<Vec<_>>().join(" "))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn a_schema_is_no_change_of_itself(parts: Vec<(u8, u8, u8, bool)>) {
            prop_assert!(changes(&document(&parts), &document(&parts)).is_empty());
        }

        #[test]
        fn what_is_added_one_way_breaks_the_other(
            parts: Vec<(u8, u8, u8, bool)>,
            more in proptest::collection::vec(any::<(u8, u8, u8, bool)>(), 1..5),
        ) {
            let known = |part: &(u8, u8, u8, bool)| parts.iter().any(|(kind, owner, item, _)| {
                (kind % 3, owner % 3, *item) == (part.0 % 3, part.1 % 3, part.2)
            });
            let more: Vec<_> = more.into_iter().filter(|part| !known(part)).collect();
            let all: Vec<_> = parts.iter().chain(&more).copied().collect();
            let (forth, back) = (changes(&document(&parts), &document(&all)), changes(&document(&all), &document(&parts)));
            prop_assert_eq!(forth.len(), back.len());
            prop_assert!(forth.iter().all(|change| change.contains(": added")));
            prop_assert!(back.iter().all(|change| change.starts_with("breaking") && change.ends_with(": removed")));
        }
    }
}
