//! Sending what waits, as soon as it may be sent: in the plan's order, a bounded number at a time, until the day comes on
//! which the national gateway would not take it any more (`/msg/max-day-limit-exceed`).

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use metrics::counter;
use tokio::sync::{Semaphore, watch};
use varco_core::audit::AuditOutcome;

use super::forward::Outgoing;
use super::outbox::from_lines;
use super::plan::State;
use super::verdict::Verdict;
use super::{Publication, Route, milliseconds, seconds};
use crate::store::{OutboxChange, StoreError};

/// How often is looked for what time alone changes.
const TICK: Duration = Duration::from_millis(1_000);
/// After so many ticks the store is looked through for what another process left.
const TAKE_UP: u64 = 30;
/// After so many ticks what has ended long ago is forgotten.
const FORGET: u64 = 600;
/// Most messages that are ended or marked at a time.
const AT_ONCE: usize = 100;
/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// Sends what waits until `stopping` becomes true.
pub async fn watch(plane: Arc<Publication>, mut stopping: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(plane.config.replays));
    let mut tick = 0_u64;
    let mut swept = None;
    loop {
        let now = seconds();
        if swept != Some(now) {
            swept = Some(now);
            if let Err(error) = plane.sweep(now, tick).await {
                tracing::warn!(%error, "the outbox can't be looked through; it is tried again");
            }
            tick = tick.wrapping_add(1);
        }
        plane.send_ready(&slots);
        let due = plane.outbox.plan().next_due(milliseconds());
        let pause = due.map(|due| due.saturating_sub(milliseconds())).and_then(|own| u64::try_from(own).ok());
        let pause = pause.map_or(TICK, |own| Duration::from_millis(own.max(1)).min(TICK));
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = plane.outbox.bell.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Publication {
    /// Begins to send what may be sent.
    fn send_ready(self: &Arc<Self>, slots: &Arc<Semaphore>) {
        let mut begun = Vec::new();
        {
            let mut plan = self.outbox.plan();
            let now = milliseconds();
            for seq in plan.ready(now, slots.available_permits()) {
                let route = plan.get(seq).and_then(|own| self.route(&own.route)).cloned();
                match (route, slots.clone().try_acquire_owned()) {
                    (Some(route), Ok(place)) => {
                        plan.take(seq);
                        begun.push((seq, route, place));
                    }
                    // Its route is not in the configuration any more: it waits until it is again.
                    (None, _) => plan.wait(seq, State::Queued, now.saturating_add(60_000)),
                    (Some(_), Err(_)) => break,
                }
            }
        }
        for (seq, route, place) in begun {
            let plane = self.clone();
            tokio::spawn(async move {
                let own = plane.clone();
                let result = tokio::spawn(async move { own.replay(&route, seq).await }).await;
                let cause = match result {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(error) => Some(error.to_string()),
                };
                if let Some(cause) = cause {
                    tracing::error!(cause, "a message could not be sent again; it is tried later");
                    plane.outbox.plan().wait(seq, State::Queued, milliseconds().saturating_add(10_000));
                }
                drop(place);
                plane.outbox.bell.notify_one();
            });
        }
    }

    /// Sends one message again.
    async fn replay(&self, route: &Arc<Route>, seq: i64) -> Result<(), StoreError> {
        let claim = self.outbox.claim(seq, seconds(), route.settled_within());
        self.commit(vec![claim], Vec::new()).await?;
        let Some((origin, stored)) = self.claimed(seq)? else { return Ok(()) };
        if stored.head.unsure {
            tracing::warn!(
                message = origin.id,
                trace_id = origin.trace,
                "a message is sent again after an attempt whose end is not known: the national gateway may have it"
            );
        }
        let mut headers = from_lines(&stored.headers);
        super::trace_into(&mut headers, &origin);
        let method = Method::from_bytes(stored.method.as_bytes()).unwrap_or(Method::POST);
        let body = stored.body;
        let outcome = route.send(Outgoing { method, target: stored.target, headers, body }).await;
        let verdict = self.settle(route, seq, &origin, &outcome, false).await?;
        let result = match verdict {
            Verdict::Done => "done",
            Verdict::Refused => "refused",
            Verdict::NeedsToken => "needs-token",
            Verdict::Waits { .. } => "waits",
        };
        counter!("varco_outbox_replays_total", "result" => result).increment(1);
        Ok(())
    }

    /// What time alone changes: days that are over, tokens that have ended, what is forgotten.
    async fn sweep(&self, now: i64, tick: u64) -> Result<(), StoreError> {
        if tick % TAKE_UP == TAKE_UP - 1 {
            self.outbox.take_up(now)?;
        }
        let longest = i64::from(self.config.days).saturating_mul(DAY);
        if tick.is_multiple_of(FORGET) {
            self.commit(vec![OutboxChange::Forget(now.saturating_sub(longest))], Vec::new()).await?;
        }
        let (mut over, mut without, at) = (Vec::new(), Vec::new(), now.saturating_mul(1_000));
        {
            let mut plan = self.outbox.plan();
            for (seq, own) in plan.iter() {
                let free = matches!(own.state, State::Queued | State::NeedsToken);
                if free && own.arrived.saturating_add(longest) <= now && over.len() < AT_ONCE {
                    over.push(seq);
                } else if own.state == State::Queued
                    // Another process may be sending it until then.
                    && own.due <= at
                    && own.tokens_until.is_some_and(|until| until <= now)
                    && without.len() < AT_ONCE
                {
                    without.push((seq, own.id.clone()));
                }
            }
            // They hold their places while they are written down.
            for seq in over.iter().chain(without.iter().map(|(seq, _)| seq)) {
                plan.wait(*seq, State::Arriving, 0);
            }
        }
        let mut failed = None;
        for seq in over {
            let ended =
                self.end(seq, "expired", "/msg/max-day-limit-exceed: it has waited for too many days").await;
            if let Err(error) = ended {
                self.outbox.plan().wait(seq, State::Queued, milliseconds().saturating_add(10_000));
                failed = Some(error);
            }
        }
        for (seq, id) in without {
            let cause = "its tokens have expired".to_owned();
            let change = OutboxChange::Wait { seq, state: "needs-token", cause, unsure: false };
            let written = self.commit(vec![change], Vec::new()).await;
            let state = if written.is_ok() { State::NeedsToken } else { State::Queued };
            self.outbox.plan().wait(seq, state, milliseconds());
            match written {
                Err(error) => failed = Some(error),
                Ok(()) => tracing::warn!(
                    message = %id,
                    "the tokens of a publication that waits have expired: its application must send it again with new ones; /outbox names it"
                ),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Ends a message that is not sent any more, and tells the operator.
    pub(super) async fn end(&self, seq: i64, state: &'static str, cause: &str) -> Result<(), StoreError> {
        let stored = self.outbox.store.outbox_message(seq)?.filter(|own| own.head.ended.is_none());
        let Some(origin) = stored.as_ref().and_then(super::origin_of) else {
            self.outbox.forget(seq);
            return Ok(());
        };
        let told = Some(cause.to_owned());
        let change =
            OutboxChange::End { seq, state, cause: told.clone(), told: false, at: seconds(), answer: None };
        let row = self.recorder.end(&origin, AuditOutcome::SeriousFailure, told, true);
        self.commit(vec![change], vec![row]).await?;
        self.outbox.forget(seq);
        counter!("varco_outbox_ended_total", "state" => state).increment(1);
        tracing::error!(
            message = origin.id,
            trace_id = origin.trace,
            kind = origin.kind.name(),
            cause,
            "a publication was not delivered and is not tried any more"
        );
        Ok(())
    }
}
