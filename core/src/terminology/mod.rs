//! Terminology: is this code one of that value set, or of its code system (FHIR R4 §4.1, §4.7, §4.9)?
//!
//! One place answers, and the answer has three values. *Member* and *not member* are certain; whatever the
//! definitions at hand can't decide is *unknown*, is never an error, and becomes a [`Question`] that a
//! terminology server may answer: validate, ask the server the questions of the report, validate again with
//! what it said as [`Answers`]. Nothing here asks over a network.
//!
//! ```
//! use std::collections::BTreeMap;
//! use fhir_models::definition::Definitions;
//! use fhir_models::document::{Limits, OwnedDocument};
//! use varco_core::terminology::{Answer, Answers, Membership, Question};
//! use varco_core::validation::Validator;
//!
//! struct Server(BTreeMap<Question, Answer>);
//!
//! impl Answers for Server {
//!     fn answer(&self, question: &Question) -> Option<Answer> {
//!         self.0.get(question).cloned()
//!     }
//! }
//!
//! let text = r#"{"resourceType":"Observation","status":"final",
//!     "code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]}}"#;
//! let document = OwnedDocument::parse_json(text, &Limits::default())?;
//! let validator = Validator::new(Definitions::r4());
//! let first = validator.validate_with(document.document(), &());
//! let known = first.questions.into_iter().map(|it| (it, Answer::of(Membership::Member)));
//! let second = validator.validate_with(document.document(), &Server(known.collect()));
//! assert!(second.questions.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod codes;
pub mod concept_map;
mod country;
mod currency;
pub(crate) mod ecl;
mod formed;
mod language;
mod loinc;
mod media_type;
mod question;
pub(crate) mod rules;
pub(crate) mod snomed;
mod ucum;

pub use fhir_models::definition::Membership;
pub use question::{Answer, Answers, MOST_QUESTIONS, Question};

pub(crate) use codes::{Code, Codes};
