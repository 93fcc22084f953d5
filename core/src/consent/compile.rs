//! From an R4 Consent document to a [`CompiledConsent`].
//!
//! Nothing in a document makes this fail but its size and its type: what can't be understood is kept as a
//! doubt and restricts. See the module page of [`super`] for what each doubt does.

use fhir_models::document::{Name, Value, name};

use super::compiled::{Doubt, Provision, Standing, Validity};
use super::facts::party;
use super::provision::{Conditions, Inherited};
use super::reading::{codings, is_modified};
use super::subsumption::ACT_CODE;
use super::{CompiledConsent, ConsentError, ConsentPatient, Effect, Interval, Reading};

/// Deepest nesting of exceptions, the root provision not counted. IHE PCF uses one level.
pub const MAX_DEPTH: usize = 8;
/// Most provisions in one consent.
pub const MAX_PROVISIONS: usize = 256;
/// Most conditions (actors, codes, references …) in one consent.
pub const MAX_CONDITIONS: usize = 4_096;

/// The elements of R4's Consent.
const CONSENT_ELEMENTS: &[&str] = &[
    "resourceType",
    "id",
    "meta",
    "implicitRules",
    "language",
    "text",
    "contained",
    "extension",
    "identifier",
    "status",
    "scope",
    "category",
    "patient",
    "dateTime",
    "performer",
    "organization",
    "sourceAttachment",
    "sourceReference",
    "policy",
    "policyRule",
    "verification",
    "provision",
];
/// The elements of its provisions.
const PROVISION_ELEMENTS: &[&str] = &[
    "id",
    "extension",
    "type",
    "period",
    "actor",
    "action",
    "securityLabel",
    "purpose",
    "class",
    "code",
    "dataPeriod",
    "data",
    "provision",
];
const CONSENT_SCOPE: &str = "http://terminology.hl7.org/CodeSystem/consentscope";

impl CompiledConsent {
    /// Compiles a Consent. `reading` tells the time zone of dates without a time and the server's own URLs.
    pub fn compile(consent: Value<'_>, reading: &Reading) -> Result<CompiledConsent, ConsentError> {
        if consent.resource_type().as_deref() != Some("Consent") {
            return Err(ConsentError::NotConsent);
        }
        let mut compiler = Compiler { consent, reading, provisions: Vec::new(), conditions: 0 };
        let base = compiler.base();
        let root = consent.get(name::PROVISION);
        let mut validity = Validity::Always;
        match root {
            Some(root) => {
                if let Some(period) = root.get(name::PERIOD) {
                    validity = match Interval::of_period(period, &reading.zone) {
                        Some(period) => Validity::Within(period),
                        None => Validity::Unreadable,
                    };
                }
                let effect = base.unwrap_or(Effect::Deny);
                compiler.provision(root, effect, "provision".to_owned(), &Inherited::default(), 0)?;
            }
            None => {
                let base = base.unwrap_or(Effect::Deny);
                compiler.provisions.push(Provision::unconditional(base, "policyRule"));
            }
        }
        let Compiler { provisions, .. } = compiler;
        let id = consent.str_of(name::ID);
        Ok(CompiledConsent {
            id: id.map_or_else(|| "Consent".into(), |id| format!("Consent/{id}").into()),
            version: consent
                .path(&[name::META, name::VERSION_ID])
                .first()
                .and_then(|version| version.as_str())
                .map(|version| version.into()),
            patient: patient(consent, reading),
            dated: consent
                .str_of(name::DATE_TIME)
                .and_then(|dated| Interval::of_date_time(&dated, &reading.zone)),
            standing: standing(consent, base.err()),
            validity,
            verified: verified(consent, reading),
            provisions,
        })
    }
}

/// Whether a consent counts; `undecidable` is why its base decision can't be told.
fn standing(consent: Value<'_>, undecidable: Option<&'static str>) -> Standing {
    if consent.get_key("implicitRules").is_some() || is_modified(consent, CONSENT_ELEMENTS) {
        return Standing::Undecidable(
            "the consent carries a modifier extension, implicit rules, or an element that R4 lacks",
        );
    }
    let parts = consent.path(&[name::POLICY]).into_iter().chain(consent.path(&[name::VERIFICATION]));
    if parts.into_iter().any(|part| part.get(name::MODIFIER_EXTENSION).is_some()) {
        return Standing::Undecidable("a policy or verification of the consent carries a modifier extension");
    }
    match consent.str_of(name::STATUS).as_deref() {
        Some("active") => {}
        Some("draft") => return Standing::Status("draft"),
        Some("proposed") => return Standing::Status("proposed"),
        Some("rejected") => return Standing::Status("rejected"),
        Some("inactive") => return Standing::Status("inactive"),
        Some("entered-in-error") => return Standing::Status("entered-in-error"),
        _ => return Standing::Undecidable("the status is missing or unknown"),
    }
    let scopes = consent.get(name::SCOPE).map(codings).unwrap_or_default();
    let mut known =
        scopes.iter().filter(|scope| scope.system == CONSENT_SCOPE).map(|scope| scope.code.as_str());
    if known.clone().any(|scope| scope == "patient-privacy") {
        return undecidable.map_or(Standing::Counts, Standing::Undecidable);
    }
    match known.next() {
        Some("adr" | "research" | "treatment") => Standing::Scope,
        _ => Standing::Undecidable("the scope is missing or unknown"),
    }
}

/// False where `verification` says that nobody verified it, and nothing later says that somebody did.
fn verified(consent: Value<'_>, reading: &Reading) -> bool {
    let stated: Vec<(bool, Option<Interval>)> = consent
        .path(&[name::VERIFICATION])
        .into_iter()
        .map(|own| {
            let date = own.str_of(Name::of("verificationDate"));
            let verified = own.get(name::VERIFIED).and_then(Value::as_bool).unwrap_or(false);
            (verified, date.and_then(|text| Interval::of_date_time(&text, &reading.zone)))
        })
        .collect();
    let later = |no: Option<Interval>| {
        stated.iter().any(|(yes, date)| *yes && no.zip(*date).is_some_and(|(no, yes)| yes.start >= no.end))
    };
    stated.iter().all(|(verified, date)| *verified || later(*date))
}

fn patient(consent: Value<'_>, reading: &Reading) -> ConsentPatient {
    let Some(reference) = consent.get(name::PATIENT) else { return ConsentPatient::default() };
    let found = party(reference, consent, reading);
    ConsentPatient { reference: found.reference, identifiers: found.identifiers }
}

struct Compiler<'a, 'r> {
    consent: Value<'a>,
    reading: &'r Reading,
    provisions: Vec<Provision>,
    conditions: usize,
}

impl<'a> Compiler<'a, '_> {
    /// The base decision: the root provision's type, else the policy rule's opt-in or opt-out.
    fn base(&self) -> Result<Effect, &'static str> {
        let root = self.consent.get(name::PROVISION);
        if let Some(root) = root {
            if !root.is_object() {
                return Err("the root provision is malformed");
            }
            if is_modified(root, PROVISION_ELEMENTS) {
                return Err("the root provision carries a modifier extension or an element that R4 lacks");
            }
            if let Some(kind) = root.get(name::TYPE) {
                return effect(kind).ok_or("the root provision's type is unknown");
            }
        }
        let rules = self.consent.get(name::POLICY_RULE).map(codings).unwrap_or_default();
        let mut found = rules.iter().filter(|rule| rule.system == ACT_CODE).filter_map(|rule| {
            Some(match rule.code.as_str() {
                "OPTIN" => (Effect::Permit, false),
                "OPTINR" => (Effect::Permit, true),
                "OPTOUT" | "OPTOUTE" => (Effect::Deny, false),
                _ => return None,
            })
        });
        let Some((effect, restricted)) = found.next() else {
            return Err("neither the root provision's type nor the policy rule tells the base decision");
        };
        if found.any(|(other, _)| other != effect) {
            return Err("the policy rule both opts in and opts out");
        }
        let bare = root.is_none_or(|root| root.children().next().is_none());
        if restricted && bare {
            return Err("the policy rule opts in with restrictions, and states none");
        }
        Ok(effect)
    }

    fn provision(
        &mut self,
        provision: Value<'a>,
        effect: Effect,
        path: String,
        inherited: &Inherited<'_>,
        depth: usize,
    ) -> Result<(), ConsentError> {
        if depth > MAX_DEPTH {
            return Err(ConsentError::TooDeep(MAX_DEPTH));
        }
        if self.provisions.len() >= MAX_PROVISIONS {
            return Err(ConsentError::TooManyProvisions(MAX_PROVISIONS));
        }
        let mut doubts = Vec::new();
        let unreadable = !provision.is_object() || is_modified(provision, PROVISION_ELEMENTS);
        if unreadable {
            doubts.push(Doubt {
                element: "provision",
                cause: "it is malformed, or carries a modifier extension or an element that R4 lacks",
            });
        }
        let own = Conditions::read(provision, self.consent, self.reading, &mut doubts);
        self.conditions = self.conditions.saturating_add(own.len());
        if self.conditions > MAX_CONDITIONS {
            return Err(ConsentError::TooManyConditions(MAX_CONDITIONS));
        }
        let stated = inherited.with(&own);
        let mut compiled = Provision::unconditional(effect, &path);
        if unreadable {
            compiled.never = effect == Effect::Permit;
        } else {
            let conditions =
                if effect == Effect::Permit { &stated } else { &Inherited::default().with(&own) };
            conditions.settle(effect, &mut compiled);
        }
        // The root's period bounds the whole consent, and is kept there.
        if let (false, Some(period)) = (depth == 0 || unreadable, provision.get(name::PERIOD)) {
            compiled.period = Interval::of_period(period, &self.reading.zone);
            if compiled.period.is_none() {
                doubts.push(Doubt { element: "period", cause: "it is not a period that can be read" });
                compiled.never = effect == Effect::Permit;
            }
        }
        let index = self.provisions.len();
        self.provisions.push(compiled);
        for (number, exception) in provision.path(&[name::PROVISION]).into_iter().enumerate() {
            let stated_effect = exception.get(name::TYPE).and_then(self::effect);
            // An exception below a deny that can't be read could only reopen what it closes.
            if unreadable && stated_effect == Some(Effect::Permit) {
                continue;
            }
            let path = format!("{path}.provision[{number}]");
            let effect = stated_effect.unwrap_or(Effect::Deny);
            self.provision(exception, effect, path, &stated, depth + 1)?;
        }
        let end = self.provisions.len();
        if let Some(compiled) = self.provisions.get_mut(index) {
            compiled.end = end;
            compiled.doubts = doubts.into();
        }
        Ok(())
    }
}

fn effect(kind: Value<'_>) -> Option<Effect> {
    match kind.as_str()?.as_ref() {
        "permit" => Some(Effect::Permit),
        "deny" => Some(Effect::Deny),
        _ => None,
    }
}
