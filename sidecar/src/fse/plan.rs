//! Which waiting message may be sent now: the order of the outbox as a pure decision.
//!
//! A message belongs to chains, one for each document that it names. It may be sent when nothing that came before it in any
//! of its chains still waits. So a document's creation, replacement, masking and deletion reach the national gateway in the
//! order in which they came, and what happens to one document holds up no other: not the patient's other documents, not the
//! route.
//!
//! A route whose gateway gives no answer rests, longer each time; after a rest one message goes first, and only when it was
//! answered the others follow.
//!
//! Invariants: of two messages of one chain never is more than one under way, and none is before an earlier one; nothing leaves the
//! plan but by [`Plan::end`]; number and bytes are bounded by whoever calls [`Plan::fits`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::kind::Kind;
use super::message::Chain;

/// The first rest after a failure, in milliseconds.
const FIRST_REST: i64 = 1_000;
/// The longest rest, in milliseconds.
const LONGEST_REST: i64 = 60_000;

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its row is being written: it holds its place and nothing else.
    Arriving,
    /// It waits to be sent.
    Queued,
    /// It is under way.
    Sending,
    /// Its tokens have ended: it waits until it comes again with new ones.
    NeedsToken,
}

/// A message that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its id, for callers and operators.
    pub id: Arc<str>,
    /// The route's name.
    pub route: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// Its chains, at least one.
    pub chains: Vec<Chain>,
    /// What makes it the message that it is.
    pub identity: [u8; 32],
    /// What tells this sending of it from the next.
    pub sending: [u8; 32],
    /// Where it stands.
    pub state: State,
    /// Until when its tokens can be used, in seconds since 1970.
    pub tokens_until: Option<i64>,
    /// When it came, in seconds since 1970.
    pub arrived: i64,
    /// Before this it is not sent again, in milliseconds since 1970.
    pub due: i64,
    /// How often the gateway failed on it alone.
    pub faults: u32,
    /// The bytes of its body.
    pub bytes: u64,
}

/// How a route does.
#[derive(Debug, Clone, Default)]
struct Rest {
    failures: u32,
    until: i64,
}

/// The messages that wait, in the order in which they came.
#[derive(Debug, Default)]
pub struct Plan {
    waiting: BTreeMap<i64, Waiting>,
    chains: HashMap<Chain, BTreeSet<i64>>,
    rests: HashMap<Arc<str>, Rest>,
    bytes: u64,
    last: i64,
}

/// What stands before a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: it may be sent.
    Now,
    /// An earlier message that is still to be sent.
    Behind,
    /// An earlier message that waits for new tokens.
    BehindTokens,
}

impl Plan {
    /// A place for one more message. Numbers grow with time, so that two processes that share a store for a moment don't
    /// give the same; `now` is in microseconds since 1970.
    pub fn number(&mut self, now: i64) -> i64 {
        self.last = self.last.saturating_add(1).max(now);
        self.last
    }

    /// True where one more message of this size fits.
    pub fn fits(&self, bytes: u64, most: usize, most_bytes: u64) -> bool {
        self.waiting.len() < most && self.bytes.saturating_add(bytes) <= most_bytes
    }

    /// Takes up a message under a number from [`Plan::number`], or one that was on disk.
    pub fn add(&mut self, seq: i64, message: Waiting) {
        self.last = self.last.max(seq);
        self.bytes = self.bytes.saturating_add(message.bytes);
        for chain in &message.chains {
            self.chains.entry(*chain).or_default().insert(seq);
        }
        self.waiting.insert(seq, message);
    }

    /// The message has ended, or was never taken: its place is free.
    pub fn end(&mut self, seq: i64) -> Option<Waiting> {
        let message = self.waiting.remove(&seq)?;
        self.bytes = self.bytes.saturating_sub(message.bytes);
        for chain in &message.chains {
            if let Some(members) = self.chains.get_mut(chain) {
                members.remove(&seq);
                if members.is_empty() {
                    self.chains.remove(chain);
                }
            }
        }
        Some(message)
    }

    /// What stands before a message.
    pub fn turn(&self, seq: i64) -> Turn {
        let Some(message) = self.waiting.get(&seq) else { return Turn::Now };
        let before = message.chains.iter().filter_map(|chain| self.chains.get(chain)?.range(..seq).next());
        let mut turn = Turn::Now;
        for state in before.filter_map(|seq| self.waiting.get(seq)).map(|first| first.state) {
            turn = match state {
                State::NeedsToken => return Turn::BehindTokens,
                _ => Turn::Behind,
            };
        }
        turn
    }

    /// The message is under way from now on.
    pub fn take(&mut self, seq: i64) {
        if let Some(message) = self.waiting.get_mut(&seq) {
            message.state = State::Sending;
        }
    }

    /// The message waits again, in this state and not before `due`.
    pub fn wait(&mut self, seq: i64, state: State, due: i64) {
        if let Some(message) = self.waiting.get_mut(&seq) {
            message.state = state;
            message.due = due;
        }
    }

    /// The messages that may be sent now, oldest first: at most `most`. Those whose tokens have ended are not among them.
    pub fn ready(&self, now: i64, most: usize) -> Vec<i64> {
        let mut found: Vec<i64> = Vec::new();
        let mut probed: BTreeSet<&str> = BTreeSet::new();
        for (seq, message) in &self.waiting {
            if found.len() >= most {
                break;
            }
            if message.state == State::Sending && self.is_unsure(&message.route) {
                probed.insert(&message.route);
            }
            // The cheap questions first: while a route rests, everything of it is passed over.
            if message.state != State::Queued || message.due > now || self.rests(&message.route, now) {
                continue;
            }
            if self.turn(*seq) != Turn::Now
                || (self.is_unsure(&message.route) && !probed.insert(&message.route))
            {
                continue;
            }
            found.push(*seq);
        }
        found
    }

    fn is_unsure(&self, route: &str) -> bool {
        self.rests.get(route).is_some_and(|rest| rest.failures > 0)
    }

    /// When something may be sent next, in milliseconds since 1970, as far as time alone decides.
    pub fn next_due(&self, now: i64) -> Option<i64> {
        let queued = self.waiting.values().filter(|message| message.state == State::Queued);
        let due = queued.map(|message| {
            let rest = self.rests.get(&message.route).map_or(0, |rest| rest.until);
            message.due.max(rest)
        });
        due.filter(|due| *due > now).min()
    }

    /// The route's gateway gave no answer: it rests. `chance` is in 0..1 and spreads rests; `at_least` is what the gateway
    /// asked for, in milliseconds. Gives when it is tried again.
    pub fn fell_silent(&mut self, route: &Arc<str>, now: i64, chance: f64, at_least: i64) -> i64 {
        let rest = self.rests.entry(route.clone()).or_default();
        // Several that were under way together have seen one failure.
        let again = rest.until <= now;
        let wait = if again { pause(rest.failures, chance) } else { 0 };
        rest.until = rest.until.max(now.saturating_add(wait.max(at_least)));
        rest.failures = rest.failures.saturating_add(u32::from(again));
        rest.until
    }

    /// The route's gateway answered. True where it had been silent.
    pub fn answered(&mut self, route: &str) -> bool {
        self.rests.get_mut(route).is_some_and(|rest| std::mem::take(rest).failures > 0)
    }

    /// True while the route's gateway is left alone.
    pub fn rests(&self, route: &str, now: i64) -> bool {
        self.rests.get(route).is_some_and(|rest| rest.failures > 0 && rest.until > now)
    }

    /// The message.
    pub fn get(&self, seq: i64) -> Option<&Waiting> {
        self.waiting.get(&seq)
    }

    /// The message, to be changed; its chains and its number stay.
    pub fn get_mut(&mut self, seq: i64) -> Option<&mut Waiting> {
        self.waiting.get_mut(&seq)
    }

    /// Everything that waits, in order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Waiting)> {
        self.waiting.iter().map(|(seq, message)| (*seq, message))
    }

    /// What waits in the chains of a message, in order.
    pub fn in_chains(&self, chains: &[Chain]) -> Vec<(i64, &Waiting)> {
        let seqs: BTreeSet<i64> =
            chains.iter().filter_map(|chain| self.chains.get(chain)).flatten().copied().collect();
        seqs.into_iter().filter_map(|seq| Some((seq, self.waiting.get(&seq)?))).collect()
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// How long to wait after this many failures: twice as long each time up to a minute, spread between half and whole.
pub fn pause(failures: u32, chance: f64) -> i64 {
    let whole = FIRST_REST.saturating_mul(1 << failures.min(6)).min(LONGEST_REST);
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let spread = (whole as f64 * 0.5 * chance.clamp(0.0, 1.0)) as i64;
    whole / 2 + spread
}

/// A message that may be the same as one that comes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its number.
    pub seq: i64,
    /// What it is.
    pub kind: Kind,
    /// What makes it the message that it is.
    pub identity: [u8; 32],
    /// What tells this sending of it from others.
    pub sending: [u8; 32],
}

/// Which of the messages of its chains, oldest first, a message is a repetition of.
///
/// The very same sending always is one. The same content with new tokens is one as long as nothing came between that could
/// have undone it: a document that was masked, unmasked and masked again is masked.
pub fn repeated(kind: Kind, identity: &[u8; 32], sending: &[u8; 32], known: &[Known]) -> Option<i64> {
    let same = |own: &&Known| own.identity == *identity && own.kind == kind;
    if let Some(own) = known.iter().rev().filter(same).find(|own| own.sending == *sending) {
        return Some(own.seq);
    }
    for own in known.iter().rev() {
        if same(&own) {
            return Some(own.seq);
        }
        let harmless = matches!(kind, Kind::Create | Kind::Replace) && own.kind == Kind::UpdateMetadata;
        if !harmless {
            return None;
        }
    }
    None
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
