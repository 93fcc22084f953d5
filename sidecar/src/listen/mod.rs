//! The listener: HTTP/1.1 and HTTP/2, in the clear or over TLS, within bounds.
//!
//! Bounds: connections at a time, time for the TLS handshake and for a request's header, header size, streams
//! of an HTTP/2 connection. When told to stop it takes no new connection, lets open requests finish within the
//! drain time, and returns.

pub mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::config::Listen;

/// Header bytes a request may have.
const HEADER_BYTES: u32 = 32 * 1024;
/// Headers a request may have.
const HEADERS: usize = 64;
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 100;

/// What is known of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    /// SHA-256 of the client certificate's DER, where one was shown.
    pub certificate: Option<[u8; 32]>,
}

/// Something that answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request; an answer can't fail.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Serves until `stop` turns true, then drains. A connection gets the certificates that hold when it begins.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    bounds: Listen,
    handler: Arc<H>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let graceful = GracefulShutdown::new();
    let patience = Duration::from_secs(bounds.header_seconds);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (handler, acceptor, watcher) =
            (handler.clone(), tls.as_ref().map(|tls| TlsAcceptor::from(tls.load_full())), graceful.watcher());
        tokio::spawn(async move {
            connection(stream, address, acceptor, handler, watcher, patience).await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(Duration::from_secs(bounds.drain_seconds), graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = bounds.drain_seconds, "requests were still open when the drain time ended");
    }
}

async fn connection<H: Handler>(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    handler: Arc<H>,
    watcher: Watcher,
    patience: Duration,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let Some(acceptor) = acceptor else {
        return exchange(stream, Peer { address, certificate: None }, handler, watcher, patience).await;
    };
    match tokio::time::timeout(patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let certificate = shown.map(|certificate| Sha256::digest(certificate).into());
            exchange(stream, Peer { address, certificate }, handler, watcher, patience).await;
        }
        Ok(Err(error)) => tracing::info!(%address, %error, "a TLS handshake failed"),
        Err(_) => tracing::info!(%address, "a TLS handshake took too long"),
    }
}

async fn exchange<S, H>(stream: S, peer: Peer, handler: Arc<H>, watcher: Watcher, patience: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.handle(request, peer).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_headers(HEADERS)
        .max_buf_size(HEADER_BYTES as usize * 2)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .keep_alive_interval(Duration::from_secs(30));
    let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await;
    if let Err(error) = served {
        tracing::debug!(address = %peer.address, %error, "a connection ended badly");
    }
}
