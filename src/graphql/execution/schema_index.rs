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
    objects: HashMap<String, HashMap<String, Field>>,
    inputs: HashMap<String, InputType>,
    /// The argument `if` of `@include` and `@skip`.
    pub(super) condition: InputValue,
}

/// A field of an object.
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
            objects: HashMap::new(),
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
        let input = match definition.kind {
            TypeKind::Object(object) => {
                let fields = object.fields.into_iter().map(field).collect();
                self.objects.insert(definition.name.node.to_string(), fields);
                return;
            }
            TypeKind::Scalar => InputType::Scalar,
            TypeKind::Enum(kind) => {
                InputType::Enum(kind.values.into_iter().map(|value| value.node.value.node.to_string()).collect())
            }
            TypeKind::InputObject(object) => InputType::Object(input_values(object.fields)),
            TypeKind::Interface(_) | TypeKind::Union(_) => return,
        };
        self.inputs.insert(definition.name.node.to_string(), input);
    }

    /// The fields of an object type.
    pub(super) fn fields(&self, object: &str) -> Option<&HashMap<String, Field>> {
        self.objects.get(object)
    }

    /// A field of an object type.
    pub(super) fn field(&self, object: &str, name: &str) -> Option<&Field> {
        self.objects.get(object)?.get(name)
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
