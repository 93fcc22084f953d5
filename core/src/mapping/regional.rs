//! The maps between what Italian regions and the national gateway (FSE 2.0) write and what Europe reads.
//!
//! They are texts of the FHIR Mapping Language in `core/maps`, named by their canonicals: a site copies one, changes what its
//! dialect has otherwise, and gives the copy instead. Each says at its top what it leaves behind by design; the loss
//! report of a run names the places. Invariant: every map here compiles against FHIR R4 alone.

use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::xml::Schema;

use super::compile::MapFile;
use super::{CompiledMap, MapError, Mapper};

/// Booking of a synthetic booking centre (CUP) to a transaction.
pub const SYNTHETIC_CUP_TO_FHIR: &str = "urn:varco:map:synthetic-cup-to-fhir";
/// Transaction of a booking to the booking of a synthetic booking centre (CUP).
pub const FHIR_TO_SYNTHETIC_CUP: &str = "urn:varco:map:fhir-to-synthetic-cup";
/// Patient to a person of a synthetic regional registry.
pub const FHIR_TO_SYNTHETIC_ANAGRAFE: &str = "urn:varco:map:fhir-to-synthetic-anagrafe";
/// Person of a synthetic regional registry to Patient.
pub const SYNTHETIC_ANAGRAFE_TO_FHIR: &str = "urn:varco:map:synthetic-anagrafe-to-fhir";
/// FSE 2.0 laboratory report to the EU Laboratory report.
pub const FSE_LAB_TO_EU_LAB: &str = "urn:varco:map:fse-lab-to-eu-lab";
/// EU Laboratory report to the FSE 2.0 laboratory report.
pub const EU_LAB_TO_FSE_LAB: &str = "urn:varco:map:eu-lab-to-fse-lab";

/// FSE 2.0 patient summary (PSS) to the International and European Patient Summary.
pub const FSE_PSS_TO_IPS: &str = "urn:varco:map:fse-pss-to-ips";
/// International or European Patient Summary to the FSE 2.0 patient summary (PSS).
pub const IPS_TO_FSE_PSS: &str = "urn:varco:map:ips-to-fse-pss";
/// FSE 2.0 hospital discharge letter (LDO) to the European Hospital Discharge Report.
pub const FSE_LDO_TO_HDR: &str = "urn:varco:map:fse-ldo-to-hdr";
/// European Hospital Discharge Report to the FSE 2.0 hospital discharge letter (LDO).
pub const HDR_TO_FSE_LDO: &str = "urn:varco:map:hdr-to-fse-ldo";

/// Claims of the FSE 2.0 gateway's token about consent to Consent.
pub const FSE_CONSENT_TO_FHIR: &str = "urn:varco:map:fse-consent-to-fhir";
/// Consent to the claims of the FSE 2.0 gateway's token about consent.
pub const FHIR_TO_FSE_CONSENT: &str = "urn:varco:map:fhir-to-fse-consent";

/// A map that comes with Varco.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionalMap {
    /// Its canonical.
    pub url: &'static str,
    /// What it does, in one line.
    pub title: &'static str,
    /// Its text, in the FHIR Mapping Language.
    pub text: &'static str,
}

const MAPS: &[RegionalMap] = &[
    RegionalMap {
        url: SYNTHETIC_CUP_TO_FHIR,
        title: "Booking of a synthetic booking centre (CUP) to a transaction: Patient, ServiceRequests, Appointment",
        text: include_str!("../../maps/synthetic-cup-to-fhir.fml"),
    },
    RegionalMap {
        url: FHIR_TO_SYNTHETIC_CUP,
        title: "Transaction of a booking (Patient, ServiceRequests, Appointment) to the booking of a synthetic booking centre (CUP)",
        text: include_str!("../../maps/fhir-to-synthetic-cup.fml"),
    },
    RegionalMap {
        url: FHIR_TO_SYNTHETIC_ANAGRAFE,
        title: "Patient to a person of a synthetic regional registry (anagrafe)",
        text: include_str!("../../maps/fhir-to-synthetic-anagrafe.fml"),
    },
    RegionalMap {
        url: SYNTHETIC_ANAGRAFE_TO_FHIR,
        title: "Person of a synthetic regional registry (anagrafe) to Patient",
        text: include_str!("../../maps/synthetic-anagrafe-to-fhir.fml"),
    },
    RegionalMap {
        url: FSE_LAB_TO_EU_LAB,
        title: "FSE 2.0 laboratory report (transaction Bundle) to EU Laboratory report (document Bundle)",
        text: include_str!("../../maps/fse-lab-to-eu-lab.fml"),
    },
    RegionalMap {
        url: EU_LAB_TO_FSE_LAB,
        title: "EU Laboratory report (document Bundle) to FSE 2.0 laboratory report (transaction Bundle)",
        text: include_str!("../../maps/eu-lab-to-fse-lab.fml"),
    },
    RegionalMap {
        url: FSE_PSS_TO_IPS,
        title: "FSE 2.0 patient summary, PSS (transaction Bundle) to the International and European Patient Summary (document Bundle)",
        text: include_str!("../../maps/fse-pss-to-ips.fml"),
    },
    RegionalMap {
        url: IPS_TO_FSE_PSS,
        title: "International or European Patient Summary (document Bundle) to the FSE 2.0 patient summary, PSS (transaction Bundle)",
        text: include_str!("../../maps/ips-to-fse-pss.fml"),
    },
    RegionalMap {
        url: FSE_LDO_TO_HDR,
        title: "FSE 2.0 hospital discharge letter, LDO (transaction Bundle) to the European Hospital Discharge Report (document Bundle)",
        text: include_str!("../../maps/fse-ldo-to-hdr.fml"),
    },
    RegionalMap {
        url: HDR_TO_FSE_LDO,
        title: "European Hospital Discharge Report (document Bundle) to the FSE 2.0 hospital discharge letter, LDO (transaction Bundle)",
        text: include_str!("../../maps/hdr-to-fse-ldo.fml"),
    },
    RegionalMap {
        url: FSE_CONSENT_TO_FHIR,
        title: "Claims of the FSE 2.0 gateway token about consent to Consent",
        text: include_str!("../../maps/fse-consent-to-fhir.fml"),
    },
    RegionalMap {
        url: FHIR_TO_FSE_CONSENT,
        title: "Consent to the claims of the FSE 2.0 gateway token about consent",
        text: include_str!("../../maps/fhir-to-fse-consent.fml"),
    },
    RegionalMap {
        url: "urn:varco:map:fse-to-europe",
        title: "What the maps from FSE 2.0 to Europe share: identifiers, codes, units, labels, resources",
        text: include_str!("../../maps/fse-to-europe.fml"),
    },
    RegionalMap {
        url: "urn:varco:map:europe-to-fse",
        title: "What the maps from Europe to FSE 2.0 share: identifiers, codes, units, labels, resources",
        text: include_str!("../../maps/europe-to-fse.fml"),
    },
    RegionalMap {
        url: "urn:varco:map:aic-to-atc",
        title: "AIC to ATC: which substance a medicine has",
        text: include_str!("../../maps/aic-to-atc.fml"),
    },
];

/// All maps that come with Varco.
pub fn regional_maps() -> &'static [RegionalMap] {
    MAPS
}

/// The map with this canonical.
pub fn regional_map(url: &str) -> Option<&'static RegionalMap> {
    MAPS.iter().find(|it| it.url == url)
}

impl RegionalMap {
    /// Compiles the map.
    ///
    /// # Errors
    /// What the definitions lack of FHIR R4, at the places of the map that need it.
    pub fn compile(&self, definitions: &Arc<Definitions>) -> Result<CompiledMap, Vec<MapError>> {
        let mut mapper = Mapper::new(Arc::clone(definitions));
        let number = mapper.add(self.url, self.text.as_bytes()).map_err(|error| vec![error])?;
        mapper.compile(number)
    }
}

/// The maps of Varco that these files import and that are not among them, with what those import.
pub(super) fn imported(files: &[&MapFile], schema: &dyn Schema) -> Result<Vec<MapFile>, Vec<MapError>> {
    let mut found: Vec<MapFile> = Vec::new();
    let mut waiting: Vec<String> = imports(files.iter().copied());
    while let Some(url) = waiting.pop() {
        if files.iter().copied().chain(&found).any(|it| it.map.url == url) {
            continue;
        }
        let Some(own) = regional_map(&url) else { continue };
        let file = MapFile::read(own.url, own.text.as_bytes(), schema).map_err(|error| vec![error])?;
        waiting.extend(imports([&file]));
        found.push(file);
    }
    Ok(found)
}

fn imports<'f>(files: impl IntoIterator<Item = &'f MapFile>) -> Vec<String> {
    files.into_iter().flat_map(|it| it.map.imports.iter().map(|it| it.url.clone())).collect()
}
