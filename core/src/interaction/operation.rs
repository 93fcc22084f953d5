//! Operations of one resource type, and how a body carries their parameters (FHIR R4 §3.2.0.4).

use std::borrow::Cow;

use fhir_models::document::{Name, Value, name};

use super::error::{InteractionError, ShownName};

/// An operation that stands below one type alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    /// `StructureMap/$transform`
    Transform,
    /// `ConceptMap/$translate`
    Translate,
    /// `Patient/$match`
    Match,
    /// `Observation/$lastn`
    LastN,
    /// `DocumentReference/$docref`
    DocRef,
}

impl Operation {
    /// Forms of a parameter that is a URI.
    pub(super) const URI: &[&str] = &["valueUri", "valueCanonical", "valueUrl", "valueString"];
    /// Forms of a parameter that is a code.
    pub(super) const CODE: &[&str] = &["valueCode", "valueString"];

    /// The operation with this name below this type.
    pub(super) fn below(resource_type: &str, named: &str) -> Option<Operation> {
        let all = [
            ("StructureMap", Operation::Transform),
            ("ConceptMap", Operation::Translate),
            ("Patient", Operation::Match),
            ("Observation", Operation::LastN),
            ("DocumentReference", Operation::DocRef),
        ];
        let found = all.into_iter().find(|(on, own)| *on == resource_type && own.name() == named);
        found.map(|(_, own)| own)
    }

    /// Its name, with the dollar sign.
    pub(super) fn name(self) -> &'static str {
        match self {
            Operation::Transform => "$transform",
            Operation::Translate => "$translate",
            Operation::Match => "$match",
            Operation::LastN => "$lastn",
            Operation::DocRef => "$docref",
        }
    }

    /// The methods that it is asked with.
    pub(super) fn allow(self) -> &'static [&'static str] {
        match self {
            Operation::Translate => &["GET", "POST"],
            Operation::LastN | Operation::DocRef => &["GET"],
            Operation::Transform | Operation::Match => &["POST"],
        }
    }
}

/// Names and parameters of a Parameters body; `None` for a body of another type.
pub(super) fn parameters<'d>(body: Value<'d>) -> Option<impl Iterator<Item = (Cow<'d, str>, Value<'d>)>> {
    (body.resource_type().as_deref() == Some("Parameters")).then(|| named(body, "parameter"))
}

/// The parts of a parameter that has parts.
pub(super) fn parts<'d>(parameter: Value<'d>) -> impl Iterator<Item = (Cow<'d, str>, Value<'d>)> {
    named(parameter, "part")
}

fn named<'d>(within: Value<'d>, list: &str) -> impl Iterator<Item = (Cow<'d, str>, Value<'d>)> + use<'d> {
    let items = within.get(Name::of(list)).into_iter().flat_map(Value::items);
    items.map(|it| (it.get(Name::of("name")).and_then(Value::as_str).unwrap_or_default(), it))
}

/// A parameter's text in one of these forms.
pub(super) fn text_of(parameter: Value<'_>, forms: &[&str], named: &str) -> Result<String, InteractionError> {
    let value = forms.iter().find_map(|form| parameter.get_key(form)).and_then(Value::as_str);
    let plain = value.filter(|_| parameter.get(name::RESOURCE).is_none());
    plain.map(Cow::into_owned).ok_or_else(|| {
        let expected = match forms.first() {
            Some(&"valueUri") => "a URI, in the parameter's `valueUri`",
            Some(&"valueCode") => "a code, in the parameter's `valueCode`",
            _ => "a text, in the parameter's `valueString`",
        };
        InteractionError::BadValue { name: ShownName::of(named), expected }
    })
}

/// A parameter that is true or false.
pub(super) fn boolean_of(parameter: Value<'_>, named: &str) -> Result<bool, InteractionError> {
    parameter.get_key("valueBoolean").and_then(Value::as_bool).ok_or(InteractionError::BadValue {
        name: ShownName::of(named),
        expected: "true or false, in the parameter's `valueBoolean`",
    })
}
