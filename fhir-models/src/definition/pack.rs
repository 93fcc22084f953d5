//! The pack: definitions in one file, found by canonical URL without unpacking the rest.
//!
//! A program that validates one Patient needs thirty of nine thousand definitions. Opening a pack reads its
//! header and index in place; an entry's block is inflated when the entry is first asked for. The bytes are
//! not trusted: every offset is checked, and a pack of another format, cut short or altered is refused.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use sha2::{Digest, Sha256};

use super::pack_format::{
    BLOCK, CRC_AT, DIGEST_AT, ENTRY, FACET, FLAG_ABSTRACT, FLAG_CASE_INSENSITIVE, FLAG_CASE_SENSITIVE,
    FLAG_KIND_SHIFT, FLAG_TYPE, FORMAT, HEADER, MAGIC, MAX_BLOCK, SECTIONS, SECTIONS_AT, Section, split_url,
};
use super::package::{Manifest, PackageError};
use super::{CaseRule, StructureKind};

/// Inflated blocks kept at hand: what one validation walks through (datatypes, one resource, value sets).
const CACHED_BLOCKS: usize = 8;

/// Why a pack can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The first bytes are another file's.
    #[error("this is not a definition pack; build one with `varco packages build`")]
    NotAPack,
    /// Another format version.
    #[error(
        "the pack has format {found}, this program reads format {FORMAT}; build it again with `varco packages build`"
    )]
    WrongFormat {
        /// The format it states.
        found: u32,
    },
    /// Bytes are missing or altered.
    #[error("the pack is damaged ({0}); copy it again or build it with `varco packages build`")]
    Damaged(&'static str),
    /// Its own description can't be read.
    #[error("the pack's description of its package is damaged: {0}")]
    BadManifest(#[source] PackageError),
}

/// An entry's number in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u32);

impl EntryId {
    /// The number, for tables indexed by entry: below [`Pack::len`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the index says about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'p> {
    /// Its number.
    pub number: EntryId,
    /// Resource type.
    pub resource_type: &'p str,
    /// Canonical URL; empty where the resource type has none.
    pub url: String,
    /// Resource id.
    pub id: &'p str,
    /// Business version; empty where none is stated.
    pub version: &'p str,
    /// For a structure, the canonical of its base; empty for others.
    pub base: &'p str,
    /// For a structure that is a type: what kind. `None` for profiles and other resources.
    pub type_kind: Option<StructureKind>,
    /// For a structure: it is abstract.
    pub is_abstract: bool,
}

/// A pack.
#[derive(Debug)]
pub struct Pack {
    data: Cow<'static, [u8]>,
    sections: [(usize, usize); SECTIONS],
    manifest: Manifest,
    blocks: Mutex<Vec<(u32, Arc<Vec<u8>>)>>,
}

impl Pack {
    /// Opens a pack. Nothing is inflated.
    ///
    /// # Errors
    /// [`PackError`] where the bytes are not a pack of this format or the index is damaged. Damage to the
    /// definitions themselves shows when they are read, or at once with [`Pack::verify`].
    pub fn open(data: impl Into<Cow<'static, [u8]>>) -> Result<Pack, PackError> {
        let data = data.into();
        if data.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
            return Err(PackError::NotAPack);
        }
        let header = |at| u32_at(&data, at).ok_or(PackError::Damaged("the header is cut short"));
        let found = header(MAGIC.len())?;
        if found != FORMAT {
            return Err(PackError::WrongFormat { found });
        }
        let mut sections = [(0, 0); SECTIONS];
        let mut end = HEADER;
        for (number, section) in sections.iter_mut().enumerate() {
            let offset = header(SECTIONS_AT + 8 * number)? as usize;
            let length = header(SECTIONS_AT + 8 * number + 4)? as usize;
            if offset != end {
                return Err(PackError::Damaged("its parts do not follow each other"));
            }
            end = offset.checked_add(length).ok_or(PackError::Damaged("a part is too long"))?;
            *section = (offset, length);
        }
        if end != data.len() {
            return Err(PackError::Damaged("its length is not what its header states"));
        }
        let index_end = sections[Section::Data as usize].0;
        let mut crc = Crc::new();
        crc.update(data.get(HEADER..index_end).unwrap_or_default());
        if crc.sum() != header(CRC_AT)? {
            return Err(PackError::Damaged("the checksum of its index does not fit"));
        }
        let (at, length) = sections[Section::Manifest as usize];
        let manifest =
            Manifest::read(data.get(at..at + length).unwrap_or_default()).map_err(PackError::BadManifest)?;
        Ok(Pack { data, sections, manifest, blocks: Mutex::new(Vec::new()) })
    }

    /// Checks every byte against the pack's digest.
    ///
    /// # Errors
    /// [`PackError::Damaged`] where they differ.
    pub fn verify(&self) -> Result<(), PackError> {
        let found = Sha256::digest(self.data.get(HEADER..).unwrap_or_default());
        if self.data.get(DIGEST_AT..DIGEST_AT + 32) == Some(found.as_slice()) {
            Ok(())
        } else {
            Err(PackError::Damaged("its SHA-256 does not fit its content"))
        }
    }

    /// The package it was made of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of its content, in hexadecimal, as the header states it.
    pub fn digest(&self) -> String {
        let bytes = self.data.get(DIGEST_AT..DIGEST_AT + 32).unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Bytes of the whole pack.
    pub fn size(&self) -> usize {
        self.data.len()
    }

    /// How many definitions it holds.
    pub fn len(&self) -> usize {
        self.section(Section::Entries).len() / ENTRY
    }

    /// True where it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the index says about an entry.
    pub fn entry(&self, number: EntryId) -> Option<Entry<'_>> {
        let record = self.record(number.index())?;
        let prefix = self.string_of(Section::Prefixes, usize::from(record.prefix));
        let kind = (record.flags & FLAG_TYPE != 0).then_some(match record.flags >> FLAG_KIND_SHIFT {
            0 => StructureKind::PrimitiveType,
            1 => StructureKind::ComplexType,
            2 => StructureKind::Resource,
            _ => StructureKind::Logical,
        });
        Some(Entry {
            number,
            resource_type: self.string_of(Section::Types, usize::from(record.resource_type)),
            url: [prefix, self.string(record.rest)].concat(),
            id: self.string(record.id),
            version: self.string(record.version),
            base: self.string(record.base),
            type_kind: kind,
            is_abstract: record.flags & FLAG_ABSTRACT != 0,
        })
    }

    /// All entries, in the index's order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).filter_map(|number| self.entry(EntryId(u32::try_from(number).ok()?)))
    }

    /// The entry with this canonical URL and type, of this version where one is asked for.
    ///
    /// A version fits where it is the entry's own or the start of it up to a dot (`4.0` fits `4.0.1`).
    pub fn find(&self, resource_type: &str, url: &str, version: Option<&str>) -> Option<EntryId> {
        let (prefix, rest) = split_url(url);
        let prefix = self.position(Section::Prefixes, prefix)?;
        let kind = self.position(Section::Types, resource_type)?;
        let key = (prefix, rest, kind);
        let key_of = |number: usize| {
            let record = self.record(number)?;
            Some((usize::from(record.prefix), self.string(record.rest), usize::from(record.resource_type)))
        };
        let first =
            lower_bound(self.len(), |number| key_of(number).map_or(Ordering::Greater, |own| own.cmp(&key)));
        (first..self.len()).take_while(|&number| key_of(number) == Some(key)).find_map(|number| {
            let own = self.string(self.record(number)?.version);
            version.is_none_or(|asked| version_fits(own, asked)).then(|| entry_id(number)).flatten()
        })
    }

    /// The first entry with this canonical URL, whatever its type.
    pub fn find_url(&self, url: &str, version: Option<&str>) -> Option<EntryId> {
        let types = self.section(Section::Types).len() / 4;
        (0..types).find_map(|kind| self.find(self.string_of(Section::Types, kind), url, version))
    }

    /// Whether case matters in the codes of a code system.
    pub(super) fn case_rule(&self, number: EntryId) -> CaseRule {
        match self.record(number.index()).map(|record| record.flags) {
            Some(FLAG_CASE_SENSITIVE) => CaseRule::Sensitive,
            Some(FLAG_CASE_INSENSITIVE) => CaseRule::Insensitive,
            _ => CaseRule::Unstated,
        }
    }

    /// The entry with this type and resource id.
    pub fn find_id(&self, resource_type: &str, id: &str) -> Option<EntryId> {
        let kind = self.position(Section::Types, resource_type)?;
        let by_id = self.section(Section::ById);
        let count = by_id.len() / 4;
        let number_at = |at: usize| u32_at(by_id, at * 4).map(|number| number as usize);
        let order = |at: usize| {
            number_at(at).and_then(|number| self.record(number)).map_or(Ordering::Greater, |record| {
                (usize::from(record.resource_type), self.string(record.id)).cmp(&(kind, id))
            })
        };
        let at = lower_bound(count, order);
        (at < count && order(at) == Ordering::Equal).then(|| number_at(at).and_then(entry_id)).flatten()
    }

    /// Entries of a type that carry a facet. Search parameters have their base types, structures the type
    /// they define or constrain, compartments their code, code systems and naming systems their other
    /// identifiers.
    pub fn with_facet(&self, resource_type: &str, facet: &str) -> Vec<EntryId> {
        let Some(kind) = self.position(Section::Types, resource_type) else { return Vec::new() };
        let facets = self.section(Section::Facets);
        let count = facets.len() / FACET;
        let order = |at: usize| {
            let own = u32_at(facets, at * FACET).zip(u32_at(facets, at * FACET + 4));
            own.map_or(Ordering::Greater, |(own_kind, text)| {
                (own_kind as usize, self.string(text)).cmp(&(kind, facet))
            })
        };
        (lower_bound(count, order)..count)
            .take_while(|&at| order(at) == Ordering::Equal)
            .filter_map(|at| u32_at(facets, at * FACET + 8).map(EntryId))
            .filter(|number| number.index() < self.len())
            .collect()
    }

    /// Entries of a type, in the index's order.
    pub fn of_type(&self, resource_type: &str) -> impl Iterator<Item = EntryId> {
        let kind = self.position(Section::Types, resource_type);
        (0..self.len()).filter_map(move |number| {
            let record = self.record(number)?;
            (Some(usize::from(record.resource_type)) == kind).then(|| entry_id(number)).flatten()
        })
    }

    /// The JSON text of an entry.
    ///
    /// # Errors
    /// [`PackError::Damaged`] where its block is.
    pub fn text(&self, number: EntryId) -> Result<Vec<u8>, PackError> {
        let record = self.record(number.index()).ok_or(PackError::Damaged("an entry is missing"))?;
        let (from, length) = (record.offset as usize, record.length as usize);
        let range = from..from.checked_add(length).ok_or(PackError::Damaged("an entry is too long"))?;
        let block = self.block(record.block)?;
        let text = block.get(range).ok_or(PackError::Damaged("an entry leaves its block"))?;
        Ok(text.to_vec())
    }

    /// How many inflated blocks are kept at the moment.
    #[cfg(test)]
    pub(super) fn blocks_at_hand(&self) -> usize {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn block(&self, number: u32) -> Result<Arc<Vec<u8>>, PackError> {
        let mut cached = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = cached.iter().position(|(own, _)| *own == number) {
            let hit = cached.remove(at);
            let block = Arc::clone(&hit.1);
            cached.push(hit);
            return Ok(block);
        }
        let block = Arc::new(self.inflate(number)?);
        if cached.len() >= CACHED_BLOCKS {
            cached.remove(0);
        }
        cached.push((number, Arc::clone(&block)));
        Ok(block)
    }

    fn inflate(&self, number: u32) -> Result<Vec<u8>, PackError> {
        let blocks = self.section(Section::Blocks);
        let at = (number as usize).checked_mul(BLOCK).ok_or(PackError::Damaged("a block is missing"))?;
        let field = |nth: usize| u32_at(blocks, at + 4 * nth).ok_or(PackError::Damaged("a block is missing"));
        let (offset, length, inflated) = (field(0)? as usize, field(1)? as usize, field(2)? as usize);
        let end = offset.checked_add(length).ok_or(PackError::Damaged("a block is too long"))?;
        let packed =
            self.section(Section::Data).get(offset..end).ok_or(PackError::Damaged("a block is cut short"))?;
        if inflated > MAX_BLOCK {
            return Err(PackError::Damaged("a block is too long"));
        }
        // A block that deflating would not shorten stands as it is.
        let bytes = if length == inflated {
            packed.to_vec()
        } else {
            let mut bytes = Vec::new();
            DeflateDecoder::new(packed)
                .take(inflated as u64 + 1)
                .read_to_end(&mut bytes)
                .map_err(|_| PackError::Damaged("a block can't be inflated"))?;
            bytes
        };
        let mut crc = Crc::new();
        crc.update(&bytes);
        if bytes.len() != inflated || crc.sum() != field(3)? {
            return Err(PackError::Damaged("the checksum of a block does not fit"));
        }
        Ok(bytes)
    }

    fn section(&self, section: Section) -> &[u8] {
        let (at, length) = self.sections[section as usize];
        self.data.get(at..at + length).unwrap_or_default()
    }

    fn string(&self, offset: u32) -> &str {
        let strings = self.section(Section::Strings);
        let at = offset as usize;
        let text = || {
            let length = strings.get(at..at.checked_add(2)?)?;
            let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
            std::str::from_utf8(strings.get(at + 2..at + 2 + length)?).ok()
        };
        text().unwrap_or_default()
    }

    fn string_of(&self, table: Section, number: usize) -> &str {
        u32_at(self.section(table), number * 4).map_or("", |offset| self.string(offset))
    }

    /// The number of a string in a sorted table of strings.
    fn position(&self, table: Section, text: &str) -> Option<usize> {
        let count = self.section(table).len() / 4;
        let at = lower_bound(count, |at| self.string_of(table, at).cmp(text));
        (at < count && self.string_of(table, at) == text).then_some(at)
    }

    fn record(&self, number: usize) -> Option<Record> {
        let at = number.checked_mul(ENTRY)?;
        let bytes = self.section(Section::Entries).get(at..at.checked_add(ENTRY)?)?;
        let field = |nth: usize| u32_at(bytes, 4 + 4 * nth);
        Some(Record {
            prefix: u16::from_le_bytes([bytes[0], bytes[1]]),
            resource_type: bytes[2],
            flags: bytes[3],
            rest: field(0)?,
            id: field(1)?,
            version: field(2)?,
            base: field(3)?,
            block: field(4)?,
            offset: field(5)?,
            length: field(6)?,
        })
    }
}

struct Record {
    prefix: u16,
    resource_type: u8,
    flags: u8,
    rest: u32,
    id: u32,
    version: u32,
    base: u32,
    block: u32,
    offset: u32,
    length: u32,
}

fn entry_id(number: usize) -> Option<EntryId> {
    u32::try_from(number).ok().map(EntryId)
}

/// True where a version asked for names the version at hand.
pub(super) fn version_fits(own: &str, asked: &str) -> bool {
    own.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The first place of `0..count` whose order is not `Less`.
fn lower_bound(count: usize, order: impl Fn(usize) -> Ordering) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if order(middle) == Ordering::Less { low = middle + 1 } else { high = middle }
    }
    low
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
