//! Where alarms are expected from: addresses that sent one lately. A new connection of theirs begins with the worker for alarms, so
//! that whoever opens a connection for each alarm does not wait for bulk either.
//!
//! An address says nothing about who calls: what else comes from there (a hospital behind one address, a load balancer) must
//! not crowd that worker. So at most [`MOST_GUESTS`] connections begin there that have not sent an alarm yet, and an address
//! of which one sends something else, or nothing, is forgotten until its next alarm. Addresses of IPv6 count by their
//! /64, as in [`super::crowd`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::crowd::house_of;

/// How long an address is remembered after its last alarm.
const LATELY: Duration = Duration::from_secs(600);
/// Addresses that are remembered; more are not.
const MOST: usize = 4_096;
/// Connections at a time that have begun where alarms are driven, and have not sent one yet.
const MOST_GUESTS: usize = 16;

/// Where alarms are expected from.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// How many are in the table, so that a gateway without alarms never locks it.
    count: AtomicUsize,
    seen: Mutex<HashMap<IpAddr, Instant>>,
    guests: AtomicUsize,
}

impl Expected {
    fn seen(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An alarm came from this address.
    pub fn note(&self, address: IpAddr, now: Instant) {
        let mut seen = self.seen();
        let house = house_of(address);
        if seen.len() >= MOST && !seen.contains_key(&house) {
            seen.retain(|_, last| now.saturating_duration_since(*last) < LATELY);
        }
        if seen.len() < MOST || seen.contains_key(&house) {
            seen.insert(house, now);
        }
        self.count.store(seen.len(), Ordering::Relaxed);
    }

    /// A place for a new connection of this address, where it may begin with the alarms.
    pub fn enter(self: &Arc<Expected>, address: IpAddr, now: Instant) -> Option<Guest> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let house = house_of(address);
        let lately =
            self.seen().get(&house).is_some_and(|last| now.saturating_duration_since(*last) < LATELY);
        let room = |guests| (guests < MOST_GUESTS).then_some(guests + 1);
        if !lately || self.guests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            return None;
        }
        Some(Guest { expected: self.clone(), house, proven: false })
    }
}

/// The place of a connection that has not sent an alarm yet. Dropped before it has, its address is forgotten.
#[derive(Debug)]
pub(super) struct Guest {
    expected: Arc<Expected>,
    house: IpAddr,
    proven: bool,
}

impl Guest {
    /// It has sent one.
    pub fn prove(mut self) {
        self.proven = true;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.expected.guests.fetch_sub(1, Ordering::Relaxed);
        if !self.proven {
            let mut seen = self.expected.seen();
            seen.remove(&self.house);
            self.expected.count.store(seen.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_sent_an_alarm_lately_begins_with_the_alarms() {
        let (own, now) = (Arc::new(Expected::default()), Instant::now());
        assert!(own.enter(at("10.0.0.1"), now).is_none());
        own.note(at("10.0.0.1"), now);
        assert!(own.enter(at("10.0.0.2"), now).is_none());
        assert!(own.enter(at("10.0.0.1"), now + LATELY).is_none(), "that was long ago");
        own.enter(at("::ffff:10.0.0.1"), now).unwrap().prove();
        assert!(own.enter(at("10.0.0.1"), now).is_some(), "it sent an alarm again");
    }

    #[test]
    fn an_address_that_sends_something_else_is_forgotten_until_its_next_alarm() {
        let (own, now) = (Arc::new(Expected::default()), Instant::now());
        own.note(at("10.0.0.1"), now);
        drop(own.enter(at("10.0.0.1"), now).unwrap());
        assert!(own.enter(at("10.0.0.1"), now).is_none());
        own.note(at("10.0.0.1"), now);
        assert!(own.enter(at("10.0.0.1"), now).is_some());
    }

    #[test]
    fn neither_guests_nor_addresses_grow_without_bound() {
        let (own, now) = (Arc::new(Expected::default()), Instant::now());
        own.note(at("10.0.0.1"), now);
        let guests: Vec<Guest> = (0..100).map_while(|_| own.enter(at("10.0.0.1"), now)).collect();
        assert_eq!(guests.len(), MOST_GUESTS);
        drop(guests);
        for number in 0..2 * MOST as u32 {
            own.note(IpAddr::from(number.to_be_bytes()), now);
        }
        assert_eq!(own.seen().len(), MOST);
        own.note(at("192.0.2.1"), now + LATELY);
        assert_eq!(own.seen().len(), 1, "those of long ago made room");
    }
}
