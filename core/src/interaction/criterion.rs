//! One criterion of a search: a parameter, a modifier and values joined by "or" (FHIR R4 §3.1.1.4).
//!
//! Invariant: the values fit the parameter's kind and the modifier, so a criterion can be written for a
//! server without looking at it again.

use super::error::{InteractionError, ShownName};
use super::escape::split;
use super::id::ResourceType;
use super::modifier::Modifier;
use super::schema::{SearchParameter, SearchSchema};
use super::search_value::{ParameterKind, SearchValue};

/// The most values that one criterion may join by "or".
pub const MOST_VALUES: usize = 500;

/// A parameter, its modifier and the values, one of which must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Criterion {
    name: Box<str>,
    kind: ParameterKind,
    on_identifiers: bool,
    modifier: Option<Modifier>,
    values: Vec<SearchValue>,
}

impl Criterion {
    /// Reads a criterion from a decoded name such as `name:exact` and its decoded value.
    ///
    /// This is also how a decision adds a criterion of its own to a search.
    pub fn parse(
        schema: &SearchSchema,
        resource_type: &ResourceType,
        name: &str,
        value: &str,
    ) -> Result<Criterion, InteractionError> {
        let (base, modifier) = match name.split_once(':') {
            Some((base, modifier)) => (base, Some(modifier)),
            None => (name, None),
        };
        let common = common_parameter(base);
        // Underscored names mean the same for every type: the definitions of one type have no say in them.
        let own = || schema.parameter(resource_type, base).filter(|_| !base.starts_with('_'));
        let parameter = common.as_ref().or_else(own).ok_or_else(|| InteractionError::UnknownParameter {
            interaction: "search-type",
            name: ShownName::of(base),
        })?;
        let modifier = modifier.map(|text| Criterion::modifier_of(parameter, text, schema)).transpose()?;
        let values = read_values(parameter, modifier.as_ref(), value, schema)?;
        Ok(Criterion {
            name: parameter.name.clone(),
            kind: parameter.kind,
            on_identifiers: parameter.on_identifiers,
            modifier,
            values,
        })
    }

    fn modifier_of(
        parameter: &SearchParameter,
        text: &str,
        schema: &SearchSchema,
    ) -> Result<Modifier, InteractionError> {
        let allowed = Modifier::fitting(parameter);
        let refused = || InteractionError::Modifier { name: ShownName::of(&parameter.name), allowed };
        if allowed.contains(&text)
            && let Some(modifier) = Modifier::named(text)
        {
            return Ok(modifier);
        }
        let named = schema.resource_type(text).filter(|_| parameter.kind == ParameterKind::Reference);
        named.map(Modifier::Type).ok_or_else(refused)
    }

    /// The parameter's name, without modifier.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the parameter's values are.
    pub fn kind(&self) -> ParameterKind {
        self.kind
    }

    /// The modifier, if there is one.
    pub fn modifier(&self) -> Option<&Modifier> {
        self.modifier.as_ref()
    }

    /// The values, of which one must hold (with `:not`, none).
    pub fn values(&self) -> &[SearchValue] {
        &self.values
    }

    /// True where the systems of the token values are namespaces of identifiers, not code systems.
    pub fn compares_identifiers(&self) -> bool {
        match &self.modifier {
            None | Some(Modifier::Not) => self.on_identifiers && self.kind == ParameterKind::Token,
            Some(modifier) => *modifier == Modifier::Identifier,
        }
    }

    /// Gives other names to the systems of identifiers in the values; gives how many were renamed. Code
    /// systems are left alone.
    pub fn rename_systems(&mut self, rename: impl Fn(&str) -> Option<String>) -> usize {
        if !self.compares_identifiers() {
            return 0;
        }
        let mut renamed = 0;
        for value in &mut self.values {
            let SearchValue::Token(token) = value else { continue };
            if let Some(other) = token.system.as_deref().and_then(&rename) {
                token.system = Some(other);
                renamed += 1;
            }
        }
        renamed
    }

    /// Appends the name with its modifier, as in `name:exact`.
    pub(super) fn write_name(&self, out: &mut String) {
        out.push_str(&self.name);
        if let Some(modifier) = &self.modifier {
            out.push(':');
            out.push_str(modifier.code());
        }
    }

    /// Appends the values, FHIR's escapes included.
    pub(super) fn write_values(&self, out: &mut String) {
        for (at, value) in self.values.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            value.write(out);
        }
    }
}

/// The parameters of every resource that are criteria (FHIR R4 §3.1.1.3).
fn common_parameter(name: &str) -> Option<SearchParameter> {
    let kind = match name {
        "_lastUpdated" => ParameterKind::Date,
        "_security" | "_tag" => ParameterKind::Token,
        "_profile" | "_source" => ParameterKind::Uri,
        _ => return None,
    };
    Some(SearchParameter::new(name, kind))
}

fn read_values(
    parameter: &SearchParameter,
    modifier: Option<&Modifier>,
    text: &str,
    schema: &SearchSchema,
) -> Result<Vec<SearchValue>, InteractionError> {
    let bad = |expected| InteractionError::BadValue { name: ShownName::of(&parameter.name), expected };
    if modifier == Some(&Modifier::Missing) {
        return match text {
            "true" => Ok(vec![SearchValue::Missing(true)]),
            "false" => Ok(vec![SearchValue::Missing(false)]),
            _ => Err(bad("true or false")),
        };
    }
    let parts = split(text, ',');
    if parts.len() > MOST_VALUES {
        return Err(InteractionError::TooMuch { what: "values in one parameter", limit: MOST_VALUES });
    }
    let read = |part: &str| match modifier {
        Some(Modifier::Text) => {
            SearchValue::parse(ParameterKind::Text, part, schema).ok_or("words of the text")
        }
        Some(Modifier::In | Modifier::NotIn) => {
            let absolute = |value: &SearchValue| matches!(value, SearchValue::Uri(uri) if uri.contains(':'));
            let value = SearchValue::parse(ParameterKind::Uri, part, schema);
            value.filter(absolute).ok_or("the canonical URL of a value set")
        }
        Some(Modifier::OfType) => SearchValue::parse_of_type(part).ok_or("type system|type code|value"),
        Some(Modifier::Identifier) => SearchValue::parse(ParameterKind::Token, part, schema)
            .ok_or("an identifier as system|value, |value, system| or value"),
        Some(Modifier::Type(_)) => match SearchValue::parse(parameter.kind, part, schema) {
            Some(value @ SearchValue::Reference(super::SearchReference::Id(_))) => Ok(value),
            _ => Err("an id alone, since the modifier names the type"),
        },
        _ => SearchValue::parse(parameter.kind, part, schema).ok_or(parameter.kind.expected()),
    };
    parts.into_iter().map(|part| read(part).map_err(bad)).collect()
}
