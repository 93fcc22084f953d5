//! Whether a resource speaks the language of a code system: what is named in another language is no wrong name
//! (FHIR R4 §2.1.13 `language`, §2.24.0.5 `Coding.display`).
//!
//! What the resource states counts. Where it states nothing, it shows it: by a display that is the system's own for
//! another code, or by a narrative in English, which the systems built in speak. Read only once a display is found
//! to have nothing in common with its code; the look is bounded.

use fhir_models::definition::CodeSystem;
use fhir_models::document::{Value, name};

/// Most values of a resource among which codings are looked for.
const MOST_VALUES: usize = 2_000;

/// Longest part of a narrative that is read, in bytes.
const MOST_TEXT: usize = 4_096;

/// English words that other languages hardly write; two of them tell.
const ENGLISH: [&str; 10] = ["the", "and", "with", "this", "that", "from", "for", "which", "are", "has"];

/// True where the resource names codes in the language of this system, which speaks English unless it says otherwise.
pub(super) fn is_shared(resource: Value<'_>, system: &CodeSystem) -> bool {
    if let Some(stated) = resource.get_key("language").and_then(Value::as_str) {
        return stated.to_ascii_lowercase().starts_with("en");
    }
    has_english_narrative(resource) || names_another_code(resource, system)
}

/// True where a coding has the very display that the system gives its code, and that is not the code itself.
fn names_another_code(resource: Value<'_>, system: &CodeSystem) -> bool {
    resource.descendants().take(MOST_VALUES).filter(|it| it.is_object()).any(|coding| {
        if !coding.get(name::SYSTEM).is_some_and(|it| it.is_str(&system.url)) {
            return false;
        }
        let (Some(code), Some(shown)) = (coding.str_of(name::CODE), coding.str_of(name::DISPLAY)) else {
            return false;
        };
        let own = system.concept(&code).and_then(|it| it.display.as_deref());
        own == Some(&*shown) && code != shown
    })
}

fn has_english_narrative(resource: Value<'_>) -> bool {
    let div = resource.get(name::TEXT).and_then(|it| it.get(name::DIV));
    let Some(raw) = div.map(Value::raw) else { return false };
    let mut end = raw.len().min(MOST_TEXT);
    while !raw.is_char_boundary(end) {
        end -= 1;
    }
    let mut met = [false; ENGLISH.len()];
    for word in raw.get(..end).unwrap_or_default().split(|it: char| !it.is_alphabetic()) {
        if let Some(at) = ENGLISH.iter().position(|it| word.eq_ignore_ascii_case(it))
            && let Some(slot) = met.get_mut(at)
        {
            *slot = true;
        }
    }
    met.iter().filter(|it| **it).count() >= 2
}
