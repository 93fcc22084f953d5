//! One store belongs to one process.
//!
//! What a process keeps in memory would be wrong beside another's writes: compiled consents (a revocation that the other took would
//! not count here), counts of limits, tokens that count once, whose turn it is to write. So a second process on one store is refused at
//! its start, by a lock on a file beside the database, which the system lets go of however the process ends. Only a process that takes over
//! works beside the one before, for the time of the handoff, and the two then share all that ([`crate::handoff::Overlap`]);
//! it takes the lock when that one is gone.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;

/// How long a process that is ending is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked.
const AGAIN: Duration = Duration::from_millis(20);

/// The lock on one store, once it is taken.
#[derive(Debug)]
pub(super) struct Sole {
    store: PathBuf,
    held: Mutex<Option<File>>,
}

impl Sole {
    /// For the store in this file; nothing is locked.
    pub fn of(store: &Path) -> Sole {
        Sole { store: store.to_owned(), held: Mutex::default() }
    }

    /// True where this process has the store.
    pub fn is_held(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Takes the store for this process; blocks for [`PATIENCE`] while another has it.
    pub fn take(&self) -> Result<(), StoreError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Ok(());
        }
        let mut path = self.store.clone().into_os_string();
        path.push(".lock");
        let refuse = |cause: std::io::Error| {
            let cause = format!("it can't be locked by {}: {cause}", Path::new(&path).display());
            StoreError::Open { path: self.store.clone(), cause }
        };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(refuse)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(AGAIN),
                Err(TryLockError::WouldBlock) => return Err(StoreError::Taken(self.store.clone())),
                Err(TryLockError::Error(error)) => return Err(refuse(error)),
            }
        }
        *held = Some(file);
        Ok(())
    }
}
