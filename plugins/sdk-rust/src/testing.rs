//! Stands in for the gateway in native tests of a plugin's logic.
//!
//! ```
//! use varco_plugin::{Level, testing};
//!
//! let seen = testing::Gateway::new().settings(r#"{"limit": 3}"#).run(|| {
//!     assert_eq!(varco_plugin::settings(), r#"{"limit": 3}"#);
//!     varco_plugin::log(Level::Info, "limit is 3");
//!     varco_plugin::count("limited", 2);
//! });
//! assert_eq!(seen.lines, [(Level::Info, "limit is 3".to_owned())]);
//! assert_eq!(seen.counts["limited"], 2);
//! ```
//!
//! Settings and answers hold for the calling thread while [`Gateway::run`] runs. Outside of it, settings are `{}`,
//! nothing is a tax code, no map is known and no expression can be evaluated. `varco plugin test` runs the built
//! component with the gateway's own answers.

use std::{cell::RefCell, collections::BTreeMap};

use crate::{Coding, Context, Direction, FhirPathError, Finding, Item, Level, Target, TranslateError};

type Translate = Box<dyn Fn(&str, &Coding) -> Result<Vec<Target>, TranslateError>>;
type Evaluate = Box<dyn Fn(&str) -> Result<Vec<Item>, FhirPathError>>;
type Check = Box<dyn Fn(&str) -> Finding>;

/// A gateway that answers as the test says.
#[derive(Default)]
pub struct Gateway {
    settings: Option<String>,
    translate: Option<Translate>,
    evaluate: Option<Evaluate>,
    check: Option<Check>,
    seen: Seen,
}

/// What the plugin did beside its verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The lines that it logged.
    pub lines: Vec<(Level, String)>,
    /// What it added to counters.
    pub counts: BTreeMap<String, u64>,
}

thread_local! {
    static GATEWAY: RefCell<Gateway> = RefCell::new(Gateway::default());
}

impl Gateway {
    /// One that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the plugin these settings, as JSON text.
    #[must_use]
    pub fn settings(mut self, json: &str) -> Self {
        self.settings = Some(json.to_owned());
        self
    }

    /// Answers [`crate::translate`]. The function must not call the gateway itself; nor may the next ones.
    #[must_use]
    pub fn translate(
        mut self,
        answer: impl Fn(&str, &Coding) -> Result<Vec<Target>, TranslateError> + 'static,
    ) -> Self {
        self.translate = Some(Box::new(answer));
        self
    }

    /// Answers [`crate::fhirpath`].
    #[must_use]
    pub fn fhirpath(mut self, answer: impl Fn(&str) -> Result<Vec<Item>, FhirPathError> + 'static) -> Self {
        self.evaluate = Some(Box::new(answer));
        self
    }

    /// Answers [`crate::codice_fiscale`].
    #[must_use]
    pub fn codice_fiscale(mut self, answer: impl Fn(&str) -> Finding + 'static) -> Self {
        self.check = Some(Box::new(answer));
        self
    }

    /// Runs a test with this gateway, and tells what the plugin did.
    pub fn run(self, test: impl FnOnce()) -> Seen {
        GATEWAY.set(self);
        test();
        GATEWAY.take().seen
    }
}

/// The context of a `create` of this resource type by a practitioner for treatment.
pub fn request(resource_type: &str) -> Context {
    context(Direction::Request, "create", resource_type)
}

/// The context of the answer to a `read` of this resource type by a practitioner for treatment.
pub fn response(resource_type: &str) -> Context {
    context(Direction::Response, "read", resource_type)
}

fn context(direction: Direction, interaction: &str, resource_type: &str) -> Context {
    Context {
        direction,
        interaction: interaction.to_owned(),
        resource_type: Some(resource_type.to_owned()),
        route: "test".to_owned(),
        roles: vec!["AAS".to_owned()],
        purposes: vec!["TREAT".to_owned()],
        content_type: "application/fhir+json".to_owned(),
        traceparent: None,
    }
}

pub(crate) mod settings {
    pub fn json() -> String {
        super::GATEWAY.with_borrow(|gateway| gateway.settings.clone().unwrap_or_else(|| "{}".to_owned()))
    }
}

pub(crate) mod log {
    pub fn line(level: super::Level, text: &str) {
        super::GATEWAY.with_borrow_mut(|gateway| gateway.seen.lines.push((level, text.to_owned())));
    }
}

pub(crate) mod counters {
    pub fn add(name: &str, by: u32) {
        super::GATEWAY.with_borrow_mut(|gateway| {
            let count = gateway.seen.counts.entry(name.to_owned()).or_default();
            *count = count.saturating_add(by.into());
        });
    }
}

pub(crate) mod fhirpath {
    use super::{FhirPathError, GATEWAY, Item};

    pub fn evaluate(expression: &str) -> Result<Vec<Item>, FhirPathError> {
        GATEWAY.with_borrow(|gateway| match &gateway.evaluate {
            Some(answer) => answer(expression),
            None => Err(FhirPathError::Failed),
        })
    }
}

pub(crate) mod concept_map {
    use super::{Coding, GATEWAY, Target, TranslateError};

    pub fn translate(map: &str, coding: &Coding) -> Result<Vec<Target>, TranslateError> {
        GATEWAY.with_borrow(|gateway| match &gateway.translate {
            Some(answer) => answer(map, coding),
            None => Err(TranslateError::UnknownMap),
        })
    }
}

pub(crate) mod codice_fiscale {
    use super::{Finding, GATEWAY};

    pub fn check(text: &str) -> Finding {
        GATEWAY.with_borrow(|gateway| match &gateway.check {
            Some(answer) => answer(text),
            None => Finding::NotACode,
        })
    }
}

pub(crate) mod pseudonym {
    /// 64 hexadecimal digits that depend on both arguments (FNV-1a, four times). The gateway's are HMAC-SHA-256.
    pub fn pseudonym(system: &str, value: &str) -> String {
        let digits = |seed: u64| {
            let bytes = system.bytes().chain([0]).chain(value.bytes());
            let hash = bytes.fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            format!("{hash:016x}")
        };
        (1..=4).map(digits).collect()
    }
}
