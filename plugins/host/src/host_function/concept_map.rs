//! `concept-map`: translations by maps that the operator gave the plugin (FHIR R4, section 4.11.12).

use varco_core::terminology::concept_map::{Asked, Concept, Match};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Lower},
};

use super::take;
use crate::call::CallState;

/// Questions that one call may ask.
pub const TRANSLATIONS: u32 = 1000;
/// Most targets of an answer.
const TARGETS: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Coding {
    system: Option<String>,
    code: String,
    display: Option<String>,
}

#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub struct Target {
    equivalence: &'static str,
    coding: Option<Coding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Error {
    #[component(name = "unknown-map")]
    UnknownMap,
    #[component(name = "too-many")]
    TooMany,
}

type Answer = (Result<Vec<Target>, Error>,);

pub fn translate(
    mut store: StoreContextMut<'_, CallState>,
    (map, coding): (String, Coding),
) -> wasmtime::Result<Answer> {
    let state = store.data_mut();
    if !take(&mut state.allowance.translations) {
        return Ok((Err(Error::TooMany),));
    }
    let Some(map) = state.plugin.concept_maps.iter().find(|own| own.url() == map) else {
        return Ok((Err(Error::UnknownMap),));
    };
    let asked = Asked::of(Concept::of(coding.system.as_deref(), &coding.code));
    let answer = map.translate(&asked);
    Ok((Ok(answer.matches.iter().take(TARGETS).map(target).collect()),))
}

fn target(found: &Match<'_>) -> Target {
    let coding = found.concept.map(|concept| Coding {
        system: concept.system.map(str::to_owned),
        code: concept.code.to_owned(),
        display: concept.display.map(str::to_owned),
    });
    Target { equivalence: found.equivalence.code(), coding }
}
