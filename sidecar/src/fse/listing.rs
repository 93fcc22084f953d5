//! The outbox as its operator sees and mends it: ids, ages, states, causes, and what is to be done. No name, no identifier of a
//! patient or document.
//!
//! Tokens of a message that waits are never made anew here. They are signed by the application that publishes, with its key, and
//! state who acted, in which role and for what purpose, and the document's digest: signed by a gateway they would state what it
//! doesn't know, in another's name. So a message whose tokens have ended waits for its application, and the listing names that.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::plan::{State, Turn};
use super::replay::DAY;
use super::{Publication, milliseconds, seconds};
use crate::store::{OutboxChange, OutboxHead, StoreError};

/// Most messages that are listed of each sort.
const MOST: usize = 1_000;

/// What an operator may do with a message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Send it at once, with the tokens that it has.
    Retry,
    /// Send it no more.
    Drop,
}

impl Operation {
    /// The operation and the message's id in `/outbox/{id}/retry`.
    pub fn of(path: &str) -> Option<(&str, Operation)> {
        match path.strip_prefix("/outbox/")?.rsplit_once('/')? {
            (id, "retry") => Some((id, Operation::Retry)),
            (id, "drop") => Some((id, Operation::Drop)),
            _ => None,
        }
    }
}

/// What came of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operated {
    /// It is done.
    Done,
    /// No message of this id waits.
    Unknown,
    /// It is being sent this moment.
    UnderWay,
}

impl Publication {
    /// What waits, oldest first, and what ended without being published, newest first.
    pub fn listing(&self) -> Result<Value, StoreError> {
        let (now, store) = (seconds(), &self.outbox.store);
        let longest = i64::from(self.config.days).saturating_mul(DAY);
        let (rows, ended) = (store.outbox_heads(MOST)?, store.outbox_ended(false, MOST)?);
        let (turns, resting, waiting, bytes) = {
            let plan = self.outbox.plan();
            let turns: HashMap<i64, Turn> = rows.iter().map(|head| (head.seq, plan.turn(head.seq))).collect();
            let names = self.routes.iter().map(|route| route.config.name.as_str());
            let resting: Vec<&str> = names.filter(|name| plan.rests(name, i64::MIN)).collect();
            (turns, resting, plan.iter().count(), plan.bytes())
        };
        let messages = rows.iter().map(|head| {
            let mut line = line(head, now);
            let turn = turns.get(&head.seq).copied().unwrap_or(Turn::Now);
            line["behind"] = json!(turn != Turn::Now);
            line["tokens_end_in_seconds"] =
                json!(head.tokens_until.map(|until| until.saturating_sub(now).max(0)));
            let given_up = head.arrived.saturating_add(longest);
            line["given_up_in_seconds"] = json!(given_up.saturating_sub(now).max(0));
            line["cure"] = json!(cure(&head.state, turn));
            line
        });
        Ok(json!({
            "waiting": waiting, "bytes": bytes, "silent_routes": resting,
            "oldest_seconds": rows.first().map_or(0, |head| now.saturating_sub(head.arrived)),
            "messages": messages.collect::<Vec<_>>(),
            "ended": ended.iter().map(|head| line(head, now)).collect::<Vec<_>>(),
        }))
    }

    /// Carries out an operation.
    pub async fn operate(&self, id: &str, operation: Operation) -> Result<Operated, StoreError> {
        let (seq, before) = {
            let mut plan = self.outbox.plan();
            let Some((seq, state)) =
                plan.iter().find(|(_, own)| &*own.id == id).map(|(seq, own)| (seq, own.state))
            else {
                return Ok(Operated::Unknown);
            };
            if !matches!(state, State::Queued | State::NeedsToken) {
                return Ok(Operated::UnderWay);
            }
            plan.wait(seq, State::Arriving, 0);
            (seq, state)
        };
        let done = match operation {
            Operation::Drop => self.end(seq, "dropped", "the operator has dropped it").await,
            Operation::Retry => {
                let cause = "the operator has it sent again".to_owned();
                let change = OutboxChange::Wait { seq, state: "queued", cause, unsure: false };
                self.commit(vec![change], Vec::new()).await
            }
        };
        {
            let mut plan = self.outbox.plan();
            match (&done, operation) {
                (Err(_), _) => plan.wait(seq, before, milliseconds()),
                (Ok(()), Operation::Drop) => {}
                (Ok(()), Operation::Retry) => {
                    let route = plan.get_mut(seq).map(|own| {
                        // It is to be sent as it is, whatever its tokens say.
                        own.tokens_until = None;
                        own.route.clone()
                    });
                    plan.wait(seq, State::Queued, 0);
                    route.iter().for_each(|route| {
                        plan.answered(route);
                    });
                }
            }
        }
        self.outbox.bell.notify_one();
        done.map(|()| Operated::Done)
    }
}

/// What is to be done about a message that waits; nothing where it goes on by itself.
fn cure(state: &str, turn: Turn) -> Option<&'static str> {
    match (state, turn) {
        ("needs-token", _) => Some(
            "let the application `client` send the same message again, with new tokens; POST /outbox/ID/retry sends it once more \
             with the old ones, POST /outbox/ID/drop gives it up",
        ),
        (_, Turn::BehindTokens) => Some(
            "it follows once an earlier message about its document, which needs new tokens, was sent or dropped",
        ),
        _ => None,
    }
}

fn line(head: &OutboxHead, now: i64) -> Value {
    json!({
        "id": head.id, "route": head.route, "kind": head.kind, "client": head.client, "state": head.state, "cause": head.cause,
        "age_seconds": now.saturating_sub(head.arrived), "attempts": head.attempts, "bytes": head.bytes,
        "unsure": head.unsure, "trace": head.trace, "status": head.status, "told": head.told,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_by_path() {
        assert_eq!(Operation::of("/outbox/7/retry"), Some(("7", Operation::Retry)));
        assert_eq!(Operation::of("/outbox/7/drop"), Some(("7", Operation::Drop)));
        for path in ["/outbox/7", "/outbox", "/outbox/7/send", "/x/7/drop"] {
            assert_eq!(Operation::of(path), None, "{path}");
        }
    }
}
