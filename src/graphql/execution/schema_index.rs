//! The schema's types as lookup tables, parsed from its SDL once at start.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, Positioned};

/// Scalars that every schema has without a definition.
const BUILT_IN_SCALARS: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

/// Types of a schema.
#[derive(Debug)]
pub(super) struct SchemaIndex {
    /// Fields of objects and interfaces.
    fields: HashMap<String, HashMap<String, Field>>,
    /// Objects that implement an interface or belong to a union.
    members: HashMap<String, HashSet<String>>,
    inputs: HashMap<String, InputType>,
    /// The argument `if` of `@include` and `@skip`.
    pub(super) condition: InputValue,
}

/// A field of an object or interface.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Arc<str>,
    pub(super) ty: Type,
    pub(super) arguments: HashMap<String, InputValue>,
}

/// A type of arguments and variables.
#[derive(Debug)]
pub(super) enum InputType {
    Scalar,
    Enum(HashSet<String>),
    Object(HashMap<String, InputValue>),
}

/// An argument, or a field of an input object.
#[derive(Debug)]
pub(super) struct InputValue {
    pub(super) ty: Type,
    pub(super) has_default: bool,
}

impl SchemaIndex {
    /// Parses the schema's SDL.
    pub(super) fn parse(sdl: &str) -> Self {
        let document = parse_schema(sdl).expect("the printed schema is valid");
        let scalars = BUILT_IN_SCALARS.map(|name| (name.to_owned(), InputType::Scalar));
        let condition = Type { base: BaseType::Named(Name::new("Boolean")), nullable: false };
        let mut index = Self {
            fields: HashMap::new(),
            members: HashMap::new(),
            inputs: scalars.into(),
            condition: InputValue { ty: condition, has_default: false },
        };
        for definition in document.definitions {
            if let TypeSystemDefinition::Type(definition) = definition {
                index.add(definition.node);
            }
        }
        index
    }

    fn add(&mut self, definition: TypeDefinition) {
        let name = definition.name.node.to_string();
        let input = match definition.kind {
            TypeKind::Object(object) => {
                for interface in object.implements {
                    self.members.entry(interface.node.to_string()).or_default().insert(name.clone());
                }
                self.fields.insert(name, object.fields.into_iter().map(field).collect());
                return;
            }
            TypeKind::Interface(interface) => {
                self.members.entry(name.clone()).or_default();
                self.fields.insert(name, interface.fields.into_iter().map(field).collect());
                return;
            }
            TypeKind::Union(union) => {
                self.members.insert(name, union.members.into_iter().map(|object| object.node.to_string()).collect());
                return;
            }
            TypeKind::Scalar => InputType::Scalar,
            TypeKind::Enum(kind) => {
                InputType::Enum(kind.values.into_iter().map(|value| value.node.value.node.to_string()).collect())
            }
            TypeKind::InputObject(object) => InputType::Object(input_values(object.fields)),
        };
        self.inputs.insert(name, input);
    }

    /// The fields of an object or interface.
    pub(super) fn fields(&self, ty: &str) -> Option<&HashMap<String, Field>> {
        self.fields.get(ty)
    }

    /// A field of an object or interface.
    pub(super) fn field(&self, ty: &str, name: &str) -> Option<&Field> {
        self.fields.get(ty)?.get(name)
    }

    /// True for interfaces and unions, whose values are objects of different types.
    pub(super) fn is_abstract(&self, ty: &str) -> bool {
        self.members.contains_key(ty)
    }

    /// True if fragments on `condition` apply to every value of this type.
    pub(super) fn always_applies(&self, condition: &str, ty: &str) -> bool {
        let members = || self.members.get(condition);
        condition == ty
            || members().is_some_and(|members| match self.members.get(ty) {
                Some(others) => others.is_subset(members),
                None => members.contains(ty),
            })
    }

    /// The input type of this name.
    pub(super) fn input(&self, name: &str) -> Option<&InputType> {
        self.inputs.get(name)
    }
}

/// Innermost named type of a list.
pub(super) fn core_name(ty: &Type) -> &Name {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => core_name(item),
    }
}

fn field(definition: Positioned<FieldDefinition>) -> (String, Field) {
    let FieldDefinition { name, ty, arguments, .. } = definition.node;
    let name = name.node.to_string();
    (name.clone(), Field { name: name.into(), ty: ty.node, arguments: input_values(arguments) })
}

fn input_values(definitions: Vec<Positioned<InputValueDefinition>>) -> HashMap<String, InputValue> {
    let value = |definition: Positioned<InputValueDefinition>| {
        let InputValueDefinition { name, ty, default_value, .. } = definition.node;
        (name.node.to_string(), InputValue { ty: ty.node, has_default: default_value.is_some() })
    };
    definitions.into_iter().map(value).collect()
}
