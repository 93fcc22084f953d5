//! Write a Varco gateway plugin in Rust.
//!
//! A plugin is a function. Name it in [`export!`], build with `varco plugin build`. The logic stays plain Rust:
//! `cargo test` runs it natively, with [`testing`] in the place of the gateway.
//!
//! ```
//! use varco_plugin::{Context, StatusHint, Verdict, refuse};
//!
//! fn judge(_context: &Context, body: &[u8]) -> Verdict {
//!     if body.len() > 4096 {
//!         return refuse(StatusHint::Unprocessable, "too-long", "Send at most 4096 bytes.");
//!     }
//!     Verdict::Pass
//! }
//!
//! varco_plugin::export!(request: judge);
//! ```
//!
//! The contract is `wit/varco-plugin.wit`. Each call runs in a fresh instance: a plugin keeps no state from one call to
//! the next, and a `static` is as new as the call.

mod arena;
#[doc(hidden)]
pub mod bindings;
mod host;
pub mod json;
#[cfg_attr(target_arch = "wasm32", allow(dead_code, unused_imports))]
pub mod testing;

pub use bindings::enrichment::exports::varco::plugin::enrichment_hook::Addition;
pub use bindings::varco::plugin::codice_fiscale::Finding;
pub use bindings::varco::plugin::concept_map::{Coding, Error as TranslateError, Target};
pub use bindings::varco::plugin::fhirpath::{Error as FhirPathError, Item, Value as FhirPathValue};
pub use bindings::varco::plugin::log::Level;
pub use bindings::varco::plugin::types::{Context, Direction, Refusal, StatusHint, Verdict};
pub use host::{codice_fiscale, count, fhirpath, log, pseudonym, settings, translate};

/// The verdict that stops an exchange. `code` is one of the FHIR R4 `issue-type` value set, `diagnostics` says what to change.
///
/// Neither may hold personal data: both reach the client.
pub fn refuse(status_hint: StatusHint, code: &str, diagnostics: &str) -> Verdict {
    Verdict::Refuse(refusal(status_hint, code, diagnostics))
}

/// What [`refuse`] wraps; an enrichment returns it as its error.
pub fn refusal(status_hint: StatusHint, code: &str, diagnostics: &str) -> Refusal {
    Refusal { status_hint, code: code.to_owned(), diagnostics: diagnostics.to_owned() }
}

/// Makes functions the component's hooks. Use it once in a crate of type `cdylib`; the manifest's `world` must be the one
/// named here:
///
/// | call | world | the function |
/// |---|---|---|
/// | `export!(request: f)` | `request-plugin` | `fn(&Context, &[u8]) -> Verdict` |
/// | `export!(response: f)` | `response-plugin` | the same |
/// | `export!(request: f, response: g)` | `gateway-plugin` | both the same |
/// | `export!(transform: f)` | `transform-plugin` | the same |
/// | `export!(enrich: f)` | `enrichment-plugin` | `fn(&Context, &[u8]) -> Result<Vec<Addition>, Refusal>` |
///
/// Outside of WebAssembly it does nothing but check the functions' types, so that the crate's tests run natively.
#[macro_export]
macro_rules! export {
    (request: $request:path) => {
        $crate::hook!($crate::Verdict; $request);
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl $crate::bindings::exports::varco::plugin::request_hook::Guest for Component {
                fn on_request(context: $crate::Context, body: Vec<u8>) -> $crate::Verdict {
                    $request(&context, &body)
                }
            }
            $crate::bindings::export_request_world!(Component with_types_in $crate::bindings);
        };
    };
    (response: $response:path) => {
        $crate::hook!($crate::Verdict; $response);
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl $crate::bindings::response::exports::varco::plugin::response_hook::Guest for Component {
                fn on_response(context: $crate::Context, body: Vec<u8>) -> $crate::Verdict {
                    $response(&context, &body)
                }
            }
            $crate::bindings::response::export_response_world!(
                Component with_types_in $crate::bindings::response
            );
        };
    };
    (request: $request:path, response: $response:path) => {
        $crate::export!(request: $request);
        $crate::export!(response: $response);
    };
    (transform: $transform:path) => {
        $crate::hook!($crate::Verdict; $transform);
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl $crate::bindings::transform::exports::varco::plugin::transform_hook::Guest for Component {
                fn transform(context: $crate::Context, resource: Vec<u8>) -> $crate::Verdict {
                    $transform(&context, &resource)
                }
            }
            $crate::bindings::transform::export_transform_world!(
                Component with_types_in $crate::bindings::transform
            );
        };
    };
    (enrich: $enrich:path) => {
        $crate::hook!(::core::result::Result<Vec<$crate::Addition>, $crate::Refusal>; $enrich);
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl $crate::bindings::enrichment::exports::varco::plugin::enrichment_hook::Guest for Component {
                fn enrich(
                    context: $crate::Context,
                    resource: Vec<u8>,
                ) -> ::core::result::Result<Vec<$crate::Addition>, $crate::Refusal> {
                    $enrich(&context, &resource)
                }
            }
            $crate::bindings::enrichment::export_enrichment_world!(
                Component with_types_in $crate::bindings::enrichment
            );
        };
    };
}

/// Holds a function to the type of a hook.
#[doc(hidden)]
#[macro_export]
macro_rules! hook {
    ($answer:ty; $function:path) => {
        const _: fn(&$crate::Context, &[u8]) -> $answer = $function;
    };
}
