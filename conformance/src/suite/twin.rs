//! Two worlds that differ in one thing: in the first a hidden resource exists, in its twin it does not. A caller
//! without the right to it must get the same answer in both.
//!
//! Compared are status, protocol, the headers that are there, and the body's very text, spaces and digits included
//! (and with it total, entries, their order, links and size). Taken out first, inside JSON strings and headers alone:
//! the values of variables, each by its name, since two servers give different ids; and what the suite names in `twin`.
//! How long an answer takes is not compared.

use super::evidence::{CheckResult, ResponseEvidence};
use super::model::TwinRules;
use super::variables::Variables;

/// Stands for a text that may differ: no JSON text or header holds this character.
const OPEN: char = '\u{1}';

/// Compares the answers of the two worlds.
pub(super) fn same_in_twin(
    rules: &TwinRules,
    first: (&ResponseEvidence, &Variables),
    twin: (&ResponseEvidence, &Variables),
) -> CheckResult {
    let found = difference(rules, first, twin);
    let expected = "the answer is the same in both worlds".to_owned();
    CheckResult { expected, passed: found.is_none(), found }
}

fn difference(
    rules: &TwinRules,
    (first, first_variables): (&ResponseEvidence, &Variables),
    (twin, twin_variables): (&ResponseEvidence, &Variables),
) -> Option<String> {
    if first.status != twin.status {
        return Some(format!("the status is {}, and {} in the twin world", first.status, twin.status));
    }
    if first.protocol != twin.protocol {
        return Some(format!("the protocol is {}, and {} in the twin world", first.protocol, twin.protocol));
    }
    let (left, right) = (Blur::new(rules, first_variables), Blur::new(rules, twin_variables));
    let (ours, theirs) = (left.headers(first), right.headers(twin));
    for (one, other, place) in [(&ours, &theirs, "first"), (&theirs, &ours, "twin")] {
        if let Some((name, _)) = one.iter().find(|(name, _)| !other.iter().any(|(own, _)| own == name)) {
            return Some(format!("the header {name} is there in the {place} world alone"));
        }
    }
    if ours.len() != theirs.len() {
        return Some(format!("there are {} headers, and {} in the twin world", ours.len(), theirs.len()));
    }
    if let Some(((name, _), _)) = ours.iter().zip(&theirs).find(|(own, their)| own != their) {
        return Some(format!("the header {name} differs"));
    }
    let (ours, theirs) = (left.json(&first.body), right.json(&twin.body));
    if ours == theirs {
        return None;
    }
    let same = ours.chars().zip(theirs.chars()).take_while(|(own, their)| own == their).count();
    let around = |text: &str| -> String {
        let shown = text.chars().skip(same.saturating_sub(40)).take(100);
        shown.map(|letter| if letter.is_control() { '…' } else { letter }).collect()
    };
    Some(format!(
        "the body differs from character {} on: first {}, twin {}",
        same + 1,
        around(&ours),
        around(&theirs)
    ))
}

/// What is taken out of one world's answers.
struct Blur<'a> {
    rules: &'a TwinRules,
    /// Values and names of variables, longest value first.
    variables: Vec<(&'a str, &'a str)>,
}

impl<'a> Blur<'a> {
    fn new(rules: &'a TwinRules, variables: &'a Variables) -> Blur<'a> {
        let mut variables: Vec<_> = variables
            .all()
            .map(|(name, value)| (value, name))
            .filter(|(value, _)| !value.is_empty())
            .collect();
        variables.sort_by_key(|(value, name)| (std::cmp::Reverse(value.len()), *name));
        Blur { rules, variables }
    }

    /// The headers by name, sorted; those that may differ without their values.
    fn headers(&self, response: &ResponseEvidence) -> Vec<(String, String)> {
        let excepted = |name: &str| {
            name == "date" || self.rules.except_headers.iter().any(|own| own.eq_ignore_ascii_case(name))
        };
        let own = response.headers.iter().map(|(name, value)| {
            let value = if excepted(name) { String::new() } else { self.text(value) };
            (name.to_ascii_lowercase(), value)
        });
        let mut found: Vec<_> = own.collect();
        found.sort();
        found
    }

    /// A body, with the texts inside its quotes blurred. What stands outside of quotes stays as it is.
    fn json(&self, body: &str) -> String {
        let mut out = String::with_capacity(body.len());
        let mut rest = body;
        let mut member = "";
        while let Some((before, after)) = rest.split_once('"') {
            out.push_str(before);
            let text = &after[..end_of_string(after)];
            rest = after.get(text.len() + 1..).unwrap_or_default();
            out.push('"');
            if rest.trim_start().starts_with(':') {
                member = text;
                out.push_str(text);
            } else if self.rules.except_members.iter().any(|own| own == member) {
                out.push(OPEN);
            } else {
                out.push_str(&self.text(text));
            }
            out.push('"');
        }
        out.push_str(rest);
        out
    }

    /// A text with its variables by name, and without what follows the marks of `cut-after`.
    fn text(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for mark in self.rules.cut_after.iter().filter(|mark| !mark.is_empty()) {
            let mut from = 0;
            while let Some(found) = out.get(from..).and_then(|rest| rest.find(mark.as_str())) {
                let begin = from + found + mark.len();
                let end = out[begin..].find('&').map_or(out.len(), |length| begin + length);
                out.replace_range(begin..end, &OPEN.to_string());
                from = begin + OPEN.len_utf8();
            }
        }
        for (value, name) in &self.variables {
            out = replace_whole(&out, value, &format!("{OPEN}{name}{OPEN}"));
        }
        out
    }
}

/// The length of a JSON string whose opening quote was just read, without its closing quote.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    text.len()
}

/// Replaces a value where it stands for itself: not inside a longer word or number, unless it is no word itself.
fn replace_whole(text: &str, value: &str, by: &str) -> String {
    if value.contains("://") {
        return text.replace(value, by);
    }
    let word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric());
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let (before, after) = (&rest[..at], &rest[at + value.len()..]);
        let joined_before = word(before.chars().next_back().or_else(|| out.chars().next_back()))
            && word(value.chars().next());
        let joined_after = word(value.chars().next_back()) && word(after.chars().next());
        out.push_str(before);
        out.push_str(if joined_before || joined_after { value } else { by });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> TwinRules {
        serde_json::from_str(
            r#"{"except-headers":["X-Request-Id"],"except-members":["lastUpdated"],"cut-after":["_page="]}"#,
        )
        .unwrap()
    }

    fn world(id: &str, base: &str) -> Variables {
        let mut variables = Variables::default();
        variables.set("seen", id);
        variables.set("base", base);
        variables
    }

    fn answer(id: &str, base: &str, total: u32, more: &str) -> ResponseEvidence {
        let body = format!(
            r#"{{"total":{total},"link":[{{"url":"{base}/Observation?_page={id}x&a=1"}}],"entry":[{{"fullUrl":"{base}/Observation/{id}",
            "resource":{{"id":"{id}","meta":{{"lastUpdated":"{id}{base}"}}}}}}{more}]}}"#
        );
        let headers = vec![
            ("date".to_owned(), id.to_owned()),
            ("x-request-id".to_owned(), id.to_owned()),
            ("location".to_owned(), format!("{base}/Observation/{id}")),
        ];
        ResponseEvidence { status: 200, protocol: "HTTP/1.1".to_owned(), headers, body }
    }

    fn found(first: &ResponseEvidence, twin: &ResponseEvidence) -> Option<String> {
        let worlds = (world("12", "http://a.test/fhir"), world("9f-33", "http://b.test:8/fhir"));
        same_in_twin(&rules(), (first, &worlds.0), (twin, &worlds.1)).found
    }

    #[test]
    fn ids_bases_times_and_seals_tell_nothing() {
        let first = answer("12", "http://a.test/fhir", 12, "");
        assert_eq!(found(&first, &answer("9f-33", "http://b.test:8/fhir", 12, "")), None);
    }

    #[test]
    fn each_trace_is_found() {
        let twin = answer("9f-33", "http://b.test:8/fhir", 12, "");
        let first = |total, more| answer("12", "http://a.test/fhir", total, more);
        let told = |first: &ResponseEvidence| found(first, &twin).unwrap();
        assert!(told(&first(13, "")).contains("the body differs from character 11 on"));
        for more in [",{}", " ", r#",{"a":"12"}"#] {
            assert!(told(&first(12, more)).contains("the body differs"), "{more}");
        }
        let mut other = first(12, "");
        other.status = 404;
        assert_eq!(told(&other), "the status is 404, and 200 in the twin world");
        let mut other = first(12, "");
        other.headers.push(("etag".to_owned(), "W/\"1\"".to_owned()));
        assert_eq!(told(&other), "the header etag is there in the first world alone");
        let mut other = first(12, "");
        other.headers.remove(1);
        assert_eq!(told(&other), "the header x-request-id is there in the twin world alone");
        let mut other = first(12, "");
        other.headers[2].1.push('5');
        assert_eq!(told(&other), "the header location differs");
    }

    #[test]
    fn a_value_counts_only_where_it_stands_alone() {
        assert_eq!(replace_whole("12 a12 Patient/12, 12", "12", "#"), "# a12 Patient/#, #");
        assert_eq!(replace_whole("1212", "12", "#"), "1212");
        assert_eq!(replace_whole("http://a.test/fhirx", "http://a.test/fhir", "#"), "#x");
    }

    proptest! {
        #[test]
        fn any_body_is_compared_and_is_the_same_as_itself(body in "[a\"\\\\:,{}12 _page=&é]{0,40}") {
            let mut first = answer("12", "http://a.test/fhir", 1, "");
            first.body = body;
            let variables = world("12", "x");
            prop_assert_eq!(same_in_twin(&rules(), (&first, &variables), (&first, &variables)).found, None);
        }
    }
}
