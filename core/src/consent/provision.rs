//! The conditions of one provision as they stand in the document, and what it takes over from those above.
//!
//! Each element is a list of alternatives; one that nobody could decide (a code without a system, an actor
//! named in prose) makes the element doubtful. What doubt does depends on the provision's effect and is done
//! once, in [`Inherited::settle`]: a permit loses the alternative, a deny loses the condition.

use std::sync::Arc;

use fhir_models::document::{Name, Value, name};

use super::compiled::{DataConditions, Doubt, PeriodTest, Provision};
use super::condition::{ActorTest, ClassTest, CodeTest, DataMeaning, DataTest, LabelTest, RoleTest, WhoTest};
use super::facts::party;
use super::reading::{coding, codings, is_modified};
use super::subsumption::{CONFIDENTIALITY, narrower};
use super::{Action, Confidentiality, Effect, Interval, Reading};
use crate::requester::Code;

const CONSENT_ACTION: &str = "http://terminology.hl7.org/CodeSystem/consentaction";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const RESOURCE_TYPES: &str = "http://hl7.org/fhir/resource-types";
const URI: &str = "urn:ietf:rfc:3986";

/// Information recipients (v3-ParticipationType, `IRCP` and below).
const RECIPIENTS: &[&str] = &["IRCP", "NOT", "PRCP", "REFB", "REFT", "TRC"];

/// The elements of `Consent.provision.actor` and of `.data`.
const ACTOR_ELEMENTS: &[&str] = &["id", "extension", "role", "reference"];
const DATA_ELEMENTS: &[&str] = &["id", "extension", "meaning", "reference"];

/// The alternatives of one element.
#[derive(Debug)]
pub(super) struct Stated<T> {
    tests: Arc<[T]>,
    doubtful: bool,
}

/// The elements that one provision states; its period is kept apart.
#[derive(Debug)]
pub(super) struct Conditions {
    actors: Option<Stated<ActorTest>>,
    actions: Option<Stated<Action>>,
    purposes: Option<Stated<CodeTest>>,
    classes: Option<Stated<ClassTest>>,
    codes: Option<Stated<CodeTest>>,
    labels: Option<Stated<LabelTest>>,
    data_period: Option<Stated<PeriodTest>>,
    data: Option<Stated<DataTest>>,
}

impl Conditions {
    pub fn read(
        provision: Value<'_>,
        consent: Value<'_>,
        reading: &Reading,
        doubts: &mut Vec<Doubt>,
    ) -> Conditions {
        let mut reader = Reader { provision, doubts };
        let class = Name::of("class");
        Conditions {
            actors: reader.element(name::ACTOR, |actor| self::actor(actor, consent, reading)),
            actions: reader.element(name::ACTION, action),
            purposes: reader.element(name::PURPOSE, |purpose| Ok(vec![code_test(purpose)?])),
            classes: reader.element(class, self::class),
            codes: reader.element(name::CODE, concept),
            labels: reader.element(name::SECURITY_LABEL, |label| Ok(vec![self::label(label)?])),
            data_period: reader.element(name::DATA_PERIOD, |period| Ok(vec![data_period(period, reading)?])),
            data: reader.element(name::DATA, |data| Ok(vec![self::data(data, consent, reading)?])),
        }
    }

    /// How many alternatives there are in all.
    pub fn len(&self) -> usize {
        fn of<T>(stated: &Option<Stated<T>>) -> usize {
            stated.as_ref().map_or(0, |stated| stated.tests.len())
        }
        let actors = self.actors.iter().flat_map(|stated| stated.tests.iter());
        let data = self.data.iter().flat_map(|stated| stated.tests.iter());
        let identifiers = actors
            .map(|actor| match &actor.who {
                WhoTest::Anyone => 0,
                WhoTest::Party { party, .. } => party.identifiers.len(),
            })
            .chain(data.map(|data| data.party.identifiers.len()))
            .sum::<usize>();
        of(&self.actors)
            + of(&self.actions)
            + of(&self.purposes)
            + of(&self.classes)
            + of(&self.codes)
            + of(&self.labels)
            + of(&self.data_period)
            + of(&self.data)
            + identifiers
    }
}

/// The nearest statement of each element, on the way from the root to a provision.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Inherited<'a> {
    actors: Option<&'a Stated<ActorTest>>,
    actions: Option<&'a Stated<Action>>,
    purposes: Option<&'a Stated<CodeTest>>,
    classes: Option<&'a Stated<ClassTest>>,
    codes: Option<&'a Stated<CodeTest>>,
    labels: Option<&'a Stated<LabelTest>>,
    data_period: Option<&'a Stated<PeriodTest>>,
    data: Option<&'a Stated<DataTest>>,
}

impl<'a> Inherited<'a> {
    /// The same, one provision further down.
    pub fn with<'b>(&self, own: &'b Conditions) -> Inherited<'b>
    where
        'a: 'b,
    {
        Inherited {
            actors: own.actors.as_ref().or(self.actors),
            actions: own.actions.as_ref().or(self.actions),
            purposes: own.purposes.as_ref().or(self.purposes),
            classes: own.classes.as_ref().or(self.classes),
            codes: own.codes.as_ref().or(self.codes),
            labels: own.labels.as_ref().or(self.labels),
            data_period: own.data_period.as_ref().or(self.data_period),
            data: own.data.as_ref().or(self.data),
        }
    }

    /// Gives a provision its conditions, doubts settled by its effect.
    pub fn settle(&self, effect: Effect, provision: &mut Provision) {
        provision.actors = settle(self.actors, effect);
        provision.actions = settle(self.actions, effect);
        provision.purposes = settle(self.purposes, effect);
        provision.data = Arc::new(DataConditions {
            classes: settle(self.classes, effect),
            codes: settle(self.codes, effect),
            labels: settle(self.labels, effect),
            period: settle(self.data_period, effect),
            data: settle(self.data, effect),
        });
    }
}

fn settle<T>(stated: Option<&Stated<T>>, effect: Effect) -> Option<Arc<[T]>> {
    let stated = stated?;
    let open = effect == Effect::Deny && (stated.doubtful || stated.tests.is_empty());
    (!open).then(|| Arc::clone(&stated.tests))
}

/// Why an alternative can't be decided.
type Cause = &'static str;

struct Reader<'a, 'd> {
    provision: Value<'a>,
    doubts: &'d mut Vec<Doubt>,
}

impl<'a> Reader<'a, '_> {
    fn element<T>(
        &mut self,
        element: Name,
        read: impl Fn(Value<'a>) -> Result<Vec<T>, Cause>,
    ) -> Option<Stated<T>> {
        let value = self.provision.get(element)?;
        let mut tests = Vec::new();
        let mut doubtful = false;
        for item in value.items() {
            match read(item) {
                Ok(read) => tests.extend(read),
                Err(cause) => {
                    doubtful = true;
                    self.doubt(element, cause);
                }
            }
        }
        if tests.is_empty() && !doubtful {
            self.doubt(element, "it is empty");
        }
        Some(Stated { tests: tests.into(), doubtful })
    }

    fn doubt(&mut self, element: Name, cause: Cause) {
        let doubt = Doubt { element: element.text(), cause };
        if !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }
}

fn code_test(value: Value<'_>) -> Result<CodeTest, Cause> {
    test_of(coding(value).ok_or("a coding has no code")?)
}

fn test_of(code: Code) -> Result<CodeTest, Cause> {
    if code.system.is_empty() {
        return Err("a code has no system and can't be compared");
    }
    Ok(CodeTest { narrower: narrower(&code.system, &code.code), code })
}

/// The codings of a concept say the same thing: any of them will do, and those without a system add nothing.
fn concept(value: Value<'_>) -> Result<Vec<CodeTest>, Cause> {
    let tests: Vec<CodeTest> = codings(value).into_iter().filter_map(|code| test_of(code).ok()).collect();
    if tests.is_empty() { Err("a concept has no coding with a system") } else { Ok(tests) }
}

fn action(value: Value<'_>) -> Result<Vec<Action>, Cause> {
    let known = codings(value).into_iter().filter(|code| code.system == CONSENT_ACTION);
    let actions: Vec<Action> = known.filter_map(|code| Action::of_code(&code.code)).collect();
    if actions.is_empty() { Err("an action is not one of the consent actions of R4") } else { Ok(actions) }
}

fn label(value: Value<'_>) -> Result<LabelTest, Cause> {
    let test = code_test(value)?;
    if test.code.system != CONFIDENTIALITY {
        return Ok(LabelTest::Code(test));
    }
    let level = Confidentiality::of_code(&test.code.code);
    Ok(LabelTest::Level(level.ok_or("a confidentiality code is not a level")?))
}

fn class(value: Value<'_>) -> Result<Vec<ClassTest>, Cause> {
    let test = code_test(value)?;
    Ok(vec![match test.code.system.as_str() {
        RESOURCE_TYPES => ClassTest::Type(test.code.code.into()),
        URI => ClassTest::Profile(test.code.code.into()),
        _ => ClassTest::Code(test),
    }])
}

fn data_period(value: Value<'_>, reading: &Reading) -> Result<PeriodTest, Cause> {
    let span = Interval::of_period(value, &reading.zone).ok_or("it is not a period that can be read")?;
    let text = |name| value.str_of(name).map(|text| text.into());
    Ok(PeriodTest { span, start: text(name::START), end: text(name::END) })
}

fn data(value: Value<'_>, consent: Value<'_>, reading: &Reading) -> Result<DataTest, Cause> {
    if is_modified(value, DATA_ELEMENTS) {
        return Err("a data reference carries a modifier extension or an element that R4 lacks");
    }
    let meaning = value.str_of(name::MEANING).and_then(|code| DataMeaning::of_code(&code));
    let meaning = meaning.ok_or("a meaning is missing or unknown")?;
    let reference = value.get(name::REFERENCE).ok_or("a data reference is missing")?;
    let party = party(reference, consent, reading);
    if party.reference.is_none() && !party.identifiers.iter().any(|own| !own.system.is_empty()) {
        return Err("a data reference has a form that can't be compared");
    }
    Ok(DataTest { meaning, party })
}

fn actor(value: Value<'_>, consent: Value<'_>, reading: &Reading) -> Result<Vec<ActorTest>, Cause> {
    if is_modified(value, ACTOR_ELEMENTS) {
        return Err("an actor carries a modifier extension or an element that R4 lacks");
    }
    let roles = value.get(name::ROLE).map(codings).unwrap_or_default();
    let recipient = |role: &Code| role.system == PARTICIPATION && RECIPIENTS.contains(&role.code.as_str());
    let role = if roles.iter().any(recipient) {
        RoleTest::Recipient
    } else {
        let functional = roles.into_iter().filter(|role| role.system != PARTICIPATION);
        let functional: Vec<CodeTest> = functional.filter_map(|role| test_of(role).ok()).collect();
        if functional.is_empty() {
            return Err("an actor's role is neither a recipient's nor a functional role with a system");
        }
        RoleTest::Functional(functional)
    };
    let Some(reference) = value.get(name::REFERENCE) else {
        return match role {
            RoleTest::Recipient => Err("an actor names nobody"),
            RoleTest::Functional(_) => Ok(vec![ActorTest { role, who: WhoTest::Anyone }]),
        };
    };
    let party = party(reference, consent, reading);
    if party.reference.is_none() && !party.identifiers.iter().any(|own| !own.system.is_empty()) {
        return Err("an actor reference has a form that can't be compared");
    }
    let kind = reference.str_of(name::TYPE).map(|kind| kind.into());
    let kind = kind.or_else(|| Some(party.reference.as_ref()?.resource_type()?.into()));
    Ok(vec![ActorTest { role, who: WhoTest::Party { party, kind } }])
}
