//! `CompartmentDefinition` as typed values: which resources belong to a patient (FHIR R4 §5.7).

use std::collections::BTreeMap;

use super::DefinitionError;
use super::element::text_of;
use super::structure::items;
use crate::document::{Value, name};

/// A compartment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compartment {
    /// Canonical URL.
    pub url: String,
    /// Its code, the type of the resource it is about: `Patient`.
    pub code: String,
    /// Resource type to the codes of the search parameters that bring a resource into the compartment.
    resources: BTreeMap<String, Vec<String>>,
}

impl Compartment {
    /// Reads a `CompartmentDefinition` resource.
    ///
    /// # Errors
    /// [`DefinitionError`] for another resource or where `url` or `code` is absent.
    pub fn read(resource: Value<'_>) -> Result<Compartment, DefinitionError> {
        if resource.resource_type().as_deref() != Some("CompartmentDefinition") {
            return Err(DefinitionError::NotA("CompartmentDefinition"));
        }
        let resources = items(resource.get(name::RESOURCE))
            .filter_map(|it| {
                let parameters = items(it.get(name::PARAM)).filter_map(|param| text_of(Some(param)));
                Some((text_of(it.get(name::CODE))?, parameters.collect()))
            })
            .collect();
        Ok(Compartment {
            url: text_of(resource.get(name::URL)).ok_or(DefinitionError::Missing("url"))?,
            code: text_of(resource.get(name::CODE)).ok_or(DefinitionError::Missing("code"))?,
            resources,
        })
    }

    /// Search parameters whose reference puts a resource of this type into the compartment; empty for a
    /// type that is never in it. `{def}` stands for the resource itself.
    pub fn parameters(&self, resource_type: &str) -> &[String] {
        self.resources.get(resource_type).map(Vec::as_slice).unwrap_or_default()
    }

    /// The types that can be in the compartment, sorted.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().filter(|(_, parameters)| !parameters.is_empty()).map(|(code, _)| code.as_str())
    }
}
