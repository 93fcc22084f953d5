//! Logical models of the synthetic regional dialects, and of the claims of the national gateway's token.
//!
//! The specifications of the regional systems (booking, registry, prescription) are not public: these dialects are our own,
//! named as such, with the shapes and the traps that such systems have. A map finds them without being given them; what is
//! given goes before.

use std::sync::{Arc, LazyLock};

use fhir_models::definition::Definitions;

/// Booking of a synthetic booking centre (CUP), in XML or JSON.
pub const SYNTHETIC_CUP: &str = "urn:varco:model:synthetic-cup/Prenotazione";
/// Person of a synthetic regional registry (anagrafe), in JSON.
pub const SYNTHETIC_ANAGRAFE: &str = "urn:varco:model:synthetic-anagrafe/Assistito";

/// What the token of the FSE 2.0 gateway (FSE-JWT-Signature) claims of the patient and their consent, in JSON.
pub const FSE_CLAIMS: &str = "urn:varco:model:fse-claims/Claims";

const MODELS: &[(&str, &str)] = &[
    (SYNTHETIC_CUP, include_str!("../../maps/models/synthetic-cup.json")),
    (SYNTHETIC_ANAGRAFE, include_str!("../../maps/models/synthetic-anagrafe.json")),
    (FSE_CLAIMS, include_str!("../../maps/models/fse-claims.json")),
];

/// The logical model with this canonical: a `StructureDefinition` in JSON.
pub fn regional_model(url: &str) -> Option<&'static str> {
    MODELS.iter().find(|it| it.0 == url).map(|it| it.1)
}

/// The definitions of FHIR R4 with the models, where `url` is one of them.
pub(super) fn with_models(url: &str) -> Option<Arc<Definitions>> {
    static ALL: LazyLock<Option<Arc<Definitions>>> = LazyLock::new(|| {
        let mut builder = Definitions::builder();
        for (url, json) in MODELS {
            builder.definition(url, json.as_bytes()).ok()?;
        }
        builder.build().ok().map(Arc::new)
    });
    regional_model(url)?;
    ALL.clone()
}
