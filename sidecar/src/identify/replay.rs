//! Tokens that count once: their identifiers (`jti`, RFC 7519 §4.1.7), kept until they expire.
//!
//! Invariant: an identifier is never forgotten before its token is refused for its age. Memory is bounded; where it is full,
//! tokens are refused rather than identifiers forgotten. It is this process's own: another instance, or this one started
//! again, has seen nothing; only a process that takes over gets it ([`crate::handoff`]).

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use super::TokenError;
use crate::handoff::Overlap;

/// Most identifiers that are kept.
const MOST: usize = 100_000;

/// The SHA-256 of an issuer and one of its identifiers.
type Id = [u8; 32];

/// What was seen.
pub(crate) struct Replay {
    seen: Mutex<Seen>,
    most: usize,
    /// Another process that may see the same tokens for a time.
    overlap: OnceLock<Arc<Overlap>>,
}

#[derive(Default)]
struct Seen {
    ids: HashSet<Id>,
    /// The same, by the second after which the token is refused for its age.
    ends: BTreeSet<(u64, Id)>,
}

/// What an identifier is kept as.
pub(super) fn id(issuer: &str, jti: &str) -> Id {
    let mut digest = Sha256::new();
    digest.update((issuer.len() as u64).to_be_bytes());
    digest.update(issuer);
    digest.update(jti);
    digest.finalize().into()
}

impl Default for Replay {
    fn default() -> Replay {
        Replay { seen: Mutex::default(), most: MOST, overlap: OnceLock::new() }
    }
}

impl Replay {
    /// Takes an identifier for good. `end` is the last second that its token is accepted in, `now` the present one.
    pub fn take(&self, id: Id, end: u64, now: u64) -> Result<(), TokenError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(ended, old)) = seen.ends.first().filter(|(ended, _)| *ended < now) {
            seen.ends.remove(&(ended, old));
            seen.ids.remove(&old);
        }
        if seen.ids.contains(&id) {
            return Err(TokenError::Replayed);
        }
        if seen.ids.len() >= self.most {
            return Err(TokenError::ReplayMemory);
        }
        if let Some(overlap) = self.overlap.get().filter(|overlap| overlap.is_shared()) {
            match overlap.take_once(&id, end) {
                Ok(true) => {}
                Ok(false) => return Err(TokenError::Replayed),
                Err(error) => {
                    tracing::error!(%error, "tokens that count once can't be shared with the other process");
                    return Err(TokenError::ReplayMemory);
                }
            }
        }
        seen.ids.insert(id);
        seen.ends.insert((end, id));
        Ok(())
    }

    /// From now on, identifiers are taken for both while another process shares the work.
    pub fn share(&self, overlap: Arc<Overlap>) {
        let _ = self.overlap.set(overlap);
    }

    /// Every identifier that is kept, with the last second that its token is accepted in.
    pub fn all(&self) -> Vec<(Id, u64)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.ends.iter().map(|(end, id)| (*id, *end)).collect()
    }

    /// Keeps what another process has seen.
    pub fn learn(&self, ids: impl IntoIterator<Item = (Id, u64)>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, end) in ids {
            if seen.ids.insert(id) {
                seen.ends.insert((end, id));
            }
        }
    }

    /// How many identifiers are kept.
    pub fn len(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_counts_once_until_its_token_is_too_old() {
        let replay = Replay::default();
        let (own, other) = (id("https://a", "1"), id("https://b", "1"));
        assert_eq!(replay.take(own, 100, 50), Ok(()));
        assert_eq!(replay.take(other, 100, 50), Ok(()));
        assert_eq!(replay.take(own, 100, 50), Err(TokenError::Replayed));
        assert_eq!(replay.take(own, 100, 100), Err(TokenError::Replayed));
        assert_eq!(replay.len(), 2);
        assert_eq!(replay.take(id("https://a", "2"), 200, 101), Ok(()));
        assert_eq!(replay.len(), 1, "what no token can be replayed with is forgotten");
    }

    #[test]
    fn a_full_memory_refuses_and_forgets_nothing() {
        let replay = Replay { most: 2, ..Replay::default() };
        let number = |number: u32| id("https://a", &number.to_string());
        assert_eq!((replay.take(number(1), 100, 0), replay.take(number(2), 200, 0)), (Ok(()), Ok(())));
        assert_eq!(replay.take(number(3), 300, 0), Err(TokenError::ReplayMemory));
        assert_eq!(replay.take(number(1), 100, 0), Err(TokenError::Replayed));
        assert_eq!(replay.take(number(3), 300, 101), Ok(()));
    }

    #[test]
    fn issuer_and_identifier_do_not_run_into_each_other() {
        assert_ne!(id("ab", "c"), id("a", "bc"));
    }
}
