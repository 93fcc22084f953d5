//! The hospital's FHIR server: one pooled client, with bounds on time, size and number of requests.
//!
//! Requests go to the configured server and nowhere else: a link in one of its answers is followed by path and
//! query alone. Redirects are not followed. One attempt is [`Upstream::attempt`]; whether it is made, at which address,
//! and whether it is made again is decided around it, by the [`Guard`].

mod breaker;
mod ejection;
mod failfast;
mod flow;
mod framing;
mod growing;
mod guard;
mod patience;
mod retry;
mod retry_budget;
mod timer;
mod transport;
mod upload;
mod wait;
mod window;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Body as _;
use rustls::ClientConfig;
use tokio::time::Instant;

pub(crate) use breaker::{Breaker, BreakerSettings, Change, Pass, Verdict};
pub(crate) use flow::{Flow, Flowing};
pub use guard::Guard;
use guard::Passage;
use patience::Patience;
pub(crate) use retry_budget::{BudgetSettings, RetryBudget};
use transport::{AnswerBody, Payload, Transport};
pub use upload::CallerFault;
pub(crate) use upload::Upload;
use upload::UploadState;

use crate::config;
use crate::listen::tls::{self, TlsError};

/// The hospital's server can't be reached or can't be understood.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    /// No connection, or it broke.
    #[error("the hospital's server can't be reached: {0}")]
    Unreachable(String),
    /// No whole answer in time.
    #[error("the hospital's server gave no whole answer within {0} seconds")]
    Timeout(u64),
    /// No beginning of an answer in time.
    #[error("the hospital's server began no answer within {0} seconds")]
    NoHead(u64),
    /// An answer that stopped.
    #[error("the hospital's server stopped in the middle of its answer for {0} seconds")]
    Stalled(u64),
    /// Not sent: there is no place for it. `seconds` until it may be tried again.
    #[error("too many requests are under way to the hospital's server: this one was not sent")]
    Busy {
        /// From now.
        seconds: u64,
    },
    /// Not sent: the server fails and is left alone. `seconds` until it may be tried again.
    #[error("the hospital's server fails and is left alone: this request was not sent")]
    Resting {
        /// From now.
        seconds: u64,
    },
    /// An answer that could be read as two.
    #[error("the framing of the hospital's server's answer is not clear: {0}")]
    Framing(&'static str),
    /// More bytes than the limit.
    #[error("the hospital's server answered with more than {0} bytes")]
    TooLarge(usize),
    /// An answer that isn't FHIR JSON of the kind that was asked for.
    #[error("the hospital's server did not answer with FHIR: {0}")]
    NotFhir(String),
    /// A status that the request doesn't explain.
    #[error("the hospital's server answered with status {0}")]
    Status(u16),
    /// The caller's body ended the request in the middle; the server is not to blame.
    #[error("{0}")]
    Caller(CallerFault),
    /// A request that can't be written as one.
    #[error("the request to the hospital's server can't be built: {0}")]
    Request(String),
}

impl UpstreamError {
    /// 504 where time ran out, 503 where nothing was sent, else 502.
    pub fn status(&self) -> StatusCode {
        match self {
            UpstreamError::Timeout(_) | UpstreamError::NoHead(_) | UpstreamError::Stalled(_) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            UpstreamError::Busy { .. } | UpstreamError::Resting { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Seconds after which the caller may try again, where that is known.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            UpstreamError::Busy { seconds } | UpstreamError::Resting { seconds } => Some(*seconds),
            _ => None,
        }
    }

    /// What the caller is told.
    pub fn for_caller(&self) -> &'static str {
        match self {
            UpstreamError::Timeout(_) | UpstreamError::NoHead(_) | UpstreamError::Stalled(_) => {
                "The hospital's server did not answer in time."
            }
            UpstreamError::Busy { .. } | UpstreamError::Resting { .. } => {
                "The hospital's server is busy; try again later."
            }
            _ => "The hospital's server can't be reached or did not answer as it should.",
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct UpstreamAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A client for one server.
pub struct Upstream {
    /// Where it is: at the authority of its URL, or at the addresses that are configured.
    places: Vec<Transport>,
    base_path: String,
    patience: Patience,
    most: usize,
    guard: Option<Arc<Guard>>,
}

impl Upstream {
    /// A client for the configured server; `most` bounds an answer's body, in bytes.
    pub fn new(config: &config::Upstream, most: usize) -> Result<Upstream, UpstreamSetupError> {
        let tls = match (&config.ca, &config.certificate, &config.key) {
            (Some(ca), Some(certificate), Some(key)) => tls::client_config_showing(ca, certificate, key)?,
            (Some(ca), ..) => tls::client_config(ca)?,
            (None, ..) => tls::trusting_nobody()?,
        };
        Upstream::with_tls(config, tls, most)
    }

    /// The same, each request within the bounds of `guard`.
    pub fn guarded(
        config: &config::Upstream,
        most: usize,
        guard: Arc<Guard>,
    ) -> Result<Upstream, UpstreamSetupError> {
        Ok(Upstream { guard: Some(guard), ..Upstream::new(config, most)? })
    }

    /// Closes connections that have waited for too long and sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.places.iter().for_each(Transport::sweep);
        self.guard.iter().for_each(|guard| guard.observe());
    }

    /// The bounds that it was made with.
    pub fn guard(&self) -> Option<&Arc<Guard>> {
        self.guard.as_ref()
    }

    fn with_tls(
        config: &config::Upstream,
        tls: ClientConfig,
        most: usize,
    ) -> Result<Upstream, UpstreamSetupError> {
        let wrong = || UpstreamSetupError::Url(config.url.clone());
        let parts = config.url.parse::<Uri>().map_err(|_| wrong())?.into_parts();
        let tls = match parts.scheme.as_ref().map(http::uri::Scheme::as_str) {
            Some("https") => Some(tls),
            Some("http") => None,
            _ => return Err(wrong()),
        };
        let authority = parts.authority.ok_or_else(wrong)?;
        let base_path =
            parts.path_and_query.map_or(String::new(), |path| path.path().trim_end_matches('/').to_owned());
        let patience = Duration::from_secs(config.connect_seconds);
        // The certificate must be that of the name in the URL, whatever address it is asked at.
        let transport = |at| Transport::new(&authority, at, tls.clone(), patience).ok_or_else(wrong);
        let places = match config.addresses.as_slice() {
            [] => vec![transport(None)?],
            addresses => addresses.iter().map(|at| transport(Some(*at))).collect::<Result<_, _>>()?,
        };
        let seconds = Duration::from_secs;
        let patience = Patience {
            head: seconds(config.first_byte()),
            idle: seconds(config.idle()),
            whole: seconds(config.answer_seconds),
        };
        Ok(Upstream { places, base_path, patience, most, guard: None })
    }

    /// Asks. `path` begins with a slash and stands below the FHIR base.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<UpstreamAnswer, UpstreamError> {
        self.send(method, format!("{}{path}", self.base_path), headers, body).await
    }

    /// True where the FHIR base has no path.
    pub(crate) fn is_at_root(&self) -> bool {
        self.base_path.is_empty()
    }

    /// Follows a `next` link of an answer: its path and query, at this server.
    pub async fn follow(&self, link: &str, headers: HeaderMap) -> Result<UpstreamAnswer, UpstreamError> {
        let not_fhir = || UpstreamError::NotFhir("a page link that is not below its own base".to_owned());
        let uri: Uri = link.parse().map_err(|_| not_fhir())?;
        let path = uri.path_and_query().map(PathAndQuery::as_str).ok_or_else(not_fhir)?;
        let below =
            path.strip_prefix(&self.base_path).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        below.ok_or_else(not_fhir)?;
        self.send(Method::GET, path.to_owned(), headers, Bytes::new()).await
    }

    async fn send(
        &self,
        method: Method,
        path: String,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<UpstreamAnswer, UpstreamError> {
        let question = Question { uri: uri(path)?, method, headers, body };
        let request = || Ok(Box::new(question.clone().into_request()));
        let (answer, passage) =
            self.attempts(&question.method, &request, self.patience.deadline(), true).await;
        if let Some(passage) = passage {
            passage.ended(answer.as_ref().map(|answer| answer.status));
        }
        answer.map(|Begun { status, headers, whole, .. }| UpstreamAnswer { status, headers, body: whole })
    }

    /// When a request that begins now must be answered.
    pub(crate) fn deadline(&self) -> Instant {
        self.patience.deadline()
    }

    /// How long a body may stand still.
    pub(crate) fn idle(&self) -> Duration {
        self.patience.idle
    }

    /// Asks with a body that comes, or without any, and gives the answer's head with its body, of at most `most` bytes, to
    /// come. `request` makes it, for each attempt anew, with a URI of path and query alone. What has a body is asked once.
    pub(crate) async fn stream(
        &self,
        method: &Method,
        request: impl Fn() -> Result<Request<()>, UpstreamError> + Sync,
        upload: Option<Upload>,
        deadline: Instant,
        most: u64,
    ) -> Result<Flowing, UpstreamError> {
        let state = upload.as_ref().map(Upload::state);
        let (answer, passage) = match upload {
            None => {
                let request = || request().map(|own| Box::new(own.map(|()| Payload::Left(Full::default()))));
                self.attempts(method, &request, deadline, false).await
            }
            Some(upload) => {
                let request = Box::new(request()?.map(|()| Payload::Right(upload)));
                Box::pin(self.handed_on(request, state.clone().unwrap_or_default(), deadline)).await
            }
        };
        let error = match answer {
            Ok(Begun { status, headers, coming: Some(body), .. }) if body.size_hint().lower() <= most => {
                let body = Flow::new(body, (self.patience, deadline, most), state, (status, passage));
                return Ok(Flowing { status, headers, body });
            }
            Ok(_) => UpstreamError::TooLarge(usize::try_from(most).unwrap_or(usize::MAX)),
            Err(error) => error,
        };
        if let Some(passage) = passage {
            passage.ended(Err(&error));
        }
        Err(error)
    }

    /// One attempt, with a caller's body.
    async fn handed_on(
        &self,
        request: Box<Request<Payload>>,
        state: Arc<UploadState>,
        deadline: Instant,
    ) -> (Result<Begun, UpstreamError>, Option<Passage>) {
        let mut passage = None;
        if let Some(guard) = &self.guard {
            guard.begin();
            match guard.enter(None).await {
                Ok(entered) => passage = Some(entered),
                Err(refused) => return (Err(refused), None),
            }
        }
        let place = passage.as_ref().map_or(0, Passage::address);
        let answer = self.attempt(place, request, deadline, false, || state.moved()).await;
        let answer = match (answer, state.fault()) {
            (Err(_), Some(fault)) => Err(UpstreamError::Caller(fault)),
            (answer, _) => answer,
        };
        (answer, passage)
    }

    /// Asks, and again where that is safe and may help: until there is a `whole` answer, or only its head. The passage of the
    /// last attempt has not ended.
    async fn attempts(
        &self,
        method: &Method,
        request: &(impl Fn() -> Result<Box<Request<Payload>>, UpstreamError> + Sync),
        deadline: Instant,
        whole: bool,
    ) -> (Result<Begun, UpstreamError>, Option<Passage>) {
        let Some(guard) = &self.guard else {
            return match request() {
                Ok(request) => (self.attempt(0, request, deadline, whole, || 0).await, None),
                Err(error) => (Err(error), None),
            };
        };
        guard.begin();
        let (mut made, mut before, mut avoid) = (0, None, None);
        loop {
            let passage = match guard.enter(avoid).await {
                Ok(passage) => passage,
                // What is known of the first attempt tells more.
                Err(refused) => return (before.unwrap_or(Err(refused)), None),
            };
            let place = passage.address();
            let answer = match request() {
                Ok(request) => self.attempt(place, request, deadline, whole, || 0).await,
                Err(error) => Err(error),
            };
            let seen = answer.as_ref().map(|answer| (answer.status, &answer.headers));
            if !retry::may_be_repeated(method, seen, made) {
                return (answer, Some(passage));
            }
            let again = Instant::now() + retry::pause(made, retry::random());
            if again >= deadline || !guard.may_repeat() {
                return (answer, Some(passage));
            }
            passage.ended(answer.as_ref().map(|answer| answer.status));
            (made, before, avoid) = (made + 1, Some(answer), Some(place));
            tokio::time::sleep_until(again).await;
        }
    }

    /// One request to one place, answered within the time until `deadline`. The request goes from hand to hand: boxed, so that
    /// no hand needs room for it.
    async fn attempt(
        &self,
        place: usize,
        request: Box<Request<Payload>>,
        deadline: Instant,
        whole: bool,
        moved: impl Fn() -> u64,
    ) -> Result<Begun, UpstreamError> {
        let no_place = || UpstreamError::Request("there is no such address".to_owned());
        let transport = self.places.get(place).ok_or_else(no_place)?;
        let mut timer = transport.timers().lend();
        let answer = {
            let sending = pin!(transport.send(request));
            self.patience.head(deadline, &mut timer, sending, moved).await?
        };
        if let Some(fault) = framing::fault(answer.headers()) {
            return Err(UpstreamError::Framing(fault));
        }
        let (head, body) = answer.into_parts();
        let (status, headers) = (head.status, head.headers);
        if whole {
            let whole = self.patience.body(deadline, &mut timer, body, self.most).await?;
            return Ok(Begun { status, headers, whole, coming: None });
        }
        if status.is_informational() {
            return Err(UpstreamError::Status(status.as_u16()));
        }
        if framing::is_endless(&headers, &body) {
            return Err(UpstreamError::Framing("neither a length nor chunks: its end can't be told"));
        }
        Ok(Begun { status, headers, whole: Bytes::new(), coming: Some(body) })
    }
}

/// What a server is asked.
#[derive(Clone)]
struct Question {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Question {
    fn into_request(self) -> Request<Payload> {
        let mut request = Request::new(Payload::Left(Full::new(self.body)));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

/// An answer, as far as it was waited for.
struct Begun {
    status: StatusCode,
    headers: HeaderMap,
    /// Its body, where all of it was.
    whole: Bytes,
    /// Where only the head was.
    coming: Option<AnswerBody>,
}

/// Path and query at a server.
pub(crate) fn uri(path: String) -> Result<Uri, UpstreamError> {
    let path = if path.is_empty() { "/".to_owned() } else { path };
    Uri::try_from(path).map_err(|error| UpstreamError::Request(error.to_string()))
}

/// An error and what lies under it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A client that can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    /// The URL.
    #[error("{0} is not a URL of the form http://host:port/path")]
    Url(String),
    /// The authorities' file.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS itself.
    #[error("TLS can't be set up: {0}")]
    Rustls(#[from] rustls::Error),
}
