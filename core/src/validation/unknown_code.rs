//! Codes that nobody at hand can judge: counted always, and by code system (value set for a bare `code`) where
//! [`Settings::unknown_systems`](super::Settings::unknown_systems) asks for it.

use std::borrow::Cow;

use fhir_models::document::{Value, name};

use super::walk::Walk;

/// Most systems counted apart for one document: names from instances must not grow memory without bound.
const MOST: usize = 64;
/// Longest name of a system that is kept, in bytes.
const LONGEST: usize = 300;

impl<'d> Walk<'_, 'd> {
    /// Counts a coded value that can't be judged; the value set is the one that was asked.
    pub fn unknown_code(&mut self, value: Value<'d>, value_set: &str) {
        self.unknown_codes += 1;
        if self.settings.unknown_systems && self.trials == 0 {
            self.note_system(value, value_set);
        }
    }

    #[cold]
    fn note_system(&mut self, value: Value<'d>, value_set: &str) {
        let codings = value.get(name::CODING).into_iter().flat_map(Value::items);
        let systems = codings.chain([value]).filter_map(|coding| coding.str_of(name::SYSTEM));
        let stated = systems.into_iter().find(|system| system.len() <= LONGEST);
        let system = stated.unwrap_or(Cow::Borrowed(value_set));
        if let Some(count) = self.unknown_systems.get_mut(&*system) {
            *count += 1;
        } else if self.unknown_systems.len() < MOST {
            self.unknown_systems.insert(system.into_owned(), 1);
        }
    }
}
