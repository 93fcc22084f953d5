//! A server that records are sent to: one client with bounds on time and size, its certificate and its token.
//!
//! Records go to the configured server and nowhere else; redirects are not followed.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use crate::config;
use crate::listen::tls::{self, TlsError};
use crate::terminology::{Credential, CredentialError};
use crate::upstream::{Upstream, UpstreamAnswer, UpstreamError, UpstreamSetupError};

/// Largest answer that is read, in bytes.
const LARGEST: usize = 1 << 20;

/// A server that can't be sent to.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// Its URL or its authorities.
    #[error(transparent)]
    Server(#[from] UpstreamSetupError),
    /// The certificate to show.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

/// A server that records are sent to.
pub struct Destination {
    server: Upstream,
    credential: Credential,
}

impl Destination {
    /// The server that a section of the configuration describes.
    pub fn new(config: &config::Destination) -> Result<Destination, DestinationError> {
        let credential =
            Credential::read(&config.url, config.token_file.as_deref(), config.token_env.as_deref())?;
        let server = config::Upstream {
            url: config.url.clone(),
            ca: config.ca.clone(),
            connect_seconds: config.connect_seconds,
            answer_seconds: config.answer_seconds,
        };
        let server = match (&config.ca, &config.certificate, &config.key) {
            (Some(ca), Some(certificate), Some(key)) => {
                let tls = tls::client_config_showing(ca, certificate, key)?;
                Upstream::with_tls(&server, tls, LARGEST)?
            }
            _ => Upstream::new(&server, LARGEST)?,
        };
        Ok(Destination { server, credential })
    }

    /// Sends a body to a path below the URL, and gives the answer, or why there is none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: HeaderValue,
        body: Bytes,
    ) -> Result<UpstreamAnswer, String> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, content_type.clone());
        headers.insert(CONTENT_TYPE, content_type);
        if let Some(credential) = self.credential.header() {
            headers.insert(AUTHORIZATION, credential);
        }
        self.server.ask(method, path, headers, body).await.map_err(|error| match error {
            UpstreamError::Unreachable(cause) => format!("it can't be reached: {cause}"),
            UpstreamError::Timeout(seconds) => format!("it gave no whole answer within {seconds} seconds"),
            UpstreamError::TooLarge(most) => format!("it answered with more than {most} bytes"),
            UpstreamError::Request(cause) | UpstreamError::NotFhir(cause) => cause,
            UpstreamError::Status(status) => format!("it answered with status {status}"),
        })
    }
}
