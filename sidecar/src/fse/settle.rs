//! What an attempt came to: on disk with its audit record before anybody is told, then known to the plan and to those who wait.

use std::time::Duration;

use http::StatusCode;
use metrics::counter;
use varco_core::audit::AuditOutcome;

use super::outbox::{Outcome, chance, to_lines};
use super::plan::{State, pause};
use super::record::Origin;
use super::verdict::{self, Verdict};
use super::{Publication, Route, milliseconds, seconds};
use crate::store::{AuditRow, OutboxChange, OutboxMessage, StoreError};

/// How often what came of an attempt is tried to be written.
const TRIES: u32 = 4;

impl Publication {
    /// A message that this process has just claimed; `None` where another was faster, which the plan is told.
    pub(super) fn claimed(&self, seq: i64) -> Result<Option<(Origin, OutboxMessage)>, StoreError> {
        let ours = self.outbox.store.outbox_holder(seq)?.as_deref() == Some(self.outbox.holder.as_str());
        let stored = self.outbox.store.outbox_message(seq)?;
        let Some(stored) = stored.filter(|own| own.head.ended.is_none()) else {
            self.outbox.forget(seq);
            return Ok(None);
        };
        if !ours {
            let due = stored.head.until.unwrap_or_else(|| seconds().saturating_add(5));
            self.outbox.plan().wait(seq, State::Queued, due.saturating_mul(1_000));
            return Ok(None);
        }
        Ok(super::origin_of(&stored).map(|origin| (origin, stored)))
    }

    /// Makes what an attempt came to durable, and then known. `told` where a caller gets the answer.
    pub(super) async fn settle(
        &self,
        route: &Route,
        seq: i64,
        origin: &Origin,
        outcome: &Outcome,
        told: bool,
    ) -> Result<Verdict, StoreError> {
        let told = told || self.outbox.is_listened_to(seq);
        let faults = self.outbox.plan().get(seq).map_or(0, |own| own.faults);
        let verdict = verdict::of(outcome, told, faults);
        let at = seconds();
        let cause = cause_of(outcome);
        let end = |state| OutboxChange::End {
            seq,
            state,
            cause: cause.clone(),
            told,
            at,
            answer: outcome
                .as_ref()
                .ok()
                .map(|answer| (answer.status.as_u16(), to_lines(&answer.headers), answer.body.clone())),
        };
        let wait = |state, unsure| OutboxChange::Wait {
            seq,
            state,
            cause: cause.clone().unwrap_or_default(),
            unsure,
        };
        let change = match verdict {
            Verdict::Done => end("done"),
            Verdict::Refused => end("refused"),
            Verdict::NeedsToken => wait("needs-token", false),
            Verdict::Waits { unsure, .. } => wait("queued", unsure),
        };
        let ends = matches!(verdict, Verdict::Done | Verdict::Refused);
        let unsure = ends && self.outbox.store.outbox_unsure(seq)?;
        let again = unsure.then_some("it was sent again after an attempt whose end was not known");
        let description: Vec<&str> = [cause.as_deref(), again].into_iter().flatten().collect();
        let description = (!description.is_empty()).then(|| description.join("; "));
        let rows = ends.then(|| self.recorder.end(origin, outcome_of(outcome), description, true));
        if let Err(error) = self.commit(vec![change], rows.into_iter().collect()).await {
            // The store says that it is under way, until its time is over: then it is sent again, and told as such.
            let within = i64::try_from(route.settled_within()).unwrap_or(i64::MAX);
            let due = milliseconds().saturating_add(within.saturating_mul(1_000));
            self.outbox.plan().wait(seq, State::Queued, due);
            return Err(error);
        }
        self.note(route, seq, outcome, verdict);
        self.tell(route, origin, verdict, cause.as_deref().unwrap_or_default(), told);
        Ok(verdict)
    }

    /// Brings the plan up to date and wakes those who wait.
    fn note(&self, route: &Route, seq: i64, outcome: &Outcome, verdict: Verdict) {
        let now = milliseconds();
        let mut silent = false;
        {
            let mut plan = self.outbox.plan();
            if !matches!(verdict, Verdict::Waits { route: true, .. }) && plan.answered(&route.config.name) {
                tracing::info!(route = route.config.name, "the national gateway answers again");
            }
            match verdict {
                Verdict::Done | Verdict::Refused => {
                    plan.end(seq);
                }
                Verdict::NeedsToken => plan.wait(seq, State::NeedsToken, 0),
                Verdict::Waits { route: true, .. } => {
                    silent = true;
                    plan.wait(seq, State::Queued, 0);
                    let before = plan.rests(&route.config.name, i64::MIN);
                    plan.fell_silent(&route.name, now, chance(), verdict::asked_for(outcome));
                    if !before {
                        tracing::warn!(
                            route = route.config.name,
                            cause = cause_of(outcome).unwrap_or_default(),
                            "the national gateway does not answer: publications wait and are sent in their order"
                        );
                    }
                }
                Verdict::Waits { route: false, .. } => {
                    let faults = plan.get_mut(seq).map_or(0, |own| {
                        own.faults = own.faults.saturating_add(1);
                        own.faults
                    });
                    plan.wait(seq, State::Queued, now.saturating_add(pause(faults, chance())));
                }
            }
        }
        self.outbox.tell(seq, outcome);
        if silent {
            self.outbox.tell_silence(&route.config.name, outcome);
        }
        self.outbox.bell.notify_one();
    }

    fn tell(&self, route: &Route, origin: &Origin, verdict: Verdict, cause: &str, told: bool) {
        let (message, trace_id, route, kind) =
            (&origin.id, &origin.trace, &route.config.name, origin.kind.name());
        match verdict {
            Verdict::Done => {
                counter!("varco_outbox_ended_total", "state" => "done").increment(1);
                tracing::info!(
                    message,
                    trace_id,
                    route,
                    kind,
                    "a publication was taken by the national gateway"
                );
            }
            Verdict::Refused => {
                counter!("varco_outbox_ended_total", "state" => "refused").increment(1);
                tracing::warn!(
                    message,
                    trace_id,
                    route,
                    kind,
                    cause,
                    told,
                    "a publication was refused by the national gateway and is not sent again; what follows it goes on"
                );
            }
            Verdict::NeedsToken => tracing::warn!(
                message,
                trace_id,
                route,
                kind,
                cause,
                "a publication that waits needs new tokens: its application must send it again; /outbox names it"
            ),
            Verdict::Waits { .. } => {
                tracing::debug!(message, trace_id, route, kind, cause, "a publication waits");
            }
        }
    }

    /// Writes changes and records; tries a few times where there are changes, since what happened can't be undone.
    pub(super) async fn commit(
        &self,
        changes: Vec<OutboxChange>,
        rows: Vec<AuditRow>,
    ) -> Result<(), StoreError> {
        let settles =
            changes.iter().any(|own| matches!(own, OutboxChange::End { .. } | OutboxChange::Wait { .. }));
        let tries = if settles { TRIES } else { 1 };
        let mut last = StoreError::Stopped;
        for attempt in 0..tries {
            match self.outbox.store.writer().outbox(changes.clone(), rows.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            if attempt + 1 < tries {
                tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
            }
        }
        Err(last)
    }
}

/// The outcome for audit records.
pub(super) fn outcome_of(outcome: &Outcome) -> AuditOutcome {
    outcome.as_ref().map_or(AuditOutcome::SeriousFailure, |answer| audited(answer.status))
}

/// The same for an answer with this status.
pub(super) fn audited(status: StatusCode) -> AuditOutcome {
    match status {
        status if status.is_success() => AuditOutcome::Success,
        status if status.is_client_error() => AuditOutcome::MinorFailure,
        _ => AuditOutcome::SeriousFailure,
    }
}

/// Why it is no success, without anything of the answer's text.
pub(super) fn cause_of(outcome: &Outcome) -> Option<String> {
    match outcome {
        Ok(answer) if answer.status.is_success() => None,
        Ok(answer) => Some(format!("the national gateway answered with status {}", answer.status.as_u16())),
        Err(silence) => Some(silence.to_string()),
    }
}
