//! What policies may ask about a resource.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::RestrictedExpression;
use jiff::Timestamp;

use super::mention::{Fact, Mentions};
use crate::access::{PatientReference, Patients};
use crate::consent::{CONFIDENTIALITY, Confidentiality, ResourceFacts, broader};
use crate::requester::{BusinessIdentifier, Code};

/// What policies may ask about a resource: what consents may, whose data it is, and where it is kept.
#[derive(Debug, Clone, Copy)]
pub struct PolicyResource<'a> {
    /// What stands in it, inherited labels included.
    pub facts: &'a ResourceFacts,
    /// The patients of this site whom it is about, as `Patient/1`.
    pub patients: &'a [String],
    /// How many patients it is about, those of other sites and unknown ones included.
    pub patient_count: usize,
    /// The site that holds it.
    pub site: &'a str,
}

/// How many patients a resource is about: those of this site as they are given, and each that is not one of it.
pub fn patient_count(local: &[String], patients: &Patients) -> usize {
    let mut others: Vec<&PatientReference> = Vec::new();
    let mut unknown = patients.unattributed.len();
    for link in &patients.links {
        match &link.patient {
            PatientReference::Literal(reference) if local.iter().any(|own| own == reference.as_str()) => {}
            PatientReference::Literal(_) | PatientReference::Itself => {
                if !others.contains(&&link.patient) {
                    others.push(&link.patient);
                }
            }
            _ => unknown += 1,
        }
    }
    local.len() + others.len() + unknown
}

/// The value of one fact: what decisions are remembered by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum FactValue {
    Unknown,
    Text(String),
    Number(i64),
    Set(BTreeSet<String>),
    Time(Timestamp),
}

impl PolicyResource<'_> {
    /// The id of the resource: `Observation/5`, or the type of one that has no id yet.
    pub(super) fn id(&self) -> String {
        match &self.facts.reference {
            Some(reference) => reference.as_str().to_owned(),
            None => self.facts.resource_type.clone(),
        }
    }

    /// The facts that are mentioned, in their order.
    pub(super) fn values(&self, mentioned: Mentions) -> Vec<FactValue> {
        Fact::ALL.into_iter().filter(|fact| mentioned.has(*fact)).map(|fact| self.value(fact)).collect()
    }

    fn value(&self, fact: Fact) -> FactValue {
        let facts = self.facts;
        match fact {
            Fact::Itself => FactValue::Text(self.id()),
            Fact::Type => FactValue::Text(facts.resource_type.clone()),
            Fact::Labels => FactValue::Set(with_broader(&facts.labels)),
            Fact::Confidentiality => level(&facts.labels).map_or(FactValue::Unknown, FactValue::Number),
            Fact::Codes => FactValue::Set(facts.codes.iter().map(token).collect()),
            Fact::Classes => FactValue::Set(facts.classes.iter().map(token).collect()),
            Fact::Profiles => FactValue::Set(facts.profiles.iter().cloned().collect()),
            Fact::Authors => match &facts.authors {
                None => FactValue::Unknown,
                Some(parties) => FactValue::Set(
                    parties
                        .iter()
                        .flat_map(|party| {
                            let reference = party.reference.iter().map(|own| own.as_str().to_owned());
                            reference.chain(party.identifiers.iter().map(identifier))
                        })
                        .collect(),
                ),
            },
            Fact::Start => facts.period.map_or(FactValue::Unknown, |period| FactValue::Time(period.start)),
            Fact::End => facts.period.map_or(FactValue::Unknown, |period| FactValue::Time(period.end)),
            Fact::Patients => FactValue::Set(self.patients.iter().cloned().collect()),
            Fact::PatientCount => FactValue::Number(i64::try_from(self.patient_count).unwrap_or(i64::MAX)),
            Fact::Site => FactValue::Text(self.site.to_owned()),
        }
    }
}

/// Facts as attributes of the entity; one that is not known is left out.
pub(super) fn attributes(mentioned: Mentions, values: &[FactValue]) -> HashMap<String, RestrictedExpression> {
    let facts = Fact::ALL.into_iter().filter(|fact| mentioned.has(*fact));
    let known = facts.zip(values).filter(|(fact, _)| *fact != Fact::Itself);
    known.filter_map(|(fact, value)| Some((fact.name().to_owned(), expression(value)?))).collect()
}

fn expression(value: &FactValue) -> Option<RestrictedExpression> {
    Some(match value {
        FactValue::Unknown => return None,
        FactValue::Text(text) => RestrictedExpression::new_string(text.clone()),
        FactValue::Number(number) => RestrictedExpression::new_long(*number),
        FactValue::Set(items) => set(items.iter().cloned()),
        FactValue::Time(time) => RestrictedExpression::new_datetime(moment(*time)),
    })
}

/// A set of texts.
pub(super) fn set(items: impl IntoIterator<Item = String>) -> RestrictedExpression {
    RestrictedExpression::new_set(items.into_iter().map(RestrictedExpression::new_string))
}

/// A time as the policy language writes it, to the millisecond.
pub(super) fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// `system|code`
pub(super) fn token(code: &Code) -> String {
    format!("{}|{}", code.system, code.code)
}

/// `system|value`
pub(super) fn identifier(identifier: &BusinessIdentifier) -> String {
    format!("{}|{}", identifier.system, identifier.value)
}

/// These codes and those that they fall under.
pub(super) fn with_broader(codes: &[Code]) -> BTreeSet<String> {
    let wider = |code: &Code| {
        let system = code.system.clone();
        broader(code).map(move |own| format!("{system}|{own}")).collect::<Vec<_>>()
    };
    codes.iter().flat_map(|code| std::iter::once(token(code)).chain(wider(code))).collect()
}

/// The highest level among labels, from 1 for `U`. A code that is no level counts as the highest.
fn level(labels: &[Code]) -> Option<i64> {
    let levels = labels.iter().filter(|label| label.system == CONFIDENTIALITY);
    let highest = levels
        .map(|label| Confidentiality::of_code(&label.code).unwrap_or(Confidentiality::VeryRestricted))
        .max()?;
    Some(match highest {
        Confidentiality::Unrestricted => 1,
        Confidentiality::Low => 2,
        Confidentiality::Moderate => 3,
        Confidentiality::Normal => 4,
        Confidentiality::Restricted => 5,
        Confidentiality::VeryRestricted => 6,
    })
}
