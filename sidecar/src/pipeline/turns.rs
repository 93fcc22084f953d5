//! Turns: those who write on a condition wait for each other, by resource type.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::handoff::Overlap;

/// How many types may be written at the same time; two types may share a place.
const PLACES: usize = 32;

/// A fixed number of places, one of which each type takes.
pub(super) struct Turns {
    places: [Mutex<()>; PLACES],
    overlap: Arc<Overlap>,
}

/// A turn; it ends when it is dropped.
pub(super) struct Turn<'t> {
    _place: MutexGuard<'t, ()>,
    /// The turn among two processes, while there are two.
    _shared: Option<File>,
}

impl Turns {
    /// Turns of this process; while another shares the work, of both.
    pub fn new(overlap: Arc<Overlap>) -> Turns {
        Turns { places: std::array::from_fn(|_| Mutex::new(())), overlap }
    }

    async fn take(&self, place: usize) -> Option<Turn<'_>> {
        let own = self.places.get(place)?.lock().await;
        Some(Turn { _place: own, _shared: self.overlap.turn(place).await })
    }

    /// Waits for the turn of a type; it ends when what is given back is dropped.
    pub async fn wait(&self, resource_type: &str) -> Option<Turn<'_>> {
        self.take(place_of(resource_type)).await
    }

    /// Waits for the turns of several types. All take them in one order, so that nobody waits for ever.
    pub async fn wait_for_all(&self, resource_types: impl Iterator<Item = &str>) -> Vec<Turn<'_>> {
        let places: BTreeSet<usize> = resource_types.map(place_of).collect();
        let mut turns = Vec::with_capacity(places.len());
        for place in places {
            turns.extend(self.take(place).await);
        }
        turns
    }
}

fn place_of(resource_type: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    resource_type.hash(&mut hasher);
    usize::try_from(hasher.finish() % PLACES as u64).unwrap_or_default()
}
