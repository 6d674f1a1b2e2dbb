//! The values that a document and its variables give to arguments, checked before anything is executed.
//!
//! The library looks at variables where they are used, and only there: one that is missing fails a field instead of the
//! request, a default is forgotten in `@include`, and an unknown type makes it panic. Here variables get their values as
//! the specification says (October 2021, sections 5.6, 5.8 and 6.1.2), and the library is left nothing to doubt.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    BaseType, Directive, DocumentOperations, ExecutableDocument, InputValueDefinition, OperationDefinition,
    OperationType, Selection, SelectionSet, Type, TypeKind, TypeSystemDefinition, VariableDefinition,
};
use async_graphql::{Name, Pos, Positioned, Request, ScalarType as _, Variables};
use async_graphql_value::{ConstValue, Value};

use crate::graphql::absent;
use crate::graphql::document::Refusal;
use crate::graphql::scalars::{Date, DateTime};

/// What the library writes for a file in place of a variable, before the file's number.
pub const FILE_MARK: &str = "#__graphql_file__:";

/// The longest name that a message repeats.
const MAX_NAME: usize = 60;

/// Which values a schema's arguments take.
#[derive(Debug)]
pub struct Inputs {
    shapes: HashMap<String, Shape>,
    fields: HashMap<String, HashMap<String, Field>>,
    condition: Slot,
}

/// What a value of an input type looks like.
#[derive(Debug)]
enum Shape {
    Scalar,
    Enum(HashSet<String>),
    Object(HashMap<String, Slot>),
}

/// A field of an object: what it takes, and the name of the type that it returns.
#[derive(Debug)]
struct Field {
    slots: HashMap<String, Slot>,
    returns: String,
}

/// An argument, or a field of an input object.
#[derive(Debug)]
struct Slot {
    ty: Type,
    has_default: bool,
}

/// Where a value comes from: enumerations look otherwise in JSON, and files come only by variables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Document,
    /// A variable's value, in a request with so many files.
    Variable(usize),
}

impl Inputs {
    /// Reads them off the schema's document.
    pub fn of(sdl: &str) -> Self {
        let document = async_graphql::parser::parse_schema(sdl).expect("the schema that we print is valid");
        let scalars = ["Boolean", "Float", "ID", "Int", "String"];
        let mut shapes: HashMap<_, _> = scalars.into_iter().map(|name| (name.to_owned(), Shape::Scalar)).collect();
        let mut fields = HashMap::new();
        for definition in document.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            match definition.node.kind {
                TypeKind::Scalar => {
                    shapes.insert(name, Shape::Scalar);
                }
                TypeKind::Enum(the_enum) => {
                    let values = the_enum.values.into_iter().map(|value| value.node.value.node.to_string());
                    shapes.insert(name, Shape::Enum(values.collect()));
                }
                TypeKind::InputObject(object) => {
                    shapes.insert(name, Shape::Object(slots(object.fields)));
                }
                TypeKind::Object(object) => {
                    let of_type = object.fields.into_iter().map(|field| {
                        let field = field.node;
                        let returns = core_name(&field.ty.node).to_string();
                        (field.name.node.to_string(), Field { slots: slots(field.arguments), returns })
                    });
                    fields.insert(name, of_type.collect());
                }
                TypeKind::Interface(_) | TypeKind::Union(_) => {}
            }
        }
        let condition =
            Slot { ty: Type { base: BaseType::Named(Name::new("Boolean")), nullable: false }, has_default: false };
        Self { shapes, fields, condition }
    }

    /// Checks the values in an admitted request, and gives its variables the values that they have in the end.
    ///
    /// # Errors
    /// GRAPHQL_VALIDATION_FAILED for variables that are used or declared wrongly, BAD_USER_INPUT for values that do not
    /// fit.
    pub fn admit(&self, request: &mut Request) -> Result<(), Refusal> {
        let sent = std::mem::take(&mut request.variables);
        let origin = Origin::Variable(request.uploads.len());
        let name = request.operation_name.clone();
        let Ok(document) = request.parsed_query() else { return Ok(()) };
        let mut not_null = HashSet::new();
        let Some(selected) = selected(document, name.as_deref()) else { return Ok(()) };
        for (_, operation) in document.operations.iter() {
            let usages = Walk::of(self, document, &operation.node)?;
            if std::ptr::eq(operation, selected) {
                not_null = usages;
            }
        }
        let definitions = &selected.node.variable_definitions;
        let mut values = Variables::default();
        let mut left_out = HashSet::new();
        for Positioned { node: definition, pos } in definitions {
            let name = &definition.name.node;
            match self.value(definition, *pos, sent.get(name), origin)? {
                Some(ConstValue::Null) if not_null.contains(name) => {
                    return Err(input(format!("The variable `${}` must not be null.", short(name)), *pos));
                }
                Some(value) => {
                    values.insert(name.clone(), value);
                }
                None => {
                    left_out.insert(name.clone());
                }
            }
        }
        if document.operations.iter().any(|(_, operation)| !operation.node.variable_definitions.is_empty()) {
            let mut document = document.clone();
            settle(&mut document, name.as_deref(), &values);
            absent::take_out(&mut document, name.as_deref(), &left_out);
            request.set_parsed_query(document);
        }
        request.variables = values;
        Ok(())
    }

    /// The value that a variable has in the end; none where it is optional and was left out.
    fn value(
        &self,
        definition: &VariableDefinition,
        pos: Pos,
        sent: Option<&ConstValue>,
        origin: Origin,
    ) -> Result<Option<ConstValue>, Refusal> {
        let (name, ty) = (&definition.name.node, &definition.var_type.node);
        match (sent, &definition.default_value) {
            (Some(value), _) => {
                let check = Check { inputs: self, origin, pos };
                check.value(ty, &value.clone().into_value(), &At::Start(&format!("${}", short(name))))?;
                Ok(Some(value.clone()))
            }
            (None, Some(default)) => Ok(Some(default.node.clone())),
            (None, None) if ty.nullable => Ok(None),
            (None, None) => Err(input(format!("The variable `${}` is required.", short(name)), pos)),
        }
    }
}

/// One operation and what it spreads.
struct Walk<'a> {
    inputs: &'a Inputs,
    document: &'a ExecutableDocument,
    definitions: HashMap<&'a Name, &'a VariableDefinition>,
    used: HashSet<Name>,
    not_null: HashSet<Name>,
    /// The fragments that were looked at.
    seen: HashSet<&'a Name>,
}

impl<'a> Walk<'a> {
    /// Checks an operation; the variables that must not be null where they are used.
    fn of(
        inputs: &'a Inputs,
        document: &'a ExecutableDocument,
        operation: &'a OperationDefinition,
    ) -> Result<HashSet<Name>, Refusal> {
        let mut names = HashSet::new();
        for Positioned { node: definition, pos } in &operation.variable_definitions {
            if !names.insert(&definition.name.node) {
                return Err(invalid("Each variable is declared once.", *pos));
            }
            if !inputs.shapes.contains_key(core_name(&definition.var_type.node).as_str()) {
                return Err(invalid("A variable is of a type that is no input type of this schema.", *pos));
            }
            if let Some(default) = &definition.default_value {
                let check = Check { inputs, origin: Origin::Document, pos: *pos };
                let at = format!("${}", short(&definition.name.node));
                check
                    .value(&definition.var_type.node, &default.node.clone().into_value(), &At::Start(&at))
                    .map_err(|refusal| Refusal { code: "GRAPHQL_VALIDATION_FAILED", ..refusal })?;
            }
        }
        let definitions = operation.variable_definitions.iter().map(|definition| &definition.node);
        let mut walk = Self {
            inputs,
            document,
            definitions: definitions.map(|definition| (&definition.name.node, definition)).collect(),
            used: HashSet::new(),
            not_null: HashSet::new(),
            seen: HashSet::new(),
        };
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        walk.directives(&operation.directives)?;
        walk.set(Some(root), &operation.selection_set.node)?;
        for Positioned { node: definition, pos } in &operation.variable_definitions {
            if !walk.used.contains(&definition.name.node) {
                return Err(invalid(&format!("The variable `${}` is never used.", short(&definition.name.node)), *pos));
            }
        }
        Ok(walk.not_null)
    }

    /// Checks selections of this type; none where the type is not known, which the library tells or which is its own.
    fn set(&mut self, parent: Option<&'a str>, set: &'a SelectionSet) -> Result<(), Refusal> {
        let inputs = self.inputs;
        let fields = parent.and_then(|parent| inputs.fields.get(parent));
        for item in &set.items {
            match &item.node {
                Selection::Field(selection) => {
                    let is_leaf = selection.node.name.node == "__typename";
                    let set = &selection.node.selection_set.node;
                    if is_leaf && !(selection.node.arguments.is_empty() && set.items.is_empty()) {
                        return Err(invalid("`__typename` has no arguments and no fields.", item.pos));
                    }
                    let field = fields.and_then(|fields| fields.get(selection.node.name.node.as_str()));
                    for (name, value) in &selection.node.arguments {
                        let slot = field.and_then(|field| field.slots.get(name.node.as_str()));
                        self.argument(slot, &name.node, value)?;
                    }
                    self.directives(&selection.node.directives)?;
                    self.set(field.map(|field| field.returns.as_str()), &selection.node.selection_set.node)?;
                }
                Selection::InlineFragment(fragment) => {
                    let condition =
                        fragment.node.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                    self.directives(&fragment.node.directives)?;
                    self.set(condition.or(parent), &fragment.node.selection_set.node)?;
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.node.directives)?;
                    let name = &spread.node.fragment_name.node;
                    let Some(fragment) = self.document.fragments.get(name) else { continue };
                    if self.seen.insert(name) {
                        self.directives(&fragment.node.directives)?;
                        let condition = fragment.node.type_condition.node.on.node.as_str();
                        self.set(Some(condition), &fragment.node.selection_set.node)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) -> Result<(), Refusal> {
        let inputs = self.inputs;
        for directive in directives {
            // The library does not look at those of `__typename`.
            if !matches!(directive.node.name.node.as_str(), "include" | "skip") {
                return Err(invalid("There are no directives here but `@include` and `@skip`.", directive.pos));
            }
            for (name, value) in &directive.node.arguments {
                let is_condition = name.node == "if";
                self.argument(is_condition.then_some(&inputs.condition), &name.node, value)?;
            }
        }
        Ok(())
    }

    fn argument(&mut self, slot: Option<&'a Slot>, name: &Name, value: &Positioned<Value>) -> Result<(), Refusal> {
        self.variables(slot, &value.node, value.pos)?;
        let Some(slot) = slot else { return Ok(()) };
        let check = Check { inputs: self.inputs, origin: Origin::Document, pos: value.pos };
        check.value(&slot.ty, &value.node, &At::Start(name))
    }

    /// Checks whether the variables in a value may stand where they do.
    fn variables(&mut self, slot: Option<&Slot>, value: &Value, pos: Pos) -> Result<(), Refusal> {
        match value {
            Value::Variable(name) => {
                let Some((name, definition)) = self.definitions.get_key_value(name) else {
                    return Err(invalid(&format!("The variable `${}` is not declared.", short(name)), pos));
                };
                self.used.insert(Name::clone(name));
                let Some(slot) = slot else { return Ok(()) };
                if !may_stand(definition, slot) {
                    let message = format!(
                        "The variable `${}` of type `{}` cannot be used where `{}` is expected.",
                        short(name),
                        short(&definition.var_type.node.to_string()),
                        slot.ty
                    );
                    return Err(invalid(&message, pos));
                }
                if !slot.ty.nullable {
                    self.not_null.insert(Name::clone(name));
                }
                Ok(())
            }
            Value::List(items) => {
                let item = slot.and_then(|slot| match &slot.ty.base {
                    BaseType::List(ty) => Some(Slot { ty: Type::clone(ty), has_default: false }),
                    BaseType::Named(_) => None,
                });
                items.iter().try_for_each(|value| self.variables(item.as_ref(), value, pos))
            }
            Value::Object(fields) => {
                let inputs = self.inputs;
                let slots = slot.and_then(|slot| match inputs.shapes.get(core_name(&slot.ty).as_str()) {
                    Some(Shape::Object(slots)) => Some(slots),
                    _ => None,
                });
                fields.iter().try_for_each(|(name, value)| {
                    let slot = slots.and_then(|slots| slots.get(name.as_str()));
                    self.variables(slot, value, pos)
                })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a value is of its type. Where variables stand in it, they are looked at elsewhere.
struct Check<'a> {
    inputs: &'a Inputs,
    origin: Origin,
    pos: Pos,
}

/// Where in a value something is.
enum At<'a> {
    Start(&'a str),
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start(name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}.{index}"),
        }
    }
}

impl Check<'_> {
    fn value(&self, ty: &Type, value: &Value, at: &At<'_>) -> Result<(), Refusal> {
        let wrong = || Err(input(format!("`{at}` must be of type `{ty}`."), self.pos));
        match (value, &ty.base) {
            (Value::Variable(_), _) => Ok(()),
            (Value::Null, _) if ty.nullable => Ok(()),
            (Value::Null, _) => wrong(),
            (Value::List(items), BaseType::List(item)) => {
                items.iter().enumerate().try_for_each(|(index, value)| self.value(item, value, &At::Item(at, index)))
            }
            // A single value stands for a list of one.
            (value, BaseType::List(item)) => self.value(item, value, at),
            (value, BaseType::Named(name)) => match (self.inputs.shapes.get(name.as_str()), value) {
                (Some(Shape::Scalar), value) if self.is_scalar(name, value) => Ok(()),
                (Some(Shape::Enum(values)), Value::Enum(value)) if self.origin == Origin::Document => {
                    if values.contains(value.as_str()) { Ok(()) } else { wrong() }
                }
                (Some(Shape::Enum(values)), Value::String(value)) if self.origin != Origin::Document => {
                    if values.contains(value) { Ok(()) } else { wrong() }
                }
                (Some(Shape::Object(slots)), Value::Object(fields)) => self.object(name, slots, fields, at),
                _ => wrong(),
            },
        }
    }

    fn object<'v>(
        &self,
        type_name: &str,
        slots: &HashMap<String, Slot>,
        fields: impl IntoIterator<Item = (&'v Name, &'v Value)> + Copy,
        at: &At<'_>,
    ) -> Result<(), Refusal> {
        let mut given = HashSet::new();
        for (name, value) in fields {
            let Some((name, slot)) = slots.get_key_value(name.as_str()) else {
                return Err(input(format!("`{at}` has a field that `{type_name}` does not have."), self.pos));
            };
            self.value(&slot.ty, value, &At::Field(at, name))?;
            given.insert(name);
        }
        let mut missing: Vec<_> = slots.iter().filter(|(_, slot)| !slot.ty.nullable && !slot.has_default).collect();
        missing.retain(|(name, _)| !given.contains(name));
        match missing.iter().map(|(name, _)| name.as_str()).min() {
            Some(name) => Err(input(format!("`{}` is required.", At::Field(at, name)), self.pos)),
            None => Ok(()),
        }
    }

    fn is_scalar(&self, name: &str, value: &Value) -> bool {
        let constant = || value.clone().into_const().unwrap_or_default();
        match (name, value) {
            // A file that was sent for what takes none.
            ("String" | "ID", Value::String(text))
                if matches!(self.origin, Origin::Variable(1..)) && text.starts_with(FILE_MARK) =>
            {
                false
            }
            // `_Any` is what a gateway refers to an entity by; the resolver looks at what is in it.
            ("Boolean", Value::Boolean(_))
            | ("String" | "ID", Value::String(_))
            | ("Float", Value::Number(_))
            | ("_Any", _) => true,
            ("Int", Value::Number(number)) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            ("ID", Value::Number(number)) => number.is_i64(),
            ("DateTime", _) => DateTime::parse(constant()).is_ok(),
            ("Date", _) => Date::parse(constant()).is_ok(),
            ("Upload", Value::String(text)) => match (self.origin, text.strip_prefix(FILE_MARK)) {
                (Origin::Variable(files), Some(number)) => number.parse::<usize>().is_ok_and(|number| number < files),
                _ => false,
            },
            _ => false,
        }
    }
}

/// Whether a variable may stand at a place (October 2021, section 5.8.5).
fn may_stand(definition: &VariableDefinition, slot: &Slot) -> bool {
    let ty = &definition.var_type.node;
    if slot.ty.nullable || !ty.nullable {
        return is_compatible(ty, &slot.ty);
    }
    let has_value = definition.default_value.as_ref().is_some_and(|default| default.node != ConstValue::Null);
    (has_value || slot.has_default) && is_compatible(ty, &Type { nullable: true, ..slot.ty.clone() })
}

fn is_compatible(ty: &Type, expected: &Type) -> bool {
    if ty.nullable && !expected.nullable {
        return false;
    }
    match (&ty.base, &expected.base) {
        (BaseType::Named(name), BaseType::Named(expected)) => name == expected,
        (BaseType::List(item), BaseType::List(expected)) => is_compatible(item, expected),
        _ => false,
    }
}

/// Declares the variables so that the library finds nothing to say: each has its value, which is what its place takes.
fn settle(document: &mut ExecutableDocument, selected: Option<&str>, values: &Variables) {
    for (is_selected, operation) in operations_mut(document, selected) {
        for definition in &mut operation.variable_definitions {
            let definition = &mut definition.node;
            let has_value = values.get(&definition.name.node).is_some_and(|value| *value != ConstValue::Null);
            definition.default_value = None;
            definition.var_type.node.nullable = is_selected && !has_value;
        }
    }
}

/// The operations of a document, each with whether it is the one that is executed.
pub(super) fn operations_mut<'a>(
    document: &'a mut ExecutableDocument,
    selected: Option<&'a str>,
) -> Vec<(bool, &'a mut OperationDefinition)> {
    match &mut document.operations {
        DocumentOperations::Single(operation) => vec![(true, &mut operation.node)],
        DocumentOperations::Multiple(all) => {
            let is_only = all.len() == 1;
            let one = all
                .iter_mut()
                .map(|(name, operation)| (is_only || selected == Some(name.as_str()), &mut operation.node));
            one.collect()
        }
    }
}

fn selected<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a Positioned<OperationDefinition>> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name),
        (DocumentOperations::Multiple(all), None) => all.values().next(),
    }
}

fn slots(definitions: Vec<Positioned<InputValueDefinition>>) -> HashMap<String, Slot> {
    let slot = |definition: InputValueDefinition| {
        let has_default = definition.default_value.is_some();
        (definition.name.node.to_string(), Slot { ty: definition.ty.node, has_default })
    };
    definitions.into_iter().map(|definition| slot(definition.node)).collect()
}

/// The name of the type that lists of any depth hold.
fn core_name(ty: &Type) -> &Name {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => core_name(item),
    }
}

/// As much of a name as a message may repeat.
fn short(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

fn invalid(message: &str, pos: Pos) -> Refusal {
    Refusal { code: "GRAPHQL_VALIDATION_FAILED", message: message.to_owned(), location: Some((pos.line, pos.column)) }
}

fn input(message: String, pos: Pos) -> Refusal {
    Refusal { code: "BAD_USER_INPUT", message, location: Some((pos.line, pos.column)) }
}

#[cfg(test)]
mod tests {
    use async_graphql::{EmptyMutation, EmptySubscription, InputObject, MaybeUndefined, Object, Schema, Upload};
    use serde_json::json;

    use super::*;
    use crate::graphql::document;

    #[derive(InputObject)]
    struct Filter {
        name: MaybeUndefined<String>,
        size: Option<i32>,
        #[graphql(default = 7)]
        most: i32,
        sub: Option<Box<Filter>>,
    }

    impl Filter {
        fn show(&self) -> String {
            let sub = self.sub.as_ref().map_or("none".to_owned(), |sub| sub.show());
            let name = match &self.name {
                MaybeUndefined::Undefined => "absent",
                MaybeUndefined::Null => "null",
                MaybeUndefined::Value(name) => name,
            };
            format!("{name} {:?} {} ({sub})", self.size, self.most)
        }
    }

    struct Query;

    #[Object]
    impl Query {
        async fn first(&self, #[graphql(default = 20)] first: i32) -> i32 {
            first
        }
        async fn maybe(&self, text: MaybeUndefined<String>) -> String {
            format!("{text:?}")
        }
        async fn list(&self, items: Option<Vec<Option<i32>>>) -> String {
            format!("{items:?}")
        }
        async fn strict(&self, items: Vec<i32>) -> String {
            format!("{items:?}")
        }
        async fn filter(&self, filter: Filter) -> String {
            filter.show()
        }
        async fn filters(&self, filters: Option<Vec<Filter>>) -> usize {
            filters.map_or(0, |filters| filters.len())
        }
        async fn user(&self, id: async_graphql::ID) -> String {
            id.to_string()
        }
        async fn file(&self, file: Upload) -> usize {
            file.0
        }
        async fn me(&self) -> Self {
            Self
        }
    }

    /// What a request is answered, by the way that requests take; otherwise the code of its refusal.
    async fn ask(document: &str, variables: serde_json::Value) -> Result<serde_json::Value, &'static str> {
        ask_for(document, None, variables).await
    }

    async fn ask_for(
        document: &str,
        name: Option<&str>,
        variables: serde_json::Value,
    ) -> Result<serde_json::Value, &'static str> {
        let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
        let inputs = Inputs::of(&schema.sdl());
        let mut request = Request::new(document).variables(Variables::from_json(variables));
        request.operation_name = name.map(str::to_owned);
        document::admit(&mut request).and_then(|_| inputs.admit(&mut request)).map_err(|refusal| refusal.code)?;
        let response = schema.execute(request).await;
        assert!(response.errors.is_empty(), "{document}: {:?}", response.errors);
        Ok(serde_json::to_value(&response.data).unwrap())
    }

    const INVALID: Result<serde_json::Value, &str> = Err("GRAPHQL_VALIDATION_FAILED");
    const INPUT: Result<serde_json::Value, &str> = Err("BAD_USER_INPUT");

    #[tokio::test]
    async fn an_optional_variable_that_was_not_sent_leaves_the_default() {
        let first = "query($n: Int) { first(first: $n) }";
        assert_eq!(ask(first, json!({})).await, Ok(json!({ "first": 20 })));
        assert_eq!(ask(first, json!({ "n": 5 })).await, Ok(json!({ "first": 5 })));
        assert_eq!(ask(first, json!({ "n": null })).await, INPUT, "null is no absence");
        let own = "query($n: Int = 3) { first(first: $n) }";
        assert_eq!(ask(own, json!({})).await, Ok(json!({ "first": 3 })));
        assert_eq!(ask(own, json!({ "n": 4 })).await, Ok(json!({ "first": 4 })));
        assert_eq!(ask(own, json!({ "n": null })).await, INPUT);
        assert_eq!(ask("query($n: Int! = 3) { first(first: $n) }", json!({})).await, Ok(json!({ "first": 3 })));
        assert_eq!(ask("query($n: Int = null) { first(first: $n) }", json!({})).await, INPUT);
    }

    #[tokio::test]
    async fn null_is_kept_apart_from_absence() {
        let maybe = "query($t: String) { maybe(text: $t) }";
        assert_eq!(ask(maybe, json!({})).await, Ok(json!({ "maybe": "Undefined" })));
        assert_eq!(ask(maybe, json!({ "t": null })).await, Ok(json!({ "maybe": "Null" })));
        assert_eq!(ask(maybe, json!({ "t": "x" })).await, Ok(json!({ "maybe": "Value(\"x\")" })));
        let object = "query($n: String, $m: Int, $s: Int) { filter(filter: { name: $n, most: $m, size: $s }) }";
        assert_eq!(ask(object, json!({})).await, Ok(json!({ "filter": "absent None 7 (none)" })));
        assert_eq!(ask(object, json!({ "n": null, "s": null })).await, Ok(json!({ "filter": "null None 7 (none)" })));
        assert_eq!(
            ask(object, json!({ "n": "a", "m": 1, "s": 2 })).await,
            Ok(json!({ "filter": "a Some(2) 1 (none)" }))
        );
        let whole = "query($f: Filter!) { filter(filter: $f) }";
        assert_eq!(ask(whole, json!({ "f": { "name": null } })).await, Ok(json!({ "filter": "null None 7 (none)" })));
        let inner = "query($n: String) { filter(filter: { sub: { name: $n, sub: { name: $n } } }) }";
        assert_eq!(
            ask(inner, json!({})).await,
            Ok(json!({ "filter": "absent None 7 (absent None 7 (absent None 7 (none)))" }))
        );
    }

    #[tokio::test]
    async fn in_a_list_absence_is_null() {
        let list = "query($a: Int, $b: Int) { list(items: [1, $a, $b]) }";
        assert_eq!(ask(list, json!({ "b": 2 })).await, Ok(json!({ "list": "Some([Some(1), None, Some(2)])" })));
        assert_eq!(ask("query($a: Int) { strict(items: [1, $a]) }", json!({ "a": 2 })).await, INVALID);
        assert_eq!(
            ask("query($a: Int = 5) { strict(items: [1, $a]) }", json!({})).await,
            Ok(json!({ "strict": "[1, 5]" }))
        );
        assert_eq!(
            ask("query($a: [Int!]!) { strict(items: $a) }", json!({ "a": 7 })).await,
            Ok(json!({ "strict": "[7]" }))
        );
        assert_eq!(ask("{ strict(items: 7) }", json!({})).await, Ok(json!({ "strict": "[7]" })));
        let objects = "query($n: String) { filters(filters: [{ name: $n }, { sub: { name: $n } }]) }";
        assert_eq!(ask(objects, json!({})).await, Ok(json!({ "filters": 2 })));
    }

    #[tokio::test]
    async fn fragments_belong_to_every_operation_that_spreads_them() {
        let document =
            "query A($n: Int) { ...f me { ... on Query { ...g } } } query B($n: Int!) { ...f user(id: \"1\") }
            query C($n: Int!, $id: ID!) { ...g user(id: $id) list(items: [$n]) }
            fragment f on Query { first(first: $n) } fragment g on Query { b: first(first: $n) }";
        let ask = |name, variables| ask_for(document, Some(name), variables);
        assert_eq!(ask("A", json!({})).await, Ok(json!({ "first": 20, "me": { "b": 20 } })));
        assert_eq!(ask("A", json!({ "n": 1 })).await, Ok(json!({ "first": 1, "me": { "b": 1 } })));
        assert_eq!(ask("B", json!({})).await, INPUT);
        assert_eq!(ask("B", json!({ "n": 2 })).await, Ok(json!({ "first": 2, "user": "1" })));
        let all = json!({ "n": 3, "id": "x", "more": 1 });
        assert_eq!(ask("C", all).await, Ok(json!({ "b": 3, "user": "x", "list": "Some([Some(3)])" })));
    }

    #[tokio::test]
    async fn defaults_count_in_directives() {
        let document =
            "query($yes: Boolean = true) { first @include(if: $yes) me { first @skip(if: $yes) user(id: 1) } }";
        assert_eq!(ask(document, json!({})).await, Ok(json!({ "first": 20, "me": { "user": "1" } })));
        let no = ask(document, json!({ "yes": false })).await;
        assert_eq!(no, Ok(json!({ "me": { "first": 20, "user": "1" } })));
        assert_eq!(ask(document, json!({ "yes": null })).await, INPUT);
        assert_eq!(ask("query($yes: Boolean) { first @include(if: $yes) }", json!({ "yes": true })).await, INVALID);
        assert_eq!(ask("query($yes: Boolean!) { first @include(if: $yes) }", json!({})).await, INPUT);
    }

    #[tokio::test]
    async fn what_is_wrong_with_variables_is_told_before_execution() {
        for document in [
            "query($x: NoSuch = {a: 1}) { first(first: $x) }",
            "query($x: [NoSuch!] = [{a: 1}]) { first }",
            "query($x: Query) { first(first: $x) }",
            "query($x: Int) { first }",
            "{ first(first: $x) }",
            "{ ...f } fragment f on Query { first(first: $x) }",
            "query A { ...f } query B($x: Int) { ...f } fragment f on Query { first(first: $x) }",
            "query($x: String) { first(first: $x) }",
            "query($x: ID) { user(id: $x) }",
            "query($x: [Int]) { strict(items: $x) }",
            "query($x: [Int]!) { strict(items: $x) }",
            "query($x: Int!) { strict(items: $x) }",
            "query($x: Int = \"x\") { first(first: $x) }",
            "query($x: Int! = null) { first(first: $x) }",
            "query($x: Filter = 7) { filter(filter: $x) }",
            "query($x: Upload = \"#__graphql_file__:0\") { file(file: $x) }",
            "query($x: Int) { first @include(if: $x) }",
            "query($x: Int, $x: Int) { first(first: $x) }",
            "{ __typename @nonsense }",
            "{ __typename(x: 1) }",
            "{ __typename { x } }",
            "{ ...f @nonsense } fragment f on Query { first }",
        ] {
            let both = ask_for(document, document.contains("query A").then_some("A"), json!({ "x": 1 })).await;
            assert_eq!(both, INVALID, "{document}");
        }
    }

    #[tokio::test]
    async fn values_are_of_their_types() {
        let sent = async |ty: &str, field: &str, value: serde_json::Value| {
            ask(&format!("query($x: {ty}) {{ {field}: $x) }}"), json!({ "x": value })).await
        };
        for (ty, field, value) in [
            ("Int!", "first(first", json!("1")),
            ("Int!", "first(first", json!(3_000_000_000_u64)),
            ("Int!", "first(first", json!(1.5)),
            ("Int!", "first(first", json!(null)),
            ("Int!", "first(first", json!([1])),
            ("ID!", "user(id", json!(true)),
            ("String", "maybe(text", json!(1)),
            ("[Int!]!", "strict(items", json!([1, null])),
            ("[Int!]!", "strict(items", json!([[1]])),
            ("Filter!", "filter(filter", json!(5)),
            ("Filter!", "filter(filter", json!({ "nonsense": 1 })),
            ("Filter!", "filter(filter", json!({ "most": null })),
            ("Filter!", "filter(filter", json!({ "sub": { "size": "x" } })),
            ("Upload!", "file(file", json!("#__graphql_file__:0")),
            ("Upload!", "file(file", json!("#__graphql_file__:x")),
            ("Upload!", "file(file", json!("a.png")),
        ] {
            assert_eq!(sent(ty, field, value.clone()).await, INPUT, "{value}");
        }
        assert_eq!(sent("ID!", "user(id", json!(7)).await, Ok(json!({ "user": "7" })));
        for document in [
            "{ first(first: \"x\") }",
            "{ first(first: null) }",
            "{ filter(filter: 5) }",
            "{ filter(filter: { nonsense: 1 }) }",
            "{ filter(filter: { sub: { size: X } }) }",
            "{ me { ... on Query { ...f } } } fragment f on Query { user(id: 1.5) }",
            "{ file(file: \"#__graphql_file__:0\") }",
            "{ file(file: \"#__graphql_file__:x\") }",
            "{ first @skip(if: 1) }",
        ] {
            assert_eq!(ask(document, json!({})).await, INPUT, "{document}");
        }
    }

    #[tokio::test]
    async fn introspection_takes_variables() {
        let document = "query($name: String!, $all: Boolean = true) {
            __type(name: $name) { fields(includeDeprecated: $all) { name } }
        }";
        let answer = ask(document, json!({ "name": "Query" })).await.unwrap();
        assert_eq!(answer["__type"]["fields"].as_array().map(Vec::len), Some(9));
    }

    #[test]
    fn a_message_says_where_in_a_value() {
        let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
        let message = |document: &str, variables: serde_json::Value| {
            let mut request = Request::new(document).variables(Variables::from_json(variables));
            Inputs::of(&schema.sdl()).admit(&mut request).unwrap_err().message
        };
        let list = "query($f: [Filter!]) { filters(filters: $f) }";
        let secret = json!({ "f": [{}, { "sub": { "size": "secret" } }] });
        assert_eq!(message(list, secret), "`$f.1.sub.size` must be of type `Int`.");
        assert_eq!(message("query($id: ID!) { user(id: $id) }", json!({})), "The variable `$id` is required.");
        let long = format!("query(${}: ID!) {{ user(id: 1) }}", "x".repeat(5000));
        assert!(message(&long, json!({})).len() < 200);
    }
}
