//! A publication's way: on disk, forwarded when it is its turn, settled by what the national gateway answers.
//!
//! Invariants: nothing is forwarded before it and its intent are on disk, but for what there is no place for; that is forwarded
//! all the same, since this plane never blocks. A message that comes again is not published again. What an attempt came to is on disk,
//! with its audit record, before anybody is told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::counter;
use tokio::sync::OwnedSemaphorePermit;
use varco_core::audit::AuditOutcome;

use super::forward::{Answered, Outgoing, Silence};
use super::message::Message;
use super::outbox::{Arrival, Outcome, chance, to_lines};
use super::plan::{State, Turn, pause};
use super::problem::{Kept, Problem};
use super::record::Origin;
use super::verdict::{self, Verdict};
use super::{Publication, Route};
use crate::store::{AuditRow, OutboxChange, StoreError};

/// How often what came of an attempt is tried to be written.
const TRIES: u32 = 4;
/// How often a message that ended while it was found is looked for again.
const ARRIVALS: u32 = 4;
/// Time beyond its own that an attempt may take until it is settled, in seconds.
const MARGIN: u64 = 5;

/// What a caller gets.
pub struct Published {
    /// The answer of the national gateway.
    pub answer: Answered,
    /// The id under which the message still waits.
    pub kept: Option<String>,
    /// What is noticed about its keeping.
    pub finding: Option<&'static str>,
}

impl Published {
    fn plain(answer: Answered) -> Published {
        Published { answer, kept: None, finding: None }
    }
}

impl Publication {
    /// Takes a publication; `origin` is its request's, `place` what it has in hand.
    pub(super) async fn publish(
        &self,
        route: &Arc<Route>,
        message: Message,
        origin: Origin,
        place: OwnedSemaphorePermit,
    ) -> Result<Published, Problem> {
        for _ in 0..ARRIVALS {
            let now = Timestamp::now().as_microsecond();
            let arrival = self.outbox.arrive(&message, &route.config.name, &origin.id, &self.config, now);
            match arrival.map_err(|error| failed(&origin, &error))? {
                Arrival::New(seq, turn) => return self.first(route, seq, turn, message, origin, place).await,
                Arrival::Again(seq) => {
                    if let Some(published) = self.again(route, seq, &message, &origin).await? {
                        return Ok(published);
                    }
                }
                Arrival::Ended(seq, answer) => return self.told_again(seq, answer, &origin).await,
                Arrival::NoPlace => return self.unkept(route, &message, &origin).await,
            }
        }
        Err(Problem::Internal)
    }

    /// A message that was published already: its answer.
    async fn told_again(&self, seq: i64, answer: Answered, origin: &Origin) -> Result<Published, Problem> {
        counter!("varco_fse_repeated_total", "found" => "done").increment(1);
        let told = "the same message was published before: its answer was given again".to_owned();
        let row = self.recorder.end(origin, outcome_of(&Ok(answer.clone())), Some(told), false);
        self.commit(vec![OutboxChange::Told(seq)], vec![row])
            .await
            .map_err(|error| failed(origin, &error))?;
        Ok(Published::plain(answer))
    }

    /// A message that there is no place for.
    async fn unkept(
        &self,
        route: &Arc<Route>,
        message: &Message,
        origin: &Origin,
    ) -> Result<Published, Problem> {
        counter!("varco_outbox_full_total").increment(1);
        tracing::error!(
            request_id = origin.id,
            route = route.config.name,
            "the outbox is full: a message is forwarded and not kept; raise publication.records or bytes, or look at /outbox \
             for what holds it up"
        );
        let outcome = route.send(outgoing(message, &origin.trace)).await;
        let row = self.recorder.end(origin, outcome_of(&outcome), cause_of(&outcome), false);
        self.commit(Vec::new(), vec![row]).await.map_err(|error| failed(origin, &error))?;
        match outcome {
            Ok(answer) => Ok(Published {
                finding: Some("the outbox is full: the message was not kept"),
                ..Published::plain(answer)
            }),
            Err(_) => Err(Problem::Unreachable(Kept::NoPlace)),
        }
    }

    /// A message that is new.
    async fn first(
        &self,
        route: &Arc<Route>,
        seq: i64,
        turn: Turn,
        message: Message,
        origin: Origin,
        place: OwnedSemaphorePermit,
    ) -> Result<Published, Problem> {
        let Some(row) = self.outbox.row(seq, &message, &origin, &route.config.name) else {
            self.outbox.forget(seq);
            return Err(Problem::Internal);
        };
        let mut changes = vec![OutboxChange::Put(Box::new(row))];
        if turn == Turn::Now {
            changes.push(self.outbox.claim(seq, seconds(), route.longest() + MARGIN));
        }
        if let Err(error) = self.commit(changes, vec![self.recorder.intent(&origin)]).await {
            self.outbox.forget(seq);
            return Err(failed(&origin, &error));
        }
        if turn == Turn::Now {
            self.outbox.plan().take(seq);
            return self.attempt(route, seq, outgoing(&message, &origin.trace), &origin).await;
        }
        let mut result = self.outbox.listen(seq);
        self.outbox.plan().wait(seq, State::Queued, 0);
        // It is on disk: waiting for its turn it takes no place from others.
        drop((message, place));
        self.wait(route, seq, &origin.id, &mut result).await
    }

    /// A message that waits already: it brings its tokens, and is sent at once where it is its turn. `None` where it ended this
    /// moment.
    async fn again(
        &self,
        route: &Arc<Route>,
        seq: i64,
        message: &Message,
        origin: &Origin,
    ) -> Result<Option<Published>, Problem> {
        let mut result = self.outbox.listen(seq);
        let found = {
            let mut plan = self.outbox.plan();
            let turn = plan.turn(seq);
            plan.get_mut(seq).map(|own| {
                let before = own.state;
                let free = matches!(before, State::Queued | State::NeedsToken);
                if free {
                    own.state = State::Arriving;
                }
                (own.id.to_string(), before, free, turn)
            })
        };
        let Some((id, before, free, turn)) = found else { return Ok(None) };
        counter!("varco_fse_repeated_total", "found" => "waiting").increment(1);
        let published = if free {
            self.renew(route, seq, before, turn, message, &id, &mut result).await
        } else {
            self.wait(route, seq, &id, &mut result).await
        };
        let outcome = match &published {
            Ok(own) => outcome_of(&Ok(own.answer.clone())),
            Err(_) => AuditOutcome::SeriousFailure,
        };
        let told = format!("the same message as {id}: it was not sent as another");
        let row = self.recorder.end(origin, outcome, Some(told), false);
        self.commit(Vec::new(), vec![row]).await.map_err(|error| failed(origin, &error))?;
        published.map(Some)
    }

    #[allow(clippy::too_many_arguments)]
    async fn renew(
        &self,
        route: &Arc<Route>,
        seq: i64,
        before: State,
        turn: Turn,
        message: &Message,
        id: &str,
        result: &mut tokio::sync::oneshot::Receiver<Outcome>,
    ) -> Result<Published, Problem> {
        let sending = message.sending();
        let renew = OutboxChange::Renew {
            seq,
            sending,
            tokens_until: message.tokens.until(),
            headers: to_lines(&message.headers),
            body: message.body.clone(),
        };
        let mut changes = vec![renew];
        if turn == Turn::Now {
            changes.push(self.outbox.claim(seq, seconds(), route.longest() + MARGIN));
        }
        if let Err(error) = self.commit(changes, Vec::new()).await {
            self.outbox.plan().wait(seq, before, 0);
            tracing::error!(message = id, %error, "a message that came again could not be written down");
            return Err(Problem::Internal);
        }
        {
            let mut plan = self.outbox.plan();
            if let Some(own) = plan.get_mut(seq) {
                own.sending = sending;
                own.tokens_until = message.tokens.until();
            }
            match turn {
                Turn::Now => plan.take(seq),
                _ => plan.wait(seq, State::Queued, 0),
            }
        }
        tracing::info!(message = id, "a message that waits came again and brought its tokens");
        if turn != Turn::Now {
            return self.wait(route, seq, id, result).await;
        }
        match self.claimed(seq) {
            Ok(Some(origin)) => self.attempt(route, seq, outgoing(message, &origin.trace), &origin).await,
            _ => Err(Problem::Unreachable(Kept::Waits(id.to_owned()))),
        }
    }

    /// The origin of a message that this process has just claimed; `None` where another was faster, which the plan is told.
    pub(super) fn claimed(&self, seq: i64) -> Result<Option<Origin>, StoreError> {
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
        Ok(super::origin_of(&stored))
    }

    /// Waits for what the message comes to, as long as its gateway may take and answers at all.
    async fn wait(
        &self,
        route: &Arc<Route>,
        seq: i64,
        id: &str,
        result: &mut tokio::sync::oneshot::Receiver<Outcome>,
    ) -> Result<Published, Problem> {
        let waits = || Problem::Unreachable(Kept::Waits(id.to_owned()));
        {
            let plan = self.outbox.plan();
            let queued = plan.get(seq).is_some_and(|own| own.state == State::Queued);
            if queued && plan.turn(seq) == Turn::BehindTokens {
                return Err(Problem::Behind(id.to_owned()));
            }
            if queued && plan.rests(&route.config.name, milliseconds()) {
                return Err(waits());
            }
        }
        self.outbox.bell.notify_one();
        match tokio::time::timeout(Duration::from_secs(route.longest()), result).await {
            Ok(Ok(Ok(answer))) => {
                let kept = self.outbox.plan().get(seq).map(|own| own.id.to_string());
                Ok(Published { kept, ..Published::plain(answer) })
            }
            _ => Err(waits()),
        }
    }

    /// Sends a message that was taken and claimed, and settles it, for a caller who is told.
    async fn attempt(
        &self,
        route: &Arc<Route>,
        seq: i64,
        outgoing: Outgoing,
        origin: &Origin,
    ) -> Result<Published, Problem> {
        let outcome = route.send(outgoing).await;
        let verdict =
            self.settle(route, seq, origin, &outcome, true).await.map_err(|error| failed(origin, &error))?;
        let waits = matches!(verdict, Verdict::Waits { .. } | Verdict::NeedsToken);
        match outcome {
            Ok(answer) => {
                Ok(Published { kept: waits.then(|| origin.id.clone()), ..Published::plain(answer) })
            }
            Err(_) if waits => Err(Problem::Unreachable(Kept::Waits(origin.id.clone()))),
            Err(_) => Err(Problem::Internal),
        }
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
            let due = milliseconds().saturating_add(
                i64::try_from(route.longest() + MARGIN).unwrap_or(i64::MAX).saturating_mul(1_000),
            );
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
                "a publication that waits needs new tokens: the application must send it again"
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

/// What is sent for a message, in its trace.
pub(super) fn outgoing(message: &Message, trace: &str) -> Outgoing {
    let mut headers = message.headers.clone();
    super::trace_into(&mut headers, trace);
    Outgoing {
        method: message.method.clone(),
        target: message.target.clone(),
        headers,
        body: message.body.clone(),
    }
}

/// The outcome for audit records.
pub(super) fn outcome_of(outcome: &Outcome) -> AuditOutcome {
    match outcome {
        Ok(answer) if answer.status.is_success() => AuditOutcome::Success,
        Ok(answer) if answer.status.is_client_error() => AuditOutcome::MinorFailure,
        _ => AuditOutcome::SeriousFailure,
    }
}

/// Why it is no success, without anything of the answer's text.
pub(super) fn cause_of(outcome: &Outcome) -> Option<String> {
    match outcome {
        Ok(answer) if answer.status.is_success() => None,
        Ok(answer) => Some(format!("the national gateway answered with status {}", answer.status.as_u16())),
        Err(
            silence @ (Silence::NotSent(_) | Silence::Broken(_) | Silence::Slow(_) | Silence::Request(_)),
        ) => Some(silence.to_string()),
    }
}

pub(super) fn seconds() -> i64 {
    Timestamp::now().as_second()
}

pub(super) fn milliseconds() -> i64 {
    Timestamp::now().as_millisecond()
}

fn failed(origin: &Origin, error: &StoreError) -> Problem {
    tracing::error!(request_id = origin.id, %error, "a message can't be written down");
    Problem::Internal
}
