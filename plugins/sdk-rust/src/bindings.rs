//! The types and functions that `wit-bindgen` makes from the WIT package, one world a module. Plugins use the names of
//! the crate root.
//!
//! The world with both hooks of bodies is made of the two with one: their descriptions are merged when the component is
//! wrapped.

#![allow(missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "../wit",
    world: "request-plugin",
    additional_derives: [PartialEq, Eq],
    export_macro_name: "export_request_world",
    pub_export_macro: true,
});

/// A world with one hook, which shares the types of the first.
macro_rules! world {
    ($module:ident, $world:literal, $macro:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../wit",
                world: $world,
                additional_derives: [PartialEq, Eq],
                export_macro_name: $macro,
                pub_export_macro: true,
                with: {
                    "varco:plugin/types@0.2.0": crate::bindings::varco::plugin::types,
                    "varco:plugin/log@0.2.0": crate::bindings::varco::plugin::log,
                    "varco:plugin/settings@0.2.0": crate::bindings::varco::plugin::settings,
                    "varco:plugin/counters@0.2.0": crate::bindings::varco::plugin::counters,
                    "varco:plugin/fhirpath@0.2.0": crate::bindings::varco::plugin::fhirpath,
                    "varco:plugin/concept-map@0.2.0": crate::bindings::varco::plugin::concept_map,
                    "varco:plugin/codice-fiscale@0.2.0": crate::bindings::varco::plugin::codice_fiscale,
                    "varco:plugin/pseudonym@0.2.0": crate::bindings::varco::plugin::pseudonym,
                },
            });
        }
    };
}

world!(response, "response-plugin", "export_response_world");
world!(transform, "transform-plugin", "export_transform_world");
world!(enrichment, "enrichment-plugin", "export_enrichment_world");
