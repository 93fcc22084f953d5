//! How many places bulk and normal requests have while the worker threads are behind with their work.
//!
//! Where more is begun than the processors can do, each step of each request waits for its turn, and an alarm's steps wait
//! like all others. That wait is what is looked at here ([`super::lag`]): what the hospital's server or the disk takes is not in it,
//! so that a slow server costs nobody a place. Where more than half of a window's steps waited longer than is tolerated, bulk
//! gives up half of its places, and once it has its fewest, normal requests do. Where few steps waited, places come back
//! little by little, in the opposite order.
//!
//! Invariant: the places of the priority lane are never touched, and each number stays between its fewest and what is configured.

use std::time::{Duration, Instant};

/// How long steps are looked at before it is decided.
const WINDOW: Duration = Duration::from_millis(50);
/// Steps of one worker in a window from which on they say something.
const ENOUGH: u32 = 2;
/// Workers that are told apart; more share these places.
const WORKERS: usize = 16;
/// Windows without any step that are made up for, so that all places are back after a pause.
const PAUSE: u32 = 200;
/// Fewest places for each worker: enough to keep it busy, few enough for an alarm to pass.
const FEWEST_BULK: u32 = 8;
const FEWEST_SHARED: u32 = 16;

/// How many places there are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// For normal and bulk requests together.
    pub shared: u32,
    /// How many of them bulk may have.
    pub bulk: u32,
}

/// Steps of one worker in the present window.
#[derive(Debug, Clone, Copy, Default)]
struct Steps {
    all: u32,
    long: u32,
}

/// Decides how many places there are.
#[derive(Debug)]
pub(super) struct GivingWay {
    tolerated: Duration,
    fewest: Room,
    most: Room,
    now: Room,
    ends: Option<Instant>,
    steps: [Steps; WORKERS],
}

impl GivingWay {
    /// With `most` places, as long as steps wait no longer than `tolerated` for one of so many `workers`.
    pub fn new(tolerated: Duration, most: Room, workers: usize) -> GivingWay {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX);
        let fewest = Room {
            shared: workers.saturating_mul(FEWEST_SHARED).min(most.shared),
            bulk: workers.saturating_mul(FEWEST_BULK).min(most.bulk),
        };
        GivingWay { tolerated, fewest, most, now: most, ends: None, steps: [Steps::default(); WORKERS] }
    }

    /// The places that there are now.
    pub fn room(&self) -> Room {
        self.now
    }

    /// A step has `waited` so long for this worker; gives the places that there are from `now` on.
    pub fn note(&mut self, worker: usize, waited: Duration, now: Instant) -> Room {
        let ends = *self.ends.get_or_insert(now + WINDOW);
        if let Some(late) = now.checked_duration_since(ends) {
            self.decide();
            let empty = u32::try_from(late.as_millis() / WINDOW.as_millis()).unwrap_or(PAUSE).min(PAUSE);
            (0..empty).for_each(|_| self.give_back());
            self.ends = Some(now + WINDOW);
            self.steps = [Steps::default(); WORKERS];
        }
        if let Some(own) = self.steps.get_mut(worker % WORKERS) {
            own.all = own.all.saturating_add(1);
            own.long = own.long.saturating_add(u32::from(waited > self.tolerated));
        }
        self.now
    }

    fn decide(&mut self) {
        let behind = |own: &Steps| own.all >= ENOUGH && own.long > own.all / 2;
        let free = |own: &Steps| own.long <= own.all / 4;
        if self.steps.iter().any(behind) {
            self.give_way();
        } else if self.steps.iter().all(free) {
            self.give_back();
        }
    }

    fn give_way(&mut self) {
        if self.now.bulk > self.fewest.bulk {
            self.now.bulk = (self.now.bulk / 2).max(self.fewest.bulk);
        } else {
            self.now.shared = (self.now.shared / 2).max(self.fewest.shared);
        }
    }

    fn give_back(&mut self) {
        let more = |now: u32, most: u32| now.saturating_add((now / 8).max(1)).min(most);
        if self.now.shared < self.most.shared {
            self.now.shared = more(self.now.shared, self.most.shared);
        } else {
            self.now.bulk = more(self.now.bulk, self.most.bulk);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOLERATED: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_millis(5);
    const SHORT: Duration = Duration::from_micros(50);
    const MOST: Room = Room { shared: 192, bulk: 96 };

    /// Steps that waited so long, one a millisecond, over so many windows; the places after each window.
    fn windows(own: &mut GivingWay, from: Instant, count: u32, waited: Duration) -> (Instant, Vec<Room>) {
        let mut rooms = Vec::new();
        let mut now = from;
        for _ in 0..count {
            for _ in 0..WINDOW.as_millis() {
                now += Duration::from_millis(1);
                own.note(1, waited, now);
            }
            rooms.push(own.room());
        }
        (now, rooms)
    }

    #[test]
    fn bulk_gives_way_first_then_normal_and_normal_comes_back_first() {
        let mut own = GivingWay::new(TOLERATED, MOST, 2);
        let (now, rooms) = windows(&mut own, Instant::now(), 9, LONG);
        let bulk: Vec<u32> = rooms.iter().map(|room| room.bulk).collect();
        let shared: Vec<u32> = rooms.iter().map(|room| room.shared).collect();
        assert_eq!(bulk, [96, 48, 24, 16, 16, 16, 16, 16, 16]);
        assert_eq!(shared, [192, 192, 192, 192, 96, 48, 32, 32, 32]);
        let (_, rooms) = windows(&mut own, now, 60, SHORT);
        assert!(rooms.iter().all(|room| room.bulk == 16 || room.shared == 192), "{rooms:?}");
        assert_eq!(rooms.last(), Some(&MOST));
    }

    #[test]
    fn one_worker_that_is_behind_is_enough_and_a_single_hiccup_is_not() {
        let mut own = GivingWay::new(TOLERATED, MOST, 2);
        let mut now = Instant::now();
        for number in 0..120 {
            now += Duration::from_millis(1);
            own.note(1, SHORT, now);
            own.note(2, if number == 60 { LONG } else { SHORT }, now);
        }
        assert_eq!(own.room(), MOST);
        for _ in 0..120 {
            now += Duration::from_millis(1);
            own.note(1, SHORT, now);
            own.note(2, LONG, now);
        }
        assert!(own.room().bulk < MOST.bulk);
    }

    #[test]
    fn after_a_pause_every_place_is_back() {
        let mut own = GivingWay::new(TOLERATED, MOST, 2);
        let (now, _) = windows(&mut own, Instant::now(), 20, LONG);
        assert_eq!(own.room(), Room { shared: 32, bulk: 16 });
        assert_eq!(own.note(1, SHORT, now + Duration::from_secs(5)), MOST);
    }

    proptest! {
        /// Whatever waits: both numbers stay within their bounds, and normal requests lose none while bulk has more than its fewest.
        #[test]
        fn places_stay_within_their_bounds(
            shared in 1u32..300, bulk in 0u32..300, workers in 1usize..20,
            steps in prop::collection::vec((0usize..20, 0u64..3_000, 0u64..200), 1..400),
        ) {
            let most = Room { shared, bulk: bulk.min(shared) };
            let mut own = GivingWay::new(TOLERATED, most, workers);
            let mut now = Instant::now();
            for (worker, waited, later) in steps {
                let before = own.room();
                now += Duration::from_millis(later);
                let room = own.note(worker, Duration::from_micros(waited), now);
                prop_assert!(room.shared <= most.shared && room.bulk <= most.bulk);
                prop_assert!(room.shared >= own.fewest.shared && room.bulk >= own.fewest.bulk);
                prop_assert!(room.shared > 0);
                prop_assert!(room.shared >= before.shared || before.bulk == own.fewest.bulk);
            }
        }
    }
}
