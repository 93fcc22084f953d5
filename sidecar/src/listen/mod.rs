//! The listener: HTTP/1.1 and HTTP/2, in the clear or over TLS, within bounds.
//!
//! Bounds: connections at a time, of all and of one address; TLS handshakes at a time and their time; header size; streams of
//! an HTTP/2 connection, open and taken back; and those of [`guard`], which watches each connection's bytes and time. When told
//! to stop it takes no new connection, lets open requests finish within the drain time, and returns.

mod crowd;
mod drive;
mod exchange;
pub mod framing;
mod guard;
mod line;
mod names;
mod phase;
pub mod tls;
pub mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use metrics::counter;
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::config::Listen;
use crowd::Crowd;
use exchange::exchange;
use guard::Patience;
pub use phase::{Phase, until_stopped};
use workers::Workers;

/// Header bytes a request may have.
const HEADER_BYTES: u32 = 32 * 1024;
/// Headers a request may have.
const HEADERS: usize = 64;
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 100;
/// Streams of an HTTP/2 connection that may be taken back before they were looked at, or be ended for their faults; then
/// the connection is given up.
const RESET_STREAMS: usize = 64;
/// TLS handshakes at a time: each costs about a millisecond of CPU.
const HANDSHAKES: usize = 256;

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
    /// Bodies of answers.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers one request; an answer can't fail, its body may: then the connection ends in the middle of it. Dropped where the
    /// caller goes away.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// How the connections of one listener are kept.
#[derive(Clone)]
struct Keeping {
    patience: Patience,
    /// How far the listener is on its way out; it waits until nobody holds this any more.
    phase: watch::Receiver<Phase>,
    /// TLS handshakes at a time.
    handshakes: Arc<Semaphore>,
}

/// Serves until `phase` says that it is over, then drains. A connection gets the certificates that hold when it begins, and
/// is driven by one of the `workers`, or where there are none by the runtime that this runs on.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    workers: Option<Arc<Workers>>,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    bounds: Listen,
    handler: Arc<H>,
    mut phase: watch::Receiver<Phase>,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let crowd = Crowd::new(bounds.crowd());
    let (tell, told) = watch::channel(*phase.borrow());
    let keeping = Keeping {
        patience: patience(&bounds),
        phase: told,
        handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
    };
    let stops = async |phase: &mut watch::Receiver<Phase>| loop {
        let now = *phase.borrow_and_update();
        tell.send_replace(now);
        if !now.accepts() || phase.changed().await.is_err() {
            return;
        }
    };
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (Ok(place), accepted) = (tokio::select! {
            next = next => next,
            () = stops(&mut phase) => break,
        }) else {
            break;
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = crowd.enter(address.ip()).map(|of_address| (place, of_address)) else {
            counter!("varco_connections_refused_total", "cause" => "address").increment(1);
            continue;
        };
        let (handler, acceptor, keeping) =
            (handler.clone(), tls.as_ref().map(|tls| TlsAcceptor::from(tls.load_full())), keeping.clone());
        let Some(workers) = &workers else {
            tokio::spawn(async move {
                connection(stream, address, acceptor, handler, keeping).await;
                drop(place);
            });
            continue;
        };
        // Its readiness is to be told on the worker's thread.
        match stream.into_std() {
            Ok(stream) => workers.spawn(async move {
                match TcpStream::from_std(stream) {
                    Ok(stream) => connection(stream, address, acceptor, handler, keeping).await,
                    Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
                }
                drop(place);
            }),
            Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
        }
    }
    drop(listener);
    drop(keeping);
    let drained = async {
        let closing = phase.wait_for(|phase| *phase == Phase::Closing);
        let until_closing = async {
            let _ = closing.await;
            tell.send_replace(Phase::Closing);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = tell.closed() => {}
            () = until_closing => {}
        }
    };
    if tokio::time::timeout(Duration::from_secs(bounds.drain_seconds), drained).await.is_err() {
        tracing::warn!(seconds = bounds.drain_seconds, "requests were still open when the drain time ended");
    }
}

fn patience(bounds: &Listen) -> Patience {
    Patience {
        header: Duration::from_secs(bounds.header_seconds),
        rest: Duration::from_secs(bounds.idle_seconds),
        stall: Duration::from_secs(bounds.stall_seconds),
    }
}

async fn connection<H: Handler>(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    handler: Arc<H>,
    keeping: Keeping,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let Some(acceptor) = acceptor else {
        let peer = Peer { address, certificate: None };
        return exchange(stream, peer, handler, keeping.patience, keeping.phase).await;
    };
    // On the heap, and gone when it is done: a connection's task is as large as its largest step, for as long as it lasts.
    let handshake = Box::pin(async {
        // Whoever waits for a place spends its own time.
        let _place = keeping.handshakes.acquire().await;
        acceptor.accept(stream).await.map(Box::new)
    });
    match tokio::time::timeout(keeping.patience.header, handshake).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let certificate = shown.map(|certificate| Sha256::digest(certificate).into());
            let Keeping { patience, phase, .. } = keeping;
            exchange(stream, Peer { address, certificate }, handler, patience, phase).await;
        }
        Ok(Err(error)) => tracing::info!(%address, %error, "a TLS handshake failed"),
        Err(_) => tracing::info!(%address, "a TLS handshake took too long"),
    }
}
