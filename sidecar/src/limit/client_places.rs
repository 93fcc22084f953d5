//! How many requests of one client are worked on at a time.
//!
//! Bound: a client stands here only while a request of its is under way. The counts are spread over several locks, so that
//! clients don't wait for each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;

use super::{CONCURRENT_RULE, Exceeded, Policy};

const SHARDS: usize = 16;

type Shards = [Mutex<HashMap<u64, u32>>; SHARDS];

/// Requests under way, by client.
pub(super) struct ClientPlaces {
    most: u32,
    taken: Arc<Shards>,
}

/// One request's place among its client's, until it is dropped.
#[derive(Debug)]
pub struct ClientPlace {
    taken: Arc<Shards>,
    client: u64,
}

impl ClientPlaces {
    /// `most` at a time; over the counts of `before`.
    pub fn new(most: u32, before: Option<&ClientPlaces>) -> ClientPlaces {
        ClientPlaces { most, taken: before.map_or_else(Arc::default, |before| before.taken.clone()) }
    }

    /// A place for one more request.
    pub fn enter(&self, client: u64) -> Result<ClientPlace, Box<Exceeded>> {
        let allowed = with(&self.taken, client, |taken| {
            let count = taken.entry(client).or_default();
            let free = *count < self.most;
            *count += u32::from(free);
            free
        });
        if allowed {
            return Ok(ClientPlace { taken: self.taken.clone(), client });
        }
        counter!("varco_limit_refused_total", "limit" => CONCURRENT_RULE).increment(1);
        let policy = Policy { name: CONCURRENT_RULE.to_owned(), most: u64::from(self.most), seconds: None };
        Err(Box::new(Exceeded { policy, retry_after: 1 }))
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        with(&self.taken, self.client, |taken| {
            if let Some(count) = taken.get_mut(&self.client) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    taken.remove(&self.client);
                }
            }
        });
    }
}

fn with<T: Default>(shards: &Shards, client: u64, act: impl FnOnce(&mut HashMap<u64, u32>) -> T) -> T {
    let Some(shard) = shards.get((client % SHARDS as u64) as usize) else { return T::default() };
    act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_places_and_nothing_is_left_behind() {
        let own = ClientPlaces::new(2, None);
        let held = [own.enter(1).unwrap(), own.enter(1).unwrap()];
        assert_eq!(own.enter(1).unwrap_err().policy.name, "concurrent");
        assert!(own.enter(2).is_ok());
        let after = ClientPlaces::new(3, Some(&own));
        let third = after.enter(1).unwrap();
        assert!(after.enter(1).is_err());
        drop((held, third));
        assert!(own.taken.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}
