//! The listener: HTTP/1.1 and HTTP/2, in the clear or over TLS, within bounds.
//!
//! Bounds: connections at a time, of all and of one address; TLS handshakes at a time and their time; header size; streams of
//! an HTTP/2 connection, open and taken back; and those of [`guard`], which watches each connection's bytes and time. When told
//! to stop it takes no new connection, lets open requests finish within the drain time, and returns.

pub(crate) mod coming;
mod crowd;
mod drive;
mod exchange;
mod expected;
pub mod framing;
mod guard;
pub(crate) mod hurry;
mod line;
mod names;
mod phase;
pub mod tls;
mod wire;
pub mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use metrics::counter;
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::config::Listen;
pub use coming::Coming;
use crowd::Crowd;
use exchange::exchange;
use expected::{Expected, Guest};
use guard::Patience;
pub use phase::{Phase, until_stopped};
use wire::Wire;
use workers::{Side, Workers};

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

/// Marks the answer of an alarm: a request of the priority lane whose caller was known and within its limits. Its connection is
/// driven by the worker for alarms from then on.
#[derive(Debug, Clone, Copy)]
pub struct Alarm;

/// Something that answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Bodies of answers.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers one request; an answer can't fail, its body may: then the connection ends in the middle of it. Dropped where the
    /// caller goes away. The request's body may be left unread: the listener sees to its connection.
    fn handle(
        self: Arc<Self>,
        request: Request<Coming>,
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
    /// Where alarms are expected from; nothing where they are not driven apart.
    expected: Option<Arc<Expected>>,
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
        expected: workers.is_some().then(Arc::default),
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
        let guest = keeping.expected.as_ref().and_then(|own| own.enter(address.ip(), Instant::now()));
        let side = if guest.is_some() { Side::Alarms } else { Side::Ordinary };
        let socket = match stream.into_std() {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be handed over");
                continue;
            }
        };
        let driven = async move {
            // Its readiness is to be told on the thread that drives it.
            match Wire::here(socket) {
                Ok(wire) => connection(wire, address, acceptor, handler, keeping, guest).await,
                Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
            }
            drop(place);
        };
        match &workers {
            Some(workers) => workers.spawn(side, driven),
            None => drop(tokio::spawn(driven)),
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
    wire: Wire,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    handler: Arc<H>,
    keeping: Keeping,
    guest: Option<Guest>,
) {
    if let Err(error) = wire.socket().and_then(|socket| socket.set_nodelay(true)) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let Some(acceptor) = acceptor else {
        return exchange(wire, Peer { address, certificate: None }, handler, keeping, guest).await;
    };
    // On the heap, and gone when it is done: a connection's task is as large as its largest step, for as long as it lasts.
    let handshake = Box::pin(async {
        // Whoever waits for a place spends its own time. Where alarms are expected there are few, and none waits for the others'.
        let _place = match guest {
            Some(_) => None,
            None => keeping.handshakes.acquire().await.ok(),
        };
        acceptor.accept(wire).await.map(Box::new)
    });
    match tokio::time::timeout(keeping.patience.header, handshake).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let certificate = shown.map(|certificate| Sha256::digest(certificate).into());
            exchange(stream, Peer { address, certificate }, handler, keeping, guest).await;
        }
        Ok(Err(error)) => tracing::info!(%address, %error, "a TLS handshake failed"),
        Err(_) => tracing::info!(%address, "a TLS handshake took too long"),
    }
}
