//! The pack's bytes: what reader and builder agree on.
//!
//! All numbers are little-endian. After the header come sections, each with offset and length from the
//! start of the file:
//!
//! ```text
//! header    magic, format version, CRC-32 of the index, SHA-256 of everything after the header, sections
//! manifest  JSON: package name, version, licence, canonical
//! strings   u16 length and UTF-8, referred to by offset; offset 0 is the empty string
//! types     u32 string offset each, sorted: resource types
//! prefixes  u32 string offset each, sorted: URLs up to and with their last '/', '#' or ':'
//! entries   32 bytes each, sorted by prefix, rest of the URL, type
//! by_id     u32 entry number each, sorted by type and id
//! facets    u32 type, u32 string offset, u32 entry number each, sorted
//! blocks    u32 offset in the data, u32 length there, u32 length inflated, u32 CRC-32 of the inflated bytes
//! data      the blocks, deflated or as they are
//! ```
//!
//! The index is everything before `data`. Opening a pack reads the header and checks the index's CRC;
//! nothing is inflated before an entry in it is asked for.

/// First bytes of every pack.
pub(super) const MAGIC: &[u8; 8] = b"VARCODEF";
/// The format this code reads and writes.
pub(super) const FORMAT: u32 = 1;
/// Magic, format, CRC, digest, sections.
pub(super) const HEADER: usize = 8 + 4 + 4 + 32 + 8 * SECTIONS;
/// Where the CRC-32 of the index stands.
pub(super) const CRC_AT: usize = 12;
/// Where the SHA-256 stands.
pub(super) const DIGEST_AT: usize = 16;
/// Where offset and length of the sections stand.
pub(super) const SECTIONS_AT: usize = 48;
/// How many sections there are.
pub(super) const SECTIONS: usize = 9;

/// The sections, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Section {
    Manifest,
    Strings,
    Types,
    Prefixes,
    Entries,
    ById,
    Facets,
    Blocks,
    Data,
}

/// Bytes of an entry: prefix u16, type u8, flags u8, then u32 each: rest of URL, id, version, base, block,
/// offset in the block, length.
pub(super) const ENTRY: usize = 32;
/// Bytes of a facet.
pub(super) const FACET: usize = 12;
/// Bytes of a block's record.
pub(super) const BLOCK: usize = 16;
/// Largest block, inflated: a bound for the reader. A definition has at most half of it.
pub(super) const MAX_BLOCK: usize = 128 << 20;

/// The structure is abstract.
pub(super) const FLAG_ABSTRACT: u8 = 1;
/// The structure is a type, not a profile.
pub(super) const FLAG_TYPE: u8 = 2;
/// Its kind: 0 primitive, 1 complex, 2 resource, 3 logical.
pub(super) const FLAG_KIND_SHIFT: u8 = 2;
/// Of a code system: case matters in its codes.
pub(super) const FLAG_CASE_SENSITIVE: u8 = 1;
/// Of a code system: case does not matter in its codes.
pub(super) const FLAG_CASE_INSENSITIVE: u8 = 2;

/// Before the canonical of the code system that a supplement adds to, its facet.
pub(super) const SUPPLEMENTS: &str = "supplements:";

/// The facet of structures that define a type. No type has this name.
pub(super) const TYPE_FACET: &str = "#type";

/// A URL's prefix and rest: it is split after its last `/`, `#` or `:`.
pub(super) fn split_url(url: &str) -> (&str, &str) {
    let at = url.rfind(['/', '#', ':']).map_or(0, |at| at + 1);
    url.split_at(at)
}
