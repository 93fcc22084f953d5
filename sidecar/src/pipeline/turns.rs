//! Turns: those who write on a condition wait for each other, by resource type.

use std::collections::BTreeSet;
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
        Some(self.0.get(place_of(resource_type))?.lock().await)
    }

    /// Waits for the turns of several types. All take them in one order, so that nobody waits for ever.
    pub async fn wait_for_all(&self, resource_types: impl Iterator<Item = &str>) -> Vec<MutexGuard<'_, ()>> {
        let places: BTreeSet<usize> = resource_types.map(place_of).collect();
        let mut turns = Vec::with_capacity(places.len());
        for place in places {
            if let Some(own) = self.0.get(place) {
                turns.push(own.lock().await);
            }
        }
        turns
    }
}

fn place_of(resource_type: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    resource_type.hash(&mut hasher);
    usize::try_from(hasher.finish() % PLACES as u64).unwrap_or_default()
}
