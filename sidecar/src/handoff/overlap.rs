//! The time in which two processes serve one hospital: the old one drains, the new one takes the connections.
//!
//! What a process knows alone must hold for both then: which tokens were seen, whose turn it is to write on a condition,
//! that a consent in memory may be outdated. A folder beside the store, of this user alone, is what they share. Nothing of it
//! is used at any other time.
//!
//! Invariant: while the folder is shared, a token counts once for both, and of two who write on one condition one waits.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::hexadecimal;

/// How often it is asked whether the other process has had its turn.
const AGAIN: Duration = Duration::from_millis(5);
/// The beginning of the names of files that stand for tokens.
const TOKEN: &str = "token-";

/// Whether another process shares the work, and by what folder.
#[derive(Debug)]
pub struct Overlap {
    folder: PathBuf,
    shared: AtomicBool,
}

impl Overlap {
    /// For the store in this file; nothing is shared.
    pub fn beside(store: &Path) -> Overlap {
        let mut folder = store.as_os_str().to_owned();
        folder.push(".handoff");
        Overlap { folder: PathBuf::from(folder), shared: AtomicBool::new(false) }
    }

    /// True while another process shares the work.
    pub fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Acquire)
    }

    /// The old process begins: what an earlier attempt left is removed.
    pub fn begin(&self) -> io::Result<()> {
        self.remove()?;
        DirBuilder::new().mode(0o700).create(&self.folder)?;
        self.shared.store(true, Ordering::Release);
        Ok(())
    }

    /// The new process joins.
    pub fn join(&self) {
        self.shared.store(true, Ordering::Release);
    }

    /// The other process is gone: gives the tokens that either took meanwhile, and shares nothing any more.
    pub fn end(&self) -> io::Result<Vec<([u8; 32], u64)>> {
        let taken = self.taken();
        self.shared.store(false, Ordering::Release);
        let taken = taken?;
        self.remove()?;
        Ok(taken)
    }

    /// Takes a token's identifier for both: false where the other has taken it.
    pub fn take_once(&self, id: &[u8; 32], end: u64) -> io::Result<bool> {
        let path = self.folder.join(format!("{TOKEN}{}", hexadecimal::write(id)));
        match File::create_new(path) {
            Ok(mut file) => write!(file, "{end}").map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits for this place's turn among both; it ends when the file is dropped. `None` where nothing is shared.
    pub async fn turn(&self, place: usize) -> Option<File> {
        if !self.is_shared() {
            return None;
        }
        // Where the folder is gone, so is the other process.
        let file = File::create(self.folder.join(format!("turn-{place}"))).ok()?;
        loop {
            match file.try_lock() {
                Ok(()) => return Some(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(AGAIN).await,
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(%error, "turns can't be taken with the other process");
                    return None;
                }
            }
        }
    }

    fn taken(&self) -> io::Result<Vec<([u8; 32], u64)>> {
        let mut taken = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(id) =
                name.to_str().and_then(|name| name.strip_prefix(TOKEN)).and_then(hexadecimal::read)
            else {
                continue;
            };
            let text = fs::read_to_string(entry.path())?;
            // One whose time was not written yet is kept for good.
            taken.push((id, text.parse().unwrap_or(u64::MAX)));
        }
        Ok(taken)
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn two() -> (tempfile::TempDir, Overlap, Overlap) {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("varco.sqlite");
        let (old, new) = (Overlap::beside(&store), Overlap::beside(&store));
        old.begin().unwrap();
        new.join();
        (folder, old, new)
    }

    #[test]
    fn a_token_counts_once_for_both_and_is_remembered_after() {
        let (_folder, old, new) = two();
        assert!(old.take_once(&[1; 32], 100).unwrap());
        assert!(!new.take_once(&[1; 32], 100).unwrap());
        assert!(new.take_once(&[2; 32], 200).unwrap());
        let mut taken = new.end().unwrap();
        taken.sort_unstable();
        assert_eq!(taken, [([1; 32], 100), ([2; 32], 200)]);
        assert!(!new.is_shared() && !new.folder.exists());
    }

    #[tokio::test]
    async fn of_two_who_write_on_one_condition_one_waits() {
        let (_folder, old, new) = two();
        let first = old.turn(3).await;
        assert!(first.is_some() && new.turn(4).await.is_some());
        let waits = tokio::time::timeout(Duration::from_millis(50), new.turn(3)).await;
        assert!(waits.is_err(), "it is the other's turn");
        drop(first);
        assert!(new.turn(3).await.is_some());
    }

    #[tokio::test]
    async fn alone_nothing_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let alone = Overlap::beside(&folder.path().join("varco.sqlite"));
        assert!(!alone.is_shared() && alone.turn(1).await.is_none());
        alone.begin().unwrap();
        alone.take_once(&[1; 32], 1).unwrap();
        alone.begin().unwrap();
        assert!(alone.take_once(&[1; 32], 1).unwrap(), "an earlier attempt's folder is removed");
    }
}
