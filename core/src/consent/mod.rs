//! Consent: what patients allow (FHIR R4 §6.2 Consent; IHE ITI Privacy Consent on FHIR, PCF).
//!
//! A Consent document is compiled once ([`CompiledConsent::compile`]) and asked many times ([`outcome`],
//! [`decide`]). Nothing here looks anything up: the time, the resource's facts and the requester's identities
//! are part of the [`Question`].
//!
//! # Which consents count
//!
//! Those with status `active` and scope `patient-privacy`, within the root provision's `period` at the instant
//! asked about. Other statuses and the scopes `adr`, `research` and `treatment` never decide.
//!
//! `organization`, `performer`, `category`, `source` and `policy` say who keeps a consent, who gave it and on what
//! paper; they do not limit it (`policy.uri`: "does not modify or qualify the policy rules"). A consent whose
//! `verification` says that it was not verified, with nothing later to the contrary, permits nothing; so does one
//! that was given before the patient came of age, where the deployment asks for that ([`Question::of_age`]).
//!
//! # One consent
//!
//! The **base decision** is the root provision's `type` (IHE PCF), else the `policyRule`: `OPTIN` and `OPTINR`
//! permit, `OPTOUT` and `OPTOUTE` deny. The root's conditions limit the base decision. Nested provisions are
//! exceptions to the one they stand in, up to [`MAX_DEPTH`] levels; of those side by side that apply, a deny
//! wins. An exception is looked at only where its parent applies, with one addition from IHE PCF: exceptions
//! to the root are looked at even where the root's own conditions are not met, so that "permit normal data;
//! permit restricted data to Dr A" widens. To keep that safe, a permit takes over, element by element, what it
//! does not state itself from the provisions above it. Where the base permits, its deny exceptions hold for
//! every request that the consent permits anything to.
//!
//! Outside its conditions, a consent that denies says nothing, and one that permits **withholds**: the patient
//! has said what may be given, so the setting for patients without a consent no longer holds.
//!
//! # Conditions
//!
//! All elements must match, each by any of its alternatives.
//!
//! | element | matches |
//! |---|---|
//! | `period` | the instant; partial dates are whole days, months, years of the deployment's zone, inclusive |
//! | `actor` | the role (recipient roles of v3-ParticipationType match everybody; any other is a functional role) and the reference: literal ones, groups and care teams among them, against [`Question::known_as`], logical ones against the requester's identifiers |
//! | `action` | the action asked about |
//! | `purpose` | v3 purposes with those below them; a permit must cover every purpose that is claimed |
//! | `securityLabel` | confidentiality as a high-water mark: a permit its level and below, a deny its level and above; other labels with those below them |
//! | `class` | resource type, claimed profile, document or media type |
//! | `code` | found anywhere in the resource |
//! | `dataPeriod` | a permit: all of the data's dates lie in it; a deny: some do |
//! | `data` | `instance`, `related` (refers to it, or is referred to by it), `dependents` (refers to it), `authoredby` |
//!
//! Data that is itself labelled with purposes of use (v3-ActReason; `HTEST` marks test data and counts for nothing) is
//! permitted to requests with these purposes alone.
//!
//! # What can't be decided restricts
//!
//! * A document that is no Consent, or beyond the bounds, does not compile: [`CompiledConsent::unreadable`]
//!   stands in for it and denies everything.
//! * A consent whose status, scope or base decision is missing or unknown, or that carries a modifier
//!   extension or an element that R4 lacks, denies everything while it may be in force.
//! * A consent whose period can't be read, or whose `dateTime` lies in the future, permits nothing; what it
//!   denies counts.
//! * An alternative that nobody could decide (a code without a system, an unknown confidentiality, a role or
//!   action that is not understood, an actor known by a display name alone, a date that is none) is dropped
//!   from a permit, and makes a deny's element always match. A provision with a modifier extension, or with an
//!   element that R4 lacks, is a permit that never applies or a deny that always does; an actor or data reference
//!   with one is undecidable; a provision without a known `type` is a deny.
//! * An element that this question can't decide (no identifier in the namespace asked for, no code in the
//!   code's system, no confidentiality label, no date, no known author) is a no to a permit and a yes to a deny.
//!
//! # Emergencies
//!
//! Consents know emergencies as purposes of use: `BTG` and the like stand below `TREAT`. What a deployment lets an emergency go
//! over beyond that is [`BreakGlass`].
//!
//! # Several consents
//!
//! See [`Combining`]. What holds for a patient without any consent is the caller's setting, [`WithoutConsent`].

mod age;
mod break_glass;
mod combine;
mod compile;
mod compiled;
mod condition;
mod decision;
mod error;
mod explain;
mod facts;
pub mod fse;
mod interval;
mod literal;
mod provision;
mod question;
mod reading;
mod request;
mod residual;
mod subsumption;
mod verdict;

#[cfg(test)]
mod consent_tests;
#[cfg(test)]
mod reference_tests;

pub use age::ComingOfAge;
pub use break_glass::{BREAK_GLASS, BreakGlass, NotAdmitted, Overridden, is_emergency, refused};
pub use combine::{Combining, decide, outcome};
pub use compile::{MAX_CONDITIONS, MAX_DEPTH, MAX_PROVISIONS};
pub use compiled::{CompiledConsent, ConsentPatient, Effect};
pub use condition::{DataMeaning, Match};
pub use decision::{Decision, Outcome, Reason, ReasonEffect, WithoutConsent};
pub use error::ConsentError;
pub use facts::{Party, Reading, ResourceFacts};
pub use interval::Interval;
pub use literal::LiteralReference;
pub use question::{Action, Question};
pub use request::{ConsentRequest, RequestError};
pub use residual::Residual;
#[cfg(feature = "cedar")]
pub(crate) use subsumption::broader;
pub use subsumption::{ACT_CODE, ACT_REASON, CONFIDENTIALITY, Confidentiality};
