//! The addresses of one server: which one the next request goes to, and which are left out for a while.
//!
//! An address that fails so many times in a row is left out, for longer each time ([`GrowingRest`]); back again, its first
//! failure leaves it out anew. Invariant: never more than half of them are left out, because what makes most of them fail is
//! not theirs. Of the others the one with the fewest requests under way is taken, in turn among equals. The time comes in as
//! an argument.

use std::time::{Duration, Instant};

use super::growing::GrowingRest;

/// When an address is left out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EjectionSettings {
    /// Failures in a row.
    pub failures: u32,
    /// The first rest.
    pub rest: Duration,
    /// The longest one.
    pub longest: Duration,
}

/// What is known of one address.
#[derive(Debug, Clone, Copy)]
struct Health {
    failures: u32,
    /// Until when it is left out, or was last.
    out_until: Option<Instant>,
    /// Since when it answers.
    well_since: Option<Instant>,
    rest: GrowingRest,
    under_way: usize,
}

/// The addresses of one server, by number.
#[derive(Debug, Clone)]
pub(crate) struct Ejections {
    settings: EjectionSettings,
    addresses: Vec<Health>,
    turn: usize,
}

impl Ejections {
    /// So many addresses, all well.
    pub fn new(settings: EjectionSettings, count: usize) -> Ejections {
        let rest = GrowingRest::new(settings.rest, settings.longest);
        let well = Health { failures: 0, out_until: None, well_since: None, rest, under_way: 0 };
        Ejections { settings, addresses: vec![well; count], turn: 0 }
    }

    /// Chooses an address and counts a request to it; `avoid` is taken only where there is no other.
    pub fn choose(&mut self, avoid: Option<usize>, now: Instant) -> usize {
        let count = self.addresses.len().max(1);
        self.turn = (self.turn + 1) % count;
        let rank = |at: usize| {
            let health = self.addresses.get(at)?;
            let after = (at + count - self.turn) % count;
            Some((health.is_out(now), Some(at) == avoid, health.under_way, after))
        };
        let chosen = (0..count).min_by_key(|at| rank(*at)).unwrap_or_default();
        if let Some(health) = self.addresses.get_mut(chosen) {
            health.under_way += 1;
        }
        chosen
    }

    /// A request to this address ended without telling of its health.
    pub fn left(&mut self, at: usize) {
        if let Some(health) = self.addresses.get_mut(at) {
            health.under_way = health.under_way.saturating_sub(1);
        }
    }

    /// A request to this address was answered.
    pub fn answered(&mut self, at: usize, now: Instant) {
        self.left(at);
        if let Some(health) = self.addresses.get_mut(at).filter(|health| !health.is_out(now)) {
            health.failures = 0;
            health.well_since.get_or_insert(now);
        }
    }

    /// A request to this address failed. For how long it is left out now, where it is.
    pub fn failed(&mut self, at: usize, now: Instant) -> Option<Duration> {
        self.left(at);
        let may = self.out(now) < self.addresses.len() / 2;
        let health = self.addresses.get_mut(at).filter(|health| !health.is_out(now))?;
        health.failures = health.failures.saturating_add(1);
        if health.failures < self.settings.failures.max(1) || !may {
            return None;
        }
        let well_for =
            health.well_since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let rest = health.rest.next(well_for);
        health.out_until = Some(now + rest);
        health.failures = self.settings.failures.saturating_sub(1);
        Some(rest)
    }

    /// The same knowledge, without a request under way.
    pub fn idle(&self) -> Ejections {
        let mut own = self.clone();
        own.addresses.iter_mut().for_each(|health| health.under_way = 0);
        own
    }

    /// How many are left out.
    pub fn out(&self, now: Instant) -> usize {
        self.addresses.iter().filter(|health| health.is_out(now)).count()
    }
}

impl Health {
    fn is_out(&self, now: Instant) -> bool {
        self.out_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REST: Duration = Duration::from_secs(10);
    const SETTINGS: EjectionSettings =
        EjectionSettings { failures: 3, rest: REST, longest: Duration::from_secs(40) };

    #[test]
    fn equals_take_turns_and_the_least_busy_goes_first() {
        let (mut own, now) = (Ejections::new(SETTINGS, 3), Instant::now());
        let mut first: Vec<usize> = (0..3).map(|_| own.choose(None, now)).collect();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2]);
        own.answered(1, now);
        assert_eq!(own.choose(None, now), 1, "the others are busy");
        assert_ne!(own.choose(Some(1), now), 1);
    }

    #[test]
    fn an_address_that_fails_is_left_out_for_longer_each_time() {
        let (mut own, start) = (Ejections::new(SETTINGS, 2), Instant::now());
        assert_eq!((own.failed(0, start), own.failed(0, start)), (None, None));
        assert_eq!(own.failed(0, start), Some(REST));
        assert!((0..10).all(|_| own.choose(Some(1), start) == 1), "even where another is wished for");
        assert_eq!(own.failed(0, start), None, "late news");
        let back = start + REST;
        assert_eq!(own.choose(None, back), 0);
        assert_eq!(own.failed(0, back), Some(REST * 2), "its first failure");
        own.answered(0, back + REST * 2);
        assert_eq!((own.failed(0, back + REST * 5), own.failed(0, back + REST * 5)), (None, None));
        assert_eq!(own.failed(0, back + REST * 5), Some(REST), "it was well for long");
    }

    #[test]
    fn alone_it_is_never_left_out() {
        let (mut own, now) = (Ejections::new(SETTINGS, 1), Instant::now());
        assert!((0..100).all(|_| own.failed(0, now).is_none()));
        assert_eq!(own.choose(Some(0), now), 0);
    }

    proptest! {
        #[test]
        fn never_more_than_half_are_left_out_and_what_is_chosen_is_not_one_of_them(
            count in 1_usize..6,
            steps in proptest::collection::vec((0_u64..5_000, 0_u8..4, any::<usize>()), 1..300),
        ) {
            let (mut own, mut now) = (Ejections::new(SETTINGS, count), Instant::now());
            let mut under_way = Vec::new();
            for (pause, kind, which) in steps {
                now += Duration::from_millis(pause);
                if kind == 0 || under_way.is_empty() {
                    let at = own.choose(Some(which % count), now);
                    prop_assert!(!own.addresses[at].is_out(now));
                    under_way.push(at);
                } else {
                    let at = under_way.swap_remove(which % under_way.len());
                    match kind {
                        1 => own.answered(at, now),
                        2 => own.left(at),
                        _ => {
                            own.failed(at, now);
                        }
                    }
                }
                prop_assert!(own.out(now) <= count / 2);
                let counted: usize = own.addresses.iter().map(|health| health.under_way).sum();
                prop_assert_eq!(counted, under_way.len());
            }
        }
    }
}
