//! The Italian identifier systems and their aliases, as HL7 Italia and the FSE write them.
//!
//! Canonical is the URL where HL7 Italia has published one, else the OID as a URN. A deployment may say
//! otherwise: its own groups stand in the place of these.

use super::alias::AliasGroup;
use super::region::RegionCode;

/// The arc of HL7 Italia.
const HL7_ITALIA: &str = "2.16.840.1.113883.2.9";

/// Arc below HL7 Italia and URL: the systems that are the same in all of Italy.
const SYSTEMS: &[(&str, Option<&str>)] = &[
    // Codice fiscale.
    ("4.3.2", Some("http://hl7.it/sid/codiceFiscale")),
    // ANPR and ANA: the registries of residents and of those assisted.
    ("4.3.16", Some("http://hl7.it/sid/anpr")),
    ("4.3.15", None),
    // STP and ENI: foreigners outside and inside the EU without health insurance.
    ("4.3.17", None),
    ("4.3.18", None),
    // The European card (TEAM) and the person's number on it.
    ("4.3.7", None),
    ("4.3.3", None),
    // NRE: the number of an electronic prescription.
    ("4.3.8", None),
    // Local health authorities, hospitals, points of service.
    ("4.1.1", Some("http://hl7.it/sid/fls")),
    ("4.1.2", Some("http://hl7.it/sid/hsp")),
    ("4.1.3", None),
];

/// The systems that are the same in all of Italy.
///
/// ```
/// let groups = varco_core::identity::italian_groups();
/// assert_eq!(groups[0].canonical, "http://hl7.it/sid/codiceFiscale");
/// assert_eq!(groups[0].aliases[0], "urn:oid:2.16.840.1.113883.2.9.4.3.2");
/// ```
pub fn italian_groups() -> Vec<AliasGroup> {
    let group = |(arc, url): &(&str, Option<&str>)| {
        let oid = format!("{HL7_ITALIA}.{arc}");
        group_of(*url, &[oid])
    };
    SYSTEMS.iter().map(group).collect()
}

/// The systems of one region: its registry of persons (`…2.[region].4.1`) and its STP (`…2.[region].4.1.1`).
/// A region's leading zero, which does not belong into an OID, is met in real data and counts as an alias.
pub fn regional_groups(region: RegionCode) -> Vec<AliasGroup> {
    let oids = |arc: &str| {
        let mut oids = vec![format!("{HL7_ITALIA}.2.{}.{arc}", region.arc())];
        let padded = format!("{HL7_ITALIA}.2.{region}.{arc}");
        if !oids.contains(&padded) {
            oids.push(padded);
        }
        oids
    };
    ["4.1", "4.1.1"].iter().map(|arc| group_of(None, &oids(arc))).collect()
}

/// All spellings of a system: its URL, and each OID as a URN and bare.
fn group_of(url: Option<&str>, oids: &[String]) -> AliasGroup {
    let mut spellings: Vec<String> = url.into_iter().map(str::to_owned).collect();
    for oid in oids {
        spellings.push(format!("urn:oid:{oid}"));
        spellings.push(oid.clone());
    }
    let canonical = spellings.remove(0);
    AliasGroup { canonical, aliases: spellings }
}
