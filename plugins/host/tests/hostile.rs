//! Each misdeed is stopped at its bound, named for what it is, and the process and the next call live on.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{CallsAt, READ, engine, hostile, load};
use varco_plugin_host::{EngineSettings, Plugin, PluginEngine, PluginError, Verdict};

const NOW: Duration = Duration::ZERO;
const BODY: &[u8] = br#"{"resourceType":"Patient"}"#;

fn failure(behaviour: &str) -> PluginError {
    let engine = engine();
    let plugin = hostile(&engine, behaviour);
    let error = plugin.on_response(&READ, BODY, NOW).unwrap_err();
    assert_eq!(error.plugin(), "hostile");
    assert!(error.blames_plugin(), "{error}");
    // The engine serves the next plugin as if nothing had happened.
    let innocent = hostile(&engine, "pass");
    assert_eq!(innocent.on_response(&READ, BODY, NOW), Ok(Verdict::Pass));
    error
}

#[test]
fn a_panic_is_a_trap() {
    let error = failure("panic");
    assert!(matches!(error, PluginError::Trap { .. }), "{error:?}");
    assert!(error.to_string().contains("panicked"), "{error}");
}

#[test]
fn an_endless_loop_is_stopped_at_the_deadline() {
    assert!(matches!(failure("loop"), PluginError::Deadline { deadline_ms: 50, .. }));
}

#[test]
fn a_memory_bomb_is_stopped_at_the_memory_limit() {
    assert!(matches!(failure("memory"), PluginError::Memory { limit_mib: 16, .. }));
    let plugin = hostile(&engine(), "memory");
    plugin.on_request(&READ, BODY, NOW).unwrap_err();
    let peak = plugin.counters().peak_memory;
    assert!((1 << 20..=16 << 20).contains(&peak), "{peak} bytes");
}

#[test]
fn the_smallest_memory_limit_holds() {
    let plugin = load(&engine(), "hostile", |manifest| {
        manifest["limits"] = json!({"memory_mib": 2, "deadline_ms": 1000, "input_kib": 1, "output_kib": 1});
        manifest["settings"]["behaviour"] = "memory".into();
    })
    .unwrap();
    let error = plugin.on_request(&READ, BODY, NOW).unwrap_err();
    assert!(matches!(error, PluginError::Memory { limit_mib: 2, .. }), "{error:?}");
}

#[test]
fn endless_recursion_is_stopped_before_it_reaches_the_host_s_stack() {
    let error = failure("recursion");
    assert!(matches!(error, PluginError::Stack { .. }), "{error:?}");
}

#[test]
fn garbage_is_not_passed_on() {
    let error = failure("garbage");
    assert!(matches!(error, PluginError::OutputMalformed { .. }), "{error:?}");
    assert!(!error.to_string().contains("oops"), "the error quotes the body: {error}");
}

#[test]
fn an_oversize_body_is_not_copied() {
    assert!(matches!(failure("oversize"), PluginError::OutputTooLarge { limit: 1_048_576, .. }));
}

#[test]
fn a_log_flood_is_cut_and_counted() {
    let plugin = hostile(&engine(), "log-flood");
    assert_eq!(plugin.on_response(&READ, BODY, NOW), Ok(Verdict::Pass));
    let counters = plugin.counters();
    assert_eq!((counters.log_lines, counters.log_lines_dropped), (8, 13));
}

#[test]
fn each_failure_has_its_counter() {
    let engine = engine();
    let count = |behaviour, read: fn(&Plugin) -> u64| {
        let plugin = hostile(&engine, behaviour);
        assert!(plugin.on_request(&READ, BODY, NOW).is_err());
        assert_eq!(plugin.counters().calls, 1);
        read(&plugin)
    };
    assert_eq!(count("panic", |plugin| plugin.counters().traps), 1);
    assert_eq!(count("loop", |plugin| plugin.counters().deadlines), 1);
    assert_eq!(count("memory", |plugin| plugin.counters().memory_limits), 1);
    assert_eq!(count("garbage", |plugin| plugin.counters().outputs_malformed), 1);
    assert_eq!(count("oversize", |plugin| plugin.counters().outputs_too_large), 1);
}

#[test]
fn a_body_above_the_input_limit_does_not_blame_the_plugin() {
    let plugin = hostile(&engine(), "panic");
    let body = vec![b' '; 1_048_577];
    for _ in 0..10 {
        let error = plugin.on_request(&READ, &body, NOW).unwrap_err();
        assert!(
            matches!(error, PluginError::InputTooLarge { bytes: 1_048_577, limit: 1_048_576, .. }),
            "{error:?}"
        );
    }
    let counters = plugin.counters();
    assert_eq!((counters.calls, counters.inputs_too_large, counters.in_quarantine), (0, 10, false));
}

#[test]
fn a_hook_that_the_manifest_does_not_name_is_not_called() {
    let plugin = load(&engine(), "hostile", |manifest| manifest["hooks"] = vec!["response"].into()).unwrap();
    let error = plugin.on_request(&READ, BODY, NOW).unwrap_err();
    assert_eq!(error.kind(), "hook-not-declared");
    assert_eq!(plugin.on_response(&READ, BODY, NOW), Ok(Verdict::Pass));
}

#[test]
fn a_hundred_panics_and_loops_leave_the_pool_whole() {
    let settings = EngineSettings {
        concurrent_calls: 2,
        epoch_tick: Duration::from_millis(1),
        ..EngineSettings::default()
    };
    let engine = PluginEngine::start(&settings).unwrap();
    let plugin = load(&engine, "hostile", |manifest| manifest["limits"]["deadline_ms"] = 1.into()).unwrap();
    let mut now = NOW;
    for round in 0..100 {
        // Past any quarantine.
        now += Duration::from_secs(600);
        let behaviour = ["panic", "loop", "memory", "recursion"][round % 4];
        let body = format!(r#"{{"behaviour":"{behaviour}"}}"#);
        assert!(plugin.on_request(&READ, body.as_bytes(), now).unwrap_err().blames_plugin());
    }
    now += Duration::from_secs(600);
    assert_eq!(plugin.on_request(&READ, b"{}", now), Ok(Verdict::Pass));
}
