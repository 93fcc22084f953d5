//! Modifiers of search parameters, and which kinds of parameter they fit (FHIR R4 §3.1.1.4.4).
//!
//! What a modifier compares must lie in the resource itself or in terminology. `:above` and `:below` on a
//! reference climb through other resources, which might be hidden ones: they are refused.

use super::id::ResourceType;
use super::schema::SearchParameter;
use super::search_value::ParameterKind;

/// A modifier of a search parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// `:exact`
    Exact,
    /// `:contains`
    Contains,
    /// `:missing`
    Missing,
    /// `:not`
    Not,
    /// `:of-type`
    OfType,
    /// `:text`
    Text,
    /// `:in`
    In,
    /// `:not-in`
    NotIn,
    /// `:above`
    Above,
    /// `:below`
    Below,
    /// `:identifier`
    Identifier,
    /// `:[type]`
    Type(ResourceType),
}

const NAMED: [(&str, Modifier); 11] = [
    ("exact", Modifier::Exact),
    ("contains", Modifier::Contains),
    ("missing", Modifier::Missing),
    ("not", Modifier::Not),
    ("of-type", Modifier::OfType),
    ("text", Modifier::Text),
    ("in", Modifier::In),
    ("not-in", Modifier::NotIn),
    ("above", Modifier::Above),
    ("below", Modifier::Below),
    ("identifier", Modifier::Identifier),
];

impl Modifier {
    /// The modifier as it is written after the colon.
    pub fn code(&self) -> &str {
        match self {
            Modifier::Type(resource_type) => resource_type.as_str(),
            own => NAMED.iter().find(|(_, named)| named == own).map_or("", |(code, _)| code),
        }
    }

    /// The modifier of this code, a type's name aside.
    pub(super) fn named(code: &str) -> Option<Modifier> {
        NAMED.iter().find(|(own, _)| *own == code).map(|(_, modifier)| modifier.clone())
    }

    /// The modifiers that a parameter may have; `[type]` stands for the name of a resource type.
    pub(super) fn fitting(parameter: &SearchParameter) -> &'static [&'static str] {
        match parameter.kind {
            ParameterKind::Text => &["exact", "contains", "missing"],
            ParameterKind::Token if parameter.on_identifiers => &["not", "of-type", "text", "missing"],
            ParameterKind::Token => &["not", "text", "in", "not-in", "above", "below", "missing"],
            ParameterKind::Reference => &["identifier", "missing", "[type]"],
            ParameterKind::Uri => &["above", "below", "missing"],
            ParameterKind::Number | ParameterKind::Date | ParameterKind::Quantity => &["missing"],
            // FHIR R4 §3.1.1.4.4: not for combinations.
            ParameterKind::Composite => &[],
        }
    }
}
