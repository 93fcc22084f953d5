//! What changed from one set of policies to the next, for the log.

use std::fmt;

use super::{SitePolicies, SitePolicy};

/// What changed, by the policies' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyDifference {
    /// Policies that were not there before.
    pub added: Vec<String>,
    /// Policies that are not there any more.
    pub removed: Vec<String>,
    /// Policies that say something else than before.
    pub changed: Vec<String>,
}

impl SitePolicies {
    /// What changes when `next` takes the place of these.
    pub fn difference(&self, next: &SitePolicies) -> PolicyDifference {
        let find = |set: &SitePolicies, name: &str| set.policies().find(|own| own.name == name).cloned();
        let without = |policies: &SitePolicies, others: &SitePolicies| -> Vec<String> {
            let lacks = |own: &&SitePolicy| find(others, &own.name).is_none();
            policies.policies().filter(lacks).map(|own| own.name.clone()).collect()
        };
        let other = |own: &&SitePolicy| find(next, &own.name).is_some_and(|next| next != **own);
        PolicyDifference {
            added: without(next, self),
            removed: without(self, next),
            changed: self.policies().filter(other).map(|own| own.name.clone()).collect(),
        }
    }
}

impl fmt::Display for PolicyDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (word, names) in [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)]
        {
            if !names.is_empty() {
                write!(f, "{between}{word}: {}", names.join(", "))?;
                between = "; ";
            }
        }
        if between.is_empty() { f.write_str("nothing but comments or order") } else { Ok(()) }
    }
}
