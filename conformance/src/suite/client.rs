//! The runner's HTTP client: HTTP/1.1, TLS where the target asks for it, a deadline and a bound for every answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::evidence::{RequestEvidence, ResponseEvidence};

/// Where operating systems keep the certificates of the authorities they trust.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A bearer token. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token, as it stands after `Bearer `.
    pub fn new(text: impl Into<String>) -> Token {
        Token(text.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    /// The actor's name and token.
    pub(super) token: Option<(String, Token)>,
}

/// The client of one run.
pub(super) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    longest_body: usize,
}

impl HttpClient {
    /// `authorities` is PEM; without it the system's authorities are trusted, and TLS is refused where there are none.
    pub(super) fn new(
        authorities: Option<&[u8]>,
        timeout: Duration,
        longest_body: usize,
    ) -> Result<HttpClient, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS can't be set up: {error}"))?
            .with_root_certificates(roots(authorities)?)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(HttpClient { client, timeout, longest_body })
    }

    /// Sends a request. The evidence of the request comes back whether an answer came or not.
    pub(super) async fn send(
        &self,
        outgoing: Outgoing,
    ) -> (RequestEvidence, Result<ResponseEvidence, String>) {
        let mut shown = outgoing.headers.clone();
        if let Some((actor, _)) = &outgoing.token {
            shown.push(("authorization".to_owned(), format!("Bearer (the token of {actor})")));
        }
        let evidence = RequestEvidence {
            method: outgoing.method.clone(),
            url: outgoing.url.clone(),
            headers: shown,
            body: outgoing.body.clone(),
        };
        let token = outgoing.token.as_ref().map(|(_, token)| token.0.clone());
        let result = match request(outgoing) {
            Err(fault) => Err(fault),
            Ok(request) => match tokio::time::timeout(self.timeout, self.exchange(request)).await {
                Ok(result) => result.map(|response| without(response, token.as_deref())),
                Err(_) => Err(format!("no answer within {} seconds", self.timeout.as_secs_f64())),
            },
        };
        (evidence, result)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<ResponseEvidence, String> {
        let response = self.client.request(request).await.map_err(|error| cause(&error))?;
        let (parts, body) = response.into_parts();
        let collected = Limited::new(body, self.longest_body).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                format!("the answer is longer than {} bytes", self.longest_body)
            } else {
                format!("the answer was cut off: {}", cause(error.as_ref()))
            }
        })?;
        let headers = parts.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        Ok(ResponseEvidence {
            status: parts.status.as_u16(),
            protocol: format!("{:?}", parts.version),
            headers: headers.collect(),
            body: String::from_utf8_lossy(&collected.to_bytes()).into_owned(),
        })
    }
}

fn request(outgoing: Outgoing) -> Result<Request<Full<Bytes>>, String> {
    let method = Method::from_bytes(outgoing.method.as_bytes())
        .map_err(|_| "the method is not one of HTTP".to_owned())?;
    let uri: Uri = outgoing.url.parse().map_err(|_| format!("{} is not a URL", outgoing.url))?;
    let mut request = Request::new(Full::new(Bytes::from(outgoing.body.unwrap_or_default())));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    for (name, value) in &outgoing.headers {
        let name =
            HeaderName::try_from(name.as_str()).map_err(|_| format!("{name} is not a header's name"))?;
        let value = HeaderValue::try_from(value.as_str())
            .map_err(|_| format!("the value of {name} is not allowed"))?;
        headers.insert(name, value);
    }
    if let Some((actor, token)) = outgoing.token {
        let refused = |_| format!("the token of {actor} holds characters that no header may hold");
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.0)).map_err(refused)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// The answer without the token, should the server repeat it.
fn without(mut response: ResponseEvidence, token: Option<&str>) -> ResponseEvidence {
    if let Some(token) = token.filter(|token| token.len() >= 8) {
        response.body = response.body.replace(token, "(token)");
        for (_, value) in &mut response.headers {
            *value = value.replace(token, "(token)");
        }
    }
    response
}

/// An error with its sources, most specific last.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut told: Vec<String> = Vec::new();
    for error in chain {
        let text = error.to_string();
        if !told.contains(&text) {
            told.push(text);
        }
    }
    told.join(": ")
}

fn roots(authorities: Option<&[u8]>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| format!("the CA file is not PEM: {error}"))?;
                store
                    .add(certificate)
                    .map_err(|error| format!("the CA file holds no usable certificate: {error}"))?;
            }
            if store.is_empty() {
                return Err("the CA file holds no certificate".to_owned());
            }
        }
        None => {
            let bundle = SYSTEM_BUNDLES.iter().find_map(|file| std::fs::read(file).ok());
            let certificates = CertificateDer::pem_slice_iter(bundle.as_deref().unwrap_or_default());
            store.add_parsable_certificates(certificates.filter_map(Result::ok));
        }
    }
    Ok(store)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new("secret-token");
        assert_eq!(format!("{token:?}"), "Token(…)");
        let answer = ResponseEvidence {
            status: 401,
            protocol: String::new(),
            headers: vec![("www-authenticate".to_owned(), "Bearer secret-token".to_owned())],
            body: "secret-token is expired".to_owned(),
        };
        let answer = without(answer, Some("secret-token"));
        assert_eq!(
            (answer.body.as_str(), answer.headers[0].1.as_str()),
            ("(token) is expired", "Bearer (token)")
        );
    }

    #[test]
    fn a_ca_file_must_hold_a_certificate() {
        assert!(HttpClient::new(Some(b"no pem"), Duration::from_secs(1), 10).is_err());
        assert!(HttpClient::new(None, Duration::from_secs(1), 10).is_ok());
    }
}
