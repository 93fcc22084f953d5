//! A connection within bounds of time, whose framing has one meaning.
//!
//! Bounds, each counted in `varco_connections_ended_total` by cause: time for a request's header, rest between requests,
//! and time in which nothing of an answer is taken. While a request is being answered its caller may be silent; the time for
//! a body is the pipeline's.
//!
//! A connection in HTTP/1.1 that rests ends for the HTTP library before it ends for its caller: see [`super::exchange`].
//!
//! Invariant: a connection that is not being worked for ends by itself. It has one timer, which is moved only when it ends, so that
//! a request costs none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use metrics::counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::framing::Framing;
use super::line::Line;

/// How long a connection is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a request's header, from its first byte; for the first one, from the connection's beginning.
    pub header: Duration,
    /// Between requests.
    pub rest: Duration,
    /// For some of an answer to be taken.
    pub stall: Duration,
}

/// After how long a connection rests, so that the HTTP library's buffers for it are given back.
const REST: Duration = Duration::from_secs(2);

/// Counts a connection that was ended for this cause.
pub(super) fn count_ended(cause: &'static str) {
    counter!("varco_connections_ended_total", "cause" => cause).increment(1);
}

/// Bytes to and from a caller, watched.
pub struct Guard<S> {
    io: S,
    line: Arc<Line>,
    framing: Framing,
    patience: Patience,
    timer: Option<Pin<Box<Sleep>>>,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Since when there was nothing to do: the beginning, the end of a request, or of an answer.
    quiet: Instant,
    /// When the header that has begun began.
    header: Option<Instant>,
    /// Requests answered when `quiet` was set.
    served: u32,
    /// While an answer is being given away: how much was, and when that was first seen.
    given: Option<(u64, Instant)>,
    /// The HTTP library was told that the caller had hung up, because the connection rests.
    rests: bool,
}

impl<S> Guard<S> {
    /// Watches a connection that has `begun`.
    pub fn new(io: S, line: Arc<Line>, patience: Patience, begun: Instant) -> Guard<S> {
        let framing = Framing::default();
        Guard {
            io,
            line,
            framing,
            patience,
            timer: None,
            stalled: None,
            quiet: begun,
            header: Some(begun),
            served: 0,
            given: None,
            rests: false,
        }
    }

    /// The socket.
    pub fn socket(&self) -> &S {
        &self.io
    }

    /// Whether the connection was taken from the HTTP library only because it rests; asked once.
    pub fn take_rest(&mut self) -> bool {
        self.timer = None;
        std::mem::take(&mut self.rests)
    }

    /// Until when it may rest.
    pub fn rests_until(&self) -> Instant {
        self.quiet + self.patience.rest
    }

    /// Takes note of bytes that came.
    fn came(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.framing.is_http2() {
            return Ok(());
        }
        let was_body = self.framing.is_in_body();
        if let Err(fault) = self.framing.feed(bytes) {
            if self.line.set_fault(fault) {
                count_ended("framing");
            }
            // A header's fault is told by the answer; a body's ends the body.
            if was_body {
                return Err(io::Error::new(io::ErrorKind::InvalidData, fault.text()));
            }
        }
        if self.framing.is_http2() {
            self.line.set_http2();
            self.header = None;
        } else if self.framing.is_in_header() {
            if self.header.is_none() {
                self.header = Some(Instant::now());
            }
        } else {
            self.header = None;
        }
        Ok(())
    }

    /// Until when nothing may come; `None` where silence is in order.
    fn deadline(&mut self, now: Instant) -> Option<(Instant, &'static str)> {
        if self.line.served() != self.served {
            self.served = self.line.served();
            self.quiet = now;
        }
        if let Some(given) = self.line.giving() {
            let (_, since) = match self.given {
                Some(seen) if seen.0 == given => seen,
                _ => *self.given.insert((given, now)),
            };
            return Some((since + self.patience.stall, "unread"));
        }
        self.given = None;
        if self.line.is_open() || self.stalled.is_some() {
            return None;
        }
        match self.header {
            Some(begun) => Some((begun + self.patience.header, "header")),
            // The rest of a body that nobody reads any more.
            None if self.framing.is_in_body() => Some((self.quiet + self.patience.stall, "body")),
            // One that was told to go gets a little longer, to end its way.
            None if self.line.is_rested() => Some((self.quiet + self.patience.stall, "rest")),
            None if self.framing.is_http2() || self.patience.rest <= REST => {
                Some((self.rests_until(), "rest"))
            }
            None => Some((self.quiet + REST, "used")),
        }
    }

    /// Nothing has come: true once that has lasted too long.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let mut now = Instant::now();
        loop {
            // The HTTP library asks once for bytes while it waits for an answer, and not again when the answer is given: what
            // comes after that is looked for from time to time.
            let (deadline, cause) =
                self.deadline(now).unwrap_or((now + REST.min(self.patience.rest), "busy"));
            if now >= deadline {
                if cause == "used" {
                    self.rests = true;
                    return true;
                }
                if cause == "rest" && self.framing.is_http2() && !self.line.is_rested() {
                    self.line.set_rested();
                    self.quiet = now;
                    continue;
                }
                count_ended(cause);
                return true;
            }
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if timer.deadline() > deadline || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(context).is_pending() {
                return false;
            }
            now = Instant::now();
        }
    }

    /// The outcome of a write, or its end where nothing was taken for too long.
    fn written<T>(&mut self, outcome: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.stalled.take().is_some() {
                self.quiet = Instant::now();
            }
            return outcome;
        }
        let stall = self.patience.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        ready!(stalled.as_mut().poll(context));
        count_ended("unread");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller takes nothing of its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.io).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                let came = buffer.filled().get(before..).unwrap_or_default();
                Poll::Ready(self.came(came))
            }
            Poll::Ready(error) => Poll::Ready(error),
            // As if the caller had hung up.
            Poll::Pending if self.is_over(context) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(context, bytes);
        self.written(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        self.written(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(context);
        self.written(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(context);
        self.written(outcome, context)
    }
}
