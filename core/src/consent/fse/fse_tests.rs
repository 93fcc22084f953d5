//! The rules of FSE as tables, and as properties over everything that can be asked.
#![allow(clippy::unwrap_used)]

use fhir_models::document::{Limits, OwnedDocument};
use proptest::prelude::*;

use super::*;
use crate::consent::{CONFIDENTIALITY, Reading, ResourceFacts};
use crate::requester::{Code, Grants, Requester};

fn asking(role: &str) -> Requester {
    Requester { roles: vec![Code::new("urn:varco:synthetic:ruoli", role)], ..Requester::default() }
}

fn with_purpose(role: &str, purpose: &str, self_certifications: u8) -> Requester {
    let grants = Grants { self_certifications, ..Grants::default() };
    Requester { purposes: vec![Code::new("", purpose)], grants, ..asking(role) }
}

fn delegate(may_consult: bool, may_use_services: bool) -> Requester {
    Requester { grants: Grants { may_consult, may_use_services, ..Grants::default() }, ..asking("ING") }
}

fn document(labels: &[&str]) -> FseDocument {
    let label = |code: &&str| match code.len() {
        1 => Code::new(CONFIDENTIALITY, *code),
        _ => Code::new(MASKING_SYSTEM, *code),
    };
    let facts = ResourceFacts { labels: labels.iter().map(label).collect(), ..ResourceFacts::default() };
    FseDocument::of(&facts, Chain::Alone, &FseSystems::default())
}

fn asked(requester: &Requester, document: &FseDocument) -> Option<Hidden> {
    hidden(&FseRequest::of(requester, &FseSystems::default()), document)
}

#[test]
fn who_sees_what() {
    let columns: [&[&str]; 8] =
        [&["N"], &["P99"], &["V"], &["V", "P00"], &["P97"], &["P98"], &["V", "P98"], &["P42"]];
    // x hidden, . shown
    for (role, row) in [
        ("ASS", ".....xx."),
        ("GEN", "....x..."),
        ("TUT", "....x..."),
        ("APR", ".xx...xx"),
        ("AAS", ".xx...xx"),
        ("FAR", ".xx...xx"),
        ("OAM", ".xx...xx"),
        ("XXX", "xxxxxxxx"),
        ("", "xxxxxxxx"),
    ] {
        let found: String = columns
            .iter()
            .map(|labels| if asked(&asking(role), &document(labels)).is_some() { 'x' } else { '.' })
            .collect();
        assert_eq!(found, row, "{role}");
    }
    for ((consult, services), row) in [
        ((false, false), "xxxxxxxx"),
        ((true, false), ".xxxxxxx"),
        ((true, true), "..xxxxx."),
        ((false, true), "xxxxxxxx"),
    ] {
        let found: String = columns
            .iter()
            .map(
                |labels| {
                    if asked(&delegate(consult, services), &document(labels)).is_some() { 'x' } else { '.' }
                },
            )
            .collect();
        assert_eq!(found, row, "a delegate, {consult} {services}");
    }
}

#[test]
fn an_emergency_opens_the_summary_then_the_rest_and_never_what_is_masked() {
    let summary = FseDocument { is_summary: true, ..document(&["N"]) };
    let masked_summary = FseDocument { is_summary: true, ..document(&["P99"]) };
    let report = document(&["N"]);
    for purpose in ["EMERGENCY", "PUBEMERGENCY", "BTG"] {
        let ask =
            |certified: u8, document: &FseDocument| asked(&with_purpose("AAS", purpose, certified), document);
        assert_eq!(ask(0, &summary), Some(Hidden::NotCertified));
        assert_eq!(ask(1, &summary), None);
        assert_eq!(ask(1, &report), Some(Hidden::NotTheSummary));
        assert_eq!(ask(2, &report), None);
        assert_eq!(ask(2, &document(&["V"])), Some(Hidden::GreaterProtection));
        assert_eq!(ask(1, &masked_summary), Some(Hidden::Masked));
    }
    assert_eq!(asked(&with_purpose("GEN", "EMERGENCY", 2), &document(&["P99"])), Some(Hidden::Masked));
    assert_eq!(asked(&with_purpose("AAS", "TREATMENT", 0), &report), None);
}

#[test]
fn administrative_staff_sees_no_prescriptions() {
    for (kind, class, expected) in [
        ("MedicationRequest", "", Some(Hidden::Prescription)),
        ("DocumentReference", "57833-6", Some(Hidden::Prescription)),
        ("DocumentReference", "11502-2", None),
    ] {
        let facts = ResourceFacts {
            resource_type: kind.to_owned(),
            classes: vec![Code::new("http://loinc.org", class)],
            ..ResourceFacts::default()
        };
        let document = FseDocument::of(&facts, Chain::Alone, &FseSystems::default());
        assert_eq!(asked(&asking("OAM"), &document), expected, "{kind} {class}");
        assert_eq!(asked(&asking("APR"), &document), None);
    }
}

#[test]
fn several_roles_see_what_all_may_see() {
    let both = Requester { roles: vec![Code::new("", "ASS"), Code::new("", "APR")], ..Requester::default() };
    assert_eq!(asked(&both, &document(&["P99"])), Some(Hidden::Masked));
    assert_eq!(asked(&both, &document(&["P98"])), Some(Hidden::FromPatient));
    let odd =
        Requester { roles: vec![Code::new("", "ASS"), Code::new("", "primario")], ..Requester::default() };
    assert_eq!(asked(&odd, &document(&["N"])), Some(Hidden::UnknownRole));
}

#[test]
fn a_role_counts_in_the_deployments_system_alone_where_it_names_one() {
    let systems = FseSystems { roles: vec!["urn:ruoli".to_owned()], ..FseSystems::default() };
    let with = |system: &str| Requester { roles: vec![Code::new(system, "APR")], ..Requester::default() };
    let ask = |system: &str| hidden(&FseRequest::of(&with(system), &systems), &document(&["N"]));
    assert_eq!(ask("urn:ruoli"), None);
    assert_eq!(ask("urn:altri"), Some(Hidden::UnknownRole));
}

#[test]
fn event_codes_of_the_same_system_mask_nothing() {
    let with_event = |code: &str| {
        let facts =
            ResourceFacts { codes: vec![Code::new(MASKING_SYSTEM, code)], ..ResourceFacts::default() };
        FseDocument::of(&facts, Chain::Alone, &FseSystems::default()).masks
    };
    assert_eq!(with_event("P99"), [Mask::Masked]);
    assert_eq!(with_event("P42"), [Mask::Unknown]);
    assert_eq!(with_event("J07BX03"), []);
}

fn prescription(id: &str, numbers: &[&str], mask: &str) -> OwnedDocument {
    let identifiers: Vec<String> = numbers
        .iter()
        .map(|number| format!(r#"{{"system":"urn:oid:2.16.840.1.113883.2.9.4.3.8","value":"{number}"}}"#))
        .collect();
    let text = format!(
        r#"{{"resourceType":"DocumentReference","id":"{id}","meta":{{"security":[{{"system":"{MASKING_SYSTEM}","code":"{mask}"}}]}},
        "context":{{"related":[{{"identifier":[{}]}}]}}}}"#,
        identifiers.join(",")
    );
    OwnedDocument::parse_json(text, &Limits::default()).unwrap()
}

#[test]
fn documents_of_one_prescription_are_masked_together() {
    let systems = FseSystems::default();
    let all = [
        prescription("ricetta", &["0300A1"], "P00"),
        prescription("erogazione", &["0300A1", "0300A2"], "P00"),
        prescription("referto", &["0300A2"], "P99"),
        prescription("altra", &["0300B7"], "P00"),
        prescription("visita", &[], "P00"),
    ];
    let mut chains = Chains::new();
    for document in &all {
        let facts = ResourceFacts::of_resource(document.root(), &Reading::default());
        let own = FseDocument::of(&facts, Chain::Alone, &systems);
        chains.add(document.root(), own.is_masked_itself(), &systems);
    }
    let chain = |at: usize| chains.chain_of(all[at].root(), true, &systems);
    assert_eq!(
        [0, 1, 2, 3, 4].map(chain),
        [Chain::Masked, Chain::Masked, Chain::Masked, Chain::Open, Chain::Alone]
    );
    assert_eq!(chains.chain_of(all[3].root(), false, &systems), Chain::Unknown);
    assert_eq!(chains.chain_of(all[4].root(), false, &systems), Chain::Alone);
    let in_chain = FseDocument { chain: Chain::Masked, ..document(&["P00"]) };
    assert_eq!(asked(&asking("APR"), &in_chain), Some(Hidden::MaskedChain));
    assert_eq!(asked(&asking("ASS"), &in_chain), None);
    let unknown = FseDocument { chain: Chain::Unknown, ..document(&["P00"]) };
    assert_eq!(asked(&asking("APR"), &unknown), Some(Hidden::UnknownChain));
}

fn a_document() -> impl Strategy<Value = FseDocument> {
    let mask = prop::sample::select(vec![
        Mask::Masked,
        Mask::Unmasked,
        Mask::FromParent,
        Mask::FromPatient,
        Mask::Unknown,
    ]);
    let chain = prop::sample::select(vec![Chain::Alone, Chain::Open, Chain::Masked, Chain::Unknown]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (prop::collection::vec(mask, 0..3), chain, flags).prop_map(
        |(masks, chain, (is_very_restricted, is_prescription, is_summary))| FseDocument {
            masks,
            is_very_restricted,
            is_prescription,
            is_summary,
            is_demographic: false,
            chain,
        },
    )
}

fn a_requester() -> impl Strategy<Value = Requester> {
    let role = prop::sample::select(vec!["ASS", "GEN", "TUT", "ING", "OAM", "APR", "FAR", "XXX"]);
    let purpose = prop::sample::select(vec!["TREATMENT", "PERSONAL", "EMERGENCY", "BTG"]);
    let grants = (0u8..4, any::<bool>(), any::<bool>());
    (prop::collection::vec(role, 0..3), purpose, grants).prop_map(
        |(roles, purpose, (self_certifications, may_consult, may_use_services))| Requester {
            roles: roles.into_iter().map(|role| Code::new("", role)).collect(),
            purposes: vec![Code::new("", purpose)],
            grants: Grants { self_certifications, may_consult, may_use_services },
            ..Requester::default()
        },
    )
}

/// The rules again, said the other way round: what each role may see.
fn may_see(requester: &Requester, document: &FseDocument) -> bool {
    let is = |mask| document.masks.contains(&mask);
    let masked = is(Mask::Masked)
        || is(Mask::Unknown)
        || (document.is_very_restricted && !is(Mask::Unmasked))
        || document.chain == Chain::Masked
        || document.chain == Chain::Unknown;
    let emergency = requester.purposes.iter().any(|own| own.code == "EMERGENCY" || own.code == "BTG");
    let certified = requester.grants.self_certifications;
    let open = !emergency || (!masked && (certified >= 2 || (certified == 1 && document.is_summary)));
    let role_may = |role: &Code| match role.code.as_str() {
        "ASS" => !is(Mask::FromPatient),
        "GEN" | "TUT" => !is(Mask::FromParent),
        "ING" => {
            let both = requester.grants.may_consult && requester.grants.may_use_services;
            let hidden = is(Mask::FromPatient) || is(Mask::FromParent) || document.is_very_restricted;
            requester.grants.may_consult && !hidden && (both || !masked)
        }
        "OAM" => !masked && !document.is_prescription,
        "APR" | "FAR" => !masked,
        _ => false,
    };
    open && !requester.roles.is_empty() && requester.roles.iter().all(role_may)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn fast_and_slow_agree(requester in a_requester(), document in a_document()) {
        prop_assert_eq!(asked(&requester, &document).is_none(), may_see(&requester, &document));
    }

    /// Another mask, a higher confidentiality or a masked chain never shows what was hidden; only P00 may.
    #[test]
    fn stricter_never_shows_more(requester in a_requester(), document in a_document(), more in 0usize..5) {
        let mut stricter = document.clone();
        match more {
            0 => stricter.masks.push(Mask::Masked),
            1 => stricter.masks.push(Mask::FromPatient),
            2 => stricter.masks.push(Mask::FromParent),
            3 => stricter.is_very_restricted = true,
            _ => stricter.chain = Chain::Masked,
        }
        prop_assert!(asked(&requester, &document).is_none() || asked(&requester, &stricter).is_some());
    }
}
