//! Write a Varco gateway plugin in Rust.
//!
//! Implement [`Plugin`], name the type in [`export!`], build for `wasm32-unknown-unknown`. The logic stays plain
//! Rust: `cargo test` runs it natively, with [`testing`] in the place of the gateway.
//!
//! ```
//! use varco_plugin::{Context, Plugin, StatusHint, Verdict, refuse};
//!
//! struct SmallBodies;
//!
//! impl Plugin for SmallBodies {
//!     fn on_request(_context: &Context, body: &[u8]) -> Verdict {
//!         if body.len() > 4096 {
//!             return refuse(StatusHint::Unprocessable, "too-long", "Send at most 4096 bytes.");
//!         }
//!         Verdict::Pass
//!     }
//! }
//!
//! varco_plugin::export!(SmallBodies);
//! ```
//!
//! The contract is `plugins/wit/varco-plugin.wit`. Each call runs in a fresh instance: a plugin keeps no state
//! from one call to the next, and a `static` is as new as the call.

#[doc(hidden)]
pub mod bindings;
mod host;
pub mod testing;

pub use bindings::exports::varco::plugin::request_hook::{Context, Verdict};
pub use bindings::varco::plugin::log::Level;
pub use bindings::varco::plugin::types::{Direction, Refusal, StatusHint};
pub use host::{log, settings};

/// What a plugin does. A hook that isn't written lets the body pass.
pub trait Plugin {
    /// Judges the body of a request before it is forwarded.
    fn on_request(_context: &Context, _body: &[u8]) -> Verdict {
        Verdict::Pass
    }

    /// Judges the body of a response before it is released.
    fn on_response(_context: &Context, _body: &[u8]) -> Verdict {
        Verdict::Pass
    }
}

/// A refusal: `code` is one of the FHIR R4 `issue-type` value set, `diagnostics` says what to change.
///
/// Neither may hold personal data: both reach the client.
pub fn refuse(status_hint: StatusHint, code: &str, diagnostics: &str) -> Verdict {
    Verdict::Refuse(Refusal { status_hint, code: code.to_owned(), diagnostics: diagnostics.to_owned() })
}

/// Makes a type that implements [`Plugin`] the component's plugin. Use it once in a crate of type `cdylib`.
///
/// Outside of WebAssembly it does nothing, so that the crate's tests run natively.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::bindings::exports::varco::plugin::request_hook::Guest for Component {
                fn on_request(context: $crate::Context, body: Vec<u8>) -> $crate::Verdict {
                    <$plugin as $crate::Plugin>::on_request(&context, &body)
                }
            }

            impl $crate::bindings::exports::varco::plugin::response_hook::Guest for Component {
                fn on_response(context: $crate::Context, body: Vec<u8>) -> $crate::Verdict {
                    <$plugin as $crate::Plugin>::on_response(&context, &body)
                }
            }

    $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        };
    };
}
