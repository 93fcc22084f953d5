//! The way to a national gateway: one pooled client a route, which shows the hospital's certificate, within bounds of time and
//! size. Redirects are not followed, nothing is sent twice.

use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::message::answered;
use crate::config::PublicationRoute;
use crate::listen::tls;
use crate::upstream::UpstreamSetupError;

/// No whole answer. The texts are for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// No connection: nothing was sent.
    #[error("the national gateway can't be connected to: {0}")]
    NotSent(String),
    /// The connection broke, or the answer is larger than the limit: what was sent may have been taken.
    #[error("the national gateway gave no whole answer: {0}")]
    Broken(String),
    /// No whole answer in time: what was sent may have been taken.
    #[error("the national gateway gave no whole answer within {0} seconds")]
    Slow(u64),
    /// The message can't be written as a request.
    #[error("the request to the national gateway can't be built: {0}")]
    Request(String),
}

impl Silence {
    /// True where the gateway may have taken the message.
    pub fn unsure(&self) -> bool {
        matches!(self, Silence::Broken(_) | Silence::Slow(_))
    }
}

/// An answer as it came, but for the headers of its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What is sent: all of it as it came.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Path and query below the route's.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The client of one route.
pub struct Way {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    scheme: Scheme,
    authority: Authority,
    base_path: String,
    seconds: u64,
    most: usize,
}

impl Way {
    /// A client for a route's gateway.
    pub fn new(route: &PublicationRoute) -> Result<Way, UpstreamSetupError> {
        let bad = || UpstreamSetupError::Url(route.gateway.clone());
        let parts = route.gateway.parse::<Uri>().map_err(|_| bad())?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else { return Err(bad()) };
        let base_path =
            parts.path_and_query.map_or_else(String::new, |own| own.path().trim_end_matches('/').to_owned());
        let tls = match (&route.ca, &route.certificate, &route.key) {
            (Some(ca), Some(certificate), Some(key)) => tls::client_config_showing(ca, certificate, key)?,
            (Some(ca), ..) => tls::client_config(ca)?,
            _ => tls::trusting_nobody()?,
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(Duration::from_secs(route.connect_seconds)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Way {
            client,
            scheme,
            authority,
            base_path,
            seconds: route.answer_seconds,
            most: route.answer_bytes,
        })
    }

    /// Sends once.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Answered, Silence> {
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{}", self.base_path, outgoing.target))
            .build()
            .map_err(|error| Silence::Request(error.to_string()))?;
        let mut request = Request::new(Full::new(outgoing.body));
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = outgoing.headers;
        match tokio::time::timeout(Duration::from_secs(self.seconds), self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Silence::Slow(self.seconds)),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answered, Silence> {
        let answer = self.client.request(request).await.map_err(|error| match error.is_connect() {
            true => Silence::NotSent(chain(&error)),
            false => Silence::Broken(chain(&error)),
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, self.most).collect().await;
        let body = body.map_err(|error| Silence::Broken(chain(&*error)))?.to_bytes();
        Ok(Answered { status: head.status, headers: answered(&head.headers), body })
    }
}

/// An error and what lies under it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
