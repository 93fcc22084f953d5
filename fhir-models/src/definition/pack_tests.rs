//! Packs: what goes in comes out, and nothing else opens.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::super::{Keeping, PackBuilder};
use super::*;

fn manifest() -> Manifest {
    Manifest {
        name: "it.example".to_owned(),
        version: "1.0.0".to_owned(),
        license: Some("CC0-1.0".to_owned()),
        ..Manifest::default()
    }
}

fn definitions() -> Vec<String> {
    let mut all = vec![
        r#"{"resourceType":"StructureDefinition","id":"T","url":"http://example.it/T","version":"1.0.0","type":"T","kind":"complex-type","abstract":true,"baseDefinition":"http://hl7.org/fhir/StructureDefinition/Element","derivation":"specialization"}"#.to_owned(),
        r#"{"resourceType":"StructureDefinition","id":"P","url":"http://example.it/P","version":"2.0.0","type":"T","kind":"complex-type","derivation":"constraint","baseDefinition":"http://example.it/T"}"#.to_owned(),
        r#"{"resourceType":"SearchParameter","id":"s","url":"http://example.it/s","code":"s","type":"token","base":["Patient","Group"]}"#.to_owned(),
        r#"{"resourceType":"NamingSystem","id":"n","name":"N","kind":"codesystem","uniqueId":[{"type":"oid","value":"1.2.3"}]}"#.to_owned(),
        r#"{"resourceType":"CodeSystem","id":"c","url":"urn:oid:1.2.3","content":"complete","identifier":[{"value":"urn:oid:9.9"}]}"#.to_owned(),
    ];
    for version in ["1.9.0", "1.10.0", "1.2.0-ballot", "1.10.0-ballot"] {
        all.push(format!(
            r#"{{"resourceType":"ValueSet","id":"v-{version}","url":"http://example.it/v","version":"{version}"}}"#
        ));
    }
    all
}

fn pack_of(definitions: &[String], keeping: Keeping) -> Vec<u8> {
    let mut builder = PackBuilder::new(manifest(), keeping);
    for (number, json) in definitions.iter().enumerate() {
        assert!(builder.add(&format!("{number}.json"), json.as_bytes()).unwrap());
    }
    builder.finish().unwrap()
}

#[test]
fn every_definition_is_found_by_url_and_by_id() {
    for keeping in [Keeping::Slim, Keeping::Whole] {
        let pack = Pack::open(pack_of(&definitions(), keeping)).unwrap();
        pack.verify().unwrap();
        assert_eq!((pack.len(), pack.manifest()), (9, &manifest()));
        for entry in pack.entries() {
            if !entry.url.is_empty() {
                let version = Some(entry.version).filter(|version| !version.is_empty());
                assert_eq!(pack.find(entry.resource_type, &entry.url, version), Some(entry.number));
            }
            assert_eq!(pack.find_id(entry.resource_type, entry.id), Some(entry.number));
            let text = String::from_utf8(pack.text(entry.number).unwrap()).unwrap();
            assert!(text.contains(&format!("\"id\":\"{}\"", entry.id)), "{text}");
        }
        let profile = pack.find_id("StructureDefinition", "P").and_then(|it| pack.entry(it)).unwrap();
        assert_eq!((profile.type_kind, profile.base), (None, "http://example.it/T"));
        let own_type = pack.find_id("StructureDefinition", "T").and_then(|it| pack.entry(it)).unwrap();
        assert_eq!((own_type.type_kind, own_type.is_abstract), (Some(StructureKind::ComplexType), true));
        assert_eq!(pack.find("ValueSet", "http://example.it/T", None), None);
        assert_eq!(pack.find("StructureDefinition", "http://example.it/", None), None);
        assert_eq!(pack.find("Nothing", "", None), None);
        assert_eq!(pack.find_url("urn:oid:1.2.3", None), pack.find_id("CodeSystem", "c"));
    }
}

#[test]
fn without_a_version_the_newest_release_is_found() {
    let pack = Pack::open(pack_of(&definitions(), Keeping::Slim)).unwrap();
    let version = |asked| {
        let found = pack.find("ValueSet", "http://example.it/v", asked)?;
        pack.entry(found).map(|entry| entry.version.to_owned())
    };
    assert_eq!(version(None).as_deref(), Some("1.10.0"));
    assert_eq!(version(Some("1.9.0")).as_deref(), Some("1.9.0"));
    assert_eq!(version(Some("1.9")).as_deref(), Some("1.9.0"));
    assert_eq!(version(Some("1.1")), None, "1.1 is not the start of 1.10.0");
    assert_eq!(version(Some("3")), None);
}

#[test]
fn facets_lead_to_their_entries() {
    let pack = Pack::open(pack_of(&definitions(), Keeping::Slim)).unwrap();
    let ids = |kind, facet| -> Vec<String> {
        let found = pack.with_facet(kind, facet);
        found.into_iter().map(|it| pack.entry(it).unwrap().id.to_owned()).collect()
    };
    assert_eq!(ids("SearchParameter", "Group"), ["s"]);
    assert_eq!(ids("StructureDefinition", "T"), ["P", "T"]);
    assert_eq!(ids("CodeSystem", "urn:oid:9.9"), ["c"]);
    assert_eq!(ids("NamingSystem", "1.2.3"), ["n"]);
    assert!(ids("SearchParameter", "Observation").is_empty() && ids("Group", "Group").is_empty());
}

#[test]
fn the_order_of_adding_does_not_matter() {
    let mut turned = definitions();
    turned.reverse();
    assert_eq!(pack_of(&definitions(), Keeping::Slim), pack_of(&turned, Keeping::Slim));
}

#[test]
fn of_two_with_one_url_and_version_the_later_stays() {
    let named = |id: &str| {
        format!(r#"{{"resourceType":"ValueSet","id":"{id}","url":"http://example.it/v","version":"1"}}"#)
    };
    let pack = Pack::open(pack_of(&[named("b"), named("a"), named("c")], Keeping::Slim)).unwrap();
    assert_eq!(pack.entries().map(|entry| entry.id).collect::<Vec<_>>(), ["c"]);
}

#[test]
fn an_example_or_a_guide_is_not_kept() {
    let mut builder = PackBuilder::new(manifest(), Keeping::Slim);
    assert!(!builder.add("Patient-1.json", br#"{"resourceType":"Patient"}"#).unwrap());
    assert!(!builder.add("spec.json", b"{}").unwrap());
    let error = builder.add("broken.json", b"{").unwrap_err();
    assert!(error.to_string().starts_with("broken.json is not valid JSON"), "{error}");
    let empty = Pack::open(builder.finish().unwrap()).unwrap();
    assert!(empty.is_empty());
}

#[test]
fn another_file_another_format_and_a_cut_pack_are_refused_by_name() {
    let bytes = pack_of(&definitions(), Keeping::Slim);
    let message = |bytes: Vec<u8>| Pack::open(bytes).unwrap_err().to_string();
    assert!(message(b"PK\x03\x04 an archive".to_vec()).starts_with("this is not a definition pack"));
    assert!(message(Vec::new()).starts_with("this is not a definition pack"));
    let mut future = bytes.clone();
    future[8] = 9;
    assert_eq!(
        message(future),
        "the pack has format 9, this program reads format 1; build it again with `varco packages build`"
    );
    for length in 8..bytes.len() {
        assert!(matches!(Pack::open(bytes[..length].to_vec()), Err(PackError::Damaged(_))), "{length}");
    }
}

#[test]
fn an_altered_byte_is_noticed() {
    let bytes = pack_of(&definitions(), Keeping::Slim);
    for at in DIGEST_AT..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 0x20;
        if let Ok(pack) = Pack::open(altered) {
            assert!(pack.verify().is_err(), "byte {at}");
        }
    }
}

/// Reads everything a pack offers: must end, and must not panic.
fn read_all(pack: &Pack) {
    for entry in pack.entries() {
        let _ = pack.text(entry.number);
        let _ = pack.find(entry.resource_type, &entry.url, None);
        let _ = pack.find_id(entry.resource_type, entry.id);
    }
    let _ = pack.with_facet("SearchParameter", "Patient");
    let _ = pack.find_url("http://example.it/v", Some("1"));
    let _ = pack.text(EntryId(u32::MAX));
}

proptest! {
    #[test]
    fn no_bytes_make_opening_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Pack::open(bytes.clone());
        let mut headed = MAGIC.to_vec();
        headed.extend_from_slice(&FORMAT.to_le_bytes());
        headed.extend_from_slice(&bytes);
        let _ = Pack::open(headed);
    }

    /// A forger can make the checksums fit: offsets and lengths must still not be believed.
    #[test]
    fn a_forged_index_is_read_without_panic(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..12)) {
        let mut bytes = pack_of(&definitions(), Keeping::Slim);
        let good = Pack::open(bytes.clone()).unwrap();
        let from = good.sections[Section::Strings as usize].0;
        let until = good.sections[Section::Data as usize].0;
        for (at, byte) in changes {
            let at = from + usize::from(at) % (until - from);
            bytes[at] = byte;
        }
        let mut crc = Crc::new();
        crc.update(&bytes[HEADER..until]);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.sum().to_le_bytes());
        if let Ok(pack) = Pack::open(bytes) {
            read_all(&pack);
        }
    }
}
