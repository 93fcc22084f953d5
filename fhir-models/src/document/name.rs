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

    /// The name with this number, or [`Name::UNKNOWN`].
    pub fn at(index: usize) -> Name {
        match u16::try_from(index) {
            Ok(number) if index < Name::count() => Name(number),
            _ => Name::UNKNOWN,
        }
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

/// More than there are names; a power of two.
const MOST: usize = 4096;
/// Slots of the table: at most half are taken, so that a probe soon meets an empty one.
const SLOTS: usize = 2 * MOST;

/// The first sixteen bytes of a name, zeros after its end, as two little-endian words.
pub(crate) type Head = [u64; 2];

struct Table {
    texts: Vec<&'static str>,
    /// By number.
    heads: [Head; MOST],
    /// Open addressing.
    slots: [u16; SLOTS],
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

    /// The name of at most sixteen bytes that has this head.
    #[inline(always)]
    pub(crate) fn find_short(self, head: Head) -> Name {
        self.0.find_short(head)
    }
}

impl Table {
    fn build() -> Table {
        let mut table = Table { texts: vec![""], heads: [[0; 2]; MOST], slots: [0; SLOTS] };
        for text in WELL_KNOWN.iter().copied().chain(include_str!("../../data/names.txt").lines()) {
            table.add(text.trim_end());
        }
        table
    }

    fn add(&mut self, text: &'static str) {
        let known = self.find(text.as_bytes()) != Name::UNKNOWN;
        let number = self.texts.len();
        if text.is_empty() || known || number >= MOST {
            return;
        }
        let mut slot = hash(text.as_bytes()) % SLOTS;
        while self.slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        self.slots[slot] = number as u16;
        self.heads[number] = head(text.as_bytes());
        self.texts.push(text);
    }

    #[inline(always)]
    fn find_short(&self, head: Head) -> Name {
        self.probe(hash_short(head), |number| self.heads[number % MOST] == head)
    }

    fn find(&self, text: &[u8]) -> Name {
        if text.len() <= 16 {
            // Zeros fill up a head: with one at its end, the text is no name.
            return if text.ends_with(&[0]) { Name::UNKNOWN } else { self.find_short(head(text)) };
        }
        self.probe(hash(text), |number| self.texts.get(number).is_some_and(|known| known.as_bytes() == text))
    }

    #[inline(always)]
    fn probe(&self, hash: usize, is_it: impl Fn(usize) -> bool) -> Name {
        let mut slot = hash;
        loop {
            match self.slots[slot % SLOTS] {
                0 => return Name::UNKNOWN,
                number if is_it(usize::from(number)) => return Name(number),
                _ => slot = slot.wrapping_add(1),
            }
        }
    }
}

fn head(text: &[u8]) -> Head {
    let word = |bytes: &[u8]| bytes.iter().take(8).rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    [word(text), word(text.get(8..).unwrap_or_default())]
}

/// Names are short and differ at their ends: the first sixteen bytes, the last eight and the length are mixed.
pub(crate) fn hash(text: &[u8]) -> usize {
    let mut head = head(text);
    if let Some(last) = text.last_chunk::<8>().filter(|_| text.len() > 16) {
        head[0] ^= (u64::from_le_bytes(*last) ^ text.len() as u64).rotate_left(23);
    }
    hash_short(head)
}

/// [`hash`] of a text of at most sixteen bytes.
#[inline(always)]
pub(crate) fn hash_short(head: Head) -> usize {
    let mixed = (head[0] ^ head[1].rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_itself() {
        assert!(Name::count() > 1_900, "{} names", Name::count());
        for number in 1..Name::count() {
            let name = Name(number as u16);
            assert_eq!(Name::of(name.text()), name);
            assert_eq!(Name::at(name.index()), name);
        }
    }

    #[test]
    fn constants_have_their_text() {
        assert_eq!(RESOURCE_TYPE.text(), "resourceType");
        assert_eq!(CASE_SENSITIVE.text(), "caseSensitive");
        assert_eq!(Name::of("Patient").text(), "Patient");
        assert_eq!(Name::of("nessuno"), Name::UNKNOWN);
        assert_eq!(Name::of(""), Name::UNKNOWN);
        assert_eq!(Name::of("total\0\0"), Name::UNKNOWN);
    }
}
