//! A plugin that keeps failing is left alone, tried again, and taken back once it behaves.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use support::{CallsAt, READ, engine, hostile};
use varco_plugin_host::{PluginError, Verdict};

const PANIC: &[u8] = br#"{"behaviour":"panic"}"#;
const GOOD: &[u8] = br#"{"behaviour":"pass"}"#;

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn three_failures_close_the_door_and_one_success_opens_it() {
    let plugin = hostile(&engine(), "by-body");
    for _ in 0..3 {
        assert!(matches!(plugin.on_request(&READ, PANIC, at(0)), Err(PluginError::Trap { .. })));
    }
    let refused = plugin.on_request(&READ, GOOD, at(400)).unwrap_err();
    let PluginError::Quarantined { retry_after, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(*retry_after, at(600));
    assert!(plugin.counters().in_quarantine);

    // The first try fails, so the next period is twice as long.
    assert!(matches!(plugin.on_request(&READ, PANIC, at(1000)), Err(PluginError::Trap { .. })));
    assert!(matches!(plugin.on_request(&READ, GOOD, at(2999)), Err(PluginError::Quarantined { .. })));
    assert_eq!(plugin.on_request(&READ, GOOD, at(3000)), Ok(Verdict::Pass));

    let counters = plugin.counters();
    assert!(!counters.in_quarantine);
    assert_eq!((counters.calls, counters.traps, counters.quarantined, counters.quarantines), (5, 4, 2, 2));
    assert_eq!(plugin.on_request(&READ, GOOD, at(3000)), Ok(Verdict::Pass));
}

#[test]
fn one_plugin_s_quarantine_is_not_another_s() {
    let engine = engine();
    let (bad, good) = (hostile(&engine, "panic"), hostile(&engine, "pass"));
    for _ in 0..5 {
        assert!(bad.on_response(&READ, GOOD, at(0)).is_err());
        assert_eq!(good.on_response(&READ, GOOD, at(0)), Ok(Verdict::Pass));
    }
    assert!(bad.counters().in_quarantine && !good.counters().in_quarantine);
}
