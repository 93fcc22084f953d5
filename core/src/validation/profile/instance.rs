//! Elements of an instance as FHIR sees them: a value, its `_name` twin, or both (FHIR R4 §2.6.2.3).

use fhir_models::document::{Kind, Name, Value, name, nodes};

use super::Child;

/// One repetition of an element.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Occurrence<'d> {
    /// The value; `None` where only the twin stands.
    pub value: Option<Value<'d>>,
    /// The `_name` twin of a primitive.
    pub twin: Option<Value<'d>>,
    /// The node that findings name.
    pub at: Value<'d>,
    /// Its type where the property or the resource tells it; else [`Name::UNKNOWN`].
    pub type_name: Name,
}

impl<'d> Occurrence<'d> {
    /// An object or a whole resource.
    pub fn of(value: Value<'d>) -> Occurrence<'d> {
        Occurrence { value: Some(value), twin: None, at: value, type_name: resource_name(value) }
    }

    /// The object that holds its children: its own, or for a primitive its twin.
    pub fn object(self) -> Option<Value<'d>> {
        self.value.filter(|value| value.is_object()).or(self.twin)
    }

    /// The repetitions of a child.
    pub fn children(self, child: &Child) -> Vec<Occurrence<'d>> {
        self.named(&child.names)
    }

    /// The repetitions under any of these properties.
    pub fn named(self, names: &[(Name, Name)]) -> Vec<Occurrence<'d>> {
        let mut found = Vec::new();
        let Some(object) = self.object() else { return found };
        let document = object.document();
        for (id, node) in nodes::children(document.nodes(), object.id()) {
            let known = names.iter().find(|(name, _)| *name == node.name() && *name != Name::UNKNOWN);
            let (Some((name, type_name)), Some(member)) = (known, document.value(id)) else { continue };
            if node.is_underscored() {
                if object.get(*name).is_none() {
                    pair(None, Some(member), *type_name, &mut found);
                }
            } else {
                pair(Some(member), object.get_underscored(*name), *type_name, &mut found);
            }
        }
        found
    }
}

fn resource_name(value: Value<'_>) -> Name {
    value.resource_type().map_or(Name::UNKNOWN, |text| Name::of(&text))
}

fn pair<'d>(
    value: Option<Value<'d>>,
    twin: Option<Value<'d>>,
    type_name: Name,
    found: &mut Vec<Occurrence<'d>>,
) {
    let array = value.or(twin).is_some_and(Value::is_array);
    let present = |it: &Value<'d>| it.kind() != Kind::Null;
    let mut add = |value: Option<Value<'d>>, twin: Option<Value<'d>>| {
        let (value, twin) = (value.filter(present), twin.filter(present));
        let Some(at) = value.or(twin) else { return };
        let own = if at.is_object() && at.get(name::RESOURCE_TYPE).is_some() {
            resource_name(at)
        } else {
            type_name
        };
        found.push(Occurrence { value, twin, at, type_name: own });
    };
    if !array {
        return add(value, twin);
    }
    let mut values = value.filter(|it| it.is_array()).into_iter().flat_map(Value::children);
    let mut twins = twin.filter(|it| it.is_array()).into_iter().flat_map(Value::children);
    loop {
        match (values.next(), twins.next()) {
            (None, None) => return,
            (value, twin) => add(value, twin),
        }
    }
}
