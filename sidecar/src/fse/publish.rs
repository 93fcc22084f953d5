//! A publication's way: on disk, forwarded when it is its turn, settled by what the national gateway answers.
//!
//! Invariants: nothing is forwarded before it and its intent are on disk, but for what there is no place for; that is forwarded
//! all the same, since this plane never blocks. A message that comes again is not published again. What an attempt came to is on disk,
//! with its audit record, before anybody is told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::counter;
use varco_core::audit::AuditOutcome;

use super::forward::{Answered, Outgoing};
use super::message::Message;
use super::outbox::{Arrival, Outcome, to_lines};
use super::plan::{State, Turn};
use super::problem::{Kept, Problem};
use super::record::Origin;
use super::settle::{audited, cause_of, outcome_of};
use super::verdict::Verdict;
use super::{InHand, Publication, Route, milliseconds, seconds};
use crate::store::{OutboxChange, StoreError};

/// How often a message that ended while it was found is looked for again.
const ARRIVALS: u32 = 4;

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
        place: InHand,
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
        let row = self.recorder.end(origin, audited(answer.status), Some(told), false);
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
        let outcome = route.send(outgoing(message, origin)).await;
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
        place: InHand,
    ) -> Result<Published, Problem> {
        let Some(row) = self.outbox.row(seq, &message, &origin, &route.config.name) else {
            self.outbox.forget(seq);
            return Err(Problem::Internal);
        };
        let mut changes = vec![OutboxChange::Put(Box::new(row))];
        if turn == Turn::Now {
            changes.push(self.outbox.claim(seq, seconds(), route.settled_within()));
        }
        if let Err(error) = self.commit(changes, vec![self.recorder.intent(&origin)]).await {
            self.outbox.forget(seq);
            return Err(failed(&origin, &error));
        }
        if turn == Turn::Now {
            self.outbox.plan().take(seq);
            return self.attempt(route, seq, outgoing(&message, &origin), &origin).await;
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
            match self.renew(route, seq, before, turn, message, &id, &mut result).await.transpose() {
                Some(published) => published,
                None => return Ok(None),
            }
        } else {
            self.wait(route, seq, &id, &mut result).await
        };
        let outcome = match &published {
            Ok(own) => audited(own.answer.status),
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
    ) -> Result<Option<Published>, Problem> {
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
            changes.push(self.outbox.claim(seq, seconds(), route.settled_within()));
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
            return self.wait(route, seq, id, result).await.map(Some);
        }
        match self.claimed(seq) {
            Ok(Some((origin, _))) => {
                self.attempt(route, seq, outgoing(message, &origin), &origin).await.map(Some)
            }
            // Another process has ended it.
            Ok(None) if self.outbox.plan().get(seq).is_none() => Ok(None),
            _ => Err(Problem::Unreachable(Kept::Waits(id.to_owned()))),
        }
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
}

/// What is sent for a message, in its trace.
pub(super) fn outgoing(message: &Message, origin: &Origin) -> Outgoing {
    let mut headers = message.headers.clone();
    super::trace_into(&mut headers, origin);
    Outgoing {
        method: message.method.clone(),
        target: message.target.clone(),
        headers,
        body: message.body.clone(),
    }
}

fn failed(origin: &Origin, error: &StoreError) -> Problem {
    tracing::error!(request_id = origin.id, %error, "a message can't be written down");
    Problem::Internal
}
