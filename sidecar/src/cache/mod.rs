//! What is remembered so that it need not be asked or worked out again. Every cache is bounded and counted.
//!
//! | cache | holds | bound |
//! |---|---|---|
//! | `tokens` | callers by checked token | 10,000, a minute, and never longer than the keys |
//! | `consents` | compiled consents by patient and revision | 50,000 |
//! | `terminology` | answers of the terminology server | `terminology.cache_entries`, a life for each kind of answer |
//! | `concept-maps` | compiled concept maps by canonical | as many as are in use |
//! | `answers` | answers of the hospital's server ([`Answers`]) | `cache.bytes`, and the route's `cache_seconds` |
//!
//! Key sets are no cache but one list for each issuer, at most 64 keys each; our own capability statement is one text.
//! Metrics: `varco_cache_entries`, `varco_cache_hits_total`, `varco_cache_misses_total`, `varco_cache_evictions_total`.

mod answers;
mod caller;
mod freshness;

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

use metrics::{Counter, counter, gauge};
use moka::sync::{Cache, CacheBuilder};

pub use answers::{Answers, Found, Kept, Key};

/// A cache that counts what becomes of it.
pub struct Counted<K, V> {
    cache: Cache<K, V>,
    name: &'static str,
    hits: Counter,
    misses: Counter,
}

impl<K, V> fmt::Debug for Counted<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cache {}", self.name)
    }
}

impl<K, V> Counted<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache of this kind, under its name in metrics.
    pub fn new(name: &'static str, built: CacheBuilder<K, V, Cache<K, V>>) -> Counted<K, V> {
        let evicted = counter!("varco_cache_evictions_total", "cache" => name);
        let evicted = move |_, _, cause: moka::notification::RemovalCause| {
            if cause.was_evicted() {
                evicted.increment(1);
            }
        };
        Counted {
            cache: built.eviction_listener(evicted).build(),
            name,
            hits: counter!("varco_cache_hits_total", "cache" => name),
            misses: counter!("varco_cache_misses_total", "cache" => name),
        }
    }

    /// What is kept under the key.
    pub fn get<Q: ?Sized + Hash + Eq>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let found = self.cache.get(key);
        if found.is_some() {
            self.hits.increment(1)
        } else {
            self.misses.increment(1)
        }
        found
    }

    /// Keeps a value.
    pub fn insert(&self, key: K, value: V) {
        self.cache.insert(key, value);
    }

    /// Forgets a value.
    pub fn forget<Q: ?Sized + Hash + Eq>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.cache.invalidate(key);
    }

    /// The sum of the values' weights.
    pub fn weight(&self) -> u64 {
        self.cache.weighted_size()
    }

    /// Sets the gauge, before metrics are rendered.
    pub fn observe(&self) {
        self.cache.run_pending_tasks();
        gauge!("varco_cache_entries", "cache" => self.name).set(self.cache.entry_count() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let own: Counted<u32, u32> = Counted::new("tokens", Cache::builder().max_capacity(10));
        (0..1_000).for_each(|at| own.insert(at, at));
        own.observe();
        assert!(own.weight() <= 10);
        own.insert(7, 8);
        assert_eq!(own.get(&7), Some(8));
        own.forget(&7);
        assert_eq!(own.get(&7), None);
    }
}
