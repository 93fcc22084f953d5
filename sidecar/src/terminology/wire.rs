//! Questions and answers as FHIR R4 writes them: `ValueSet/$validate-code` (§4.9.19) and
//! `CodeSystem/$validate-code` (§4.8.15), alone or in a batch Bundle (§3.1.0.11).
//!
//! Invariant: nothing but codes and the names of code systems and value sets is written; a display never is. An
//! answer is taken as it is meant: a `false` for want of the code system or value set is no answer.

use fhir_models::document::{JsonWriter, Limits, Name, OwnedDocument, Value, name};
use varco_core::terminology::{Answer, Membership, Question};

/// Longest code that is sent, in bytes.
const LONGEST_CODE: usize = 128;
/// Longest canonical and version that is sent, in bytes.
const LONGEST_CANONICAL: usize = 512;
/// Longest message of the server that is kept, in characters.
const LONGEST_MESSAGE: usize = 200;

/// True for a question that may leave the house: a code by FHIR's grammar, and canonicals that are absolute.
pub(super) fn may_be_sent(question: &Question) -> bool {
    let absolute = |url: &String| {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let known = matches!(scheme, "http" | "https" | "urn");
        known && url.len() <= LONGEST_CANONICAL && url.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let plain = |text: &str, most: usize| {
        !text.is_empty() && text.len() <= most && text.trim() == text && !text.chars().any(char::is_control)
    };
    plain(&question.code, LONGEST_CODE)
        && question.version.as_deref().is_none_or(|version| plain(version, LONGEST_CODE))
        && question.system.as_ref().is_none_or(absolute)
        && question.value_set.as_ref().is_none_or(absolute)
        && (question.system.is_some() || question.value_set.is_some())
}

/// The operation that a question goes to, below the server's base.
pub(super) fn operation(question: &Question) -> &'static str {
    match question.value_set {
        Some(_) => "ValueSet/$validate-code",
        None => "CodeSystem/$validate-code",
    }
}

/// One question as Parameters.
pub(super) fn parameters(question: &Question) -> Vec<u8> {
    let mut json = JsonWriter::new();
    write(question, &mut json);
    json.into_bytes()
}

/// Many questions as a batch.
pub(super) fn batch(questions: &[Question]) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "Bundle").member("type", "batch").key("entry").begin_array();
    for question in questions {
        json.begin_object().key("resource");
        write(question, &mut json);
        json.key("request").begin_object().member("method", "POST").member("url", operation(question));
        json.end_object().end_object();
    }
    json.end_array().end_object();
    json.into_bytes()
}

fn write(question: &Question, json: &mut JsonWriter) {
    json.begin_object().member("resourceType", "Parameters").key("parameter").begin_array();
    let mut add = |named: &str, form: &'static str, value: &str| {
        json.begin_object().member("name", named).member(form, value).end_object();
    };
    match (&question.value_set, &question.system) {
        (Some(canonical), system) => {
            let (url, version) = match canonical.split_once('|') {
                Some((url, version)) => (url, Some(version)),
                None => (canonical.as_str(), None),
            };
            add("url", "valueUri", url);
            if let Some(version) = version {
                add("valueSetVersion", "valueString", version);
            }
            add("code", "valueCode", &question.code);
            if let Some(system) = system {
                add("system", "valueUri", system);
            }
            if let Some(version) = &question.version {
                add("systemVersion", "valueString", version);
            }
            if system.is_none() {
                json.begin_object()
                    .member("name", "inferSystem")
                    .key("valueBoolean")
                    .boolean(true)
                    .end_object();
            }
        }
        (None, system) => {
            add("url", "valueUri", system.as_deref().unwrap_or_default());
            add("code", "valueCode", &question.code);
            if let Some(version) = &question.version {
                add("version", "valueString", version);
            }
        }
    }
    json.end_array().end_object();
}

fn parse(body: &[u8], most: usize) -> Option<OwnedDocument> {
    OwnedDocument::parse_json(body, &Limits { bytes: most, ..Limits::default() }).ok()
}

/// The answer to one question; `None` where the body is no such answer.
pub(super) fn read(body: &[u8], most: usize) -> Option<Answer> {
    answer(parse(body, most)?.root())
}

/// True where a body is an OperationOutcome: the server understood, and can't say.
pub(super) fn is_outcome(body: &[u8], most: usize) -> bool {
    parse(body, most)
        .is_some_and(|document| document.root().resource_type().as_deref() == Some("OperationOutcome"))
}

/// The answers to a batch of `count` questions, in their order; `None` where the body is no answer to that batch.
/// An entry without an answer is unknown.
pub(super) fn read_batch(body: &[u8], count: usize, most: usize) -> Option<Vec<Answer>> {
    let document = parse(body, most)?;
    let root = document.root();
    let response = root.resource_type().as_deref() == Some("Bundle")
        && root.str_of(Name::of("type")).as_deref() == Some("batch-response");
    let entries: Vec<Value<'_>> = root.get(name::ENTRY).into_iter().flat_map(Value::items).collect();
    if !response || entries.len() != count {
        return None;
    }
    let of = |entry: &Value<'_>| {
        let status = entry.get(Name::of("response")).and_then(|it| it.str_of(Name::of("status")));
        let went_well = status.is_some_and(|status| status.starts_with('2'));
        let resource = entry.get(name::RESOURCE).filter(|_| went_well);
        resource.and_then(answer).unwrap_or_else(|| Answer::of(Membership::Unknown))
    };
    Some(entries.iter().map(of).collect())
}

fn answer(root: Value<'_>) -> Option<Answer> {
    if root.resource_type().as_deref() != Some("Parameters") {
        return None;
    }
    let mut result = None;
    let mut message = None;
    let mut unable = false;
    for parameter in root.get(Name::of("parameter")).into_iter().flat_map(Value::items) {
        let named = parameter.get(Name::of("name")).and_then(Value::as_str).unwrap_or_default();
        match named.as_ref() {
            "result" => result = result.or(parameter.get_key("valueBoolean").and_then(Value::as_bool)),
            "message" => {
                message = parameter.get_key("valueString").and_then(Value::as_str).map(|it| shown(&it))
            }
            "x-unknown-system" | "x-caused-by-unknown-system" => unable = true,
            "issues" => unable |= parameter.get(name::RESOURCE).is_some_and(says_unable),
            _ => {}
        }
    }
    let membership = match result? {
        true => Membership::Member,
        false if unable || message.as_deref().is_some_and(names_what_is_missing) => Membership::Unknown,
        false => Membership::NotMember,
    };
    Some(Answer { membership, message, display: None })
}

/// True where an outcome says that the server lacks what it would need to judge (code system
/// `http://hl7.org/fhir/tools/CodeSystem/tx-issue-type`).
fn says_unable(outcome: Value<'_>) -> bool {
    let issues = outcome.get(Name::of("issue")).into_iter().flat_map(Value::items);
    let codings = issues
        .filter_map(|issue| issue.get(Name::of("details"))?.get(name::CODING))
        .flat_map(Value::items)
        .filter_map(|coding| coding.str_of(name::CODE));
    let mut codes = codings;
    codes.any(|code| {
        matches!(
            &*code,
            "not-found" | "vs-invalid" | "cannot-infer" | "method-not-supported" | "invalid-data"
        )
    })
}

/// True for messages by which servers without coded issues say that the code system or value set is not theirs.
fn names_what_is_missing(message: &str) -> bool {
    let message = message.to_lowercase();
    let things = ["code system", "codesystem", "value set", "valueset"];
    things.iter().any(|thing| {
        [format!("unknown {thing}"), format!("{thing} is unknown"), format!("unable to find {thing}")]
            .iter()
            .any(|phrase| message.contains(phrase.as_str()))
    })
}

fn shown(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn question(system: Option<&str>, code: &str, value_set: Option<&str>) -> Question {
        Question {
            system: system.map(str::to_owned),
            version: None,
            code: code.to_owned(),
            display: Some("Rossi Maria".to_owned()),
            value_set: value_set.map(str::to_owned),
        }
    }

    fn text(question: &Question) -> String {
        String::from_utf8(parameters(question)).unwrap()
    }

    const MOST: usize = 1 << 20;

    #[test]
    fn a_question_is_written_without_its_display() {
        let of_set = text(&question(Some("http://loinc.org"), "8867-4", Some("http://example.org/vs|1.2")));
        assert_eq!(
            of_set,
            r#"{"resourceType":"Parameters","parameter":[{"name":"url","valueUri":"http://example.org/vs"},{"name":"valueSetVersion","valueString":"1.2"},{"name":"code","valueCode":"8867-4"},{"name":"system","valueUri":"http://loinc.org"}]}"#
        );
        let of_system = text(&Question {
            version: Some("2.77".to_owned()),
            ..question(Some("http://loinc.org"), "8867-4", None)
        });
        assert_eq!(
            of_system,
            r#"{"resourceType":"Parameters","parameter":[{"name":"url","valueUri":"http://loinc.org"},{"name":"code","valueCode":"8867-4"},{"name":"version","valueString":"2.77"}]}"#
        );
        let bare = text(&question(None, "it", Some("http://example.org/vs")));
        assert!(bare.ends_with(r#"{"name":"inferSystem","valueBoolean":true}]}"#), "{bare}");
        let both = [
            question(Some("http://loinc.org"), "1", None),
            question(None, "it", Some("http://example.org/vs")),
        ];
        let batch = String::from_utf8(batch(&both)).unwrap();
        assert!(!batch.contains("Rossi") && batch.matches("\"method\":\"POST\"").count() == 2, "{batch}");
        assert!(batch.contains("CodeSystem/$validate-code") && batch.contains("ValueSet/$validate-code"));
    }

    #[test]
    fn what_is_no_code_stays_in_the_house() {
        let loinc = Some("http://loinc.org");
        assert!(may_be_sent(&question(loinc, "8867-4", None)));
        assert!(may_be_sent(&question(Some("urn:oid:2.16.840.1.113883.6.1"), "a b", None)));
        for bad in [
            question(loinc, "", None),
            question(loinc, " 8867-4", None),
            question(loinc, "a\nb", None),
            question(loinc, &"1".repeat(200), None),
            question(Some("Mario Rossi, via Roma 1"), "1", None),
            question(Some("http://loinc.org/Mario Rossi"), "1", None),
            question(Some("loinc"), "1", None),
            question(None, "1", None),
            question(loinc, "1", Some("#contained")),
        ] {
            assert!(!may_be_sent(&bad), "{bad:?}");
        }
    }

    fn answered(parameters: &str) -> Option<Membership> {
        let body = format!(r#"{{"resourceType":"Parameters","parameter":[{parameters}]}}"#);
        read(body.as_bytes(), MOST).map(|answer| answer.membership)
    }

    #[test]
    fn a_false_for_want_of_the_code_system_is_no_answer() {
        let (yes, no) =
            (r#"{"name":"result","valueBoolean":true}"#, r#"{"name":"result","valueBoolean":false}"#);
        assert_eq!(answered(yes), Some(Membership::Member));
        assert_eq!(answered(no), Some(Membership::NotMember));
        assert_eq!(
            answered(&format!(
                r#"{no},{{"name":"message","valueString":"The code 7 was not found in the value set"}}"#
            )),
            Some(Membership::NotMember)
        );
        let issue = |code: &str| {
            format!(
                r#"{no},{{"name":"issues","resource":{{"resourceType":"OperationOutcome","issue":[{{"severity":"error","code":"not-found","details":{{"coding":[{{"code":"{code}"}}]}}}}]}}}}"#
            )
        };
        assert_eq!(answered(&issue("not-in-vs")), Some(Membership::NotMember));
        for unable in [
            issue("not-found"),
            format!(
                r#"{no},{{"name":"x-caused-by-unknown-system","valueCanonical":"http://snomed.info/sct"}}"#
            ),
            format!(
                r#"{no},{{"name":"message","valueString":"CodeSystem is unknown and can't be validated"}}"#
            ),
        ] {
            assert_eq!(answered(&unable), Some(Membership::Unknown), "{unable}");
        }
        assert_eq!(answered(""), None);
        assert_eq!(answered(r#"{"name":"result","valueString":"true"}"#), None);
        assert_eq!(read(b"<html>", MOST), None);
        assert_eq!(read(br#"{"resourceType":"OperationOutcome"}"#, MOST), None);
    }

    #[test]
    fn a_batch_is_answered_entry_by_entry_or_not_at_all() {
        let good = r#"{"resource":{"resourceType":"Parameters","parameter":[{"name":"result","valueBoolean":true}]},"response":{"status":"200 OK"}}"#;
        let bad = r#"{"resource":{"resourceType":"OperationOutcome"},"response":{"status":"404"}}"#;
        let bundle = |kind: &str, entries: &str| {
            format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entries}]}}"#).into_bytes()
        };
        let both = format!("{good},{bad}");
        let found = read_batch(&bundle("batch-response", &both), 2, MOST).unwrap();
        let found: Vec<Membership> = found.into_iter().map(|answer| answer.membership).collect();
        assert_eq!(found, [Membership::Member, Membership::Unknown]);
        assert!(read_batch(&bundle("batch-response", &both), 3, MOST).is_none());
        assert!(read_batch(&bundle("batch-response", ""), 1, MOST).is_none());
        assert!(read_batch(&bundle("searchset", &both), 2, MOST).is_none());
        assert!(read_batch(b"{}", 0, MOST).is_none());
    }
}
