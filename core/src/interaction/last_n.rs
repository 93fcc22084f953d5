//! `Observation/$lastn` (FHIR R4, operation `Observation-lastn`): the most recent observations of each code.

use std::collections::HashMap;

use fhir_models::document::{Value, name};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::care_range::dates;
use super::error::{InteractionError, ShownName};
use super::headers::Handling;
use super::id::ResourceType;
use super::pairs::Pair;
use super::schema::SearchSchema;
use super::search::{Once, Search};

/// The most observations of one code that may be asked for.
const MOST: u32 = 1_000;

/// Parameters that look at a code, one of which must be given.
const CODED: &[&str] = &[
    "category",
    "code",
    "code-value-concept",
    "code-value-date",
    "code-value-quantity",
    "code-value-string",
    "combo-code",
    "combo-code-value-concept",
    "combo-code-value-quantity",
    "component-code",
    "component-code-value-concept",
    "component-code-value-quantity",
];

/// The last observations that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastN {
    /// Which observations are looked at: criteria, and `_count` for the pages.
    pub search: Search,
    /// `max`: how many of each code, at least 1.
    pub max: u32,
}

impl LastN {
    pub(super) fn parse(
        schema: &SearchSchema,
        resource_type: ResourceType,
        pairs: Vec<Pair>,
    ) -> Result<LastN, InteractionError> {
        let mut once = Once::default();
        let mut max = 1;
        let mut rest = Vec::with_capacity(pairs.len());
        for pair in pairs {
            if pair.name != "max" {
                rest.push(pair);
                continue;
            }
            once.see("max")?;
            let number = pair.value.parse().ok().filter(|max| (1..=MOST).contains(max));
            let expected = "a number from 1 to 1000";
            max =
                number.ok_or_else(|| InteractionError::BadValue { name: ShownName::of("max"), expected })?;
        }
        let search = Search::parse(schema, resource_type, &rest, Handling::Strict)?;
        let Search { includes, sort, summary, elements, total, .. } = &search;
        for (given, name) in [
            (!includes.is_empty(), "_include"),
            (!sort.is_empty(), "_sort"),
            (summary.is_some(), "_summary"),
            (!elements.is_empty(), "_elements"),
            (total.is_some(), "_total"),
        ] {
            if given {
                return Err(InteractionError::ParameterNotServed(ShownName::of(name)));
            }
        }
        let has = |names: &[&str]| {
            let plain =
                |own: &super::Criterion| own.modifier().is_none_or(|modifier| modifier.code() != "missing");
            search.criteria.iter().any(|own| names.contains(&own.name()) && plain(own))
        };
        if !has(&["patient", "subject"]) || !has(CODED) {
            return Err(InteractionError::Needs(
                "$lastn",
                "`patient` or `subject`, and `category` or `code`",
            ));
        }
        Ok(LastN { search, max })
    }

    /// The parameters as they were understood, with this `_count`.
    pub(super) fn query(&self, page_size: Option<u32>) -> String {
        format!("max={}&{}", self.max, self.search.query(page_size))
    }

    /// The parameters as they were understood, with the caller's own `_count`.
    pub fn self_query(&self) -> String {
        self.query(self.search.count)
    }

    /// Which of these observations are the last of their code, most recent first. Those that are as recent as the
    /// last one that is asked for belong to them; one that does not say when it was made is older than all that do.
    ///
    /// Codings with the same system and code are one code, and all codings of an observation mean the same; a code
    /// without codings is its text.
    pub fn last(&self, observations: &[Value<'_>], zone: &TimeZone) -> Vec<usize> {
        let max = usize::try_from(self.max).unwrap_or(usize::MAX);
        let made: Vec<Option<Timestamp>> = observations.iter().map(|own| effective(*own, zone)).collect();
        let time = |at: usize| made.get(at).copied().flatten();
        let mut groups: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, group) in grouped(observations).into_iter().enumerate() {
            groups.entry(group).or_default().push(at);
        }
        let mut last: Vec<usize> = Vec::new();
        for mut group in groups.into_values() {
            group.sort_by_key(|at| std::cmp::Reverse(time(*at)));
            let oldest = group.get(max.saturating_sub(1)).map(|at| time(*at));
            last.extend(group.into_iter().filter(|at| oldest.is_none_or(|oldest| time(*at) >= oldest)));
        }
        last.sort_by(|one, other| time(*other).cmp(&time(*one)).then(one.cmp(other)));
        last
    }
}

/// When an observation was made: the end of a period, the last event of a timing.
fn effective(observation: Value<'_>, zone: &TimeZone) -> Option<Timestamp> {
    let forms = ["effectiveDateTime", "effectiveInstant", "effectivePeriod", "effectiveTiming"];
    let value = forms.iter().find_map(|form| observation.get_key(form))?;
    let plain = value.as_str().is_some();
    dates(value, zone)
        .into_iter()
        .filter_map(|(first, last)| if plain { first } else { last.or(first) })
        .max()
}

/// The group of each observation, as the place of one of its members.
fn grouped(observations: &[Value<'_>]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..observations.len()).collect();
    let mut first: HashMap<(String, String), usize> = HashMap::new();
    for (at, observation) in observations.iter().enumerate() {
        for key in keys(*observation) {
            let other = *first.entry(key).or_insert(at);
            let (one, other) = (root(&mut parents, at), root(&mut parents, other));
            if let Some(parent) = parents.get_mut(one) {
                *parent = other;
            }
        }
    }
    (0..observations.len()).map(|at| root(&mut parents, at)).collect()
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while let Some(&parent) = parents.get(at).filter(|parent| **parent != at) {
        let above = parents.get(parent).copied().unwrap_or(parent);
        if let Some(own) = parents.get_mut(at) {
            *own = above;
        }
        at = above;
    }
    at
}

/// What an observation is grouped by: the system and code of its codings, else its text.
fn keys(observation: Value<'_>) -> Vec<(String, String)> {
    let Some(code) = observation.get(name::CODE) else { return vec![(String::new(), String::new())] };
    let text = |value: Value<'_>, member| value.str_of(member).unwrap_or_default().into_owned();
    let codings = code.get(name::CODING).into_iter().flat_map(Value::items);
    let coded: Vec<(String, String)> = codings
        .filter(|coding| coding.get(name::CODE).is_some())
        .map(|coding| (format!("|{}", text(coding, name::SYSTEM)), text(coding, name::CODE)))
        .collect();
    if coded.is_empty() { vec![(String::new(), text(code, name::TEXT))] } else { coded }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};
    use proptest::prelude::*;

    use super::*;
    use crate::interaction::{Interaction, ParameterKind, SearchParameter};

    fn schema() -> SearchSchema {
        SearchSchema::new(["Observation", "Patient"], |_| {
            let patient = SearchParameter::new("patient", ParameterKind::Reference).leading_to(&["Patient"]);
            vec![patient, SearchParameter::new("code", ParameterKind::Token)]
        })
    }

    fn asked(query: &str) -> Result<LastN, InteractionError> {
        match Interaction::parse("GET", "/Observation/$lastn", Some(query), None, &schema())? {
            Interaction::LastN(own) => Ok(own),
            other => panic!("{other}"),
        }
    }

    fn observation(codes: &str, text: &str, at: &str) -> String {
        let codings: Vec<String> =
            codes.chars().map(|code| format!(r#"{{"system":"s","code":"{code}"}}"#)).collect();
        let at = if at.is_empty() { String::new() } else { format!(r#","effectiveDateTime":"{at}""#) };
        format!(
            r#"{{"resourceType":"Observation","code":{{"coding":[{}],"text":"{text}"}}{at}}}"#,
            codings.join(",")
        )
    }

    fn last(max: u32, observations: &[String]) -> Vec<usize> {
        let own = asked(&format!("patient=p1&code=x&max={max}")).unwrap();
        let parse = |text: &String| OwnedDocument::parse_json(text.as_str(), &Limits::default()).unwrap();
        let documents: Vec<OwnedDocument> = observations.iter().map(parse).collect();
        own.last(&documents.iter().map(|own| own.root()).collect::<Vec<_>>(), &TimeZone::UTC)
    }

    #[test]
    fn a_subject_and_a_code_are_needed() {
        let own = asked("patient=Patient/p1&code=x&max=3&_count=2").unwrap();
        assert_eq!((own.max, own.search.count), (3, Some(2)));
        assert_eq!(asked(&own.self_query()), Ok(own));
        assert_eq!(asked("patient=p1&code=x").unwrap().max, 1);
        for bad in [
            "",
            "patient=p1",
            "code=x",
            "patient:missing=false&code=x",
            "patient=p1&code=x&max=0",
            "patient=p1&code=x&max=2&max=2",
            "patient=p1&code=x&_sort=code",
            "patient=p1&code=x&_include=Observation:patient",
            "patient=p1&code=x&nothing=1",
        ] {
            assert_eq!(asked(bad).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn codes_are_one_group_where_some_observation_says_so() {
        let groups = |codes: &[(&str, &str)]| {
            let all: Vec<String> = codes
                .iter()
                .enumerate()
                .map(|(at, (codes, text))| observation(codes, text, &format!("20{at:02}")))
                .collect();
            last(1, &all).len()
        };
        assert_eq!(groups(&[("a", ""), ("b", ""), ("c", "")]), 3);
        assert_eq!(groups(&[("a", ""), ("b", ""), ("ac", "")]), 2);
        assert_eq!(groups(&[("a", ""), ("b", ""), ("ab", "")]), 1);
        assert_eq!(groups(&[("ab", ""), ("cd", ""), ("ef", ""), ("bc", ""), ("fd", "")]), 1);
        assert_eq!(groups(&[("", "text"), ("", "Text"), ("", "t e x t"), ("", "text")]), 3);
        assert_eq!(groups(&[("a", "x"), ("", "x")]), 2);
    }

    #[test]
    fn the_most_recent_come_first_and_ties_are_kept() {
        let all: Vec<String> =
            [("a", "2026-01-01"), ("b", "2026-02-01"), ("a", "2026-03-01"), ("a", ""), ("a", "2026-01-01")]
                .map(|(code, at)| observation(code, "", at))
                .into();
        assert_eq!(last(1, &all), [2, 1]);
        assert_eq!(last(2, &all), [2, 1, 0, 4]);
        assert_eq!(last(3, &all), [2, 1, 0, 4]);
        assert_eq!(last(4, &all), [2, 1, 0, 4, 3]);
        let period = r#"{"resourceType":"Observation","code":{"text":"p"},"effectivePeriod":{"start":"2020","end":"2026-05-01"}}"#;
        assert_eq!(last(1, &[all[2].clone(), period.to_owned()]), [1, 0]);
        assert_eq!(last(1, &[]), [0; 0]);
    }

    proptest! {
        /// Held against the obvious way: groups joined until nothing changes, each counted by itself.
        #[test]
        fn the_last_are_those_of_an_obvious_evaluation(
            all in prop::collection::vec(("[a-e]{0,3}", 0..5_u8), 0..12), max in 1..4_u32,
        ) {
            let texts: Vec<String> = all.iter().map(|(codes, day)| {
                observation(codes, "t", &if *day == 0 { String::new() } else { format!("2026-01-0{day}") })
            }).collect();
            let mut group: Vec<usize> = (0..all.len()).collect();
            for _ in 0..all.len() {
                for one in 0..all.len() {
                    for other in 0..all.len() {
                        let (a, b) = (&all[one].0, &all[other].0);
                        let same = a.is_empty() && b.is_empty() || a.chars().any(|code| b.contains(code));
                        if same {
                            group[one] = group[one].min(group[other]);
                        }
                    }
                }
            }
            let mut expected: Vec<usize> = (0..all.len()).filter(|&at| {
                let newer = (0..all.len()).filter(|&own| group[own] == group[at] && all[own].1 > all[at].1).count();
                newer < max as usize
            }).collect();
            let mut found = last(max, &texts);
            prop_assert!(found.windows(2).all(|pair| all[pair[0]].1 >= all[pair[1]].1));
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
