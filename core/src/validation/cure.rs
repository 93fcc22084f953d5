//! What to do about a broken rule: one table for everything that shows issues to people.
//!
//! A message says what is wrong at its place, and often the cure for just that; this says what such a fault
//! usually comes from and where to turn.

/// What to do where this rule ([`Issue::rule`](crate::outcome::Issue::rule)) speaks; `None` for a rule that is
/// not in the table.
///
/// ```
/// assert!(varco_core::validation::cure("cardinality").is_some());
/// assert!(varco_core::validation::cure("no such rule").is_none());
/// ```
pub fn cure(rule: &str) -> Option<&'static str> {
    let text = match rule {
        "syntax" => {
            "mend the text at this place: until it can be read, little else of the resource is checked"
        }
        "unknown-element" => {
            "use an element of this type (its page at hl7.org/fhir/R4 lists them), or an extension"
        }
        "cardinality" => {
            "add what is missing or remove what is too much; where data is lacking on purpose, a data-absent-reason extension says why"
        }
        "json-form" => {
            "write it as FHIR JSON does: arrays for what may repeat, numbers and booleans without quotes (hl7.org/fhir/R4/json.html)"
        }
        "xml-order" => {
            "write the elements in the order of the definition, those of one name together (hl7.org/fhir/R4/xml.html)"
        }
        "content" => "leave an element out where it has no content: FHIR has no empty values and no null",
        "primitive" => "write the value in the form of its type (hl7.org/fhir/R4/datatypes.html#primitive)",
        "choice" => "keep the one variant that says it best",
        "resource-type" => {
            "name a resource type of FHIR R4 (hl7.org/fhir/R4/resourcelist.html), in its exact spelling"
        }
        "contained" => {
            "move the resource to `contained` of the outermost one and refer to it as #id, or store it on its own"
        }
        "extension" => {
            "use the extension as its definition says: its url, its type of value, the place it may stand at"
        }
        "reference" => {
            "write Type/id, an absolute URL, urn:uuid:…, or #id for a contained resource; what can't be linked takes an identifier"
        }
        "narrative" => {
            "keep to the XHTML that FHIR allows: no script, form, style sheet or outside content (hl7.org/fhir/R4/narrative.html)"
        }
        "binding" => {
            "take a code from the value set, or map the local code to one; where the binding allows, add the local coding beside it"
        }
        "code" => {
            "check code and display against the code system and its version; local codes belong to a system of your own"
        }
        "identifier" => {
            "compare the value with the rules of its system; a wrong system is as likely as a wrong value"
        }
        "markup" => "write plain text here; formatted text belongs to the narrative (`text.div`)",
        "element-id" => {
            "give each element of a resource an id of its own, or none: they are only needed as targets of links"
        }
        "profile" => {
            "bring the profile with --package or --definition, and correct what it is not obeyed in; or don't claim it in meta.profile"
        }
        "slicing" => {
            "compare the item with the slices of the profile: what tells them apart is most often a fixed code, system or url"
        }
        "type" => "use a type that the profile allows here",
        "fixed" => "write the value exactly as the profile fixes it; a pattern may have more beside it",
        "bounds" => "bring the value within the bounds of the profile, or check the unit",
        "target" => "refer to a resource of a type and profile that the element allows",
        "invariant" => {
            "read the rule in the message against this element: it ties several elements together, one of which is missing or too much"
        }
        "questionnaire" => {
            "compare linkId, type and number of the answers with the questions of the Questionnaire"
        }
        "bundle" => {
            "check fullUrl, request and response of the entries against the type of the Bundle (hl7.org/fhir/R4/bundle.html)"
        }
        "resource" => "see the rules on the page of this resource type at hl7.org/fhir/R4",
        "definition" => {
            "the fault is one of the definitions, not of this resource: tell whoever publishes them, or bring a corrected one"
        }
        "limit" => "split the resource, or nest it less deeply: this bound protects whoever has to read it",
        _ => return None,
    };
    Some(text)
}
