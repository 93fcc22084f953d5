//! A server that records are sent to: one client with bounds on time and size, its certificate and its token.
//!
//! Records go to the configured server and nowhere else; redirects are not followed.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use crate::config;
use crate::listen::tls::TlsError;
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
        let credential = Credential::of(config)?;
        let server = config::Upstream {
            ca: config.ca.clone(),
            certificate: config.certificate.clone(),
            key: config.key.clone(),
            connect_seconds: config.connect_seconds,
            answer_seconds: config.answers_within(),
            ..config::Upstream::at(&config.url)
        };
        let server = Upstream::new(&server, LARGEST)?;
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
            UpstreamError::NoHead(seconds) => format!("it began no answer within {seconds} seconds"),
            UpstreamError::Stalled(seconds) => format!("its answer stopped for {seconds} seconds"),
            UpstreamError::TooLarge(most) => format!("it answered with more than {most} bytes"),
            UpstreamError::Framing(cause) => format!("the framing of its answer is not clear: {cause}"),
            UpstreamError::Busy { .. } | UpstreamError::Resting { .. } => "nothing was sent to it".to_owned(),
            UpstreamError::Request(cause) | UpstreamError::NotFhir(cause) => cause,
            UpstreamError::Caller(fault) => fault.to_string(),
            UpstreamError::Status(status) => format!("it answered with status {status}"),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::demo::pki::Authority;
    use crate::listen::tls;

    const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

    #[tokio::test]
    async fn a_server_that_wants_a_certificate_gets_it_and_the_token_over_tls() {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, &authority.pem).unwrap();
        let (certificate, key) = authority.issue("arr").unwrap().write(folder.path(), "arr").unwrap();
        let (own, own_key) = authority.issue("gateway").unwrap().write(folder.path(), "gateway").unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "s3cret\n").unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("https://localhost:{}/fhir/AuditEvent", listener.local_addr().unwrap().port());
        let mut tls = tls::server_config(&config::Tls {
            client_ca: Some(ca.clone()),
            ..config::Tls::new(certificate, key)
        })
        .unwrap();
        tls.alpn_protocols.clear();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let server = tokio::spawn(async move {
            // The first one that shows a certificate is answered; what it sent is given.
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut seen = vec![0; 4096];
                let read = stream.read(&mut seen).await.unwrap();
                seen.truncate(read);
                stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                stream.shutdown().await.unwrap();
                return String::from_utf8(seen).unwrap();
            }
        });
        let mut settings = config::Destination::at(&url);
        settings.ca = Some(ca);
        settings.token_file = Some(token);
        let send = async |settings: &config::Destination| {
            let destination = Destination::new(settings).unwrap();
            destination.send(Method::PUT, "/r1", TEXT, Bytes::from_static(b"record")).await
        };
        assert!(send(&settings).await.is_err(), "without a certificate nothing is sent");
        (settings.certificate, settings.key) = (Some(own), Some(own_key));
        assert_eq!(send(&settings).await.unwrap().status, 201);
        let seen = server.await.unwrap();
        assert!(seen.starts_with("PUT /fhir/AuditEvent/r1 HTTP/1.1\r\n"), "{seen}");
        assert!(seen.to_ascii_lowercase().contains("authorization: bearer s3cret\r\n"), "{seen}");
        settings.key = None;
        settings.url = "http://arr.example/fhir/AuditEvent".to_owned();
        assert!(Destination::new(&settings).is_err(), "a token never goes in the clear");
    }
}
