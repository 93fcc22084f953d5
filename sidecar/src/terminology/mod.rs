//! A remote terminology server: asked about codes that no value set at hand can judge (FHIR R4 §4.7).
//!
//! Never on by default. Codes and the names of code systems and value sets are sent, nothing else of a document.
//! What the server can't say, or doesn't say in time, is *unknown*, and unknown is never an error.
//!
//! Bounds: questions of one call, requests at a time, time of a connection, of an answer and of the whole call,
//! size of an answer, retries and requests to a server that fails ([`crate::upstream`]'s budget and breaker), answers kept
//! ([`memory`]). Metrics beside them: `varco_terminology_questions_total`, `varco_terminology_requests_total`,
//! `varco_terminology_seconds`, `varco_terminology_resting`.

mod credential;
mod line;
mod memory;
mod wire;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::counter;
use tokio::task::JoinSet;
use varco_core::terminology::{Answer, Answers, Membership, Question};

pub use credential::{Credential, CredentialError};

use crate::config;
use crate::telemetry::calls::Calls;
use crate::upstream::UpstreamSetupError;
use line::{Line, LineError};
use memory::Memory;

/// How long a server that took no batch is asked one by one before a batch is tried again.
const NO_BATCH_FOR: Duration = Duration::from_secs(3600);

/// A client that can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TerminologySetupError {
    /// URL or TLS.
    #[error("the terminology server can't be asked: {0}")]
    Line(#[from] UpstreamSetupError),
    /// The credential.
    #[error("the terminology server can't be asked: {0}")]
    Credential(#[from] CredentialError),
}

/// A terminology server, asked within bounds. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Terminology {
    inner: Arc<Inner>,
    /// Where its calls are told of.
    calls: Option<Arc<Calls>>,
}

struct Inner {
    line: Line,
    memory: Memory,
    batching: Mutex<Batching>,
    batch: usize,
    questions: usize,
    total: Duration,
}

/// What is known of a server's way with batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batching {
    /// Not tried yet.
    Unknown,
    /// It answered one as it should.
    Taken,
    /// It did not, at that time.
    Refused(Instant),
}

/// Answers to the questions of one call, and of calls before. A question that stayed open is unknown.
#[derive(Debug, Clone, Default)]
pub struct Replies(HashMap<Question, Answer>);

impl Answers for Replies {
    fn answer(&self, question: &Question) -> Option<Answer> {
        self.0.get(question).cloned()
    }
}

impl Replies {
    /// Takes up the answers of another call.
    pub fn extend(&mut self, other: Replies) {
        self.0.extend(other.0);
    }

    /// How many questions have an answer, unknown ones included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many questions the server, now or before, gave a certain answer to.
    pub fn certain(&self) -> usize {
        self.0.values().filter(|answer| answer.membership != Membership::Unknown).count()
    }

    /// True where nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Terminology {
    /// A client for the configured server. Nothing is sent yet.
    pub fn new(config: &config::Terminology) -> Result<Terminology, TerminologySetupError> {
        let credential = Credential::of(&config.server)?;
        let inner = Arc::new(Inner {
            line: Line::new(config, credential)?,
            memory: Memory::new(config),
            batching: Mutex::new(Batching::Unknown),
            batch: config.batch.max(1),
            questions: config.questions,
            total: Duration::from_secs(config.total_seconds),
        });
        Ok(Terminology { inner, calls: None })
    }

    /// The same server, for a request that is traced: its calls are told of there. Nothing of the trace is sent to it: calls
    /// that belong together would show which codes do.
    pub fn telling(&self, calls: Option<Arc<Calls>>) -> Terminology {
        Terminology { inner: self.inner.clone(), calls }
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.inner.memory.observe();
    }

    /// Why the last request that failed did, in words; none where none did.
    pub fn last_failure(&self) -> Option<String> {
        self.inner.line.last_failure()
    }

    /// Answers the questions of one document or one page: from memory, else by the server. Every question has an
    /// answer afterwards, within the configured time and number; those beyond are unknown.
    pub async fn ask<'q>(&self, questions: impl IntoIterator<Item = &'q Question>) -> Replies {
        self.ask_at_most(questions, self.inner.questions).await
    }

    /// The same for the questions of many documents, with a bound of the caller's own.
    pub async fn ask_at_most<'q>(
        &self,
        questions: impl IntoIterator<Item = &'q Question>,
        most: usize,
    ) -> Replies {
        let questions: BTreeSet<&Question> = questions.into_iter().collect();
        let mut known: HashMap<Question, Answer> = HashMap::new();
        let mut open: BTreeSet<Question> = BTreeSet::new();
        let (mut cached, mut unasked) = (0_u64, 0_u64);
        for question in &questions {
            let key = key(question);
            if known.contains_key(&key) || open.contains(&key) {
                continue;
            }
            match self.inner.memory.get(&key) {
                Some(answer) => {
                    cached += 1;
                    known.insert(key, answer);
                }
                None if open.len() < most && wire::may_be_sent(&key) => {
                    open.insert(key);
                }
                None => unasked += 1,
            }
        }
        count("memory", cached);
        count("not-asked", unasked);
        if !open.is_empty() {
            let found = Arc::new(Mutex::new(HashMap::new()));
            let settling = self.clone().settle(open.into_iter().collect(), found.clone());
            if tokio::time::timeout(self.inner.total, settling).await.is_err() {
                tracing::warn!(
                    seconds = self.inner.total.as_secs(),
                    "the terminology server did not answer all questions in time; the rest is unknown"
                );
            }
            let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
            known.extend(found);
        }
        let unknown = || Answer::of(Membership::Unknown);
        let answered = questions
            .into_iter()
            .map(|question| (question.clone(), known.get(&key(question)).cloned().unwrap_or_else(unknown)));
        Replies(answered.collect())
    }
}

/// What an answer depends on. A display does not belong to it: displays never leave the house.
fn key(question: &Question) -> Question {
    Question { display: None, ..question.clone() }
}

type Found = Arc<Mutex<HashMap<Question, Answer>>>;

impl Terminology {
    /// Asks until every question is answered or given up.
    async fn settle(self, open: Vec<Question>, found: Found) {
        let mut rest = open.as_slice();
        let mut tasks = JoinSet::new();
        let most = self.inner.batch;
        if most > 1 && rest.len() > 1 && self.inner.batching() == Batching::Unknown {
            // The first batch shows whether the server takes them.
            let (first, others) = rest.split_at(rest.len().min(most));
            self.clone().settle_chunk(first.to_vec(), found.clone()).await;
            rest = others;
        }
        let batched = most > 1 && self.inner.batching() == Batching::Taken;
        for chunk in rest.chunks(if batched { most } else { 1 }) {
            tasks.spawn(self.clone().settle_chunk(chunk.to_vec(), found.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn settle_chunk(self, chunk: Vec<Question>, found: Found) {
        let (inner, calls) = (self.inner, self.calls);
        let mut doubtful = false;
        if chunk.len() > 1 {
            match inner.line.ask_batch(&chunk, calls.as_deref()).await {
                Ok(answers) => {
                    inner.note_batching(Batching::Taken);
                    return inner.keep(chunk.into_iter().zip(answers), &found);
                }
                Err(LineError::Resting) => return,
                Err(LineError::Refused) => inner.note_batching(Batching::Refused(Instant::now())),
                // A server that fails at batches only is found out by asking one by one.
                Err(LineError::Failed) if inner.batching() == Batching::Unknown => doubtful = true,
                Err(LineError::Failed) => return inner.keep(chunk.into_iter().map(unknown), &found),
            }
        }
        let mut tasks = JoinSet::new();
        for question in chunk {
            let (own, calls, found) = (inner.clone(), calls.clone(), found.clone());
            tasks.spawn(async move {
                match own.line.ask(&question, calls.as_deref()).await {
                    Ok(answer) => {
                        if doubtful {
                            own.note_batching(Batching::Refused(Instant::now()));
                        }
                        own.keep([(question, answer)], &found);
                    }
                    // A server that is left alone says nothing about the code: it isn't remembered.
                    Err(LineError::Resting) => {}
                    Err(_) => own.keep([unknown(question)], &found),
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    }
}

impl Inner {
    fn keep(&self, answers: impl IntoIterator<Item = (Question, Answer)>, found: &Found) {
        for (question, answer) in answers {
            let result = match answer.membership {
                Membership::Member => "member",
                Membership::NotMember => "not-member",
                Membership::Unknown => "unknown",
            };
            count(result, 1);
            self.memory.put(question.clone(), answer.clone());
            found.lock().unwrap_or_else(PoisonError::into_inner).insert(question, answer);
        }
    }

    fn batching(&self) -> Batching {
        let mut state = self.batching.lock().unwrap_or_else(PoisonError::into_inner);
        if let Batching::Refused(since) = *state
            && since.elapsed() >= NO_BATCH_FOR
        {
            *state = Batching::Unknown;
        }
        *state
    }

    fn note_batching(&self, seen: Batching) {
        *self.batching.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

fn unknown(question: Question) -> (Question, Answer) {
    (question, Answer::of(Membership::Unknown))
}

fn count(result: &'static str, number: u64) {
    counter!("varco_terminology_questions_total", "result" => result).increment(number);
}

#[cfg(test)]
#[path = "terminology_tests.rs"]
mod tests;
