//! Which records are of one person: the links that a registry keeps (IHE PIXm; FHIR R4 `Patient.link`).
//!
//! A store behind [`LinkStore`] keeps them; this module says what it must hold to. A link is made by an
//! identifier that is certain or by a person who looked, never by a score alone, and undone without a trace lost.

use std::collections::{BTreeMap, BTreeSet};

/// A record of a person: which system holds it, under which id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// The hospital or registry, as the deployment names it.
    pub holder: String,
    /// The id of its Patient resource.
    pub id: String,
}

/// Why two records are linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkReason {
    /// They share an identifier of a person; the canonical system says which.
    Identifier {
        /// The canonical system, not the value.
        system: String,
    },
    /// Somebody looked and decided; who, as an opaque reference.
    Person {
        /// A reference to whoever decided.
        by: String,
    },
}

/// A store of links. Implementations keep these rules: links are symmetric and transitive; [`LinkStore::linked`] gives
/// the whole cluster without the record itself, in order; a link that exists already is no error; unlinking
/// takes the record out of its cluster and leaves the others together.
pub trait LinkStore {
    /// Why the store can't answer.
    type Error: std::error::Error;

    /// Links two records.
    ///
    /// # Errors
    /// Where the store can't keep the link.
    fn link(&mut self, one: &RecordKey, other: &RecordKey, reason: LinkReason) -> Result<(), Self::Error>;

    /// Takes a record out of its cluster.
    ///
    /// # Errors
    /// Where the store can't keep that.
    fn unlink(&mut self, record: &RecordKey) -> Result<(), Self::Error>;

    /// The other records of the same person.
    ///
    /// # Errors
    /// Where the store can't answer: the caller must not take that for "none".
    fn linked(&self, record: &RecordKey) -> Result<Vec<RecordKey>, Self::Error>;
}

/// Links in memory: for tests and for a library that has no store.
#[derive(Debug, Default)]
pub struct MemoryLinks {
    clusters: BTreeMap<u64, BTreeSet<RecordKey>>,
    member_of: BTreeMap<RecordKey, u64>,
    reasons: Vec<(RecordKey, RecordKey, LinkReason)>,
    next: u64,
}

impl MemoryLinks {
    /// Every link ever made, undone ones included, in order.
    pub fn history(&self) -> &[(RecordKey, RecordKey, LinkReason)] {
        &self.reasons
    }

    fn cluster_of(&mut self, record: &RecordKey) -> u64 {
        if let Some(&cluster) = self.member_of.get(record) {
            return cluster;
        }
        self.next += 1;
        self.member_of.insert(record.clone(), self.next);
        self.clusters.insert(self.next, BTreeSet::from([record.clone()]));
        self.next
    }
}

impl LinkStore for MemoryLinks {
    type Error = std::convert::Infallible;

    fn link(&mut self, one: &RecordKey, other: &RecordKey, reason: LinkReason) -> Result<(), Self::Error> {
        let (kept, moved) = (self.cluster_of(one), self.cluster_of(other));
        self.reasons.push((one.clone(), other.clone(), reason));
        if kept != moved {
            let members = self.clusters.remove(&moved).unwrap_or_default();
            for member in &members {
                self.member_of.insert(member.clone(), kept);
            }
            self.clusters.entry(kept).or_default().extend(members);
        }
        Ok(())
    }

    fn unlink(&mut self, record: &RecordKey) -> Result<(), Self::Error> {
        if let Some(cluster) = self.member_of.remove(record)
            && let Some(members) = self.clusters.get_mut(&cluster)
        {
            members.remove(record);
            if members.is_empty() {
                self.clusters.remove(&cluster);
            }
        }
        Ok(())
    }

    fn linked(&self, record: &RecordKey) -> Result<Vec<RecordKey>, Self::Error> {
        let cluster = self.member_of.get(record).and_then(|cluster| self.clusters.get(cluster));
        Ok(cluster.into_iter().flatten().filter(|member| *member != record).cloned().collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(text: &str) -> RecordKey {
        let (holder, id) = text.split_once('/').unwrap();
        RecordKey { holder: holder.to_owned(), id: id.to_owned() }
    }

    fn reason() -> LinkReason {
        LinkReason::Identifier { system: "http://hl7.it/sid/codiceFiscale".to_owned() }
    }

    #[test]
    fn links_reach_every_record_of_a_person_and_no_other() {
        let mut links = MemoryLinks::default();
        links.link(&key("h1/1"), &key("h2/7"), reason()).unwrap();
        links.link(&key("h3/9"), &key("h2/7"), reason()).unwrap();
        links
            .link(&key("h1/2"), &key("h2/8"), LinkReason::Person { by: "Practitioner/5".to_owned() })
            .unwrap();
        assert_eq!(links.linked(&key("h1/1")).unwrap(), [key("h2/7"), key("h3/9")]);
        assert_eq!(links.linked(&key("h2/8")).unwrap(), [key("h1/2")]);
        assert_eq!(links.linked(&key("h9/1")).unwrap(), []);
    }

    #[test]
    fn a_wrong_link_is_undone_and_remembered() {
        let mut links = MemoryLinks::default();
        for other in ["h2/7", "h3/9"] {
            links.link(&key("h1/1"), &key(other), reason()).unwrap();
        }
        links.link(&key("h1/1"), &key("h2/7"), reason()).unwrap();
        links.unlink(&key("h2/7")).unwrap();
        assert_eq!(links.linked(&key("h1/1")).unwrap(), [key("h3/9")]);
        assert_eq!(links.linked(&key("h2/7")).unwrap(), []);
        links.unlink(&key("h2/7")).unwrap();
        assert_eq!(links.history().len(), 3);
    }
}
