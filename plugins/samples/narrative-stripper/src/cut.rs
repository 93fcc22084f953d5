//! Finds the members to cut.

use varco_plugin::json::{Edit, Step, Value, rewrite};

pub use varco_plugin::json::NotJson;

/// Which kinds of free text stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// `text`, where it is a Narrative.
    pub narrative: bool,
    /// `note`.
    pub note: bool,
    /// `display`.
    pub display: bool,
}

impl Kept {
    /// Reads the array `keep` of the settings, whose shape the manifest's `settings_schema` has checked.
    pub fn from_settings(settings: &str) -> Self {
        let keep = Value::new(settings.as_bytes()).ok().and_then(|settings| settings.get("keep"));
        let names = keep.map(Value::items).unwrap_or_default();
        let keeps = |name: &str| names.iter().any(|own| own.as_str().as_deref() == Some(name));
        Self { narrative: keeps("text"), note: keeps("note"), display: keeps("display") }
    }
}

/// The body without its free text, or nothing where there was none to cut.
pub fn free_text(body: &[u8], kept: Kept) -> Result<Option<Vec<u8>>, NotJson> {
    rewrite(body, |place, value| {
        let is_free = match place.steps().last() {
            Some(Step::Name(name)) => match &**name {
                "text" => !kept.narrative && value.is_object(),
                "note" => !kept.note,
                "display" | "_display" => !kept.display,
                _ => false,
            },
            _ => false,
        };
        if is_free { Edit::Cut } else { Edit::Enter }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn stripped(body: &str) -> String {
        let rest = free_text(body.as_bytes(), Kept::default()).unwrap();
        rest.map_or_else(|| body.to_owned(), |rest| String::from_utf8(rest).unwrap())
    }

    #[test]
    fn narratives_go_and_the_text_of_a_concept_stays() {
        assert_eq!(
            stripped(r#"{"text":{"div":"<div/>"},"code":{"text":"Glucose"}}"#),
            r#"{"code":{"text":"Glucose"}}"#
        );
    }

    #[test]
    fn commas_stay_right_wherever_the_cut_is() {
        for (body, expected) in [
            (r#"{"note":[],"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":1,"note":[]}"#, r#"{"a":1}"#),
            (r#"{"a":1,"note":[],"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"note":[],"display":"x","a":1,"display":"y","b":2}"#, r#"{"a":1,"b":2}"#),
            ("{\n  \"note\": [],\n  \"a\": 1\n}", "{\n  \"a\": 1\n}"),
            ("{\n  \"a\": 1,\n  \"note\": []\n}", "{\n  \"a\": 1\n}"),
        ] {
            assert_eq!(stripped(body), expected, "{body}");
        }
    }

    #[test]
    fn an_element_that_loses_everything_goes_with_its_array() {
        assert_eq!(stripped(r#"{"a":1,"performer":[{"display":"Dr. Bianchi"}]}"#), r#"{"a":1}"#);
        assert_eq!(
            stripped(
                r#"{"performer":[{"display":"x"},{"reference":"Practitioner/1","display":"y"},{"display":"z"}]}"#
            ),
            r#"{"performer":[{"reference":"Practitioner/1"}]}"#
        );
    }

    #[test]
    fn every_entry_and_contained_resource_of_a_bundle_is_stripped() {
        assert_eq!(
            stripped(
                r#"{"entry":[{"resource":{"id":"1","text":{"div":"x"}}},{"resource":{"id":"2","contained":[{"id":"3","text":{"div":"x"}}]}}]}"#
            ),
            r#"{"entry":[{"resource":{"id":"1"}},{"resource":{"id":"2","contained":[{"id":"3"}]}}]}"#
        );
    }

    #[test]
    fn an_escaped_name_is_the_same_name() {
        assert_eq!(stripped(r#"{"a":1,"te\u0078t":{"div":"x"},"\u006eote":"y"}"#), r#"{"a":1}"#);
        assert_eq!(stripped(r#"{"a":1,"te\nt":{"div":"x"}}"#), r#"{"a":1,"te\nt":{"div":"x"}}"#);
    }

    #[test]
    fn what_stays_is_not_reprinted() {
        let body = r#"{ "v" : 1.500e0 , "s":"a\/b\u00e8" , "note":1 }"#;
        assert_eq!(stripped(body), r#"{ "v" : 1.500e0 , "s":"a\/b\u00e8"  }"#);
    }

    #[test]
    fn broken_text_is_an_error_and_never_a_panic() {
        let body = r#"{"a":[1,{"note":[{"text":"x"}],"b":"\u00e8\""}],"text":{"div":"y"}}"#;
        for end in 0..body.len() {
            assert_eq!(
                free_text(body.get(..end).unwrap().as_bytes(), Kept::default()),
                Err(NotJson),
                "{end}"
            );
        }
        assert_eq!(free_text(b"{} {}", Kept::default()), Err(NotJson));
        assert_eq!(free_text("[".repeat(100_000).as_bytes(), Kept::default()), Err(NotJson));
    }

    #[test]
    fn settings_name_what_stays() {
        assert_eq!(Kept::from_settings("{}"), Kept::default());
        assert_eq!(
            Kept::from_settings(r#"{"other": {"x": 1}, "keep": ["display", "note"]}"#),
            Kept { narrative: false, note: true, display: true }
        );
        let kept = Kept { display: true, ..Kept::default() };
        assert_eq!(free_text(br#"{"code":{"display":"x"}}"#, kept), Ok(None));
    }
}
