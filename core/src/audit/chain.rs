//! The hash chain over stored audit records.
//!
//! Each stored record carries SHA-256 over the hash before it and its own bytes: a record that is changed,
//! inserted, removed or moved breaks the chain at its place. What a chain alone can't show is that its last
//! records are missing: for that, [`verify`] gives the hash it ends with, to be compared with one kept elsewhere.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The hash a record carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordHash(pub [u8; 32]);

impl RecordHash {
    /// What stands before the first record.
    pub const GENESIS: RecordHash = RecordHash([0; 32]);

    /// The hash of the record that follows this one.
    pub fn of_next(&self, record: &[u8]) -> RecordHash {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(record);
        RecordHash(hasher.finalize().into())
    }
}

impl fmt::Display for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordHash({self})")
    }
}

/// A text is not the hash of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record's hash is 64 lower-case hexadecimal digits")]
pub struct NotAHash;

impl FromStr for RecordHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<RecordHash, NotAHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NotAHash),
        };
        let mut hash = [0; 32];
        if text.len() != 64 {
            return Err(NotAHash);
        }
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            if let [high, low] = pair {
                *byte = digit(*high)? << 4 | digit(*low)?;
            }
        }
        Ok(RecordHash(hash))
    }
}

/// The first record whose hash does not follow from the one before it and its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the audit chain breaks at record {position}: it or the one before was changed, inserted, moved or removed; \
     restore the store from before that record was written and compare"
)]
pub struct BrokenChain {
    /// Its place, from 1.
    pub position: u64,
    /// The hash that should stand there.
    pub expected: RecordHash,
    /// The hash that stands there.
    pub found: RecordHash,
}

/// Verifies records in the order they were written, each with the hash it carries, from the hash before the
/// first. Gives the hash of the last.
pub fn verify<R: AsRef<[u8]>>(
    before: RecordHash,
    records: impl IntoIterator<Item = (R, RecordHash)>,
) -> Result<RecordHash, BrokenChain> {
    let mut last = before;
    for (position, (record, found)) in (1..).zip(records) {
        let expected = last.of_next(record.as_ref());
        if expected != found {
            return Err(BrokenChain { position, expected, found });
        }
        last = found;
    }
    Ok(last)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chain(records: &[Vec<u8>]) -> Vec<(Vec<u8>, RecordHash)> {
        let mut last = RecordHash::GENESIS;
        let link = |record: &Vec<u8>| {
            last = last.of_next(record);
            (record.clone(), last)
        };
        records.iter().map(link).collect()
    }

    #[test]
    fn the_first_hash_is_sha_256_of_32_zeros_and_the_record() {
        let hash = RecordHash::GENESIS.of_next(b"varco");
        let mut bytes = vec![0; 32];
        bytes.extend_from_slice(b"varco");
        assert_eq!(hash.0, <[u8; 32]>::from(Sha256::digest(&bytes)));
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("00".parse::<RecordHash>(), Err(NotAHash));
        assert_eq!("G".repeat(64).parse::<RecordHash>(), Err(NotAHash));
        assert_eq!("è".repeat(32).parse::<RecordHash>(), Err(NotAHash));
    }

    proptest! {
        #[test]
        fn the_first_broken_record_is_named(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 2..12),
            pick in any::<prop::sample::Index>(),
            how in 0..4,
        ) {
            let good = chain(&records);
            prop_assert_eq!(verify(RecordHash::GENESIS, good.clone()), Ok(good.last().unwrap().1));
            let at = pick.index(good.len());
            let mut bad = good.clone();
            match how {
                0 => bad[at].0.push(0),
                1 => { bad.remove(at); }
                2 => bad.insert(at, (b"inserted".to_vec(), RecordHash::GENESIS)),
                _ => bad[at].1.0[31] ^= 1,
            }
            let end = good.last().unwrap().1;
            match verify(RecordHash::GENESIS, bad) {
                Err(broken) => prop_assert_eq!(broken.position, at as u64 + 1),
                // The last one is gone: only the end tells.
                Ok(last) => prop_assert!(how == 1 && at + 1 == good.len() && last != end),
            }
        }
    }
}
