//! Resources that come along with the matches: `_include` and `_revinclude` (FHIR R4 §3.1.1.5.4).
//!
//! What comes along is read like anything else: each resource is judged on its own, and its type is among
//! [`super::Search::joined_reads`]. `_revinclude=*` is refused: it would read every type there is.

use super::error::{InteractionError, ShownName};
use super::id::ResourceType;
use super::join::reference;
use super::schema::{SearchParameter, SearchSchema};
use super::search_value::ParameterKind;

/// Which references are followed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IncludePath {
    /// `*`: every reference of what was found.
    Any,
    /// `[type]:*`: every reference of a type.
    AllOf(ResourceType),
    /// `[type]:[parameter]`, and the type that is wanted, where one is named.
    Parameter {
        /// The type whose reference it is.
        source: ResourceType,
        /// The reference parameter.
        parameter: Box<str>,
        /// The type that the reference must lead to.
        target: Option<ResourceType>,
    },
}

/// One `_include` or `_revinclude`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Include {
    /// True for `_revinclude`: those that refer to what was found, instead of those it refers to.
    pub reverse: bool,
    /// `:iterate`: also for what was itself included.
    pub iterate: bool,
    /// Which references.
    pub path: IncludePath,
}

/// True for the names of includes, under any modifier.
pub(super) fn is_include(name: &str) -> bool {
    matches!(name.split(':').next(), Some("_include" | "_revinclude"))
}

impl Include {
    pub(super) fn parse(schema: &SearchSchema, name: &str, value: &str) -> Result<Include, InteractionError> {
        let (base, modifier) = match name.split_once(':') {
            Some((base, modifier)) => (base, Some(modifier)),
            None => (name, None),
        };
        let shown = || ShownName::of(base);
        let iterate = match modifier {
            None => false,
            Some("iterate") => true,
            Some(_) => return Err(InteractionError::Modifier { name: shown(), allowed: &["iterate"] }),
        };
        let reverse = base == "_revinclude";
        let expected = "[type]:[reference parameter], [type]:[reference parameter]:[target type] or [type]:*";
        let bad = || InteractionError::BadValue { name: shown(), expected };
        let known = |text: &str| schema.resource_type(text).ok_or_else(bad);
        let parts: Vec<&str> = value.split(':').collect();
        let path = match parts.as_slice() {
            ["*"] if !reverse => IncludePath::Any,
            [source, "*"] => IncludePath::AllOf(known(source)?),
            [source, parameter, rest @ ..] if rest.len() <= 1 => {
                let source = known(source)?;
                let parameter = reference(schema, &source, parameter)?;
                let target = rest.first().map(|target| known(target)).transpose()?;
                let leads =
                    |target: &ResourceType| parameter.targets.iter().any(|own| **own == *target.as_str());
                if !target.as_ref().is_none_or(leads) {
                    return Err(InteractionError::Target(ShownName::of(&parameter.name)));
                }
                IncludePath::Parameter { source, parameter: parameter.name.clone(), target }
            }
            _ => return Err(bad()),
        };
        Ok(Include { reverse, iterate, path })
    }

    /// The reference parameters of a type that are followed from it (`_include`), or by which it is found
    /// (`_revinclude`).
    pub fn parameters<'s>(
        &self,
        schema: &'s SearchSchema,
        source: &ResourceType,
    ) -> Vec<&'s SearchParameter> {
        let references = || {
            let own = schema.parameters(source).iter();
            own.filter(|parameter| parameter.kind == ParameterKind::Reference)
        };
        match &self.path {
            IncludePath::Any => references().collect(),
            IncludePath::AllOf(named) if named == source => references().collect(),
            IncludePath::Parameter { source: named, parameter, .. } if named == source => {
                references().filter(|own| own.name == *parameter).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The type that the include names as the one it reads; `None` where the data or the definitions decide.
    pub fn named_type(&self) -> Option<&ResourceType> {
        match (&self.path, self.reverse) {
            (IncludePath::AllOf(source) | IncludePath::Parameter { source, .. }, true) => Some(source),
            (IncludePath::Parameter { target, .. }, false) => target.as_ref(),
            _ => None,
        }
    }

    /// The types that it may read, where `from` is the type it starts at.
    pub fn reads(&self, schema: &SearchSchema, from: &ResourceType) -> Vec<ResourceType> {
        if let Some(named) = self.named_type() {
            return vec![named.clone()];
        }
        let source = match &self.path {
            IncludePath::Any => from,
            IncludePath::AllOf(source) | IncludePath::Parameter { source, .. } => source,
        };
        let mut types: Vec<ResourceType> = self
            .parameters(schema, source)
            .into_iter()
            .flat_map(|parameter| &parameter.targets)
            .filter_map(|target| schema.resource_type(target))
            .collect();
        types.sort_unstable();
        types.dedup();
        types
    }

    pub(super) fn name(&self) -> &'static str {
        match (self.reverse, self.iterate) {
            (false, false) => "_include",
            (false, true) => "_include:iterate",
            (true, false) => "_revinclude",
            (true, true) => "_revinclude:iterate",
        }
    }

    pub(super) fn value(&self) -> String {
        match &self.path {
            IncludePath::Any => "*".to_owned(),
            IncludePath::AllOf(source) => format!("{source}:*"),
            IncludePath::Parameter { source, parameter, target } => match target {
                Some(target) => format!("{source}:{parameter}:{target}"),
                None => format!("{source}:{parameter}"),
            },
        }
    }
}
