#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const REST: Duration = Duration::from_secs(30);

fn breaker(failures: u32, probes: u32) -> (Breaker, Instant) {
    let start = Instant::now();
    let settings = BreakerSettings { failures, share: None, rest: REST, longest: REST * 4, probes };
    (Breaker::new(settings, start), start)
}

impl Breaker {
    fn one(&self, verdict: Verdict, now: Instant) -> Change {
        let pass = self.admit(now).unwrap();
        self.settle(pass, verdict, now)
    }
}

#[test]
fn failures_in_a_row_open_it_and_a_probe_closes_it() {
    let (breaker, start) = breaker(3, 1);
    let failed = |now| breaker.one(Verdict::Failed, now);
    assert_eq!([failed(start), failed(start)], [Change::None; 2]);
    assert_eq!(breaker.one(Verdict::Well, start), Change::None, "it was closed all the while");
    assert_eq!([failed(start), failed(start)], [Change::None; 2]);
    assert_eq!(breaker.one(Verdict::Nothing, start), Change::None);
    assert_eq!(failed(start), Change::Opened(REST), "the third in a row");
    assert_eq!(breaker.admit(start + REST / 2), Err(start + REST));
    let probe = breaker.admit(start + REST).unwrap();
    assert!(breaker.admit(start + REST).is_err(), "no other beside it");
    assert_eq!(breaker.standing(), Standing::Probing);
    assert_eq!(breaker.settle(probe, Verdict::Well, start + REST), Change::Closed);
    assert_eq!(breaker.standing(), Standing::Closed);
}

#[test]
fn a_failed_probe_opens_it_for_longer_and_a_lost_one_is_replaced() {
    let (breaker, start) = breaker(1, 1);
    assert_eq!(breaker.one(Verdict::Failed, start), Change::Opened(REST));
    let again = start + REST;
    assert_eq!(breaker.one(Verdict::Failed, again), Change::Opened(REST * 2));
    assert_eq!(breaker.admit(again + REST), Err(again + REST * 2));
    let later = again + REST * 2;
    let lost = breaker.admit(later).unwrap();
    assert_eq!(breaker.admit(later), Err(later + REST * 2));
    let probe = breaker.admit(later + REST * 2).unwrap();
    assert_eq!(breaker.settle(lost, Verdict::Failed, later + REST * 2), Change::None, "it is of no account");
    assert_eq!(breaker.settle(probe, Verdict::Well, later + REST * 2), Change::Closed);
    assert_eq!(
        breaker.one(Verdict::Failed, later + REST * 2),
        Change::Opened(REST * 4),
        "it was not well for long"
    );
}

#[test]
fn a_probe_that_was_given_up_frees_its_place() {
    let (breaker, start) = breaker(1, 2);
    breaker.one(Verdict::Failed, start);
    let (one, two) = (breaker.admit(start + REST).unwrap(), breaker.admit(start + REST).unwrap());
    assert!(breaker.admit(start + REST).is_err());
    assert_eq!(breaker.settle(one, Verdict::Nothing, start + REST), Change::None);
    let three = breaker.admit(start + REST).unwrap();
    assert_eq!(breaker.settle(two, Verdict::Well, start + REST), Change::None, "two must be well");
    assert_eq!(breaker.settle(three, Verdict::Well, start + REST), Change::Closed);
}

#[test]
fn late_ends_neither_prolong_the_rest_nor_end_it() {
    let (breaker, start) = breaker(1, 1);
    let (late, well) = (breaker.admit(start).unwrap(), breaker.admit(start).unwrap());
    breaker.one(Verdict::Failed, start);
    assert_eq!(breaker.settle(late, Verdict::Failed, start + REST / 2), Change::None);
    assert_eq!(breaker.settle(well, Verdict::Well, start + REST / 2), Change::None);
    assert_eq!(breaker.standing(), Standing::Open(start + REST));
}

#[test]
fn every_second_request_that_fails_opens_it_once_there_were_enough() {
    let start = Instant::now();
    let share = FailureShare { percent: 50, requests: 20, window: Duration::from_secs(10) };
    let settings = BreakerSettings { failures: 5, share: Some(share), rest: REST, longest: REST, probes: 1 };
    let breaker = Breaker::new(settings, start);
    let mut opened = Vec::new();
    for at in 1..=20 {
        let verdict = if at % 2 == 0 { Verdict::Failed } else { Verdict::Well };
        if breaker.one(verdict, start) != Change::None {
            opened.push(at);
        }
    }
    assert_eq!(opened, [20]);
    // One that failed long ago counts no more.
    let slow = Breaker::new(settings, start);
    for at in 0..100 {
        let verdict = if at % 2 == 0 { Verdict::Failed } else { Verdict::Well };
        assert_eq!(slow.one(verdict, start + Duration::from_secs(at)), Change::None);
    }
}

#[test]
fn under_other_settings_what_is_open_stays_open() {
    let (old, start) = breaker(1, 1);
    old.one(Verdict::Failed, start);
    let settings = BreakerSettings { failures: 9, ..old.settings };
    let next = Breaker::following(&old, settings, start + REST / 2);
    assert_eq!(next.standing(), Standing::Open(start + REST));
    assert_eq!(next.one(Verdict::Well, start + REST), Change::Closed);
    assert_eq!(Breaker::following(&next, settings, start).standing(), Standing::Closed);
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Admit,
    Settle(usize, Verdict),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![Just(Verdict::Well), Just(Verdict::Failed), Just(Verdict::Nothing)];
    let step = prop_oneof![
        (0_u64..40_000).prop_map(Step::Wait),
        Just(Step::Admit),
        Just(Step::Admit),
        (any::<usize>(), verdict).prop_map(|(which, verdict)| Step::Settle(which, verdict)),
    ];
    proptest::collection::vec(step, 1..300)
}

proptest! {
    /// Whatever happens in whatever order: nothing passes an open breaker, few pass a probing one, it always opens for
    /// what it must and for nothing less, and it can always close again.
    #[test]
    fn it_keeps_its_invariants(failures in 1_u32..5, probes in 1_u32..4, steps in steps()) {
        let (breaker, start) = breaker(failures, probes);
        let (mut now, mut passes, mut open_until) = (start, Vec::<Pass>::new(), None::<Instant>);
        let (mut in_a_row, mut last_rest) = (0, Duration::ZERO);
        for step in steps {
            match step {
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Admit => match breaker.admit(now) {
                    Ok(pass) => {
                        prop_assert!(open_until.is_none_or(|until| until <= now), "it was open");
                        passes.push(pass);
                        let probing = passes.iter().filter(|own| own.probe && own.state == pass.state).count();
                        prop_assert!(probing <= probes as usize);
                    }
                    Err(next) => prop_assert!(next > now),
                },
                Step::Settle(which, verdict) if !passes.is_empty() => {
                    let pass = passes.swap_remove(which % passes.len());
                    let counts = pass.state == breaker.latch.load(Ordering::Relaxed);
                    let change = breaker.settle(pass, verdict, now);
                    if !counts {
                        prop_assert_eq!(change, Change::None);
                        continue;
                    }
                    in_a_row = match verdict {
                        Verdict::Failed => in_a_row + 1,
                        Verdict::Well => 0,
                        Verdict::Nothing => in_a_row,
                    };
                    match change {
                        Change::Opened(rest) => {
                            prop_assert!(pass.probe || in_a_row == failures);
                            prop_assert!((REST..=REST * 4).contains(&rest));
                            prop_assert!(!pass.probe || rest >= last_rest);
                            (open_until, in_a_row, last_rest) = (Some(now + rest), 0, rest);
                        }
                        Change::Closed => (open_until, in_a_row) = (None, 0),
                        Change::None => prop_assert!(pass.probe || in_a_row < failures),
                    }
                }
                Step::Settle(..) => {}
            }
        }
        now += REST * 10;
        for _ in 0..probes {
            let _ = breaker.one(Verdict::Well, now);
        }
        let _ = (0..probes).map(|_| breaker.one(Verdict::Well, now)).collect::<Vec<_>>();
        prop_assert_eq!(breaker.standing(), Standing::Closed);
    }
}
