//! `SearchParameter` as typed values (FHIR R4 §3.1.1, §5.8).

use super::DefinitionError;
use super::element::text_of;
use super::structure::items;
use crate::document::{Value, name};

/// How a parameter's values are compared (`SearchParameter.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchKind {
    /// A number, with prefix.
    Number,
    /// A date or time, with prefix.
    Date,
    /// Text, compared from its start.
    String,
    /// `system|code`.
    Token,
    /// A reference; may be chained.
    Reference,
    /// Several parameters joined by `$`.
    Composite,
    /// `number|system|code`.
    Quantity,
    /// A URI.
    Uri,
    /// Decided by the parameter's own text: `_filter`, `_text`.
    Special,
}

/// A part of a composite parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchComponent {
    /// Canonical of the parameter it is compared as.
    pub definition: String,
    /// FHIRPath relative to the composite's own expression.
    pub expression: String,
}

/// A search parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchParameter {
    /// Canonical URL, without version.
    pub url: String,
    /// The name it has in a query: `birthdate`, `_id`.
    pub code: String,
    /// How its values are compared.
    pub kind: SearchKind,
    /// Types it applies to; `Resource` and `DomainResource` stand for all below them.
    pub base: Vec<String>,
    /// FHIRPath of the values. Parameters that the server decides (`_content`) have none.
    pub expression: Option<String>,
    /// Types that a reference parameter may lead to.
    pub target: Vec<String>,
    /// Modifiers it allows: `exact`, `identifier`. Empty where nothing is said.
    pub modifiers: Vec<String>,
    /// Prefixes it allows: `ge`, `lt`. Empty where nothing is said.
    pub comparators: Vec<String>,
    /// Parameters it allows after a dot.
    pub chain: Vec<String>,
    /// Parts of a composite.
    pub components: Vec<SearchComponent>,
}

impl SearchParameter {
    /// Reads a `SearchParameter` resource.
    ///
    /// # Errors
    /// [`DefinitionError`] for another resource or where `url`, `code` or `type` is wrong.
    pub fn read(resource: Value<'_>) -> Result<SearchParameter, DefinitionError> {
        if resource.resource_type().as_deref() != Some("SearchParameter") {
            return Err(DefinitionError::NotA("SearchParameter"));
        }
        let kind = match resource.get(name::TYPE).and_then(Value::as_str).as_deref() {
            Some("number") => SearchKind::Number,
            Some("date") => SearchKind::Date,
            Some("string") => SearchKind::String,
            Some("token") => SearchKind::Token,
            Some("reference") => SearchKind::Reference,
            Some("composite") => SearchKind::Composite,
            Some("quantity") => SearchKind::Quantity,
            Some("uri") => SearchKind::Uri,
            Some("special") => SearchKind::Special,
            _ => return Err(DefinitionError::BadCode("type")),
        };
        let texts = |value: Option<Value<'_>>| items(value).filter_map(|it| text_of(Some(it))).collect();
        let component = |it: Value<'_>| {
            Some(SearchComponent {
                definition: text_of(it.get_key("definition"))?,
                expression: text_of(it.get(name::EXPRESSION))?,
            })
        };
        Ok(SearchParameter {
            url: text_of(resource.get(name::URL)).ok_or(DefinitionError::Missing("url"))?,
            code: text_of(resource.get(name::CODE)).ok_or(DefinitionError::Missing("code"))?,
            kind,
            base: texts(resource.get(name::BASE)),
            expression: text_of(resource.get(name::EXPRESSION)),
            target: texts(resource.get_key("target")),
            modifiers: texts(resource.get_key("modifier")),
            comparators: texts(resource.get_key("comparator")),
            chain: texts(resource.get_key("chain")),
            components: items(resource.get_key("component")).filter_map(component).collect(),
        })
    }
}
