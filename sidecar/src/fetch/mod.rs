//! Fetching a small document from a URL of the configuration, with the address checked when connecting.
//!
//! Invariants: what is connected to is an address that [`address`] lets pass, the very one that was checked, so a name
//! that changes its meaning between two look-ups gains nothing; no redirect is followed; time and size are bounded; without
//! TLS only this machine is asked, and only where that is wanted.

pub mod address;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::listen::tls::{self, TlsError};
use address::Network;

/// Most bytes of an answer's head.
const LARGEST_HEAD: usize = 32 * 1024;

/// A document that did not come. The text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not a URL that is fetched.
    #[error("{0} is not an https URL, nor an http one of this machine")]
    Url(String),
    /// The name.
    #[error("the name {host} can't be looked up: {cause}")]
    Name {
        /// The name.
        host: String,
        /// The system's words.
        cause: String,
    },
    /// Only addresses that may not be connected to.
    #[error("{host} is at {address}, which may not be connected to; list its network if it is right")]
    Forbidden {
        /// The name.
        host: String,
        /// One of its addresses.
        address: IpAddr,
    },
    /// No connection, no TLS, no answer.
    #[error("it can't be fetched: {0}")]
    Broken(String),
    /// Not in time.
    #[error("it did not come within {0} seconds")]
    Timeout(u64),
    /// Any status but 200; redirects among them.
    #[error("the answer has status {0}; 200 is needed, and redirects are not followed")]
    Status(u16),
    /// More bytes than the limit.
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
}

/// Fetches documents within bounds.
pub struct Fetcher {
    tls: Option<TlsConnector>,
    listed: Vec<Network>,
    in_the_clear: bool,
    seconds: u64,
    most: usize,
}

impl Fetcher {
    /// A fetcher that trusts the authorities in the PEM file `ca`, connects to public addresses and to those `listed`, and
    /// waits `seconds` for at most `most` bytes.
    pub fn over_tls(ca: &Path, listed: Vec<Network>, seconds: u64, most: usize) -> Result<Fetcher, TlsError> {
        let config: ClientConfig = tls::client_config(ca)?;
        let tls = Some(TlsConnector::from(Arc::new(config)));
        Ok(Fetcher { tls, listed, in_the_clear: false, seconds, most })
    }

    /// A fetcher that asks this machine alone, without TLS.
    pub fn of_this_machine(seconds: u64, most: usize) -> Fetcher {
        Fetcher { tls: None, listed: Vec::new(), in_the_clear: true, seconds, most }
    }

    /// The document at `url`.
    pub async fn get(&self, url: &Uri) -> Result<Bytes, FetchError> {
        match tokio::time::timeout(Duration::from_secs(self.seconds), self.fetch(url)).await {
            Ok(document) => document,
            Err(_) => Err(FetchError::Timeout(self.seconds)),
        }
    }

    async fn fetch(&self, url: &Uri) -> Result<Bytes, FetchError> {
        let refused = || FetchError::Url(url.to_string());
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(refused)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        match (url.scheme_str(), &self.tls) {
            (Some("https"), Some(tls)) => {
                let stream = self.connect(host, authority.port_u16().unwrap_or(443)).await?;
                let name = ServerName::try_from(host.to_owned()).map_err(|_| refused())?;
                let stream = tls.connect(name, stream).await.map_err(broken)?;
                self.exchange(stream, url, authority.as_str()).await
            }
            (Some("http"), None) if self.in_the_clear => {
                let stream = self.connect(host, authority.port_u16().unwrap_or(80)).await?;
                self.exchange(stream, url, authority.as_str()).await
            }
            _ => Err(refused()),
        }
    }

    /// Connects to the first address of the name that may be connected to and answers.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, FetchError> {
        let unknown = |cause: String| FetchError::Name { host: host.to_owned(), cause };
        let found = lookup_host((host, port)).await.map_err(|error| unknown(error.to_string()))?;
        let mut failure = unknown("it has no address".to_owned());
        for address in found {
            if !self.may_be_reached(address) {
                failure = FetchError::Forbidden { host: host.to_owned(), address: address.ip() };
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = broken(error),
            }
        }
        Err(failure)
    }

    fn may_be_reached(&self, address: SocketAddr) -> bool {
        match self.in_the_clear {
            true => address.ip().is_loopback(),
            false => address::may_be_reached(address.ip(), &self.listed),
        }
    }

    async fn exchange<S>(&self, stream: S, url: &Uri, host: &str) -> Result<Bytes, FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // The connection ends with this call, however it ends.
        let mut connections = tokio::task::JoinSet::new();
        connections.spawn(connection);
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(HOST, host)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, "varco")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(broken)?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let body = Limited::new(answer.into_body(), self.most).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| {
            if error.is::<LengthLimitError>() {
                FetchError::TooLarge(self.most)
            } else {
                FetchError::Broken(error.to_string())
            }
        })
    }
}

fn broken(error: impl std::error::Error) -> FetchError {
    let mut text = error.to_string();
    let mut under = error.source();
    while let Some(cause) = under {
        text = format!("{text}: {cause}");
        under = cause.source();
    }
    FetchError::Broken(text)
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
