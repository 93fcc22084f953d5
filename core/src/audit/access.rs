//! One access to a patient's data, read from its AuditEvent, as the patient may be told it (Regulation (EU) 2025/327,
//! article 9; Annex II §3.2: provider or person, whose data, categories, date and time, origin).
//!
//! Any R4 AuditEvent of the BALP patterns can be read. What an event doesn't say is absent here: nothing is guessed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fhir_models::document::Value;
use jiff::Timestamp;

use super::split_reference;
use crate::requester::{BusinessIdentifier, Code};

const PROVIDER: &str = "PROV";
const PATIENT_ROLE: &str = "1";
const RESOURCE_ROLE: &str = "4";
const QUERY_ROLE: &str = "24";

/// How an access ended for the one who tried it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccessDecision {
    /// What was asked for was given, or done.
    Given,
    /// A part of it was withheld.
    GivenInPart,
    /// Nothing was given.
    NotGiven,
    /// The event doesn't say: it tells what was about to be done.
    NotKnown,
}

impl AccessDecision {
    /// In words: `given`, `given in part`, `not given`, `not known`.
    pub fn text(self) -> &'static str {
        match self {
            AccessDecision::Given => "given",
            AccessDecision::GivenInPart => "given in part",
            AccessDecision::NotGiven => "not given",
            AccessDecision::NotKnown => "not known",
        }
    }
}

/// One access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The AuditEvent's id.
    pub id: String,
    /// When.
    pub recorded: Option<Timestamp>,
    /// What was done, as the event's subtype says: `read`, `search-type`, `update` …
    pub interaction: String,
    /// The person, by identifier.
    pub person: Option<BusinessIdentifier>,
    /// The person's name.
    pub name: Option<String>,
    /// The person's roles.
    pub roles: Vec<Code>,
    /// The organisations on whose behalf.
    pub organizations: Vec<BusinessIdentifier>,
    /// The application.
    pub application: Option<String>,
    /// The network address that the request came from.
    pub address: Option<String>,
    /// Why the data was wanted.
    pub purposes: Vec<Code>,
    /// Whose data: `Patient/…`, or system and value of an identifier with a bar between.
    pub patients: Vec<String>,
    /// The resources that were asked for by their ids, or written.
    pub resources: Vec<String>,
    /// The resource types that were asked for, each once.
    pub categories: Vec<String>,
    /// How it ended.
    pub decision: AccessDecision,
    /// Why it was not given.
    pub reason: Option<String>,
    /// The site that recorded it.
    pub site: Option<String>,
}

impl Access {
    /// Reads an AuditEvent.
    pub fn of(event: Value<'_>) -> Access {
        let mut access = Access {
            id: text(event, "id").unwrap_or_default(),
            recorded: text(event, "recorded").and_then(|text| text.parse().ok()),
            interaction: all(event, "subtype").find_map(|own| text(own, "code")).unwrap_or_default(),
            person: None,
            name: None,
            roles: Vec::new(),
            organizations: Vec::new(),
            application: None,
            address: None,
            purposes: all(event, "purposeOfEvent").flat_map(codes).collect(),
            patients: Vec::new(),
            resources: Vec::new(),
            categories: Vec::new(),
            decision: AccessDecision::Given,
            reason: None,
            site: event.get_key("source").and_then(|source| text(source, "site")),
        };
        all(event, "agent").enumerate().for_each(|(at, agent)| access.take_agent(at, agent));
        let mut withheld = false;
        for entity in all(event, "entity") {
            access.take_entity(entity);
            withheld |= all(entity, "detail").any(|detail| {
                text(detail, "type").is_some_and(|kind| kind == "entries-withheld")
                    && text(detail, "valueString").is_some_and(|count| count != "0")
            });
        }
        access.decision = match text(event, "outcome").as_deref() {
            Some("0") if withheld => AccessDecision::GivenInPart,
            Some("0") => AccessDecision::Given,
            None => AccessDecision::NotKnown,
            Some(_) => AccessDecision::NotGiven,
        };
        access.reason = text(event, "outcomeDesc");
        access
    }

    /// The countries of the organisations (ISO 3166-1 alpha-2), where their identifier systems tell.
    pub fn countries(&self) -> Vec<&'static str> {
        let mut found: Vec<&'static str> =
            self.organizations.iter().filter_map(|own| country_of(&own.system)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn take_agent(&mut self, at: usize, agent: Value<'_>) {
        let kinds: Vec<Code> = agent.get_key("type").into_iter().flat_map(codes).collect();
        let who = agent.get_key("who").and_then(identifier);
        let is_provider = kinds.iter().any(|kind| kind.code == PROVIDER);
        let network = agent.get_key("network").and_then(|network| text(network, "address"));
        if is_provider {
            self.organizations.extend(who);
        } else if agent.get_key("requestor").and_then(Value::as_bool) == Some(true) && network.is_none() {
            self.person = who;
            self.name = text(agent, "name");
            self.roles.extend(all(agent, "role").flat_map(codes));
            self.purposes.extend(all(agent, "purposeOfUse").flat_map(codes));
        } else if at == 0 {
            // BALP: the client stands first, and is the one that asks where no person does.
            self.application = who.map(|own| own.value);
            self.address = network;
        }
    }

    fn take_entity(&mut self, entity: Value<'_>) {
        let role = entity.get_key("role").and_then(|role| text(role, "code"));
        let what = entity.get_key("what");
        let named = || {
            let reference = what.and_then(|what| text(what, "reference"));
            let by_identifier = || {
                let BusinessIdentifier { system, value } = what.and_then(identifier)?;
                Some(format!("{system}|{value}"))
            };
            reference.or_else(by_identifier)
        };
        match role.as_deref() {
            Some(PATIENT_ROLE) => self.patients.extend(named()),
            Some(RESOURCE_ROLE) => self.resources.extend(named()),
            _ => {}
        }
        let category = match role.as_deref() {
            Some(PATIENT_ROLE) => None,
            Some(QUERY_ROLE) => text(entity, "query").and_then(|query| searched_type(&query)),
            Some(_) => what
                .and_then(|what| text(what, "reference"))
                .map(|reference| split_reference(&reference).0.to_owned())
                .filter(|kind| !kind.is_empty()),
            None => None,
        };
        if let Some(category) = category.filter(|own| !self.categories.contains(own)) {
            self.categories.push(category);
        }
    }
}

/// The type that a search was for, from the base64 of its request line.
fn searched_type(query: &str) -> Option<String> {
    let request = String::from_utf8(STANDARD.decode(query).ok()?).ok()?;
    let url = request.lines().next()?.split(' ').nth(1)?;
    let path = url.split('?').next()?;
    let mut steps = path.trim_end_matches('/').rsplit('/').filter(|step| !matches!(*step, "_search"));
    let kind = steps.find(|step| !step.starts_with('$'))?;
    let named = kind.starts_with(|first: char| first.is_ascii_uppercase())
        && kind.bytes().all(|byte| byte.is_ascii_alphabetic());
    named.then(|| kind.to_owned())
}

/// The country that a namespace of identifiers belongs to, where its name says so: arcs of OIDs that ISO gives to
/// countries by their number (ISO 3166-1), those of HL7 Italy, and `hl7.it`.
fn country_of(system: &str) -> Option<&'static str> {
    if system.starts_with("http://hl7.it/") || system.starts_with("https://hl7.it/") {
        return Some("IT");
    }
    let oid = system.strip_prefix("urn:oid:").unwrap_or(system);
    if oid.starts_with("2.16.840.1.113883.2.9.") {
        return Some("IT");
    }
    let mut arcs = oid.split('.');
    let root = (arcs.next()?, arcs.next()?);
    let number = arcs.next()?;
    matches!(root, ("1", "2") | ("2", "16")).then_some(())?;
    COUNTRIES.iter().find(|(own, _)| *own == number).map(|(_, code)| *code)
}

/// Members of the Union and the European Economic Area by their number in ISO 3166-1.
const COUNTRIES: &[(&str, &str)] = &[
    ("40", "AT"),
    ("56", "BE"),
    ("100", "BG"),
    ("191", "HR"),
    ("196", "CY"),
    ("203", "CZ"),
    ("208", "DK"),
    ("233", "EE"),
    ("246", "FI"),
    ("250", "FR"),
    ("276", "DE"),
    ("300", "GR"),
    ("348", "HU"),
    ("352", "IS"),
    ("372", "IE"),
    ("380", "IT"),
    ("428", "LV"),
    ("438", "LI"),
    ("440", "LT"),
    ("442", "LU"),
    ("470", "MT"),
    ("528", "NL"),
    ("578", "NO"),
    ("616", "PL"),
    ("620", "PT"),
    ("642", "RO"),
    ("703", "SK"),
    ("705", "SI"),
    ("724", "ES"),
    ("752", "SE"),
];

fn all<'a>(value: Value<'a>, key: &str) -> impl Iterator<Item = Value<'a>> {
    value.get_key(key).into_iter().flat_map(Value::items)
}

fn text(value: Value<'_>, key: &str) -> Option<String> {
    Some(value.get_key(key)?.as_str()?.into_owned())
}

fn codes(concept: Value<'_>) -> Vec<Code> {
    let code = |coding: Value<'_>| {
        Some(Code { system: text(coding, "system").unwrap_or_default(), code: text(coding, "code")? })
    };
    all(concept, "coding").filter_map(code).collect()
}

fn identifier(who: Value<'_>) -> Option<BusinessIdentifier> {
    let identifier = who.get_key("identifier")?;
    let system = text(identifier, "system").unwrap_or_default();
    Some(BusinessIdentifier { system, value: text(identifier, "value")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_told_only_by_what_names_it() {
        for (system, country) in [
            ("urn:oid:2.16.840.1.113883.2.9.4.1.2", Some("IT")),
            ("http://hl7.it/sid/hsp", Some("IT")),
            ("urn:oid:1.2.250.1.71.4.2.2", Some("FR")),
            ("urn:oid:2.16.724.4.9", Some("ES")),
            ("urn:oid:2.16.840.1.113883.3.1", None),
            ("urn:oid:1.3.6.1.4.1", None),
            ("https://hub.example", None),
            ("", None),
        ] {
            assert_eq!(country_of(system), country, "{system}");
        }
    }

    #[test]
    fn the_type_of_a_search_is_that_of_its_request_line() {
        for (request, kind) in [
            ("GET https://h.it/fhir/Observation?patient=Patient/1", Some("Observation")),
            ("POST https://h.it/fhir/Patient/$match\n\n{}", Some("Patient")),
            ("POST https://h.it/fhir/Condition/_search\n\npatient=1", Some("Condition")),
            ("GET https://h.it/fhir", None),
            ("", None),
        ] {
            assert_eq!(searched_type(&STANDARD.encode(request)).as_deref(), kind, "{request}");
        }
        assert_eq!(searched_type("%%"), None);
    }
}
