//! Which resource types there are and which search parameters each of them has.
//!
//! A type's parameters are loaded when they are first asked for, so that building a schema costs nothing
//! but the list of type names.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::id::ResourceType;
use super::search_value::ParameterKind;

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
}

impl SearchParameter {
    /// A parameter; one named `identifier` is taken to search identifiers.
    pub fn new(name: &str, kind: ParameterKind) -> SearchParameter {
        SearchParameter { name: name.into(), kind, on_identifiers: name == "identifier" }
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

impl std::fmt::Debug for SearchSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchSchema").field("types", &self.types.len()).finish_non_exhaustive()
    }
}
