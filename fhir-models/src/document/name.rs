//! Property names as small numbers.
//!
//! Every element name and type name of FHIR R4 has a [`Name`]; the parser looks each key up once, and all
//! later questions compare two bytes. The names come from `data/names.txt`, written by
//! `varco packages build` beside the definition pack; the constants below are the ones that code asks for.
//! A key outside the list is [`Name::UNKNOWN`] and is compared by its text.

use std::fmt;
use std::sync::LazyLock;

/// A property or type name of FHIR, or [`Name::UNKNOWN`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(u16);

impl Name {
    /// A name that is not one of FHIR's.
    pub const UNKNOWN: Name = Name(0);

    /// The name with this text, or [`Name::UNKNOWN`].
    pub fn of(text: &str) -> Name {
        TABLE.find(text.as_bytes())
    }

    /// The name's text; empty for [`Name::UNKNOWN`].
    pub fn text(self) -> &'static str {
        TABLE.texts.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// The number behind the name, for tables indexed by name: below [`Name::count`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// How many names there are, [`Name::UNKNOWN`] included.
    pub fn count() -> usize {
        TABLE.texts.len()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({:?})", self.text())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

macro_rules! well_known {
    ($($constant:ident = $text:literal),* $(,)?) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u16)]
        enum Order { _UNKNOWN, $($constant),* }
        $(#[doc = concat!("`", $text, "`")] pub const $constant: Name = Name(Order::$constant as u16);)*
        const WELL_KNOWN: &[&str] = &[$($text),*];
    };
}

well_known! {
    RESOURCE_TYPE = "resourceType", ID = "id", META = "meta", TEXT = "text", DIV = "div",
    CONTAINED = "contained", EXTENSION = "extension", MODIFIER_EXTENSION = "modifierExtension",
    URL = "url", VALUE = "value", SYSTEM = "system", CODE = "code", DISPLAY = "display",
    CODING = "coding", IDENTIFIER = "identifier", REFERENCE = "reference", TYPE = "type",
    NAME = "name", STATUS = "status", SUBJECT = "subject", PATIENT = "patient", PERIOD = "period",
    START = "start", END = "end", SECURITY = "security", SECURITY_LABEL = "securityLabel",
    VERSION_ID = "versionId", LAST_UPDATED = "lastUpdated", PROFILE = "profile", TAG = "tag",
    ENTRY = "entry", RESOURCE = "resource", FULL_URL = "fullUrl", LINK = "link", RELATION = "relation",
    TOTAL = "total", SEARCH = "search", MODE = "mode", REQUEST = "request", RESPONSE = "response",
    METHOD = "method", PROVISION = "provision", ACTOR = "actor", ROLE = "role", PURPOSE = "purpose",
    ACTION = "action", CLASS = "class", DATA = "data", DATA_PERIOD = "dataPeriod", MEANING = "meaning",
    SCOPE = "scope", CATEGORY = "category", POLICY_RULE = "policyRule", POLICY = "policy",
    AUTHORITY = "authority", URI = "uri", DATE_TIME = "dateTime", PERFORMER = "performer",
    ORGANIZATION = "organization", VERIFICATION = "verification", VERIFIED = "verified",
    VERSION = "version", KIND = "kind", ABSTRACT = "abstract", DERIVATION = "derivation",
    BASE_DEFINITION = "baseDefinition", SNAPSHOT = "snapshot", DIFFERENTIAL = "differential",
    ELEMENT = "element", PATH = "path", MIN = "min", MAX = "max", BASE = "base",
    CONTENT_REFERENCE = "contentReference", TARGET_PROFILE = "targetProfile", BINDING = "binding",
    STRENGTH = "strength", VALUE_SET = "valueSet", CONSTRAINT = "constraint", KEY = "key",
    SEVERITY = "severity", EXPRESSION = "expression", COMPOSE = "compose", INCLUDE = "include",
    EXCLUDE = "exclude", CONCEPT = "concept", FILTER = "filter", PROPERTY = "property", OP = "op",
    EXPANSION = "expansion", CONTAINS = "contains", CONTENT = "content", ISSUE = "issue",
    DIAGNOSTICS = "diagnostics", DETAILS = "details", LOCATION = "location", PARAMETER = "parameter",
    PART = "part", FAMILY = "family", GIVEN = "given", BIRTH_DATE = "birthDate", ATTACHMENT = "attachment",
    DATE = "date", AGENT = "agent", WHO = "who", RECORDED = "recorded", OUTCOME = "outcome",
    SOURCE = "source", WHAT = "what", PARAM = "param", CASE_SENSITIVE = "caseSensitive",
}

struct Table {
    texts: Vec<&'static str>,
    /// Open addressing, a power of two of slots, at most a third full: a probe soon meets an empty slot.
    slots: Vec<u16>,
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::build);

/// The table behind [`Name::of`], fetched once by whoever looks up many names.
#[derive(Clone, Copy)]
pub(crate) struct Names(&'static Table);

impl Names {
    pub(crate) fn get() -> Names {
        Names(&TABLE)
    }

    pub(crate) fn find(self, text: &[u8]) -> Name {
        self.0.find(text)
    }
}

impl Table {
    fn build() -> Table {
        let mut table = Table { texts: vec![""], slots: vec![0; 16_384] };
        for text in WELL_KNOWN.iter().copied().chain(include_str!("../../data/names.txt").lines()) {
            table.add(text.trim_end());
        }
        table
    }

    fn add(&mut self, text: &'static str) {
        let known = self.find(text.as_bytes()) != Name::UNKNOWN;
        let full = self.texts.len() >= self.slots.len() / 3;
        let (false, false, false, Ok(number)) =
            (text.is_empty(), known, full, u16::try_from(self.texts.len()))
        else {
            return;
        };
        let mask = self.slots.len() - 1;
        let mut slot = hash(text.as_bytes()) & mask;
        while self.slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = number;
        self.texts.push(text);
    }

    fn find(&self, text: &[u8]) -> Name {
        let mask = self.slots.len() - 1;
        let mut slot = hash(text) & mask;
        loop {
            match self.slots.get(slot) {
                None | Some(0) => return Name::UNKNOWN,
                Some(&number) => {
                    if self.texts.get(usize::from(number)).is_some_and(|known| known.as_bytes() == text) {
                        return Name(number);
                    }
                }
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// Mixes the first and last bytes and the length: names are short and differ there.
pub(crate) fn hash(text: &[u8]) -> usize {
    let (first, last) = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
            }
            _ => (text.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)), 0),
        },
    };
    let mixed = (first ^ last.rotate_left(29) ^ text.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_itself() {
        assert!(Name::count() > 2_000, "{} names", Name::count());
        for number in 1..Name::count() {
            let name = Name(number as u16);
            assert_eq!(Name::of(name.text()), name);
        }
    }

    #[test]
    fn constants_have_their_text() {
        assert_eq!(RESOURCE_TYPE.text(), "resourceType");
        assert_eq!(CASE_SENSITIVE.text(), "caseSensitive");
        assert_eq!(Name::of("Patient").text(), "Patient");
        assert_eq!(Name::of("nessuno"), Name::UNKNOWN);
        assert_eq!(Name::of(""), Name::UNKNOWN);
    }
}
