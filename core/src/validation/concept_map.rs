//! A ConceptMap's codes: from the source, to the target, and as its equivalences say (FHIR R4 §4.11).

use fhir_models::document::{Value, name};

use crate::outcome::IssueType;
use crate::terminology::{Code, Membership};

use super::profile::plain;
use super::value_set::{broken, doubtful, has_code, is_edition};
use super::walk::Walk;

/// Most codes of one map that are looked at.
const MOST_CODES: usize = 20_000;

/// One side of a map.
struct Side<'t> {
    /// Its value set.
    canonical: Option<&'t str>,
    system: Option<&'t str>,
    version: Option<&'t str>,
    word: &'static str,
}

/// Checks a ConceptMap.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, map: Value<'d>) {
    let text = |holder: Value<'d>, key: &str| holder.get_key(key).and_then(Value::as_str);
    let canonical =
        |stem: &str| text(map, &[stem, "Canonical"].concat()).or_else(|| text(map, &[stem, "Uri"].concat()));
    let (source_set, target_set) = (canonical("source"), canonical("target"));
    let mut left = MOST_CODES;
    for group in map.get_key("group").into_iter().flat_map(Value::items) {
        let (source, target) = (text(group, "source"), text(group, "target"));
        let (source_version, target_version) = (text(group, "sourceVersion"), text(group, "targetVersion"));
        let from = Side {
            canonical: source_set.as_deref(),
            system: source.as_deref(),
            version: source_version.as_deref(),
            word: "source",
        };
        let to = Side {
            canonical: target_set.as_deref(),
            system: target.as_deref(),
            version: target_version.as_deref(),
            word: "target",
        };
        for element in group.get(name::ELEMENT).into_iter().flat_map(Value::items) {
            if walk.full || left == 0 {
                return;
            }
            left -= 1;
            coded(walk, element, &from);
            for mapped in element.get_key("target").into_iter().flat_map(Value::items) {
                left = left.saturating_sub(1);
                let equivalence = text(mapped, "equivalence");
                if equivalence.as_deref() == Some("unmatched") && mapped.get(name::CODE).is_some() {
                    let message = "unmatched says that the target has no such concept: leave out the code";
                    doubtful(walk, mapped, message);
                    continue;
                }
                coded(walk, mapped, &to);
            }
        }
    }
}

/// A code of one side is one of its system, and of its value set where that is at hand.
fn coded<'d>(walk: &mut Walk<'_, 'd>, holder: Value<'d>, side: &Side<'_>) {
    let Some((place, code)) = holder.get(name::CODE).and_then(|it| Some((it, it.as_str()?))) else { return };
    let Some(system) = side.system else { return };
    if has_code(&walk.codes, system, side.version, &code) == Membership::NotMember {
        let message =
            format!("the {} code system {} has no code {:?}", side.word, plain(system), plain(&code));
        // Maps are often between versions of a code system, and built in is one.
        if is_edition(&walk.codes, system) {
            return doubtful(walk, place, message);
        }
        return broken(walk, place, IssueType::CodeInvalid, message);
    }
    let Some(canonical) = side.canonical else { return };
    let asked = Code { system: Some(system), version: side.version, code: &code };
    if walk.codes.in_value_set_of(canonical, asked) == Membership::NotMember {
        let message =
            format!("the {} value set {} has no code {:?}", side.word, plain(canonical), plain(&code));
        // The source value set contains what is mapped; the target's is context (FHIR R4 ConceptMap.target[x]).
        if side.word == "target" || is_edition(&walk.codes, system) {
            doubtful(walk, place, message);
        } else {
            broken(walk, place, IssueType::CodeInvalid, message);
        }
    }
}
