//! Laying a pack out: texts into blocks, strings into their table, sections behind the header.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use sha2::{Digest, Sha256};

use super::pack_definition::{Definition, SortKey};
use super::pack_format::{CRC_AT, DIGEST_AT, FORMAT, HEADER, MAGIC, SECTIONS, SECTIONS_AT, Section};
use super::pack_order::reading_order;
use super::{BuildError, Keeping};

/// Inflated size at which a block is closed.
const BLOCK_TARGET: usize = 64 << 10;

/// Where a definition's text stands: block, and where in it once inflated.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// The texts, compressed in groups.
#[derive(Default)]
pub(super) struct Blocks {
    pub(super) places: BTreeMap<SortKey, Place>,
    pub(super) table: Vec<u8>,
    pub(super) data: Vec<u8>,
    count: u32,
}

impl Blocks {
    /// Lays all texts into blocks.
    pub(super) fn lay(found: &BTreeMap<SortKey, Definition>, keeping: Keeping) -> Result<Blocks, BuildError> {
        let mut blocks = Blocks::default();
        let mut open = Vec::new();
        let mut group = 0;
        for (rank, key) in reading_order(found) {
            let Some(definition) = found.get(key) else { continue };
            if open.len() >= BLOCK_TARGET || (rank != group && !open.is_empty()) {
                blocks.close(&mut open, keeping)?;
            }
            group = rank;
            let too_large = |_| BuildError::TooLarge("more than 4 GiB of definitions");
            let place = Place {
                block: blocks.count,
                offset: u32::try_from(open.len()).map_err(too_large)?,
                length: u32::try_from(definition.text.len()).map_err(too_large)?,
            };
            open.extend_from_slice(&definition.text);
            blocks.places.insert(key.clone(), place);
        }
        if !open.is_empty() {
            blocks.close(&mut open, keeping)?;
        }
        Ok(blocks)
    }

    fn close(&mut self, open: &mut Vec<u8>, keeping: Keeping) -> Result<(), BuildError> {
        let mut crc = Crc::new();
        crc.update(open);
        let packed = match keeping {
            Keeping::Whole => None,
            Keeping::Slim => {
                let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
                deflate.write_all(open)?;
                Some(deflate.finish()?).filter(|packed| packed.len() < open.len())
            }
        };
        let packed = packed.as_deref().unwrap_or(open);
        let too_large = |_| BuildError::TooLarge("more than 4 GiB of definitions");
        let lengths = [self.data.len(), packed.len(), open.len()];
        for length in lengths {
            self.table.extend_from_slice(&u32::try_from(length).map_err(too_large)?.to_le_bytes());
        }
        self.table.extend_from_slice(&crc.sum().to_le_bytes());
        self.data.extend_from_slice(packed);
        self.count += 1;
        open.clear();
        Ok(())
    }
}

/// The strings of the index, each once.
pub(super) struct Strings {
    pub(super) bytes: Vec<u8>,
    known: HashMap<String, u32>,
}

impl Strings {
    pub(super) fn new() -> Strings {
        Strings { bytes: vec![0, 0], known: HashMap::from([(String::new(), 0)]) }
    }

    pub(super) fn add(&mut self, text: &str) -> Result<u32, BuildError> {
        if let Some(&at) = self.known.get(text) {
            return Ok(at);
        }
        let length =
            u16::try_from(text.len()).map_err(|_| BuildError::TooLarge("a URL or id above 64 KiB"))?;
        let at =
            u32::try_from(self.bytes.len()).map_err(|_| BuildError::TooLarge("4 GiB of URLs and ids"))?;
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.known.insert(text.to_owned(), at);
        Ok(at)
    }
}

/// Header and sections, with the checksums of what follows them.
pub(super) fn assemble(sections: &[Vec<u8>; SECTIONS]) -> Result<Vec<u8>, BuildError> {
    let mut out = vec![0; HEADER];
    let mut table = Vec::new();
    for section in sections {
        for field in [out.len(), section.len()] {
            let field =
                u32::try_from(field).map_err(|_| BuildError::TooLarge("more than 4 GiB of definitions"))?;
            table.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(section);
    }
    let data = sections.get(Section::Data as usize).map_or(0, Vec::len);
    let mut crc = Crc::new();
    crc.update(out.get(HEADER..out.len() - data).unwrap_or_default());
    let digest = Sha256::digest(out.get(HEADER..).unwrap_or_default());
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(slot) = out.get_mut(at..at + bytes.len()) {
            slot.copy_from_slice(bytes);
        }
    };
    put(0, MAGIC);
    put(MAGIC.len(), &FORMAT.to_le_bytes());
    put(CRC_AT, &crc.sum().to_le_bytes());
    put(DIGEST_AT, &digest);
    put(SECTIONS_AT, &table);
    Ok(out)
}
