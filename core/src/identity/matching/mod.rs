//! Are two records of one person? The decision behind `Patient/$match` (FHIR R4, IHE PDQm ITI-119).
//!
//! Two ways together: *deterministic*, where both records have an identifier that belongs to one person, and
//! *weighted*, where all they share is compared ([`Evidence`]). The answer is a grade, a score and the evidence.
//!
//! Invariants: without a shared identifier nothing is `certain`, since people share names and birthdays; a shared
//! identifier that the rest contradicts is no more than `possible`, since cards are lent and typed wrongly; two
//! different codici fiscali that both hold are two people until somebody says otherwise. Nothing is ever merged here.

mod evidence;
mod person;
mod spelling;

use serde::Serialize;

pub use evidence::{Agreement, Evidence, Feature, Weight, Weights};
pub use person::Person;
pub(in crate::identity) use spelling::letters;
pub(crate) use spelling::plain;

use person::CODICE_FISCALE;

/// How sure a match is (FHIR value set `match-grade`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchGrade {
    /// Two people, as far as one can tell.
    CertainlyNot,
    /// May be one person: somebody has to look.
    Possible,
    /// Most likely one person.
    Probable,
    /// One person: an identifier says so, and nothing contradicts it.
    Certain,
}

impl MatchGrade {
    /// The code in FHIR's value set.
    pub const fn as_str(self) -> &'static str {
        match self {
            MatchGrade::CertainlyNot => "certainly-not",
            MatchGrade::Possible => "possible",
            MatchGrade::Probable => "probable",
            MatchGrade::Certain => "certain",
        }
    }
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchScore {
    /// How sure it is.
    pub grade: MatchGrade,
    /// Probability that it is one person, 0 to 1: `Bundle.entry.search.score`.
    pub score: f64,
    /// What it rests on, in the order of comparison.
    pub evidence: Vec<Evidence>,
}

/// Compares records of people.
#[derive(Debug, Clone, PartialEq)]
pub struct Matcher {
    /// Canonical systems whose identifiers belong to one person each.
    pub person_systems: Vec<String>,
    /// Of those, the systems in which a person has only one value: two values are two people.
    pub exclusive_systems: Vec<String>,
    /// What each feature weighs.
    pub weights: Weights,
    /// How many people a record may be of: with nothing to go by, the odds are one to this many.
    pub population: f64,
    /// Score from which a match is probable.
    pub probable: f64,
    /// Score from which a match is possible.
    pub possible: f64,
}

impl Default for Matcher {
    /// The Italian identifiers (codice fiscale, ANPR, ANA, STP, ENI, TEAM), ten million people, probable from 0.95 and
    /// possible from 0.1.
    fn default() -> Matcher {
        let arc = |arc: &str| format!("urn:oid:2.16.840.1.113883.2.9.4.3.{arc}");
        let exclusive = vec![CODICE_FISCALE.to_owned(), "http://hl7.it/sid/anpr".to_owned()];
        let others = ["15", "17", "18", "7", "3"].map(arc);
        Matcher {
            person_systems: exclusive.iter().cloned().chain(others).collect(),
            exclusive_systems: exclusive,
            weights: Weights::default(),
            population: 10_000_000.0,
            probable: 0.95,
            possible: 0.1,
        }
    }
}

/// Bits that a shared identifier of a person weighs, and two different ones.
const IDENTIFIER: Weight = Weight { same: 30.0, alike: 0.0, different: -12.0 };
/// Contradictions of this weight in sum make a shared identifier doubtful.
const CONTRADICTION: f64 = -8.0;

impl Matcher {
    /// Compares two records. Symmetric: the order does not matter.
    pub fn compare(&self, one: &Person, other: &Person) -> MatchScore {
        let mut evidence: Vec<Evidence> = self.identifiers(one, other).into_iter().collect();
        evidence.extend(evidence::compare(one, other, &self.weights));
        let bits: f64 = evidence.iter().map(|one| one.bits).sum::<f64>() - self.population.max(1.0).log2();
        let score = 1.0 / (1.0 + (-bits).exp2());
        let weighted = if score >= self.probable {
            MatchGrade::Probable
        } else if score >= self.possible {
            MatchGrade::Possible
        } else {
            MatchGrade::CertainlyNot
        };
        let against: f64 = evidence.iter().map(|one| one.bits.min(0.0)).sum();
        let grade = match evidence.first() {
            Some(Evidence { feature: Feature::Identifier, agreement: Agreement::Same, .. }) => {
                if against > CONTRADICTION { MatchGrade::Certain } else { MatchGrade::Possible }
            }
            Some(Evidence { feature: Feature::Identifier, .. }) => MatchGrade::CertainlyNot,
            _ => weighted,
        };
        MatchScore { grade, score, evidence }
    }

    /// The candidates worth showing, best first: at most `count`, none that is certainly another person; with
    /// `only_certain`, the one that is certain, and nothing where two are (ITI-119 `onlyCertainMatches`).
    pub fn rank<'c, T>(
        &self,
        probe: &Person,
        candidates: impl IntoIterator<Item = (&'c Person, T)>,
        only_certain: bool,
        count: usize,
    ) -> Vec<(T, MatchScore)> {
        let compared = candidates.into_iter().map(|(person, key)| (key, self.compare(probe, person)));
        let least = if only_certain { MatchGrade::Certain } else { MatchGrade::Possible };
        let mut kept: Vec<_> = compared.filter(|(_, score)| score.grade >= least).collect();
        kept.sort_by(|(_, a), (_, b)| b.grade.cmp(&a.grade).then(b.score.total_cmp(&a.score)));
        if only_certain && kept.len() > 1 {
            kept.clear();
        }
        kept.truncate(count);
        kept
    }

    fn identifiers(&self, one: &Person, other: &Person) -> Option<Evidence> {
        let evidence = |agreement, bits| Evidence { feature: Feature::Identifier, agreement, bits };
        let shared = one.identifiers.iter().any(|identifier| {
            self.person_systems.contains(&identifier.0) && other.identifiers.contains(identifier)
        });
        if shared {
            return Some(evidence(Agreement::Same, IDENTIFIER.same));
        }
        let two_codes = one.codice_fiscale().zip(other.codice_fiscale()).is_some_and(|(a, b)| a != b);
        let two_values =
            self.exclusive_systems.iter().filter(|system| *system != CODICE_FISCALE).any(|system| {
                let has = |person: &Person| person.identifiers.iter().any(|(own, _)| own == system);
                has(one) && has(other)
            });
        (two_codes || two_values).then(|| evidence(Agreement::Different, IDENTIFIER.different))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};
    use proptest::prelude::*;

    use super::super::alias::IdentifierAliases;
    use super::*;

    fn person(json: &str) -> Person {
        let text = format!("{{\"resourceType\":\"Patient\",{json}}}");
        let document = OwnedDocument::parse_json(text.as_str(), &Limits::default()).unwrap();
        Person::of(document.root(), &IdentifierAliases::over_defaults([]).unwrap())
    }

    fn compare(one: &str, other: &str) -> MatchScore {
        let matcher = Matcher::default();
        let (one, other) = (person(one), person(other));
        let score = matcher.compare(&one, &other);
        assert_eq!(score, matcher.compare(&other, &one), "the order matters");
        score
    }

    const ROSSI: &str =
        r#""name":[{"family":"Rossi","given":["Mario"]}],"birthDate":"1971-05-01","gender":"male""#;

    fn with_code(system: &str, code: &str, rest: &str) -> String {
        format!(r#""identifier":[{{"system":"{system}","value":"{code}"}}],{rest}"#)
    }

    #[test]
    fn one_codice_fiscale_under_two_names_is_one_person() {
        let one = with_code("http://hl7.it/sid/codiceFiscale", "RSSMRA71E01F205E", ROSSI);
        let other =
            with_code("urn:oid:2.16.840.1.113883.2.9.4.3.2", "rssmra71e01f205e ", r#""gender":"male""#);
        assert_eq!(compare(&one, &other).grade, MatchGrade::Certain);
    }

    #[test]
    fn the_same_name_and_birthday_are_probable_and_never_certain() {
        let score = compare(ROSSI, ROSSI);
        assert_eq!(score.grade, MatchGrade::Probable);
        assert!(score.score > 0.95 && score.score < 1.0);
        let more = format!(
            r#"{ROSSI},"telecom":[{{"value":"+39 333 5550123"}}],"address":[{{"postalCode":"20121"}}]"#
        );
        assert_eq!(compare(&more, &more).grade, MatchGrade::Probable);
    }

    #[test]
    fn two_codici_fiscali_that_hold_are_two_people_omocodi_included() {
        let one = with_code("http://hl7.it/sid/codiceFiscale", "RSSMRA71E01F205E", ROSSI);
        for code in ["RSSMRA71E01F20RX", "GTWGWY82B42G920M"] {
            let omocode = crate::identity::CodiceFiscale::parse(code).unwrap();
            let held = omocode.expected_check_letter();
            let code = format!("{}{held}", &code[..15]);
            let other = with_code("http://hl7.it/sid/codiceFiscale", &code, ROSSI);
            assert_eq!(compare(&one, &other).grade, MatchGrade::CertainlyNot, "{code}");
        }
        // One that fails its check letter was mistyped: it contradicts nothing.
        let mistyped = with_code("http://hl7.it/sid/codiceFiscale", "RSSMRA71E01F205A", ROSSI);
        assert_eq!(compare(&one, &mistyped).grade, MatchGrade::Probable);
    }

    #[test]
    fn a_card_that_was_lent_is_for_somebody_to_look_at() {
        let one = with_code("http://hl7.it/sid/codiceFiscale", "RSSMRA71E01F205E", ROSSI);
        let stranger =
            r#""name":[{"family":"Bianchi","given":["Lucia"]}],"birthDate":"1990-11-30","gender":"female""#;
        let other = with_code("http://hl7.it/sid/codiceFiscale", "RSSMRA71E01F205E", stranger);
        assert_eq!(compare(&one, &other).grade, MatchGrade::Possible);
    }

    #[test]
    fn slips_are_told_from_other_people() {
        let grade = |other: &str| compare(ROSSI, other).grade;
        let slip =
            r#""name":[{"family":"ROSSI","given":["Mario Luigi"]}],"birthDate":"1971-01-05","gender":"male""#;
        assert_eq!(grade(slip), MatchGrade::Possible);
        let brother =
            r#""name":[{"family":"Rossi","given":["Paolo"]}],"birthDate":"1975-02-11","gender":"male""#;
        assert_eq!(grade(brother), MatchGrade::CertainlyNot);
        assert_eq!(grade(r#""name":[{"family":"Rossi"}]"#), MatchGrade::CertainlyNot);
        assert_eq!(grade(r#""active":true"#), MatchGrade::CertainlyNot);
    }

    #[test]
    fn two_certain_matches_are_none() {
        let matcher = Matcher::default();
        let probe = person(&with_code("http://hl7.it/sid/codiceFiscale", "RSSMRA71E01F205E", ROSSI));
        let (a, b) = (probe.clone(), probe.clone());
        assert_eq!(matcher.rank(&probe, [(&a, "a")], true, 10).len(), 1);
        assert!(matcher.rank(&probe, [(&a, "a"), (&b, "b")], true, 10).is_empty());
        assert_eq!(matcher.rank(&probe, [(&a, "a"), (&b, "b")], false, 1).len(), 1);
    }

    #[test]
    fn the_evidence_names_no_value() {
        let score = compare(ROSSI, ROSSI);
        let text: Vec<String> = score.evidence.iter().map(ToString::to_string).collect();
        assert!(text.contains(&"date of birth: the same (+14.6 bits)".to_owned()), "{text:?}");
        assert!(!text.join(" ").contains("Rossi") && !format!("{:?}", person(ROSSI)).contains("ROSSI"));
    }

    proptest! {
        #[test]
        fn any_names_compare(one in "\\PC{0,30}", other in "\\PC{0,30}") {
            let (mut a, mut b) = (Person::default(), Person::default());
            a.family(&one);
            a.given(&one);
            b.family(&other);
            b.given(&other);
            let score = Matcher::default().compare(&a, &b);
            prop_assert!((0.0..=1.0).contains(&score.score));
            prop_assert!(score.grade < MatchGrade::Certain);
        }
    }
}
