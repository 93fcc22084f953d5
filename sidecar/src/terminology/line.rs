//! The line to the server: one request at a time place, with deadline, retry and breaker.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use metrics::{counter, gauge, histogram};
use tokio::sync::Semaphore;
use varco_core::terminology::{Answer, Membership, Question};

use super::credential::Credential;
use super::wire;
use crate::config;
use crate::telemetry::calls::Calls;
use crate::upstream::{
    Breaker, BreakerSettings, BudgetSettings, Change, Pass, RetryBudget, Upstream, UpstreamAnswer,
    UpstreamError, UpstreamSetupError, Verdict,
};

/// Largest answer that is read, in bytes.
const LARGEST: usize = 4 << 20;
/// One retry for ten requests, and three beside.
const RETRIES: BudgetSettings = BudgetSettings { percent: 10, each_second: 0, most: 10, first: 3 };
/// How long is waited before a retry.
const PAUSE: Duration = Duration::from_millis(100);

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineError {
    /// The server is left alone for a while.
    Resting,
    /// It failed: no connection, no answer in time, a fault of its own, or an answer that isn't FHIR.
    Failed,
    /// It understood the request and refused it.
    Refused,
}

/// The line to one server.
pub(super) struct Line {
    server: Upstream,
    credential: Credential,
    places: Semaphore,
    breaker: Breaker,
    retries: RetryBudget,
    /// Why the last request that failed did.
    failure: Mutex<Option<String>>,
}

/// How one request ended.
enum End<T> {
    Answered(T),
    Refused,
    Failed { again: bool, cause: String },
}

impl Line {
    pub fn new(config: &config::Terminology, credential: Credential) -> Result<Line, UpstreamSetupError> {
        let server = config::Upstream {
            ca: config.server.ca.clone(),
            connect_seconds: config.server.connect_seconds,
            answer_seconds: config.answers_within(),
            ..config::Upstream::at(&config.server.url)
        };
        let rest = Duration::from_secs(config.breaker_seconds);
        let breaker = BreakerSettings {
            failures: config.breaker_failures,
            share: None,
            rest,
            longest: rest,
            probes: 1,
        };
        let now = Instant::now();
        Ok(Line {
            server: Upstream::new(&server, LARGEST)?,
            credential,
            places: Semaphore::new(config.concurrency.max(1)),
            breaker: Breaker::new(breaker, now),
            retries: RetryBudget::new(RETRIES, now),
            failure: Mutex::new(None),
        })
    }

    /// One question.
    pub async fn ask(&self, question: &Question, calls: Option<&Calls>) -> Result<Answer, LineError> {
        let path = format!("/{}", wire::operation(question));
        let read = |answer: &UpstreamAnswer| match answer.status {
            StatusCode::OK => match wire::read(&answer.body, LARGEST) {
                Some(answer) => End::Answered(answer),
                None => not_fhir(),
            },
            _ if wire::is_outcome(&answer.body, LARGEST) => End::Answered(Answer::of(Membership::Unknown)),
            _ => End::Refused,
        };
        self.send(("single", calls), &path, wire::parameters(question), read).await
    }

    /// Many questions at once, answered in their order.
    pub async fn ask_batch(
        &self,
        questions: &[Question],
        calls: Option<&Calls>,
    ) -> Result<Vec<Answer>, LineError> {
        let read = |answer: &UpstreamAnswer| match answer.status {
            StatusCode::OK => match wire::read_batch(&answer.body, questions.len(), LARGEST) {
                Some(answers) => End::Answered(answers),
                None => End::Refused,
            },
            _ => End::Refused,
        };
        self.send(("batch", calls), "", wire::batch(questions), read).await
    }

    async fn send<T>(
        &self,
        (kind, calls): (&'static str, Option<&Calls>),
        path: &str,
        body: Vec<u8>,
        read: impl Fn(&UpstreamAnswer) -> End<T>,
    ) -> Result<T, LineError> {
        let body = Bytes::from(body);
        let Ok(_place) = self.places.acquire().await else { return Err(LineError::Resting) };
        let mut first = true;
        loop {
            let Ok(pass) = self.breaker.admit(Instant::now()) else {
                tell(kind, "resting");
                return Err(LineError::Resting);
            };
            if first {
                self.retries.earn(Instant::now());
            }
            match self.once((kind, calls), path, body.clone(), &read).await {
                End::Answered(answer) => {
                    tell(kind, "answered");
                    self.well(pass);
                    return Ok(answer);
                }
                End::Refused => {
                    tell(kind, "refused");
                    self.well(pass);
                    return Err(LineError::Refused);
                }
                End::Failed { again, cause } => {
                    tell(kind, "failed");
                    tracing::debug!(kind, cause, "a request to the terminology server failed");
                    if self.breaker.settle(pass, Verdict::Failed, Instant::now()) != Change::None {
                        gauge!("varco_terminology_resting").set(1.0);
                        tracing::warn!(cause, "the terminology server fails and is left alone for a while");
                    }
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
                    if !(again && first && self.retries.spend(Instant::now())) {
                        return Err(LineError::Failed);
                    }
                }
            }
            first = false;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Why the last request that failed did, in words.
    pub fn last_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn well(&self, pass: Pass) {
        if self.breaker.settle(pass, Verdict::Well, Instant::now()) == Change::Closed {
            gauge!("varco_terminology_resting").set(0.0);
            tracing::info!("the terminology server answers again");
        }
    }

    async fn once<T>(
        &self,
        (kind, calls): (&'static str, Option<&Calls>),
        path: &str,
        body: Bytes,
        read: &impl Fn(&UpstreamAnswer) -> End<T>,
    ) -> End<T> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, FHIR_JSON);
        headers.insert(CONTENT_TYPE, FHIR_JSON);
        if let Some(credential) = self.credential.header() {
            headers.insert(AUTHORIZATION, credential);
        }
        let path = if path.is_empty() && self.server.is_at_root() { "/" } else { path };
        let started = Instant::now();
        let answer = self.server.ask(Method::POST, path, headers, body).await;
        histogram!("varco_terminology_seconds", "kind" => kind).record(started.elapsed().as_secs_f64());
        if let Some(calls) = calls {
            let status = answer.as_ref().ok().map(|answer| answer.status.as_u16());
            // The operation's name, which is fixed; a batch is posted to the base.
            calls.ended(started, "POST", if path.is_empty() { "/" } else { path }, status);
        }
        match answer {
            Ok(answer) if is_failure(answer.status) => End::Failed {
                again: matches!(answer.status.as_u16(), 429 | 502 | 503 | 504),
                cause: format!("status {}", answer.status.as_u16()),
            },
            Ok(answer) => read(&answer),
            Err(error) => End::Failed {
                again: matches!(error, UpstreamError::Unreachable(_)),
                cause: match error {
                    UpstreamError::Unreachable(cause) => format!("not reachable: {cause}"),
                    UpstreamError::Timeout(seconds) => format!("no whole answer within {seconds} seconds"),
                    UpstreamError::NoHead(seconds) => format!("no answer within {seconds} seconds"),
                    UpstreamError::Stalled(seconds) => {
                        format!("an answer that stopped for {seconds} seconds")
                    }
                    UpstreamError::TooLarge(most) => format!("an answer of more than {most} bytes"),
                    UpstreamError::Framing(cause) => cause.to_owned(),
                    UpstreamError::Request(cause) => cause,
                    UpstreamError::Caller(fault) => fault.to_string(),
                    UpstreamError::NotFhir(_) | UpstreamError::Status(_) => "not FHIR".to_owned(),
                    UpstreamError::Busy { .. } | UpstreamError::Resting { .. } => "not sent".to_owned(),
                },
            },
        }
    }
}

fn not_fhir<T>() -> End<T> {
    End::Failed { again: false, cause: "an answer that is none to $validate-code".to_owned() }
}

/// Statuses that say something about the server and nothing about the question.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        )
        || status.is_redirection()
}

fn tell(kind: &'static str, result: &'static str) {
    counter!("varco_terminology_requests_total", "kind" => kind, "result" => result).increment(1);
}
