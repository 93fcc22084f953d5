//! Plugins run in order; the failure policy of each decides what its failure means.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use serde_json::Value;
use support::{engine, load, run};
use varco_plugin_host::{Decision, Hook, LoadError, Made, Plugin, PluginEngine, PluginSet, Use};

const NOTED: &[u8] = br#"{"resourceType":"Observation","note":[{"text":"x"}]}"#;
const BARE: &[u8] = br#"{"resourceType":"Observation"}"#;

fn stripper(engine: &PluginEngine) -> Plugin {
    load(engine, "narrative-stripper", |_| {}).unwrap()
}

fn hostile(engine: &PluginEngine, behaviour: &'static str, on_failure: &'static str) -> Plugin {
    load(engine, "hostile", |manifest: &mut Value| {
        manifest["settings"]["behaviour"] = behaviour.into();
        manifest["on_failure"] = on_failure.into();
    })
    .unwrap()
}

fn set<const N: usize>(plugins: [Plugin; N]) -> Result<PluginSet, LoadError> {
    PluginSet::of(plugins.map(|plugin| Use::from(Arc::new(plugin))).into())
}

/// A plugin left this body.
fn left(body: &[u8]) -> Decision {
    Decision::Continue(Some(Made::Text(body.to_vec())))
}

#[test]
fn each_plugin_gets_what_the_one_before_it_left() {
    let engine = engine();
    let set = set([stripper(&engine), hostile(&engine, "pass", "closed")]).unwrap();
    let outcome = run(&set, Hook::Response, NOTED).unwrap();
    assert_eq!(outcome.decision, left(BARE));
    assert_eq!(outcome.replaced_by, ["narrative-stripper".into()]);
    assert!(outcome.skipped.is_empty());
}

#[test]
fn an_unchanged_body_is_not_made_anew() {
    let set = set([stripper(&engine())]).unwrap();
    let outcome = run(&set, Hook::Request, BARE).unwrap();
    assert_eq!(outcome.decision, Decision::Continue(None));
    let none = PluginSet::default();
    assert!(none.is_empty() && !none.handles(Hook::Request));
    let outcome = run(&none, Hook::Request, BARE).unwrap();
    assert_eq!(outcome.decision, Decision::Continue(None));
}

#[test]
fn a_refusal_ends_the_chain() {
    let engine = engine();
    let set = set([stripper(&engine), hostile(&engine, "panic", "closed")]).unwrap();
    let outcome = run(&set, Hook::Request, b"{\"a\":\"<script>\"}").unwrap();
    let Decision::Refused { plugin, refusal } = outcome.decision else { panic!("a script must be refused") };
    assert_eq!((&*plugin, refusal.status_hint.status()), ("narrative-stripper", 422));
    assert_eq!(set.iter().last().unwrap().counters().calls, 0);
}

#[test]
fn a_plugin_that_fails_closed_stops_the_exchange() {
    let engine = engine();
    let set = set([hostile(&engine, "panic", "closed"), stripper(&engine)]).unwrap();
    // Failing and, from the fourth call on, in quarantine: never a body.
    for _ in 0..5 {
        assert!(run(&set, Hook::Response, NOTED).is_err());
    }
    assert!(set.iter().next().unwrap().counters().in_quarantine);
    assert_eq!(set.iter().last().unwrap().counters().calls, 0);
}

#[test]
fn a_plugin_that_fails_open_is_skipped_and_reported() {
    let engine = engine();
    let set = set([hostile(&engine, "garbage", "open"), stripper(&engine)]).unwrap();
    for expected in ["output-malformed", "output-malformed", "output-malformed", "quarantined"] {
        let outcome = run(&set, Hook::Response, NOTED).unwrap();
        assert_eq!(outcome.decision, left(BARE));
        assert_eq!(outcome.skipped.iter().map(|error| error.kind()).collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn plugins_stand_in_order_and_a_name_stands_once() {
    let engine = engine();
    let both = set([hostile(&engine, "pass", "open"), stripper(&engine)]).unwrap();
    assert_eq!(both.iter().map(Plugin::name).collect::<Vec<_>>(), ["hostile", "narrative-stripper"]);
    assert!(both.handles(Hook::Response) && both.len() == 2);
    let twice = set([hostile(&engine, "pass", "open"), hostile(&engine, "pass", "closed")]);
    assert_eq!(twice.unwrap_err(), LoadError::SameName { plugin: "hostile".to_owned() });
}

#[test]
fn calls_from_many_threads_get_their_own_answers() {
    let set = set([stripper(&engine())]).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let set = &set;
            scope.spawn(move || {
                for call in 0..50 {
                    let body = format!(r#"{{"id":"{thread}-{call}","note":[]}}"#);
                    let outcome = run(set, Hook::Response, body.as_bytes()).unwrap();
                    let expected = format!(r#"{{"id":"{thread}-{call}"}}"#).into_bytes();
                    assert_eq!(outcome.decision, left(&expected));
                }
            });
        }
    });
}
