//! Requests and answers on one connection, until it ends.
//!
//! The HTTP library keeps two buffers of 8 KB for a connection in HTTP/1.1, whether it is used or not. One that has rested
//! for [`REST`] is therefore taken from it: what is left is the socket, its guard and TLS's state. The first byte that comes gives it
//! back. Nothing of that is seen from outside.
//!
//! A connection whose last request was an alarm ([`Alarm`]) goes to the worker for alarms, with the HTTP library's part of it and all
//! that was read ahead; one there whose last request was something else goes to an ordinary one.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::coming::Coming;
use super::drive::drive;
use super::expected::{Expected, Guest};
use super::guard::{Guard, count_ended};
use super::line::{Given, Line};
use super::phase::Phase;
use super::wire::Wire;
use super::workers::{self, Side};
use super::{Alarm, HEADER_BYTES, HEADERS, Handler, Keeping, Peer, RESET_STREAMS, STREAMS};

/// How HTTP/2 begins where no handshake has agreed on it (RFC 9113 §3.4). No method of HTTP/1.1 has this name.
const PREFACE: &[u8] = b"PRI ";

/// A caller's socket, in the clear or within TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Ready once something can be read, or the other side has ended; nothing is read.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether the caller speaks HTTP/2, found out without taking a byte.
    fn speaks_http2(&self) -> impl Future<Output = io::Result<bool>> + Send;
}

impl Socket for Wire {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_read_ready(context)
    }

    async fn speaks_http2(&self) -> io::Result<bool> {
        let mut first = [0; PREFACE.len()];
        loop {
            let length = self.socket()?.peek(&mut first).await?;
            let (seen, wanted) =
                (first.get(..length).unwrap_or_default(), PREFACE.get(..length).unwrap_or_default());
            if seen != wanted || length == 0 || length == PREFACE.len() {
                return Ok(length == PREFACE.len() && seen == wanted);
            }
            // A part of the word is there: it is looked at again when more may have come.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Socket for Box<TlsStream<Wire>> {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_ref().0.poll_readable(context)
    }

    async fn speaks_http2(&self) -> io::Result<bool> {
        Ok(self.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

/// Serves one connection until it ends; a `guest` is one that has begun with the worker for alarms.
pub(super) async fn exchange<S: Socket, H: Handler>(
    stream: S,
    peer: Peer,
    handler: Arc<H>,
    keeping: Keeping,
    guest: Option<Guest>,
) {
    let Keeping { patience, mut phase, expected, .. } = keeping;
    let begun = Instant::now();
    // Nothing is lost with a connection that ends before its first byte.
    let http2 = tokio::select! {
        http2 = tokio::time::timeout(patience.header, stream.speaks_http2()) => http2,
        _ = phase.wait_for(|phase| *phase == Phase::Closing) => return,
    };
    let http2 = match http2 {
        Ok(Ok(http2)) => http2,
        Ok(Err(_)) => return,
        Err(_) => return count_ended("header"),
    };
    let line = Arc::new(Line::default());
    line.set_guest(guest);
    let own = line.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (line, open, expected) = (own.clone(), own.begin(), expected.clone());
        let (mut request, rest) = Coming::of(request, http2);
        if let Some(fault) = line.fault() {
            request.extensions_mut().insert(fault);
        }
        let answering = handler.clone().handle(request, peer);
        Box::pin(async move {
            let mut response = answering.await;
            let unread = match rest {
                Some(rest) => rest.is_unread().await,
                None => false,
            };
            let alarm = response.extensions().get::<Alarm>().is_some();
            if let Some(expected) = expected {
                sort(&line, alarm, &peer, &expected);
            }
            if unread || (line.is_leaving() && !http2) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| Given::new(body, &line, open)))
        })
    });
    let guard = Guard::new(stream, line.clone(), patience, begun);
    let ended = match http2 {
        true => {
            let connection = over_http2().serve_connection(TokioIo::new(guard), service);
            Box::pin(drive(connection, line, phase)).await.map_err(|error| error.to_string())
        }
        false => resting(guard, service, line, phase).await.map_err(|error| error.to_string()),
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer.address, error, "a connection ended badly");
    }
}

/// Takes note of where a connection belongs, by what its last request was.
fn sort(line: &Line, alarm: bool, peer: &Peer, expected: &Expected) {
    if alarm {
        expected.note(peer.address.ip(), std::time::Instant::now());
    }
    let among_alarms = workers::side() == Side::Alarms;
    if among_alarms
        && let Some(guest) = line.take_guest()
        && alarm
    {
        guest.prove();
    }
    line.set_misplaced(alarm != among_alarms);
}

fn over_http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The guard's, which tells a header that is slow from a connection at rest.
        .header_read_timeout(None)
        .max_headers(HEADERS)
        .max_header_size(HEADER_BYTES as usize * 2)
        .max_buf_size(HEADER_BYTES as usize * 2);
    builder
}

fn over_http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(RESET_STREAMS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// A connection in HTTP/1.1: with the HTTP library while it is used, without while it rests.
async fn resting<S, V, B>(
    mut guard: Guard<S>,
    mut service: V,
    line: Arc<Line>,
    mut phase: watch::Receiver<Phase>,
) -> hyper::Result<()>
where
    S: Socket,
    V: HttpService<Incoming, ResBody = B> + Unpin,
    V::Future: Unpin,
    V::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        let mut connection = Box::new(over_http1().serve_connection(TokioIo::new(guard), service));
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                ended = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => {
                    ended?;
                    break;
                }
                () = line.goes() => line.go().await,
                changed = phase.changed(), if !told => {
                    let now = *phase.borrow_and_update();
                    if now > Phase::Serving {
                        line.set_leaving();
                    }
                    if changed.is_err() || now == Phase::Closing {
                        told = true;
                        Pin::new(&mut *connection).graceful_shutdown();
                    }
                }
            }
        }
        // Of the HTTP library's part and its buffers nothing may last as long as the rest.
        let http1::Parts { io, service: served, read_buf, .. } = unboxed(connection).into_parts();
        let is_read = read_buf.is_empty();
        drop(read_buf);
        (guard, service) = (io.into_inner(), served);
        if told || !guard.take_rest() || !is_read || !is_called(&guard, &line, &mut phase).await {
            // Whoever is gone needs no farewell.
            let _ = guard.shutdown().await;
            return Ok(());
        }
    }
}

/// The value alone: its place on the heap is free at once, and not when the caller's scope ends.
#[allow(clippy::boxed_local)]
fn unboxed<T>(boxed: Box<T>) -> T {
    *boxed
}

/// Waits for the next byte on a connection at rest: false where it should end instead.
async fn is_called<S: Socket>(guard: &Guard<S>, line: &Line, phase: &mut watch::Receiver<Phase>) -> bool {
    loop {
        tokio::select! {
            biased;
            readable = std::future::poll_fn(|context| guard.socket().poll_readable(context)) => return readable.is_ok(),
            () = tokio::time::sleep_until(guard.rests_until()) => {
                count_ended("rest");
                return false;
            }
            changed = phase.changed() => {
                let now = *phase.borrow_and_update();
                if changed.is_err() || now == Phase::Closing {
                    return false;
                }
                if now > Phase::Serving {
                    line.set_leaving();
                }
            }
        }
    }
}
