//! One identifier system under several names: mapping to one and back.
//!
//! Systems differ in how they write the same namespace: `http://hl7.it/sid/codiceFiscale` here,
//! `urn:oid:2.16.840.1.113883.2.9.4.3.2` or the bare OID there. A group lists the names of one namespace;
//! [`IdentifierAliases`] maps every name to the group's canonical one, or to the one that a system speaks.
//!
//! Invariant: only `Identifier.system` (FHIR R4 §2.24.0.12) changes, wherever an Identifier stands. The system
//! of a Coding, Quantity or ContactPoint is another thing and never touched; every other byte stays as it is.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_models::document::{Document, Edits, JsonWriter, NodeId, Value, name};

use super::alias_defaults::{italian_groups, regional_groups};
use super::identifier_element::is_identifier_element;
use super::region::RegionCode;
use crate::interaction::Interaction;

/// The names of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliasGroup {
    /// The name that the deployment uses inside.
    pub canonical: String,
    /// Its other names.
    pub aliases: Vec<String>,
}

impl AliasGroup {
    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.canonical).chain(&self.aliases).map(String::as_str)
    }
}

/// What is wrong with a configuration of aliases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// One name in two groups.
    #[error(
        "the identifier system `{system}` stands in two groups, that of `{first}` and that of `{second}`; \
         a system can mean only one thing: take it out of one of them"
    )]
    Conflict {
        /// The name.
        system: String,
        /// The canonical name of the group that has it first.
        first: String,
        /// The canonical name of the other.
        second: String,
    },
    /// A name that can't be a system: empty, or with spaces.
    #[error("the group of `{canonical}` holds an identifier system that is empty or has a space in it")]
    BadSystem {
        /// The group's canonical name.
        canonical: String,
    },
    /// A system's own name for a namespace that no group knows.
    #[error(
        "no group of aliases holds the identifier system `{system}`; add it to one, or leave it out here"
    )]
    Unknown {
        /// The name.
        system: String,
    },
    /// Two names of one namespace, where a system can speak only one.
    #[error("`{first}` and `{second}` name the same identifier system; keep the one that is spoken")]
    TwoNames {
        /// The first name.
        first: String,
        /// The other.
        second: String,
    },
}

/// Groups of names, each for one namespace.
#[derive(Debug, Clone)]
pub struct IdentifierAliases {
    groups: Vec<AliasGroup>,
    /// Every name and the number of its group.
    names: HashMap<String, usize>,
}

impl IdentifierAliases {
    /// Exactly these groups.
    ///
    /// # Errors
    /// [`AliasError::Conflict`] where a name stands in two groups, [`AliasError::BadSystem`].
    pub fn new(groups: impl IntoIterator<Item = AliasGroup>) -> Result<IdentifierAliases, AliasError> {
        let mut own = IdentifierAliases { groups: Vec::new(), names: HashMap::new() };
        for group in groups {
            own.add(group)?;
        }
        Ok(own)
    }

    /// These groups, and of the Italian ones ([`italian_groups`], [`regional_groups`] of Lombardy) those that
    /// share no name with them.
    ///
    /// # Errors
    /// As [`IdentifierAliases::new`].
    pub fn over_defaults(
        groups: impl IntoIterator<Item = AliasGroup>,
    ) -> Result<IdentifierAliases, AliasError> {
        let mut own = IdentifierAliases::new(groups)?;
        for group in italian_groups().into_iter().chain(regional_groups(RegionCode::LOMBARDY)) {
            if !group.names().any(|name| own.names.contains_key(name)) {
                own.add(group)?;
            }
        }
        Ok(own)
    }

    fn add(&mut self, group: AliasGroup) -> Result<(), AliasError> {
        let number = self.groups.len();
        for name in group.names() {
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(AliasError::BadSystem { canonical: group.canonical.clone() });
            }
            match self.names.insert(name.to_owned(), number) {
                Some(other) if other != number => {
                    let first = self.groups.get(other).map(|group| group.canonical.clone());
                    return Err(AliasError::Conflict {
                        system: name.to_owned(),
                        first: first.unwrap_or_default(),
                        second: group.canonical.clone(),
                    });
                }
                _ => {}
            }
        }
        self.groups.push(group);
        Ok(())
    }

    /// The groups.
    pub fn groups(&self) -> &[AliasGroup] {
        &self.groups
    }

    /// The canonical name of a system; the name itself where no group knows it.
    pub fn canonical<'s>(&'s self, system: &'s str) -> &'s str {
        let group = self.names.get(system).and_then(|&number| self.groups.get(number));
        group.map_or(system, |group| &group.canonical)
    }

    /// The map from every name to its canonical one.
    pub fn to_canonical(&self) -> AliasMap {
        let mut map = AliasMap::default();
        self.groups.iter().for_each(|group| map.lead(group, &group.canonical));
        map
    }

    /// The map from every name to the one that a system speaks: `spoken` lists that system's names, one a
    /// namespace. Namespaces that it does not list stay as they are.
    ///
    /// # Errors
    /// [`AliasError::Unknown`], [`AliasError::TwoNames`].
    pub fn to_systems(&self, spoken: &[impl AsRef<str>]) -> Result<AliasMap, AliasError> {
        let mut map = AliasMap::default();
        let mut taken: HashMap<usize, &str> = HashMap::new();
        for name in spoken.iter().map(AsRef::as_ref) {
            let Some(&number) = self.names.get(name) else {
                return Err(AliasError::Unknown { system: name.to_owned() });
            };
            match taken.insert(number, name) {
                Some(first) if first != name => {
                    return Err(AliasError::TwoNames { first: first.to_owned(), second: name.to_owned() });
                }
                _ => {}
            }
            if let Some(group) = self.groups.get(number) {
                map.lead(group, name);
            }
        }
        Ok(map)
    }
}

/// A compiled map from names to names.
#[derive(Debug, Clone, Default)]
pub struct AliasMap {
    table: HashMap<Box<str>, Arc<str>>,
}

/// A document whose identifier systems were renamed.
#[derive(Debug, Clone)]
pub struct MappedDocument {
    /// The document's text.
    pub json: Vec<u8>,
    /// What was renamed, in source order.
    pub changes: Vec<AliasChange>,
}

/// One `Identifier.system` that was renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasChange {
    /// The system's node in the document before: its
    /// [`expression`](fhir_models::document::Value::expression) says where it stands.
    pub node: NodeId,
    /// The name before.
    pub from: Box<str>,
    /// The name now.
    pub to: Arc<str>,
}

impl AliasMap {
    fn lead(&mut self, group: &AliasGroup, to: &str) {
        let to: Arc<str> = to.into();
        for name in group.names().filter(|name| *name != &*to) {
            self.table.insert(name.into(), Arc::clone(&to));
        }
    }

    /// The other name of a system; `None` where it keeps its own.
    pub fn rename(&self, system: &str) -> Option<&str> {
        self.table.get(system).map(AsRef::as_ref)
    }

    /// Renames the systems of all Identifiers in a document, those of contained and nested resources
    /// included; `None` where there is nothing to rename.
    ///
    /// ```
    /// use fhir_models::document::{Limits, Tape};
    /// use varco_core::identity::IdentifierAliases;
    ///
    /// let aliases = IdentifierAliases::over_defaults([])?;
    /// let text = br#"{"resourceType":"Patient", "identifier":[{"system":"urn:oid:2.16.840.1.113883.2.9.4.3.2","value":"RSSMRA71E01F205E"}]}"#;
    /// let mut tape = Tape::new();
    /// let patient = tape.parse_json(text, &Limits::default())?;
    /// let mapped = aliases.to_canonical().map_document(patient).ok_or("one to map")?;
    /// assert_eq!(mapped.json, br#"{"resourceType":"Patient", "identifier":[{"system":"http://hl7.it/sid/codiceFiscale","value":"RSSMRA71E01F205E"}]}"#);
    /// let place = patient.value(mapped.changes[0].node).map(|system| system.expression());
    /// assert_eq!(place.as_deref(), Some("Patient.identifier[0].system"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_document(&self, document: Document<'_>) -> Option<MappedDocument> {
        self.map_value(document.root())
    }

    /// The same for one value of a document, such as a resource in a Bundle: the text is that value's alone.
    pub fn map_value(&self, value: Value<'_>) -> Option<MappedDocument> {
        let mut edits = Edits::new(value.document());
        let mut changes = Vec::new();
        if self.table.is_empty() {
            return None;
        }
        let elements = std::iter::once(value).chain(value.descendants());
        for element in elements.filter(|element| is_identifier_element(element.name())) {
            if element.is_underscored() {
                continue;
            }
            for system in element.items().filter_map(|identifier| identifier.get(name::SYSTEM)) {
                let Some(from) = system.as_str() else { continue };
                let Some(to) = self.table.get(&*from) else { continue };
                let mut json = JsonWriter::new();
                json.string(to);
                edits.replace(system, json.into_bytes());
                changes.push(AliasChange { node: system.id(), from: from.into(), to: Arc::clone(to) });
            }
        }
        (!changes.is_empty()).then(|| MappedDocument { json: edits.apply_within(value), changes })
    }

    /// Renames the systems in the criteria of a search that compare identifiers (`identifier=system|value`,
    /// `patient:identifier=system|value`); gives how many were renamed.
    pub fn map_search(&self, interaction: &mut Interaction) -> usize {
        let Some(search) = interaction.search_mut() else { return 0 };
        let rename = |system: &str| self.rename(system).map(str::to_owned);
        search.criteria_mut().map(|criterion| criterion.rename_systems(rename)).sum()
    }
}

#[cfg(test)]
#[path = "alias_tests.rs"]
mod tests;
