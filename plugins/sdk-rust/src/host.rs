//! What a plugin may ask of the gateway. Natively, [`crate::testing`] answers.

use crate::Level;

/// The `settings` object of the manifest as JSON text; `{}` where there is none. Needs the grant `settings`.
pub fn settings() -> String {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::varco::plugin::settings::json();
    #[cfg(not(target_arch = "wasm32"))]
    return crate::testing::current_settings();
}

/// Writes a line to the gateway's log. Needs the grant `log`. A line must not hold personal data.
///
/// The gateway keeps 8 lines a call, 512 bytes each.
pub fn log(level: Level, text: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::varco::plugin::log::line(level, text);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::record(level, text);
}
