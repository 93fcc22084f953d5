//! Which resource types there are and which search parameters each of them has.
//!
//! A type's parameters are loaded when they are first asked for, so that building a schema costs nothing
//! but the list of type names.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use fhir_models::definition::{self, Definitions, SearchKind};
use fhir_models::document::Name;

use super::id::ResourceType;
use super::search_value::ParameterKind;
use crate::access::{ElementPath, element_paths};
use crate::identity::is_identifier_element;

/// A search parameter of one resource type (FHIR R4 §3.1.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchParameter {
    /// Its name in a URL: `SearchParameter.code`.
    pub name: Box<str>,
    /// What its values are.
    pub kind: ParameterKind,
    /// True where the elements it searches are of type `Identifier`: a token's system is then a namespace of
    /// identifiers, not a code system.
    pub on_identifiers: bool,
    /// The resource types that a reference parameter may lead to.
    pub targets: Vec<Box<str>>,
    /// The elements that it looks at, where every one of them is a plain path; `None` where some expression is
    /// more than that.
    pub paths: Option<Vec<ElementPath>>,
}

impl SearchParameter {
    /// A parameter without targets and paths; one named `identifier` is taken to search identifiers.
    pub fn new(name: &str, kind: ParameterKind) -> SearchParameter {
        let on_identifiers = name == "identifier";
        SearchParameter { name: name.into(), kind, on_identifiers, targets: Vec::new(), paths: None }
    }

    /// The same, as a reference to these types.
    #[must_use]
    pub fn leading_to(self, targets: &[&str]) -> SearchParameter {
        SearchParameter { targets: targets.iter().map(|target| (*target).into()).collect(), ..self }
    }
}

type Load = dyn Fn(&str) -> Vec<SearchParameter> + Send + Sync;

/// The resource types that exist and, for each, its search parameters.
///
/// ```
/// use varco_core::interaction::{ParameterKind, SearchParameter, SearchSchema};
///
/// let schema = SearchSchema::new(["Patient"], |_| vec![SearchParameter::new("family", ParameterKind::Text)]);
/// let patient = schema.resource_type("Patient").ok_or("a type")?;
/// assert!(schema.parameter(&patient, "family").is_some());
/// assert!(schema.resource_type("patient").is_none());
/// # Ok::<(), &str>(())
/// ```
pub struct SearchSchema {
    types: HashMap<Arc<str>, OnceLock<Box<[SearchParameter]>>>,
    load: Box<Load>,
}

impl SearchSchema {
    /// A schema with these types; `load` gives the parameters of one of them and is asked once a type.
    pub fn new<T: Into<Arc<str>>>(
        types: impl IntoIterator<Item = T>,
        load: impl Fn(&str) -> Vec<SearchParameter> + Send + Sync + 'static,
    ) -> SearchSchema {
        let types = types.into_iter().map(|name| (name.into(), OnceLock::new())).collect();
        SearchSchema { types, load: Box::new(load) }
    }

    /// The types and parameters of the definitions. Parameters without an expression, and those of type
    /// `special`, are decided by each server in its own way: they are left out.
    pub fn from_definitions(definitions: Arc<Definitions>) -> SearchSchema {
        let types: Vec<Arc<str>> =
            definitions.type_names().filter(|name| definitions.is_resource(name)).map(Into::into).collect();
        SearchSchema::new(types, move |resource_type| {
            let mut parameters: Vec<SearchParameter> = Vec::new();
            for found in definitions.search_parameters(resource_type) {
                if let Some(own) = of_definition(resource_type, &found)
                    && !parameters.iter().any(|known| known.name == own.name)
                {
                    parameters.push(own);
                }
            }
            parameters
        })
    }

    /// The names of all types, in alphabetical order.
    pub fn type_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.types.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names
    }

    /// The type with exactly this name.
    pub fn resource_type(&self, name: &str) -> Option<ResourceType> {
        self.types.get_key_value(name).map(|(name, _)| ResourceType(Arc::clone(name)))
    }

    /// The parameter of a type with exactly this name. Parameters that every type has, such as `_id`, are
    /// not asked for here.
    pub fn parameter(&self, resource_type: &ResourceType, name: &str) -> Option<&SearchParameter> {
        self.parameters(resource_type).iter().find(|parameter| &*parameter.name == name)
    }

    /// All parameters of a type, in the order of the definitions.
    pub fn parameters(&self, resource_type: &ResourceType) -> &[SearchParameter] {
        let Some(loaded) = self.types.get(resource_type.as_str()) else { return &[] };
        loaded.get_or_init(|| (self.load)(resource_type.as_str()).into())
    }
}

/// Underscored parameters mean the same for every type and are not taken from definitions.
fn of_definition(resource_type: &str, found: &definition::SearchParameter) -> Option<SearchParameter> {
    let kind = match found.kind {
        SearchKind::Number => ParameterKind::Number,
        SearchKind::Date => ParameterKind::Date,
        SearchKind::String => ParameterKind::Text,
        SearchKind::Token => ParameterKind::Token,
        SearchKind::Reference => ParameterKind::Reference,
        SearchKind::Composite => ParameterKind::Composite,
        SearchKind::Quantity => ParameterKind::Quantity,
        SearchKind::Uri => ParameterKind::Uri,
        SearchKind::Special => return None,
    };
    let expression = found.expression.as_deref()?;
    if found.code.starts_with('_') {
        return None;
    }
    let last = |path: &[Name]| path.last().copied();
    let found_paths = element_paths(resource_type, expression);
    let on_identifiers = kind == ParameterKind::Token
        && found_paths.paths.iter().filter_map(|path| last(path.steps())).any(is_identifier_element);
    let paths = (found_paths.unread == 0).then_some(found_paths.paths);
    let targets = targets_of(resource_type, found, expression);
    Some(SearchParameter { name: found.code.as_str().into(), kind, on_identifiers, targets, paths })
}

/// The types that a reference leads to: those of the definition, or fewer where the expression filters by one.
fn targets_of(resource_type: &str, found: &definition::SearchParameter, expression: &str) -> Vec<Box<str>> {
    let filtered: Vec<Option<&str>> = expression
        .split('|')
        .map(|own| own.trim().trim_start_matches('('))
        .filter(|own| {
            let rest = own.strip_prefix(resource_type);
            rest.is_some_and(|rest| rest.starts_with('.'))
        })
        .map(|own| {
            own.rsplit_once(".where(resolve() is ").map(|(_, target)| target.trim_end_matches(')').trim())
        })
        .collect();
    match filtered.iter().copied().collect::<Option<Vec<&str>>>() {
        Some(mut targets) if !targets.is_empty() => {
            targets.sort_unstable();
            targets.dedup();
            targets.into_iter().map(Into::into).collect()
        }
        _ => found.target.iter().map(|target| target.as_str().into()).collect(),
    }
}

impl std::fmt::Debug for SearchSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchSchema").field("types", &self.types.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parameter(resource_type: &str, name: &str) -> Option<SearchParameter> {
        let schema = SearchSchema::from_definitions(Definitions::r4());
        let resource_type = schema.resource_type(resource_type)?;
        schema.parameter(&resource_type, name).cloned()
    }

    #[test]
    fn parameters_come_from_the_definitions() {
        let kind = |resource_type, name| parameter(resource_type, name).map(|own| own.kind);
        assert_eq!(kind("Patient", "birthdate"), Some(ParameterKind::Date));
        assert_eq!(kind("Observation", "code-value-quantity"), Some(ParameterKind::Composite));
        assert_eq!(kind("Observation", "patient"), Some(ParameterKind::Reference));
        assert_eq!(kind("Task", "patient"), Some(ParameterKind::Reference));
        assert_eq!(kind("Patient", "nothing"), None);
        assert_eq!(kind("Resource", "_id"), None);
        assert_eq!(kind("HumanName", "family"), None);
    }

    #[test]
    fn references_know_where_they_lead() {
        let targets = |resource_type, name| {
            let found = parameter(resource_type, name).unwrap();
            found.targets.iter().map(|target| target.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(targets("Observation", "patient"), ["Patient"]);
        assert_eq!(targets("Patient", "organization"), ["Organization"]);
        assert!(targets("Observation", "subject").len() > 1);
        let paths = parameter("Observation", "subject").unwrap().paths.unwrap();
        assert_eq!(paths.len(), 1);
    }

    #[test]
    fn underscored_and_special_parameters_are_left_out() {
        for name in ["_id", "_text", "_content", "_query", "_filter"] {
            assert_eq!(parameter("Patient", name), None, "{name}");
        }
        assert_eq!(parameter("Location", "near"), None);
    }

    #[test]
    fn parameters_on_identifiers_are_known_by_their_elements() {
        let on_identifiers = |resource_type, name| parameter(resource_type, name).unwrap().on_identifiers;
        for (resource_type, name) in [
            ("Patient", "identifier"),
            ("ServiceRequest", "requisition"),
            ("Specimen", "accession"),
            ("DocumentReference", "identifier"),
            ("Composition", "related-id"),
        ] {
            assert!(on_identifiers(resource_type, name), "{resource_type} {name}");
        }
        for (resource_type, name) in [("Observation", "code"), ("Patient", "telecom"), ("Patient", "gender")]
        {
            assert!(!on_identifiers(resource_type, name), "{resource_type} {name}");
        }
    }
}
