//! Resources outside of the document that its references may lead to, where they are at hand.
//!
//! They answer to `Type/id`. A target is held against the profiles that a reference demands in a validation
//! of its own; chains of references are followed [`DEPTH`] deep, and what lies deeper is taken as fulfilled.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_models::document::{Document, OwnedDocument, Value, name};

use crate::fhirpath::Resolver;
use crate::terminology::Codes;

use super::resource;
use super::walk::Walk;

/// Longest chain of references from resource to resource.
const DEPTH: usize = 4;

/// Resources by type and id.
#[derive(Debug, Clone, Default)]
pub(super) struct Instances {
    by_name: HashMap<String, Arc<OwnedDocument>>,
}

impl Instances {
    /// Adds a resource; false where it has no type or no id.
    pub fn add(&mut self, resource: OwnedDocument) -> bool {
        let root = resource.root();
        let (Some(type_name), Some(id)) = (root.resource_type(), root.str_of(name::ID)) else { return false };
        let known = format!("{type_name}/{id}");
        self.by_name.insert(known, Arc::new(resource));
        true
    }

    /// The resource that a relative reference names; a version that it asks for must be that one's.
    pub fn find(&self, reference: &str) -> Option<Document<'_>> {
        let (bare, version) = match reference.split_once("/_history/") {
            Some((bare, version)) => (bare, Some(version)),
            None => (reference, None),
        };
        let found = self.by_name.get(bare)?;
        let own = || found.root().get(name::META).and_then(|meta| meta.str_of(name::VERSION_ID));
        version.is_none_or(|version| own().as_deref() == Some(version)).then(|| found.document())
    }
}

impl Resolver for Instances {
    fn resolve<'r>(&'r self, reference: &str) -> Option<Document<'r>> {
        self.find(reference)
    }
}

impl<'v> Walk<'v, '_> {
    /// The resource outside of the document that a Reference leads to.
    pub(super) fn elsewhere(&self, reference: Value<'_>) -> Option<Document<'v>> {
        let text = reference.get(name::REFERENCE).and_then(Value::as_str)?;
        self.instances?.find(&text)
    }

    /// True where a resource outside of the document is valid and obeys the profile.
    pub(super) fn obeys_elsewhere(&self, document: Document<'v>, canonical: &str) -> bool {
        if self.nested >= DEPTH {
            return true;
        }
        let codes = Codes::new(self.types.definitions(), self.codes.answers());
        let mut walk = Walk::new(self.types, self.profiles, self.settings, document, codes);
        walk.instances = self.instances;
        walk.authorities = self.authorities;
        walk.now = self.now;
        walk.faults_only = true;
        walk.nested = self.nested + 1;
        resource::check(&mut walk, document.root(), false);
        let obeys = !walk.findings.iter().any(|it| it.fault.severity.is_error())
            && walk.obeys_canonical(document.root(), canonical);
        self.codes.absorb(walk.codes);
        obeys
    }
}
