//! How an audit record is kept: its AuditEvent, compressed (LZ4) against a text that is much like every record.
//!
//! A record of 3 KB takes some 500 bytes, so that a commit writes an eighth of the pages. Invariants: what is read is to
//! the byte what was written, and the hash chain goes over that; a record of the time before compression is kept as it is
//! and read as it is; bytes that can't be unpacked are given as they stand, and fail the chain's proof.
//!
//! The dictionary is part of the format: [`DICTIONARY`] is never changed, another one gets another first byte.

use rusqlite::types::{FromSql, FromSqlResult, ValueRef};

use super::packing::Dictionary;

/// What the records of form 1 are compressed against.
static DICTIONARY: Dictionary = Dictionary::new(include_bytes!("audit-record-1.dictionary"));
/// The first byte of a packed record. JSON begins with another.
const FORM: u8 = 1;
/// Most bytes of a record.
const LARGEST: u32 = 64 * 1024 * 1024;

/// The record in its packed form.
pub(super) fn pack(record: &[u8]) -> Vec<u8> {
    let Some(size) = u32::try_from(record.len()).ok().filter(|size| *size <= LARGEST) else {
        return record.to_vec();
    };
    let mut packed = Vec::with_capacity(record.len() / 4);
    packed.push(FORM);
    packed.extend_from_slice(&size.to_le_bytes());
    DICTIONARY.compress(record, &mut packed);
    packed
}

fn unpack(stored: &[u8]) -> Option<Vec<u8>> {
    let (size, packed) = stored.strip_prefix(&[FORM])?.split_first_chunk()?;
    let size = u32::from_le_bytes(*size);
    if size > LARGEST {
        return None;
    }
    let record =
        lz4_flex::block::decompress_with_dict(packed, usize::try_from(size).ok()?, DICTIONARY.text()).ok()?;
    (record.len() == usize::try_from(size).ok()?).then_some(record)
}

/// A record as it was before it was packed, read from its column.
pub(super) struct Unpacked(pub Vec<u8>);

impl FromSql for Unpacked {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Unpacked> {
        let stored = value.as_blob()?;
        Ok(Unpacked(unpack(stored).unwrap_or_else(|| stored.to_vec())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_dictionary_is_the_one_that_stored_records_were_packed_with() {
        let digest: String =
            Sha256::digest(DICTIONARY.text()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "d92ed7cdd9a4bd902ccc4ab2a5d6a935b0fa970b1ff70d6149a39a4f2b5c27f3");
    }

    #[test]
    fn a_record_like_the_dictionary_takes_little_room() {
        let like =
            String::from_utf8(DICTIONARY.text().to_vec()).unwrap().replace("Patient/", "Patient/8f14e45f");
        assert!(pack(like.as_bytes()).len() * 10 < like.len());
    }

    #[test]
    fn what_can_not_be_unpacked_is_none() {
        let mut lies = pack(b"{\"resourceType\":\"AuditEvent\"}");
        lies[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(unpack(&lies), None);
        assert_eq!(unpack(b"{}"), None);
        assert_eq!(unpack(&[FORM, 1, 0]), None);
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_to_the_byte(record in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert_eq!(unpack(&pack(&record)), Some(record));
        }

        #[test]
        fn no_bytes_make_unpacking_panic(mut stored in proptest::collection::vec(any::<u8>(), 0..200)) {
            unpack(&stored);
            stored.splice(0..0, [FORM, 200, 0, 0, 0]);
            unpack(&stored);
        }
    }
}
