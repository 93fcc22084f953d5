//! The types and functions that `wit-bindgen` makes from the WIT package. Plugins use the names of the crate root.

#![allow(missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "../wit",
    world: "gateway-plugin",
    additional_derives: [PartialEq, Eq],
    export_macro_name: "export_component",
    pub_export_macro: true,
});
