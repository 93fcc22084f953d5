//! What a server said before, for as long as it may be trusted.
//!
//! Invariant: a key is the whole question (value set with its version, system, version, code); what is known to
//! be right, known to be wrong, and not known each have their own time to live.

use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;
use varco_core::terminology::{Answer, Membership, Question};

use crate::cache::Counted;
use crate::config;

/// How long each kind of answer is kept.
#[derive(Debug, Clone, Copy)]
struct Lives {
    member: Duration,
    not_member: Duration,
    unknown: Duration,
}

impl Expiry<Question, Answer> for Lives {
    fn expire_after_create(&self, _: &Question, answer: &Answer, _: Instant) -> Option<Duration> {
        Some(match answer.membership {
            Membership::Member => self.member,
            Membership::NotMember => self.not_member,
            Membership::Unknown => self.unknown,
        })
    }

    fn expire_after_update(
        &self,
        question: &Question,
        answer: &Answer,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(question, answer, now)
    }
}

/// Answers by question.
#[derive(Debug)]
pub(super) struct Memory(Counted<Question, Answer>);

impl Memory {
    pub fn new(config: &config::Terminology) -> Memory {
        let lives = Lives {
            member: Duration::from_secs(config.member_seconds),
            not_member: Duration::from_secs(config.not_member_seconds),
            unknown: Duration::from_secs(config.unknown_seconds),
        };
        let kept = Cache::builder().max_capacity(config.cache_entries).expire_after(lives);
        Memory(Counted::new("terminology", kept))
    }

    pub fn get(&self, question: &Question) -> Option<Answer> {
        self.0.get(question)
    }

    pub fn put(&self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    /// Does at once what the cache does from time to time, and sets the gauge.
    pub fn observe(&self) {
        self.0.observe();
    }
}
