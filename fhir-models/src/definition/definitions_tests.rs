//! Looking up what is built in, and what a user lays over it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Read as _;

use sha2::{Digest, Sha256};

use super::super::layer::BUILT_IN;
use super::super::{BindingStrength, Content, Max, Membership, SearchKind, built_in_packs, names_of};
use super::*;

#[test]
fn the_built_in_packs_are_those_that_sources_names() {
    let sources = include_str!("../../SOURCES.toml");
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let mut packs = Vec::new();
    for block in sources.split("[[source]]").skip(1) {
        let field = |name: &str| -> String {
            let line = block.lines().find(|line| line.split('=').next().map(str::trim) == Some(name));
            line.and_then(|line| line.split('"').nth(1)).expect(name).to_owned()
        };
        let mut bytes = Vec::new();
        std::fs::File::open(data.join(field("pack"))).unwrap().read_to_end(&mut bytes).unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, field("pack_sha256"), "{}", field("pack"));
        assert_eq!(field("licence"), "CC0-1.0");
        assert_eq!(field("sha256").len(), 64);
        assert!(field("published").len() > 10);
        let pack = Pack::open(bytes).unwrap();
        assert_eq!(pack.manifest().name, field("package"));
        assert_eq!(pack.manifest().version, field("version"));
        assert_eq!(pack.manifest().license.as_deref(), Some("CC0-1.0"));
        packs.push(pack.digest());
    }
    let built_in: Vec<String> = built_in_packs().iter().map(|pack| pack.digest()).collect();
    assert_eq!(built_in.len(), BUILT_IN.len());
    assert!(built_in.iter().all(|digest| packs.contains(digest)) && packs.len() == built_in.len());
    for pack in built_in_packs() {
        pack.verify().unwrap();
    }
}

#[test]
fn the_list_of_names_is_that_of_the_pack() {
    assert_eq!(names_of(&built_in_packs()[0]).unwrap(), include_str!("../../data/names.txt"));
}

#[test]
fn every_built_in_definition_can_be_read() {
    let definitions = Definitions::r4();
    let mut counts = BTreeMap::new();
    for layer in &definitions.layers {
        for entry in layer.pack.entries() {
            match entry.resource_type {
                "StructureDefinition" | "CodeSystem" | "SearchParameter" | "CompartmentDefinition" => {
                    layer.read(entry.number).unwrap_or_else(|error| panic!("{}: {error}", entry.url));
                }
                "ValueSet" => {
                    let url = [entry.url.as_str(), "|", entry.version].concat();
                    definitions.try_value_set(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
                }
                _ => {
                    layer.document(entry.number).expect("JSON");
                }
            }
            *counts.entry((layer.pack.manifest().name.clone(), entry.resource_type)).or_insert(0) += 1;
        }
    }
    let count = |package: &str, kind| counts.get(&(package.to_owned(), kind)).copied().unwrap_or(0);
    assert_eq!(count("hl7.fhir.r4.core", "StructureDefinition"), 655);
    assert_eq!(count("hl7.fhir.r4.core", "SearchParameter"), 1400);
    assert_eq!(count("hl7.fhir.uv.ips", "StructureDefinition"), 32);
    assert!(count("hl7.terminology.r4", "ValueSet") > 2400);
}

#[test]
fn patient_is_found_by_name_url_and_version() {
    let definitions = Definitions::r4();
    let patient = definitions.structure("Patient").unwrap();
    assert_eq!(patient.url, "http://hl7.org/fhir/StructureDefinition/Patient");
    assert!(Arc::ptr_eq(&patient, &definitions.structure(&patient.url).unwrap()));
    assert!(Arc::ptr_eq(&patient, &definitions.structure(&format!("{}|4.0.1", patient.url)).unwrap()));
    assert!(Arc::ptr_eq(&patient, &definitions.structure("Patient|4.0").unwrap()));
    assert!(definitions.structure("Patient|5.0.0").is_none());
    assert!(definitions.structure("Paziente").is_none());

    let gender = patient.element("Patient.gender").unwrap();
    assert_eq!((gender.types[0].code.as_str(), gender.most()), ("code", Max::Count(1)));
    let binding = gender.binding.as_ref().unwrap();
    assert_eq!(binding.strength, BindingStrength::Required);
    assert!(patient.element("Patient.contact").unwrap().constraints.iter().any(|it| it.key == "pat-1"));
    let id = &patient.element("Patient.id").unwrap().types[0];
    assert_eq!((id.code.as_str(), id.system_type.as_deref()), ("string", Some("String")));
    let date = definitions.structure("date").unwrap();
    assert!(date.element("date.value").unwrap().regex.as_deref().unwrap().starts_with("([0-9]"));
    let bundle = definitions.structure("Bundle").unwrap();
    let link = bundle.element("Bundle.entry.link").unwrap();
    assert_eq!(link.content_reference.as_deref(), Some("#Bundle.link"));
}

#[test]
fn one_lookup_inflates_one_block() {
    let layer = Layer::new(Arc::new(Pack::open(BUILT_IN[0]).unwrap()));
    let patient = layer.pack.find_id("StructureDefinition", "Patient").unwrap();
    layer.read(patient).unwrap();
    assert_eq!(layer.pack.blocks_at_hand(), 1);
    let read = layer.read.get().unwrap().iter().filter(|slot| slot.get().is_some()).count();
    assert_eq!(read, 1);
}

#[test]
fn administrative_gender_is_decided_and_snomed_is_not() {
    let definitions = Definitions::r4();
    let gender = definitions.value_set("http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1").unwrap();
    assert_eq!(gender.membership(None, "female"), Membership::Member);
    assert_eq!(gender.membership(None, "femmina"), Membership::NotMember);
    assert_eq!(
        gender.membership(Some("http://hl7.org/fhir/administrative-gender"), "other"),
        Membership::Member
    );
    assert_eq!(gender.codes().unwrap().len(), 4);

    let mime = definitions.value_set("http://hl7.org/fhir/ValueSet/mimetypes").unwrap();
    assert_eq!(mime.membership(None, "text/plain"), Membership::Unknown);
    let snomed = definitions.value_set("http://hl7.org/fhir/ValueSet/body-site").unwrap();
    assert_eq!(snomed.membership(Some("http://snomed.info/sct"), "38266002"), Membership::Unknown);
    assert_eq!(snomed.membership(Some("http://loinc.org"), "38266002"), Membership::NotMember);
    assert!(definitions.value_set("http://hl7.org/fhir/ValueSet/nothing").is_none());
}

#[test]
fn nearly_every_required_binding_of_r4_can_be_decided_here() {
    let definitions = Definitions::r4();
    let mut open = BTreeSet::new();
    let mut bound = BTreeSet::new();
    for name in definitions.type_names() {
        let structure = definitions.structure(name).unwrap();
        for binding in structure.elements.iter().filter_map(|it| it.binding.as_ref()) {
            let (BindingStrength::Required, Some(url)) = (binding.strength, &binding.value_set) else {
                continue;
            };
            bound.insert(url.clone());
            if !definitions.value_set(url).is_some_and(|set| set.is_enumerable()) {
                open.insert(url.rsplit('/').next().unwrap_or_default().to_owned());
            }
        }
    }
    assert!(bound.len() > 200, "{}", bound.len());
    // A LOINC answer list, and the lists of other bodies; UCUM is a grammar.
    let known = ["LL379-9|4.0.1", "currencies|4.0.1", "mimetypes|4.0.1", "ucum-units|4.0.1"];
    assert_eq!(open.into_iter().collect::<Vec<_>>(), known);
}

#[test]
fn types_know_their_descent() {
    let definitions = Definitions::r4();
    assert!(definitions.is_resource("Patient") && !definitions.is_resource("DomainResource"));
    assert!(!definitions.is_resource("HumanName") && !definitions.is_resource("Nothing"));
    assert!(definitions.is_subtype("Patient", "Resource") && definitions.is_subtype("Age", "Quantity"));
    assert!(definitions.is_subtype("code", "string") && definitions.is_subtype("Patient", "Patient"));
    assert!(!definitions.is_subtype("Bundle", "DomainResource") && !definitions.is_subtype("x", "Element"));
    assert_eq!(definitions.base_type("Timing"), Some("BackboneElement"));
    assert_eq!(definitions.type_kind("date"), Some(StructureKind::PrimitiveType));
    let names: Vec<&str> = definitions.type_names().collect();
    assert!(names.is_sorted() && names.contains(&"Patient") && !names.contains(&"FiveWs"));
    assert_eq!(names.iter().filter(|name| definitions.is_resource(name)).count(), 146);
}

#[test]
fn search_parameters_of_a_type_and_of_all_resources() {
    let definitions = Definitions::r4();
    let parameters = definitions.search_parameters("Patient");
    let code = |code: &str| parameters.iter().find(|it| it.code == code);
    assert_eq!(code("birthdate").unwrap().kind, SearchKind::Date);
    assert_eq!(code("_id").unwrap().base, ["Resource"]);
    assert!(code("_text").is_some() && code("code").is_none());
    let practitioner = code("general-practitioner").unwrap();
    assert_eq!(practitioner.kind, SearchKind::Reference);
    assert!(practitioner.target.iter().any(|it| it == "Practitioner"));
    let composite = "http://hl7.org/fhir/SearchParameter/Observation-code-value-quantity";
    assert_eq!(definitions.search_parameter(composite).unwrap().components.len(), 2);
    assert!(
        !definitions.search_parameters("Bundle").iter().any(|it| it.code == "_text"),
        "Bundle has no narrative"
    );
}

#[test]
fn the_patient_compartment() {
    let definitions = Definitions::r4();
    let compartment = definitions.compartment("Patient").unwrap();
    assert_eq!(compartment.parameters("Observation"), ["subject", "performer"]);
    assert!(compartment.parameters("Medication").is_empty());
    assert!(
        compartment.types().any(|it| it == "Consent") && !compartment.types().any(|it| it == "Medication")
    );
    assert!(definitions.compartment("Weather").is_none());
}

#[test]
fn raw_definitions_by_canonical_and_by_id() {
    let definitions = Definitions::r4();
    let everything =
        definitions.resource("http://hl7.org/fhir/OperationDefinition/Patient-everything").unwrap();
    assert_eq!(everything.root().resource_type().as_deref(), Some("OperationDefinition"));
    assert!(definitions.resource_by_id("CapabilityStatement", "base").is_some());
    assert!(
        definitions
            .resource_of_type("ConceptMap", "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v3")
            .is_some()
    );
    assert!(definitions.resource("http://example.it/none").is_none());
    let ips = definitions.structure("http://hl7.org/fhir/uv/ips/StructureDefinition/Patient-uv-ips").unwrap();
    assert!(!ips.changed.is_empty() && ips.differential.is_empty());
    assert!(definitions.profiles_of("Patient").contains(&ips.url));
    assert_eq!(
        definitions.system_of_identifier("urn:oid:2.16.840.1.113883.6.96").as_deref(),
        Some("http://snomed.info/sct")
    );
}

#[test]
fn what_a_user_brings_stands_over_what_is_built_in() {
    let narrower = r#"{"resourceType":"ValueSet","url":"http://hl7.org/fhir/ValueSet/administrative-gender","version":"9.0.0",
        "compose":{"include":[{"system":"http://hl7.org/fhir/administrative-gender","concept":[{"code":"unknown"}]}]}}"#;
    let own = r#"{"resourceType":"CodeSystem","url":"http://example.it/cs","content":"complete","concept":[{"code":"a"}]}"#;
    let mut builder = Definitions::builder();
    assert!(builder.definition("gender.json", narrower.as_bytes()).unwrap());
    assert!(builder.definition("cs.json", own.as_bytes()).unwrap());
    assert!(!builder.definition("patient.json", br#"{"resourceType":"Patient"}"#).unwrap());
    assert!(builder.definition("broken.json", b"{").is_err());
    let definitions = builder.build().unwrap();
    let gender = |version: &str| {
        let canonical = ["http://hl7.org/fhir/ValueSet/administrative-gender", version].concat();
        definitions.value_set(&canonical).unwrap().membership(None, "female")
    };
    assert_eq!(gender(""), Membership::NotMember);
    assert_eq!(gender("|4.0.1"), Membership::Member);
    assert_eq!(definitions.code_system("http://example.it/cs").unwrap().content, Content::Complete);
    let shared = Arc::ptr_eq(
        &definitions.structure("Patient").unwrap(),
        &Definitions::r4().structure("Patient").unwrap(),
    );
    assert!(shared, "what is built in is read once for all");
}

#[test]
fn a_faulty_definition_is_told_apart_from_an_absent_one() {
    let mut builder = DefinitionsBuilder::empty();
    let faulty =
        br#"{"resourceType":"StructureDefinition","url":"http://example.it/P","kind":"?","type":"Patient"}"#;
    builder.definition("p.json", faulty).unwrap();
    let definitions = builder.build().unwrap();
    assert_eq!(definitions.try_structure("http://example.it/P"), Err(DefinitionError::BadCode("kind")));
    assert!(definitions.structure("http://example.it/P").is_none());
    assert_eq!(definitions.try_structure("http://example.it/Q"), Ok(None));
}

#[test]
fn definitions_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Definitions>();
    let definitions = Definitions::r4();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for name in ["Observation", "Patient", "HumanName", "Encounter"] {
                    assert!(definitions.structure(name).is_some());
                }
                assert!(definitions.value_set("http://hl7.org/fhir/ValueSet/encounter-status").is_some());
            });
        }
    });
}
