//! Alarms that are under way, for which the ordinary workers make room.
//!
//! A thread that wakes up gets a processor at the latest when who has it has used up its turn: some milliseconds where all are
//! busy, each time that an alarm wakes its own thread or the store's writer. While one is under way, an ordinary worker
//! therefore offers its processor to others between two steps. Bounds: once in [`EVERY`], and no longer than [`LONGEST`] for one
//! alarm, so that a server of the hospital's that hangs slows down nobody. Without an alarm it costs the look at one number.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The time between two offers of one worker.
const EVERY: Duration = Duration::from_micros(100);
/// How long an alarm is made room for.
const LONGEST: Duration = Duration::from_millis(20);

/// Alarms that are under way.
static ALARMS: AtomicUsize = AtomicUsize::new(0);
/// Until when there are offers, in microseconds of [`micros`]; 0 without an alarm.
static UNTIL: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// When this thread may offer its processor again.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Microseconds since the first alarm.
fn micros() -> u64 {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGINNING.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn of(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// An alarm that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Hurry(());

impl Hurry {
    /// From now on.
    pub fn begin() -> Hurry {
        ALARMS.fetch_add(1, Ordering::Relaxed);
        UNTIL.store(micros().saturating_add(of(LONGEST)), Ordering::Relaxed);
        Hurry(())
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        if ALARMS.fetch_sub(1, Ordering::Relaxed) == 1 {
            UNTIL.store(0, Ordering::Relaxed);
        }
    }
}

/// Offers this thread's processor, where an alarm is under way and it is time to.
pub(super) fn make_room() {
    let until = UNTIL.load(Ordering::Relaxed);
    if until == 0 {
        return;
    }
    let now = micros();
    if is_due(now, until, NEXT.get()) {
        NEXT.set(now.saturating_add(of(EVERY)));
        std::thread::yield_now();
    }
}

fn is_due(now: u64, until: u64, next: u64) -> bool {
    now < until && now >= next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_now_and_then_while_an_alarm_is_under_way_and_not_for_ever() {
        let (every, longest) = (of(EVERY), of(LONGEST));
        assert!(is_due(1, longest, 0));
        assert!(!is_due(1, longest, 1 + every), "it was just done");
        assert!(is_due(1 + every, longest, 1 + every));
        assert!(!is_due(longest, longest, 0), "the alarm takes its time");
    }

    #[test]
    fn the_last_alarm_ends_it() {
        let (first, second) = (Hurry::begin(), Hurry::begin());
        drop(first);
        assert!(UNTIL.load(Ordering::Relaxed) > 0);
        drop(second);
        assert_eq!((ALARMS.load(Ordering::Relaxed), UNTIL.load(Ordering::Relaxed)), (0, 0));
    }
}
