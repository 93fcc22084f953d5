//! Logical ids and resource types: what may stand in the path of a request.

use std::fmt;
use std::sync::Arc;

use fhir_models::primitive::Primitive;

/// A logical id or a version id (FHIR R4 §2.24.0.1 `id`), safe to stand in a path. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Arc<str>);

impl Id {
    /// The id, if `text` is one. `.` and `..` follow FHIR's grammar but mean something else in a path, so no
    /// resource can be addressed by them: they are refused.
    pub fn parse(text: &str) -> Option<Id> {
        let fit = Primitive::Id.is_valid(text) && text != "." && text != "..";
        fit.then(|| Id(text.into()))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a resource type that the schema knows. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType(pub(super) Arc<str>);

impl ResourceType {
    /// The type's name: `Patient`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for ResourceType {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

/// One resource on a server: `[type]/[id]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Instance {
    /// The resource's type.
    pub resource_type: ResourceType,
    /// Its logical id.
    pub id: Id,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_their_grammar() {
        for good in ["1", "a-b.C", &"x".repeat(64), "..."] {
            assert!(Id::parse(good).is_some(), "{good}");
        }
        for bad in ["", ".", "..", "a_b", "a/b", "è", " 1", &"x".repeat(65)] {
            assert!(Id::parse(bad).is_none(), "{bad}");
        }
    }
}
