//! A guest computes in turns: others of its thread go on, and what it holds meanwhile is bounded and freed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    cell::Cell,
    pin::{Pin, pin},
    task::{Context as Waking, Poll, Waker},
    time::Duration,
};

use support::{READ, engine, hostile, load};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};
use varco_plugin_host::{EngineSettings, Hook, Plugin, PluginEngine, PluginError, Verdict};

const BODY: &[u8] = br#"{"resourceType":"Patient"}"#;

type Call<'p> = Pin<Box<dyn Future<Output = Result<Verdict, PluginError>> + Send + 'p>>;

fn call(plugin: &Plugin) -> Call<'_> {
    Box::pin(plugin.judge(Hook::Request, &READ, BODY, &|| Duration::ZERO))
}

/// Looked at once: one turn, where the call isn't done in it.
fn turn<F: Future + Unpin>(call: &mut F) -> Poll<F::Output> {
    Pin::new(call).poll(&mut Waking::from_waker(Waker::noop()))
}

/// A plugin that loops for as long as it may.
fn endless(engine: &PluginEngine, deadline_ms: u32) -> Plugin {
    load(engine, "hostile", |manifest| {
        manifest["settings"]["behaviour"] = "loop".into();
        manifest["limits"]["deadline_ms"] = deadline_ms.into();
    })
    .unwrap()
}

#[tokio::test]
async fn others_of_its_thread_are_judged_while_a_guest_loops() {
    let engine = engine();
    let (slow, quick) = (endless(&engine, 1000), hostile(&engine, "pass"));
    let mut looping = call(&slow);
    let judged = Cell::new(0);
    let others = async {
        for _ in 0..20 {
            assert_eq!(call(&quick).await, Ok(Verdict::Pass));
            judged.set(judged.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        ended = &mut looping => panic!("{ended:?} after {} others", judged.get()),
        () = others => {}
    }
    assert!(slow.counters().pauses > 0);
    assert!(matches!(looping.await, Err(PluginError::Deadline { deadline_ms: 1000, .. })));
}

#[tokio::test]
async fn a_thread_looks_at_its_sockets_between_any_two_turns() {
    let engine = engine();
    let slow = endless(&engine, 100);
    let (mut near, mut far) = UnixStream::pair().unwrap();
    // Each way there and back needs the thread to look twice.
    let ways = Cell::new(0);
    let talk = async {
        let echo = async {
            loop {
                let byte = far.read_u8().await.unwrap();
                far.write_u8(byte).await.unwrap();
            }
        };
        let ask = async {
            loop {
                near.write_u8(1).await.unwrap();
                near.read_u8().await.unwrap();
                ways.set(ways.get() + 1);
            }
        };
        tokio::join!(echo, ask);
    };
    let loops = async {
        let slow = std::sync::Arc::new(slow);
        // Tasks of their own, as connections are.
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let slow = slow.clone();
                tokio::spawn(async move { call(&slow).await })
            })
            .collect();
        for call in calls {
            assert!(call.await.unwrap().is_err());
        }
        slow.counters().pauses
    };
    let pauses = tokio::select! {
        () = talk => unreachable!(),
        pauses = loops => pauses,
    };
    assert!(ways.get() * 4 >= pauses, "{pauses} pauses, {} ways there and back", ways.get());
}

#[tokio::test]
async fn a_call_that_is_dropped_between_its_turns_frees_its_instance_at_once() {
    let settings = EngineSettings { concurrent_calls: 1, ..EngineSettings::default() };
    let engine = PluginEngine::start(&settings).unwrap();
    let (slow, quick) = (endless(&engine, 1000), hostile(&engine, "pass"));
    for _ in 0..100 {
        let mut looping = call(&slow);
        assert!(turn(&mut looping).is_pending());
        let mut waiting = call(&quick);
        assert!(turn(&mut waiting).is_pending(), "the only place was free");
        drop(looping);
        assert_eq!(waiting.await, Ok(Verdict::Pass));
    }
    // Nobody is to blame for what was dropped.
    let counters = slow.counters();
    assert!(!counters.in_quarantine && counters.pauses >= 100);
}

#[tokio::test]
async fn who_finds_no_place_in_time_is_refused_and_blames_nobody() {
    let settings = EngineSettings { concurrent_calls: 1, ..EngineSettings::default() };
    let engine = PluginEngine::start(&settings).unwrap();
    let (slow, quick) = (endless(&engine, 1000), hostile(&engine, "pass"));
    // It has its place, and nobody gives it another turn.
    let mut looping = call(&slow);
    assert!(turn(&mut looping).is_pending());
    assert!(matches!(call(&quick).await, Err(PluginError::Busy { .. })));
    drop(looping);
    assert_eq!(call(&quick).await, Ok(Verdict::Pass));
    assert_eq!((quick.counters().busy, quick.counters().in_quarantine), (1, false));
}

#[tokio::test]
async fn what_one_plugin_holds_is_bounded_and_leaves_places_for_others() {
    let engine = engine();
    let (slow, quick) = (endless(&engine, 1000), hostile(&engine, "pass"));
    let most = EngineSettings::default().calls_of_one;
    let before = resident_kib();
    // As many as may be alive and wait, and more.
    let mut calls: Vec<_> = (0..200).map(|_| call(&slow)).collect();
    let ended: Vec<_> = calls.iter_mut().map(|call| turn(call).is_ready()).collect();
    let refused = ended.iter().filter(|ended| **ended).count();
    assert_eq!(slow.counters().pauses, u64::from(most), "others than {most} had a turn");
    assert_eq!(refused, 200 - 16 - 64);
    assert_eq!(slow.counters().busy, 120);
    let held = resident_kib().saturating_sub(before);
    assert!(held < u64::from(most) * (4 << 10), "{held} KiB for {most} instances");
    assert_eq!(call(&quick).await, Ok(Verdict::Pass));
    drop(calls);
    let mut looping = pin!(call(&slow));
    assert!(turn(&mut looping).is_pending());
    assert_eq!(slow.counters().pauses, u64::from(most) + 1, "the places were not given back");
}

/// Resident memory in KiB (proc(5), `/proc/PID/status`).
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
