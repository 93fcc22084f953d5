//! HL7 v2 over MLLP: the hospital's departments send messages, each becomes a transaction at the hospital's FHIR
//! server, and is acknowledged once its outcome and its audit record are on disk.
//!
//! ```text
//! connection → frame → sender → known already? → hold back → parse, map, address → validate → transact → audit + remember → answer
//! ```
//!
//! Invariants:
//! 1. `AA` or `CA` says that the server has taken the transaction and that its record is committed here. Nothing is
//!    stored to be tried later: while the server is down, messages are refused and the sender, whose queue it is, sends
//!    them again.
//! 2. A message that is sent twice does nothing twice. One that was answered gets the same answer from the store; one
//!    whose answer was lost before it was stored meets conditions in every entry of its transaction.
//! 3. Messages of one sender are done one after another, in the order of their arrival, whatever connections they take.
//! 4. A header alone gives no right: who sends is told by certificate or address wherever the port can be reached from
//!    elsewhere, and the header must agree.
//! 5. Answers, logs and metrics hold places, causes and control ids, never values of a message.
//!
//! Bounds: connections, messages in flight and their bytes, time for a handshake, a message and an answer to be
//! taken, silence; how much a sender may send, for which it is slowed down (`hold`).

mod connection;
mod fault;
mod hold;
mod intake;
mod outcome;
mod prepare;
mod reply;
mod sender;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use intake::Intake;
use sender::Peer;

/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves until `stop` turns true; then messages in hand are done and answered, for `drain` at most.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    intake: Arc<Intake>,
    drain: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(intake.settings().connections));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        };
        let (place, accepted) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            next = next => match next {
                Some(next) => next,
                None => break,
            },
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an MLLP connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (intake, acceptor, stop) = (intake.clone(), acceptor.clone(), stop.clone());
        connections.spawn(async move {
            gauge!("varco_mllp_connections").increment(1.0);
            greet(stream, address, acceptor, intake, stop).await;
            gauge!("varco_mllp_connections").decrement(1.0);
            drop(place);
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, ended).await.is_err() {
        tracing::warn!(seconds = drain.as_secs(), "messages were still in hand when the drain time ended");
    }
}

/// TLS where it is asked for, and who it is.
async fn greet(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    intake: Arc<Intake>,
    stop: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let Some(acceptor) = acceptor else {
        let peer = Peer::new(address, None, intake.senders());
        return known(stream, peer, intake, stop).await;
    };
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let peer = Peer::new(address, shown, intake.senders());
            known(stream, peer, intake, stop).await;
        }
        Ok(Err(error)) => tracing::info!(%address, %error, "a TLS handshake failed on the MLLP port"),
        Err(_) => tracing::info!(%address, "a TLS handshake took too long on the MLLP port"),
    }
}

/// A connection that can be none of the senders is not listened to.
async fn known<S>(stream: S, peer: Peer, intake: Arc<Intake>, stop: watch::Receiver<bool>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    if peer.is_nobody() {
        counter!("varco_mllp_refused_connections_total").increment(1);
        tracing::warn!(address = %peer.address, "an MLLP connection is of none of the senders and was closed");
        return;
    }
    connection::serve(stream, Arc::new(peer), intake, stop).await;
}
