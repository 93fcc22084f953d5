//! Turns: those who write on a condition wait for each other, by resource type.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

/// How many types may be written at the same time; two types may share a place.
const PLACES: usize = 32;

/// A fixed number of places, one of which each type takes.
pub(super) struct Turns([Mutex<()>; PLACES]);

impl Turns {
    pub fn new() -> Turns {
        Turns(std::array::from_fn(|_| Mutex::new(())))
    }

    /// Waits for the turn of a type; it ends when what is given back is dropped.
    pub async fn wait(&self, resource_type: &str) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        resource_type.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % PLACES as u64).unwrap_or_default();
        Some(self.0.get(place)?.lock().await)
    }
}
