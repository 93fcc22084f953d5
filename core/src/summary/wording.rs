//! What a section's table says of a resource, in the resource's own words.

use fhir_models::document::Value;

/// Elements that name what a resource is about.
const NAMES: &[&str] = &["code", "vaccineCode", "medicationCodeableConcept", "type"];
/// References to what a resource is about.
const REFERRED: &[&str] = &["medicationReference", "device"];
/// Elements that say when, the telling ones first.
const DATES: &[&str] = &[
    "onsetDateTime",
    "onsetPeriod",
    "effectiveDateTime",
    "effectivePeriod",
    "effectiveInstant",
    "occurrenceDateTime",
    "performedDateTime",
    "performedPeriod",
    "timingDateTime",
    "timingPeriod",
    "period",
    "authoredOn",
    "recordedDate",
    "recordedOn",
    "dateAsserted",
    "issued",
    "created",
];

/// What, details, date and status of a resource. `along` gives what a reference leads to.
pub(super) fn row<'a>(resource: Value<'a>, along: &dyn Fn(&str) -> Option<Value<'a>>) -> [String; 4] {
    [subject(resource, along), details(resource), date(resource), status(resource)]
}

fn subject<'a>(resource: Value<'a>, along: &dyn Fn(&str) -> Option<Value<'a>>) -> String {
    if let Some(own) = named(resource) {
        return own;
    }
    let referred = REFERRED.iter().find_map(|element| {
        let reference = resource.get_key(element)?;
        let told = || named(along(&text(reference, "reference")?)?);
        text(reference, "display").or_else(told).or_else(|| text(reference, "reference"))
    });
    referred.unwrap_or_default()
}

/// The name that a resource bears itself.
fn named(resource: Value<'_>) -> Option<String> {
    let own = NAMES.iter().find_map(|element| concept(resource.get_key(element)?));
    let device = || {
        let mut names = resource.get_key("deviceName").into_iter().flat_map(Value::items);
        names.find_map(|name| text(name, "name"))
    };
    // A plan is known by its kind where it has no title.
    let plan = || {
        resource.get_key("resourceType").filter(|own| own.is_str("CarePlan"))?;
        let mut categories = resource.get_key("category").into_iter().flat_map(Value::items);
        categories.find_map(concept)
    };
    let titled = || text(resource, "title").or_else(|| text(resource, "description"));
    own.or_else(device).or_else(titled).or_else(plan)
}

fn details(resource: Value<'_>) -> String {
    let mut all: Vec<String> = finding(resource).into_iter().collect();
    for component in resource.get_key("component").into_iter().flat_map(Value::items) {
        let name = component.get_key("code").and_then(concept);
        all.extend(finding(component).map(|found| match name {
            Some(name) => format!("{name}: {found}"),
            None => found,
        }));
    }
    for element in ["dosage", "dosageInstruction"] {
        let doses = resource.get_key(element).into_iter().flat_map(Value::items);
        all.extend(doses.filter_map(|dose| text(dose, "text")));
    }
    all.extend(text(resource, "criticality").map(|code| format!("criticality {code}")));
    all.extend(text(resource, "conclusion"));
    all.join("; ")
}

/// The value of an observation or of a part of one.
fn finding(of: Value<'_>) -> Option<String> {
    if let Some(quantity) = of.get_key("valueQuantity") {
        let value = quantity.get_key("value")?.as_number()?.to_owned();
        let comparator = text(quantity, "comparator").unwrap_or_default();
        let unit = text(quantity, "unit").or_else(|| text(quantity, "code"));
        return Some(format!("{comparator}{value} {}", unit.unwrap_or_default()).trim_end().to_owned());
    }
    if let Some(integer) = of.get_key("valueInteger") {
        return integer.as_number().map(str::to_owned);
    }
    if let Some(boolean) = of.get_key("valueBoolean") {
        return boolean.as_bool().map(|own| if own { "yes" } else { "no" }.to_owned());
    }
    of.get_key("valueCodeableConcept")
        .and_then(concept)
        .or_else(|| text(of, "valueString"))
        .or_else(|| text(of, "valueDateTime"))
        .or_else(|| of.get_key("dataAbsentReason").and_then(concept))
}

fn date(resource: Value<'_>) -> String {
    let found = DATES.iter().find_map(|element| {
        let value = resource.get_key(element)?;
        if value.is_object() {
            return match (text(value, "start"), text(value, "end")) {
                (None, None) => None,
                (start, end) => Some(
                    format!("{} – {}", start.unwrap_or_default(), end.unwrap_or_default()).trim().to_owned(),
                ),
            };
        }
        value.as_str().map(|own| own.into_owned())
    });
    found.unwrap_or_default()
}

fn status(resource: Value<'_>) -> String {
    let clinical = ["clinicalStatus", "verificationStatus"]
        .iter()
        .filter_map(|element| resource.get_key(element).and_then(concept));
    text(resource, "status").into_iter().chain(clinical).collect::<Vec<_>>().join(", ")
}

/// A concept in words: its text, else how a coding of it displays, else a code.
fn concept(of: Value<'_>) -> Option<String> {
    let codings = || of.get_key("coding").into_iter().flat_map(Value::items);
    text(of, "text")
        .or_else(|| codings().find_map(|coding| text(coding, "display")))
        .or_else(|| codings().find_map(|coding| text(coding, "code")))
}

fn text(of: Value<'_>, member: &str) -> Option<String> {
    Some(of.get_key(member)?.as_str()?.into_owned())
}
