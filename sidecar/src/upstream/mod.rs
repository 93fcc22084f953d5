//! The hospital's FHIR server: one pooled client, with bounds on time and size.
//!
//! Requests go to the configured server and nowhere else: a link in one of its answers is followed by path and
//! query alone. Redirects are not followed.

use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

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
    /// More bytes than the limit.
    #[error("the hospital's server answered with more than {0} bytes")]
    TooLarge(usize),
    /// An answer that isn't FHIR JSON of the kind that was asked for.
    #[error("the hospital's server did not answer with FHIR: {0}")]
    NotFhir(String),
    /// A status that the request doesn't explain.
    #[error("the hospital's server answered with status {0}")]
    Status(u16),
    /// A request that can't be written as one.
    #[error("the request to the hospital's server can't be built: {0}")]
    Request(String),
}

impl UpstreamError {
    /// 504 where time ran out, else 502.
    pub fn status(&self) -> StatusCode {
        match self {
            UpstreamError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// What the caller is told.
    pub fn for_caller(&self) -> &'static str {
        match self {
            UpstreamError::Timeout(_) => "The hospital's server did not answer in time.",
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
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    scheme: Scheme,
    authority: Authority,
    base_path: String,
    answer_seconds: u64,
    most: usize,
}

impl Upstream {
    /// A client for the configured server; `most` bounds an answer's body, in bytes.
    pub fn new(config: &config::Upstream, most: usize) -> Result<Upstream, UpstreamSetupError> {
        let tls = match &config.ca {
            Some(ca) => tls::client_config(ca)?,
            None => tls::trusting_nobody()?,
        };
        Upstream::with_tls(config, tls, most)
    }

    /// The same, with TLS as it is given.
    pub fn with_tls(
        config: &config::Upstream,
        tls: ClientConfig,
        most: usize,
    ) -> Result<Upstream, UpstreamSetupError> {
        let uri: Uri = config.url.parse().map_err(|_| UpstreamSetupError::Url(config.url.clone()))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(UpstreamSetupError::Url(config.url.clone()));
        };
        let base_path =
            parts.path_and_query.map_or(String::new(), |path| path.path().trim_end_matches('/').to_owned());
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(Duration::from_secs(config.connect_seconds)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Upstream { client, scheme, authority, base_path, answer_seconds: config.answer_seconds, most })
    }

    /// Asks. `path` begins with a slash and stands below the FHIR base.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<UpstreamAnswer, UpstreamError> {
        self.send(method, &format!("{}{path}", self.base_path), headers, body).await
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
        self.send(Method::GET, path, headers, Bytes::new()).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<UpstreamAnswer, UpstreamError> {
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|error| UpstreamError::Request(error.to_string()))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let limit = Duration::from_secs(self.answer_seconds);
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(UpstreamError::Timeout(self.answer_seconds)),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<UpstreamAnswer, UpstreamError> {
        let answer =
            self.client.request(request).await.map_err(|error| UpstreamError::Unreachable(chain(&error)))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, self.most).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                UpstreamError::TooLarge(self.most)
            } else {
                UpstreamError::Unreachable(chain(&*error))
            }
        })?;
        Ok(UpstreamAnswer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
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
