//! An access report as text, JSON and HTML. Names come from tokens: nothing in them reaches a terminal or a page as
//! anything but letters.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use varco_core::audit::{Access, Removed};
use varco_core::requester::{BusinessIdentifier, Code};

use crate::cli::say;

/// What a report is about.
pub(super) struct Heading {
    pub patient: Option<String>,
    pub resource: Option<String>,
    pub agent: Option<String>,
    pub site: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub made: Timestamp,
    /// What was removed from the trail by its rule, and can't be told of.
    pub removed: Option<Removed>,
}

impl Heading {
    /// What the report is about, in words.
    fn subject(&self) -> String {
        let what = match (&self.resource, &self.patient) {
            (Some(resource), Some(patient)) => format!("{resource} of {patient}"),
            (Some(resource), None) => resource.clone(),
            (None, Some(patient)) => format!("the data of {patient}"),
            (None, None) => "data".to_owned(),
        };
        let by = self.agent.as_ref().map_or(String::new(), |agent| format!(" by {agent}"));
        format!("Accesses to {what}{by}")
    }

    /// What can't be told any more, in words.
    fn gone(&self) -> Option<String> {
        let Removed { total, rule, .. } = self.removed.as_ref()?;
        Some(format!("{total} older records of the trail were removed by the rule {rule}."))
    }
}

/// Codes of v3-ActReason in words.
const PURPOSES: &[(&str, &str)] = &[
    ("TREAT", "treatment"),
    ("CAREMGT", "care management"),
    ("ETREAT", "emergency treatment"),
    ("ERTREAT", "emergency room treatment"),
    ("DISASTER", "disaster"),
    ("BTG", "break the glass"),
    ("HPAYMT", "payment"),
    ("HOPERAT", "operation of the health service"),
    ("HRESCH", "research"),
    ("PATRQT", "the patient's own request"),
    ("FAMRQT", "a relative's request"),
    ("PUBHLTH", "public health"),
    ("HSYSADMIN", "administration of systems"),
];

/// Resource types as patients may know them.
const CATEGORIES: &[(&str, &str)] = &[
    ("AllergyIntolerance", "allergies"),
    ("AuditEvent", "records of accesses"),
    ("Bundle", "documents"),
    ("Composition", "documents"),
    ("Condition", "problems and diagnoses"),
    ("Consent", "consents"),
    ("DiagnosticReport", "test reports"),
    ("DocumentReference", "documents"),
    ("Encounter", "visits and stays"),
    ("ImagingStudy", "imaging"),
    ("Immunization", "vaccinations"),
    ("MedicationDispense", "dispensed medicines"),
    ("MedicationRequest", "prescriptions"),
    ("MedicationStatement", "medicines taken"),
    ("Observation", "observations and test results"),
    ("Patient", "personal details"),
    ("Procedure", "procedures"),
    ("ServiceRequest", "requests for tests and services"),
];

fn word(table: &[(&str, &str)], code: &str) -> String {
    let found = table.iter().find(|(own, _)| *own == code);
    found.map_or_else(|| code.to_owned(), |(_, word)| format!("{word} ({code})"))
}

/// What was done, in words.
fn done(interaction: &str) -> &str {
    match interaction {
        "read" | "vread" => "read",
        "search-type" | "search-system" => "searched",
        "history-instance" | "history-type" | "history-system" => "history read",
        "create" => "written",
        "update" | "patch" => "changed",
        "delete" => "deleted",
        "transaction" | "batch" => "several actions",
        "" => "not told",
        other => other,
    }
}

/// The lines of an access: a word for each, and what it says.
fn lines(access: &Access) -> Vec<(&'static str, String)> {
    let identifier = |own: &BusinessIdentifier| match own.system.as_str() {
        "" => own.value.clone(),
        system => format!("{system}|{}", own.value),
    };
    let list = |codes: &[Code]| codes.iter().map(|own| own.code.clone()).collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    let who = match (&access.name, &access.person) {
        (Some(name), Some(person)) => format!("{name} ({})", identifier(person)),
        (Some(name), None) => name.clone(),
        (None, Some(person)) => identifier(person),
        (None, None) => "no person was named".to_owned(),
    };
    lines.push(("by", who));
    if !access.roles.is_empty() {
        lines.push(("role", list(&access.roles)));
    }
    let organizations = access.organizations.iter().map(identifier).collect::<Vec<_>>();
    let organizations =
        if organizations.is_empty() { "not told".to_owned() } else { organizations.join(", ") };
    let countries = access.countries();
    let country = if countries.is_empty() { String::new() } else { format!(", {}", countries.join(", ")) };
    lines.push(("for", format!("{organizations}{country}")));
    let through = [&access.application, &access.address];
    let through: Vec<String> = through.into_iter().flatten().cloned().collect();
    if !through.is_empty() {
        lines.push(("through", through.join(", ")));
    }
    if let Some(site) = &access.site {
        lines.push(("at", site.clone()));
    }
    if !access.patients.is_empty() {
        lines.push(("whose", access.patients.join(", ")));
    }
    if !access.resources.is_empty() {
        lines.push(("what", access.resources.join(", ")));
    }
    let purposes: Vec<String> = access.purposes.iter().map(|own| word(PURPOSES, &own.code)).collect();
    lines.push(("purpose", if purposes.is_empty() { "not told".to_owned() } else { purposes.join(", ") }));
    let reason = access.reason.as_ref().map_or(String::new(), |why| format!(": {why}"));
    lines.push(("decision", format!("{}{reason}", access.decision.text())));
    lines
}

fn categories(access: &Access) -> String {
    let named: Vec<String> = access.categories.iter().map(|own| word(CATEGORIES, own)).collect();
    if named.is_empty() { "categories not told".to_owned() } else { named.join(", ") }
}

fn when(access: &Access, zone: &TimeZone) -> String {
    let told = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
    access.recorded.map_or("time not told".to_owned(), told)
}

fn counted(told: u64, denied: u64) -> String {
    let accesses = if told == 1 { "access" } else { "accesses" };
    format!("{told} {accesses}, {denied} not given.")
}

fn span(heading: &Heading) -> String {
    match (&heading.from, &heading.to) {
        (None, None) => "over all the time that is kept".to_owned(),
        (Some(from), None) => format!("from {from} on"),
        (None, Some(to)) => format!("until {to}"),
        (Some(from), Some(to)) => format!("from {from} until {to}"),
    }
}

/// Letters as they are; what would move a cursor or turn the direction of writing is shown by its number.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        let turns =
            matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if letter.is_control() || turns {
            out.push_str(&format!("<U+{:04X}>", u32::from(letter)));
        } else {
            out.push(letter);
        }
    }
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in shown(text).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

pub(super) fn text_begin(heading: &Heading) {
    let at = heading.site.as_ref().map_or(String::new(), |site| format!(" at {site}"));
    say::line(shown(&format!("{}{at}, {}", heading.subject(), span(heading))));
    heading.gone().into_iter().for_each(|gone| say::line(shown(&gone)));
}

pub(super) fn text(access: &Access, zone: &TimeZone) {
    let first = format!("{}  {}: {}", when(access, zone), done(&access.interaction), categories(access));
    say::line(format!("\n{}", shown(&first)));
    for (word, what) in lines(access) {
        say::line(format!("  {word:<9} {}", shown(&what)));
    }
}

pub(super) fn text_end(told: u64, denied: u64) {
    say::line(format!("\n{}", counted(told, denied)));
}

pub(super) fn json_begin(heading: &Heading) {
    let Heading { patient, resource, agent, site, from, to, made, removed } = heading;
    let head = json!({
        "patient": patient, "resource": resource, "agent": agent, "site": site, "from": from, "to": to,
        "recordsRemoved": removed.as_ref().map(|removed| removed.total), "made": made.to_string(),
    });
    let head = head.to_string();
    say::line(format!("{},\"accesses\":[", head.trim_end_matches('}')));
}

pub(super) fn json(access: &Access, first: bool) {
    let identifier = |own: &BusinessIdentifier| json!({ "system": own.system, "value": own.value });
    let code = |own: &Code| json!({ "system": own.system, "code": own.code });
    let codes = |list: &[Code]| list.iter().map(code).collect::<Vec<Value>>();
    let object = json!({
        "id": access.id, "recorded": access.recorded.map(|at| at.to_string()), "interaction": access.interaction,
        "person": access.person.as_ref().map(identifier), "name": access.name, "roles": codes(&access.roles),
        "organizations": access.organizations.iter().map(identifier).collect::<Vec<Value>>(),
        "countries": access.countries(), "application": access.application, "address": access.address,
        "patients": access.patients, "resources": access.resources,
        "purposes": codes(&access.purposes), "categories": access.categories,
        "decision": access.decision.text(), "reason": access.reason, "site": access.site,
    });
    say::line(format!("{}{object}", if first { "" } else { "," }));
}

pub(super) fn json_end(told: u64, denied: u64) {
    say::line(format!("],\"count\":{told},\"notGiven\":{denied}}}"));
}

pub(super) fn html_begin(heading: &Heading, zone: &TimeZone) {
    let at = heading.site.as_ref().map_or(String::new(), |site| format!(" at {}", escaped(site)));
    let made = heading.made.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string();
    say::line(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{subject}</title>\n\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}\
         article{{border-top:1px solid #bbb;padding:.6rem 0}}h2{{font-size:1rem;margin:0}}\
         dl{{display:grid;grid-template-columns:7rem 1fr;margin:.3rem 0 0}}dd{{margin:0;overflow-wrap:anywhere}}\
         dt{{color:#555}}</style></head>\n\
         <body><h1>{subject}{at}</h1>\n<p>{span}; made on {made}. {gone}</p>",
        subject = escaped(&heading.subject()),
        gone = escaped(&heading.gone().unwrap_or_default()),
        span = escaped(&span(heading)),
    ));
}

pub(super) fn html(access: &Access, zone: &TimeZone) {
    let mut rows = String::new();
    for (word, what) in lines(access) {
        rows.push_str(&format!("<dt>{word}</dt><dd>{}</dd>", escaped(&what)));
    }
    say::line(format!(
        "<article><h2>{} · {}: {}</h2><dl>{rows}</dl></article>",
        escaped(&when(access, zone)),
        escaped(done(&access.interaction)),
        escaped(&categories(access))
    ));
}

pub(super) fn html_end(told: u64, denied: u64) {
    say::line(format!("<p><strong>{}</strong></p></body></html>", counted(told, denied)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stay_and_what_is_none_is_named() {
        assert_eq!(shown("Niccolò D'Àgata"), "Niccolò D'Àgata");
        assert_eq!(shown("a\u{1b}[2J\u{202e}b"), "a<U+001B>[2J<U+202E>b");
        assert_eq!(escaped("<b>\"D'A\"&\n"), "&lt;b&gt;&quot;D&#39;A&quot;&amp;&lt;U+000A&gt;");
    }
}
