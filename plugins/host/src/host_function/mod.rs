//! The functions that the gateway offers to plugins, one interface a file.
//!
//! Invariant: each is bounded by itself, in what it reads, computes and gives back; how often it is called is bounded by
//! the call's deadline, which is looked at whenever the guest goes on.

mod codice_fiscale;
mod concept_map;
mod counters;
mod fhirpath;
mod log;
mod pseudonym;
mod settings;

use wasmtime::component::LinkerInstance;

pub use fhirpath::{Expressions, Questioned};

use crate::{Grant, call::CallState};

/// How often a call may still use what is counted.
#[derive(Debug, Clone)]
pub struct Allowance {
    lines: u32,
    questions: u32,
    translations: u32,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { lines: log::LINES, questions: fhirpath::QUESTIONS, translations: concept_map::TRANSLATIONS }
    }
}

/// Takes one of what is left; false where nothing is.
fn take(left: &mut u32) -> bool {
    match left.checked_sub(1) {
        Some(less) => {
            *left = less;
            true
        }
        None => false,
    }
}

/// Defines the functions of a granted interface.
pub fn define(grant: Grant, interface: &mut LinkerInstance<'_, CallState>) -> wasmtime::Result<()> {
    match grant {
        Grant::Log => interface.func_wrap("line", log::line),
        Grant::Settings => interface.func_wrap("json", settings::json),
        Grant::Counters => interface.func_wrap("add", counters::add),
        Grant::Fhirpath => interface.func_wrap("evaluate", fhirpath::evaluate),
        Grant::ConceptMap => interface.func_wrap("translate", concept_map::translate),
        Grant::CodiceFiscale => interface.func_wrap("check", codice_fiscale::check),
        Grant::Pseudonym => interface.func_wrap("pseudonym", pseudonym::pseudonym),
    }
}
