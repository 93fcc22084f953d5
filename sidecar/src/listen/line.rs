//! What is known of one connection by all who have a part in it: its bytes, its requests, its answers.
//!
//! The guard ([`super::guard`]) sees bytes and time, the service sees requests; each tells the other here.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::expected::Guest;
use super::framing::FramingFault;
use super::workers;

/// Requests in a row after which a connection goes to another thread, though it is not between two: in HTTP/2 those of several kinds
/// share one, in HTTP/1.1 the next may always be there.
const STRAYS: u32 = 3;
/// Most bytes that an answer over HTTP/2 is given away at a time: what a caller does not take stays here, where it is seen.
const PIECE: usize = 64 * 1024;

/// One connection.
#[derive(Debug, Default)]
pub struct Line {
    /// Requests that are being answered.
    open: AtomicU32,
    /// Requests that were answered.
    served: AtomicU32,
    /// Answers that are not wholly given away.
    giving: AtomicU32,
    /// Pieces of answers that were given away.
    given: AtomicU64,
    fault: OnceLock<FramingFault>,
    http2: AtomicBool,
    /// It was at rest for too long.
    rested: AtomicBool,
    /// The listener leaves.
    leaving: AtomicBool,
    /// Requests in a row that were answered since it belongs on another thread.
    strays: AtomicU32,
    /// Its place among the alarms' connections, until its first request is answered.
    guest: Mutex<Option<Guest>>,
}

impl Line {
    /// A request begins; it ends when what is given back is dropped.
    pub fn begin(self: &Arc<Line>) -> OpenRequest {
        self.open.fetch_add(1, Ordering::AcqRel);
        OpenRequest(self.clone())
    }

    /// True while a request is answered.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    /// How many requests were answered; it may begin again at zero.
    pub fn served(&self) -> u32 {
        self.served.load(Ordering::Acquire)
    }

    /// How many pieces were given away, where an answer is not wholly given away.
    pub fn giving(&self) -> Option<u64> {
        (self.giving.load(Ordering::Acquire) > 0).then(|| self.given.load(Ordering::Acquire))
    }

    /// Remembers that its bytes have two meanings; true the first time.
    pub fn set_fault(&self, fault: FramingFault) -> bool {
        self.fault.set(fault).is_ok()
    }

    /// The fault of its bytes.
    pub fn fault(&self) -> Option<FramingFault> {
        self.fault.get().copied()
    }

    /// It speaks HTTP/2.
    pub fn set_http2(&self) {
        self.http2.store(true, Ordering::Release);
    }

    /// True where it speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Acquire)
    }

    /// It has begun among the alarms' connections, which its first request is to prove right.
    pub fn set_guest(&self, guest: Option<Guest>) {
        *self.guest.lock().unwrap_or_else(PoisonError::into_inner) = guest;
    }

    /// Its place there, once.
    pub fn take_guest(&self) -> Option<Guest> {
        self.guest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A request was answered, after which it belongs on another thread or not.
    pub fn set_misplaced(&self, misplaced: bool) {
        let strays = if misplaced { self.strays.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
        self.strays.store(strays, Ordering::Relaxed);
    }

    /// Ready where it should go to another thread: between two requests, or after [`STRAYS`] where others are always under way.
    pub async fn goes(&self) {
        poll_fn(|_| {
            let strays = self.strays.load(Ordering::Relaxed);
            match strays >= STRAYS || (strays > 0 && !self.is_open() && !self.is_http2()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Goes to a thread of the other side.
    pub async fn go(&self) {
        self.strays.store(0, Ordering::Relaxed);
        workers::cross(workers::side().other()).await;
    }

    /// The listener leaves: the next answer should be its last.
    pub fn set_leaving(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// True once the listener leaves.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// It was at rest for too long and should end.
    pub fn set_rested(&self) {
        self.rested.store(true, Ordering::Release);
    }

    /// True once it was at rest for too long.
    pub fn is_rested(&self) -> bool {
        self.rested.load(Ordering::Acquire)
    }
}

/// A request that is being answered.
pub struct OpenRequest(Arc<Line>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.served.fetch_add(1, Ordering::AcqRel);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An answer's body, given away in pieces where the connection speaks HTTP/2, so that a caller who does not read it is seen. As
/// long as it lasts its request is open: who waits for more of a body that comes is not at rest.
pub struct Given<B> {
    body: B,
    rest: Bytes,
    line: Option<Arc<Line>>,
    /// False while the caller would take more than there is.
    gives: bool,
    _open: OpenRequest,
}

impl<B> Given<B> {
    /// This body, of an answer on this connection.
    pub fn new(body: B, line: &Arc<Line>, open: OpenRequest) -> Given<B> {
        let line = line.is_http2().then(|| line.clone());
        let mut given = Given { body, rest: Bytes::new(), line, gives: false, _open: open };
        given.set_gives(true);
        given
    }

    fn set_gives(&mut self, gives: bool) {
        if let Some(line) = &self.line
            && std::mem::replace(&mut self.gives, gives) != gives
        {
            match gives {
                true => line.giving.fetch_add(1, Ordering::AcqRel),
                false => line.giving.fetch_sub(1, Ordering::AcqRel),
            };
        }
    }
}

impl<B> Drop for Given<B> {
    fn drop(&mut self) {
        self.set_gives(false);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Given<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.line.is_none() {
            return Pin::new(&mut self.body).poll_frame(context);
        }
        if self.rest.is_empty() {
            let next = Pin::new(&mut self.body).poll_frame(context);
            self.set_gives(next.is_ready());
            match std::task::ready!(next) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        if let Some(line) = &self.line {
            line.given.fetch_add(1, Ordering::AcqRel);
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, here) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(here));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(here));
        }
        hint
    }
}
