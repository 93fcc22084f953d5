//! Codings by their code system: the system is one, it has the code, and the display is one of the code's
//! (FHIR R4 §2.24.0.5, §4.1).
//!
//! Only a code system that is here whole can say that a code is wrong.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use fhir_models::definition::{CodeRules, CodeSystem, Concept, Definitions};
use fhir_models::document::{Value, name};

use crate::outcome::{IssueSeverity, IssueType};
use crate::terminology::{Code, Membership, rules, snomed};

use super::extension::is_absolute;
use super::finding::{Fault, Rule};
use super::memo::Memo;
use super::tongue;
use super::walk::Walk;

/// Most systems remembered: names from instances must not grow memory without bound.
const MOST: usize = 4_096;

/// Most codes among which a display is looked for.
const MOST_CODES: usize = 5_000;

/// Longest display remembered, in bytes.
const LONGEST_KEPT: usize = 128;

/// What a canonical in `Coding.system` stands for.
#[derive(Debug, Clone)]
enum System {
    /// A code system, and how bad a code outside it is.
    Known(Arc<CodeSystem>, IssueSeverity),
    /// One that is no list at hand, but has rules.
    Ruled,
    ValueSet,
    Unknown,
}

/// The systems asked for so far.
#[derive(Debug)]
pub(super) struct Systems {
    known: RwLock<HashMap<Box<str>, System>>,
    /// Systems that nobody here knows.
    unknown: Memo<1, ()>,
    /// Codings in which nothing is wrong: system, code, display.
    fine: Memo<3, ()>,
    /// Codes that the rules of their system have nothing against: system, code. A server may know better.
    formed: Memo<2, ()>,
    /// Displays in another language: no names of the system's codes. System, its version, display.
    foreign: Memo<3, ()>,
}

impl Default for Systems {
    fn default() -> Systems {
        Systems {
            known: RwLock::default(),
            unknown: Memo::new(256),
            fine: Memo::new(2_048),
            formed: Memo::new(2_048),
            foreign: Memo::new(2_048),
        }
    }
}

impl Systems {
    fn get(&self, definitions: &Definitions, url: &str) -> System {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(url) {
            return known.clone();
        }
        let found = match definitions.code_system(url) {
            Some(system) if system.concepts.is_empty() && rules::are_for(url) => System::Ruled,
            Some(system) => {
                // The editions built in are not those that a resource was written for: that calls for a
                // second look. Whoever brings a code system means it.
                let built_in =
                    Definitions::r4().code_system(url).is_some_and(|own| Arc::ptr_eq(&own, &system));
                let severity = if built_in { IssueSeverity::Warning } else { IssueSeverity::Error };
                System::Known(system, severity)
            }
            None if rules::are_for(url) => System::Ruled,
            None if definitions.resource_of_type("ValueSet", url).is_some() => System::ValueSet,
            None => System::Unknown,
        };
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST {
            all.insert(url.into(), found.clone());
        }
        found
    }
}

/// What is known of a Coding after a look at it.
enum Look {
    /// Its code system is unknown.
    Unknown,
    /// The system has the code and gives it this display.
    Fine,
    /// The system is no list at hand, and its rules have nothing against the code.
    Formed,
    /// Anything else.
    Other,
}

/// Checks a Coding.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, coding: Value<'d>) {
    let systems = walk.types.systems();
    let texts = coding.plain_texts([name::SYSTEM, name::CODE, name::DISPLAY]);
    let Some([system, code, display]) = texts else {
        if coding.str_of(name::DISPLAY).is_some_and(|it| is_damaged(&it)) {
            damaged(walk, coding);
        }
        judge(walk, coding);
        return;
    };
    if is_damaged(display) {
        damaged(walk, coding);
    }
    // Of an unknown system a server may know something.
    let alone = walk.codes.answers().is_none();
    if system.is_empty()
        || (alone && systems.unknown.get([system]).is_some())
        || (alone && systems.formed.get([system, code]).is_some())
        || systems.fine.get([system, code, display]).is_some()
    {
        return;
    }
    match judge(walk, coding) {
        Look::Unknown if alone => systems.unknown.keep([system], ()),
        Look::Formed if alone => systems.formed.keep([system, code], ()),
        Look::Fine => systems.fine.keep([system, code, display], ()),
        Look::Unknown | Look::Formed | Look::Other => {}
    }
}

/// Checks the coded unit of a Quantity.
pub(super) fn unit<'d>(walk: &mut Walk<'_, 'd>, quantity: Value<'d>) {
    let systems = walk.types.systems();
    let texts = quantity.plain_texts([name::SYSTEM, name::CODE]);
    let alone = walk.codes.answers().is_none();
    if let Some([system, code]) = texts
        && (system.is_empty() || code.is_empty() || alone && systems.formed.get([system, code]).is_some())
    {
        return;
    }
    let Some(system) = quantity.get(name::SYSTEM).and_then(Value::as_str).filter(|it| rules::are_for(it))
    else {
        return;
    };
    if let (true, true, Some(plain)) = (by_rules(walk, quantity, &system, true), alone, texts) {
        systems.formed.keep(plain, ());
    }
}

fn judge<'d>(walk: &mut Walk<'_, 'd>, coding: Value<'d>) -> Look {
    let Some(place) = coding.get(name::SYSTEM) else { return Look::Other };
    let Some(url) = place.as_str() else { return Look::Other };
    let (system, severity) = match walk.types.systems().get(walk.types.definitions(), &url) {
        System::Known(system, severity) => (system, severity),
        System::ValueSet => {
            let message = "this is the canonical of a value set: system names the code system";
            walk.report(place, place, Rule::Code.error(IssueType::CodeInvalid, message));
            return Look::Other;
        }
        System::Unknown if !url.is_empty() && !is_absolute(&url) => {
            let message =
                "system is the absolute URI of a code system, such as http://loinc.org or urn:oid:1.2.3";
            walk.report(place, place, Rule::Code.error(IssueType::CodeInvalid, message));
            return Look::Other;
        }
        System::Unknown => {
            ruled(walk, coding, &url);
            return Look::Unknown;
        }
        System::Ruled => {
            return if ruled(walk, coding, &url) { Look::Formed } else { Look::Other };
        }
    };
    if system.is_supplement() {
        let message = "this code system only supplements another one: name that one";
        walk.report(place, place, Rule::Code.error(IssueType::CodeInvalid, message));
        return Look::Other;
    }
    let Some(place) = coding.get(name::CODE) else { return Look::Other };
    let Some(code) = place.as_str() else { return Look::Other };
    match system.membership(&code) {
        Membership::Member if display(walk, coding, &system, severity, &code) => return Look::Fine,
        Membership::Member => {}
        Membership::Unknown => {
            ruled(walk, coding, &url);
        }
        // Of another version this one may know nothing.
        Membership::NotMember if other_version(coding, &system) => {}
        Membership::NotMember => {
            let message = format!("the code system {} has no such code", system.url);
            let fault = Fault { rule: Rule::Code, severity, code: IssueType::CodeInvalid, message };
            walk.report(place, place, fault);
        }
    }
    Look::Other
}

/// Checks a code of a system that is no list at hand: by its rules, and by what a server said. True where the rules have
/// nothing against it.
fn ruled<'d>(walk: &mut Walk<'_, 'd>, coding: Value<'d>, system: &str) -> bool {
    by_rules(walk, coding, system, false)
}

/// The same for a Coding, or for a Quantity and its unit.
fn by_rules<'d>(walk: &mut Walk<'_, 'd>, coding: Value<'d>, system: &str, is_unit: bool) -> bool {
    let Some((place, code)) = coding.get(name::CODE).and_then(|it| Some((it, it.as_str()?))) else {
        return true;
    };
    match rules::Rules.membership(system, &code) {
        Membership::NotMember => {
            // Published data name SNOMED CT for codes of its predecessors and of LOINC, and UCUM for units that are
            // none (`TAB`): a matter for a second look, unless the code can only be a slip.
            let loose = is_unit || system == snomed::SNOMED && !snomed::is_spoiled(&code);
            let severity = if loose { IssueSeverity::Warning } else { IssueSeverity::Error };
            let message = format!("{system} can have no such code: {}", rules::form(system));
            walk.report(
                place,
                place,
                Fault { rule: Rule::Code, severity, code: IssueType::CodeInvalid, message },
            );
        }
        // A table of names: each display is looked at.
        Membership::Member if rules::name(system, &code).is_some() => named(walk, coding, system, &code),
        Membership::Member => return true,
        Membership::Unknown => {
            ask(walk, coding, system);
            return true;
        }
    }
    false
}

/// What a terminology server said of the code, where one was asked.
fn ask<'d>(walk: &mut Walk<'_, 'd>, coding: Value<'d>, system: &str) {
    if walk.codes.answers().is_none() {
        return;
    }
    let Some((place, code)) = coding.get(name::CODE).and_then(|it| Some((it, it.as_str()?))) else { return };
    let (version, display) = (coding.str_of(name::VERSION), coding.str_of(name::DISPLAY));
    let asked = Code { system: Some(system), version: version.as_deref(), code: &code };
    let Some(answer) = walk.codes.ask(asked, display.as_deref(), None) else { return };
    let fault =
        |severity, message| Fault { rule: Rule::Code, severity, code: IssueType::CodeInvalid, message };
    match (answer.membership, answer.display) {
        (Membership::NotMember, _) => {
            let said = answer.message.map(|it| format!(": {it}")).unwrap_or_default();
            let message = format!("the terminology server knows no such code of {system}{said}");
            walk.report(place, place, fault(IssueSeverity::Error, message));
        }
        (Membership::Member, Some(right)) => {
            let place = coding.get(name::DISPLAY).unwrap_or(place);
            let message = format!("the display is none that {system} gives the code; it gives {right:?}");
            walk.report(place, place, fault(IssueSeverity::Warning, message));
        }
        _ => {}
    }
}

fn other_version(coding: Value<'_>, system: &CodeSystem) -> bool {
    coding.str_of(name::VERSION).is_some_and(|version| system.version.as_deref() != Some(&*version))
}

/// True where the display, if there is one, is one that the system gives the code.
fn display<'d>(
    walk: &mut Walk<'_, 'd>,
    coding: Value<'d>,
    system: &CodeSystem,
    severity: IssueSeverity,
    code: &str,
) -> bool {
    let Some(place) = coding.get(name::DISPLAY) else { return true };
    let Some(shown) = place.as_str() else { return false };
    let Some(concept) = system.concept(code) else { return false };
    let Some(own) = &concept.display else { return false };
    let designations = concept.designations.iter().map(|it| it.value.as_str());
    let mut names = std::iter::once(own.as_str()).chain(designations);
    if names.clone().any(|known| alike(known, &shown)) {
        return true;
    }
    if is_damaged(&shown) {
        return false;
    }
    let supplements = walk.types.definitions().supplements(&system.url);
    let added = supplements.iter().filter_map(|it| it.concept(code));
    let named = |it: &Concept| {
        it.display.iter().chain(it.designations.iter().map(|it| &it.value)).any(|known| alike(known, &shown))
    };
    if added.into_iter().any(named) {
        return true;
    }
    let strange = !names.any(|known| share_a_word(known, &shown)) && !alike(code, &shown);
    let (severity, message) = if !share_a_word(own, &shown)
        && names_another(walk, Some(system), &system.url, &shown)
    {
        (IssueSeverity::Error, contradiction(own))
    } else if strange && speaks_like(walk, coding, system) {
        let message = format!(
            "the display has nothing in common with what {} calls the code: {own:?}; a display in another language \
             needs the language of the resource to be stated",
            system.url
        );
        (IssueSeverity::Error, message)
    } else {
        let message =
            format!("the display is none of those that {} gives the code; it gives {own:?}", system.url);
        (severity, message)
    };
    let fault = Fault { rule: Rule::Code, severity, code: IssueType::CodeInvalid, message };
    walk.report(place, place, fault);
    false
}

/// True where the resource names codes in the language of the system.
fn speaks_like<'d>(walk: &Walk<'_, 'd>, coding: Value<'d>, system: &CodeSystem) -> bool {
    let document = coding.document();
    tongue::is_shared(document.value(walk.scope.resource).unwrap_or_else(|| document.root()), system)
}

/// True for a text of which some was lost on its way: U+FFFD stands for what could not be read.
fn is_damaged(text: &str) -> bool {
    text.as_bytes().contains(&0xEF) && text.contains('\u{FFFD}')
}

/// No code system names a code so.
#[cold]
fn damaged<'d>(walk: &mut Walk<'_, 'd>, coding: Value<'d>) {
    let place = coding.get(name::DISPLAY).unwrap_or(coding);
    let message =
        "the display is damaged: U+FFFD stands where a character could not be read; write the text in UTF-8";
    walk.report(place, place, Rule::Code.error(IssueType::CodeInvalid, message));
}

/// A code by one country, a display by another: of a system that is a table of names.
fn named<'d>(walk: &mut Walk<'_, 'd>, coding: Value<'d>, system: &str, code: &str) {
    let (Some(place), Some(own)) = (coding.get(name::DISPLAY), rules::name(system, code)) else { return };
    let Some(shown) = place.as_str() else { return };
    if !alike(own, &shown) && !share_a_word(own, &shown) && names_another(walk, None, system, &shown) {
        walk.report(place, place, Rule::Code.error(IssueType::CodeInvalid, contradiction(own)));
    }
}

fn contradiction(own: &str) -> String {
    format!(
        "code and display contradict each other: the code means {own:?}, and the display is that of another code of \
         the same system"
    )
}

/// As [`is_anothers`], which reads all names of the system; a display that is none of them is remembered.
fn names_another(walk: &Walk<'_, '_>, held: Option<&CodeSystem>, system: &str, shown: &str) -> bool {
    let systems = walk.types.systems();
    let key = [system, held.and_then(|held| held.version.as_deref()).unwrap_or_default(), shown];
    if systems.foreign.get(key).is_some() {
        return false;
    }
    let another = is_anothers(held, system, shown);
    if !another && shown.len() <= LONGEST_KEPT {
        systems.foreign.keep(key, ());
    }
    another
}

/// True for the name of some code of the system.
pub(super) fn is_anothers(held: Option<&CodeSystem>, system: &str, shown: &str) -> bool {
    let listed = held.into_iter().flat_map(|held| held.concepts.iter().take(MOST_CODES));
    listed
        .filter_map(|it| it.display.as_deref())
        .chain(rules::names(system).map(|(_, name)| name))
        .any(|name| alike(name, shown))
}

/// True where two names have a word of some length in common.
pub(super) fn share_a_word(a: &str, b: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2);
        parts.map(str::to_lowercase).collect()
    };
    let b = words(b);
    words(a).iter().any(|word| b.contains(word))
}

/// Equal but for case and the amount of white space.
pub(super) fn alike(a: &str, b: &str) -> bool {
    let same = |a: &str, b: &str| {
        a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
    };
    let (mut a, mut b) = (a.split_whitespace(), b.split_whitespace());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if same(a, b) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::alike;

    #[test]
    fn case_and_space_do_not_matter_in_displays() {
        assert!(alike("Next-of-Kin", "next-of-kin"));
        assert!(alike("Final  report", "Final report"));
        assert!(!alike("Final report", "Finale"));
    }
}
