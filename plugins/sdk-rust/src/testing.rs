//! Stands in for the gateway in native tests of a plugin's logic.
//!
//! ```
//! use varco_plugin::{Level, testing};
//!
//! let lines = testing::with_settings(r#"{"limit": 3}"#, || {
//!     assert_eq!(varco_plugin::settings(), r#"{"limit": 3}"#);
//!     varco_plugin::log(Level::Info, "limit is 3");
//! });
//! assert_eq!(lines, [(Level::Info, "limit is 3".to_owned())]);
//! ```

use std::cell::RefCell;

use crate::{Context, Direction, Level};

struct Gateway {
    settings: String,
    lines: Vec<(Level, String)>,
}

thread_local! {
    static GATEWAY: RefCell<Gateway> = const { RefCell::new(Gateway { settings: String::new(), lines: Vec::new() }) };
}

/// Runs `test` with these settings, as JSON text, and returns the lines that it logged.
///
/// The settings hold for the calling thread until `test` returns.
pub fn with_settings(settings: &str, test: impl FnOnce()) -> Vec<(Level, String)> {
    GATEWAY.with_borrow_mut(|gateway| {
        gateway.settings = settings.to_owned();
        gateway.lines.clear();
    });
    test();
    GATEWAY.with_borrow_mut(|gateway| {
        gateway.settings.clear();
        std::mem::take(&mut gateway.lines)
    })
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

#[cfg_attr(target_arch = "wasm32", allow(dead_code))]
pub(crate) fn current_settings() -> String {
    GATEWAY.with_borrow(|gateway| match gateway.settings.as_str() {
        "" => "{}".to_owned(),
        settings => settings.to_owned(),
    })
}

#[cfg_attr(target_arch = "wasm32", allow(dead_code))]
pub(crate) fn record(level: Level, text: &str) {
    GATEWAY.with_borrow_mut(|gateway| gateway.lines.push((level, text.to_owned())));
}
