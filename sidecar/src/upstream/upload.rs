//! A caller's body on its way to a server, as it comes: piece by piece, each asked of the caller when the server has taken the
//! one before. Bounds: bytes in all, time between two pieces, time for the whole. What breaks a bound ends the request to the
//! server in the middle, so that it can't be taken for a whole one; the caller is told why. Trailers end here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use super::wait::Wait;

/// What a caller's body broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallerFault {
    /// More bytes than the limit.
    #[error("the body is larger than it may be")]
    TooLarge,
    /// It stood still, or took too long.
    #[error("the body did not come in time")]
    Slow,
    /// It ended in the middle.
    #[error("the body ended too early")]
    Broken,
}

/// What is known of an upload while it is on its way.
#[derive(Debug, Default)]
pub(crate) struct UploadState {
    moved: AtomicU64,
    fault: AtomicU8,
}

impl UploadState {
    /// Bytes that were handed on.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// What ended it in the middle.
    pub fn fault(&self) -> Option<CallerFault> {
        match self.fault.load(Ordering::Relaxed) {
            1 => Some(CallerFault::TooLarge),
            2 => Some(CallerFault::Slow),
            3 => Some(CallerFault::Broken),
            _ => None,
        }
    }

    fn broke(&self, fault: CallerFault) -> CallerFault {
        let code = match fault {
            CallerFault::TooLarge => 1,
            CallerFault::Slow => 2,
            CallerFault::Broken => 3,
        };
        self.fault.store(code, Ordering::Relaxed);
        fault
    }
}

/// A caller's body within its bounds.
#[derive(Debug)]
pub(crate) struct Upload<B = Incoming> {
    body: B,
    most: u64,
    wait: Wait,
    state: Arc<UploadState>,
}

impl<B> Upload<B> {
    /// This body, of at most `most` bytes, with at most `idle` between two pieces, until the `deadline`.
    pub fn new(body: B, most: u64, idle: Duration, deadline: Instant) -> Upload<B> {
        Upload { body, most, wait: Wait::new(idle, deadline), state: Arc::default() }
    }

    /// What is known of it, now and later.
    pub fn state(&self) -> Arc<UploadState> {
        self.state.clone()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Upload<B> {
    type Data = Bytes;
    type Error = CallerFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallerFault>>> {
        let own = &mut *self;
        loop {
            let fault = match Pin::new(&mut own.body).poll_frame(context) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let moved = own.state.moved().saturating_add(data.len() as u64);
                    if moved > own.most {
                        CallerFault::TooLarge
                    } else if !own.wait.came() {
                        CallerFault::Slow
                    } else {
                        own.state.moved.store(moved, Ordering::Relaxed);
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Poll::Ready(Some(Err(_))) => CallerFault::Broken,
                Poll::Pending => match own.wait.poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(_) => CallerFault::Slow,
                },
            };
            return Poll::Ready(Some(Err(own.state.broke(fault))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http_body_util::BodyExt;
    use tokio::time::Sleep;

    use super::*;

    type Piece = Result<Frame<Bytes>, &'static str>;

    /// These pieces, with a pause before each.
    struct Pieces(Vec<Piece>, Duration, Pin<Box<Sleep>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
            if !self.1.is_zero() {
                std::task::ready!(self.2.as_mut().poll(context));
                let next = Instant::now() + self.1;
                self.2.as_mut().reset(next);
            }
            let left = !self.0.is_empty();
            Poll::Ready(left.then(|| self.0.remove(0)))
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);
    const MOMENT: Duration = Duration::from_millis(2);

    fn upload(pieces: Vec<Piece>, pause: Duration, idle: Duration, whole: Duration) -> Upload<Pieces> {
        let pieces = Pieces(pieces, pause, Box::pin(tokio::time::sleep(pause)));
        Upload::new(pieces, 3, idle, Instant::now() + whole)
    }

    fn data(text: &'static str) -> Piece {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn what_is_within_bounds_passes_without_its_trailers() {
        let own = upload(
            vec![data("ab"), data(""), data("c"), Ok(Frame::trailers(HeaderMap::new()))],
            Duration::ZERO,
            HOUR,
            HOUR,
        );
        let state = own.state();
        let whole = own.collect().await.unwrap();
        assert!(whole.trailers().is_none());
        assert_eq!((whole.to_bytes(), state.moved(), state.fault()), (Bytes::from("abc"), 3, None));
    }

    #[tokio::test]
    async fn what_is_too_large_or_breaks_ends_in_the_middle() {
        for (pieces, fault) in [
            (vec![data("ab"), data("cd")], CallerFault::TooLarge),
            (vec![data("ab"), Err("gone")], CallerFault::Broken),
        ] {
            let own = upload(pieces, Duration::ZERO, HOUR, HOUR);
            let state = own.state();
            assert_eq!(own.collect().await.unwrap_err(), fault);
            assert_eq!((state.moved(), state.fault()), (2, Some(fault)));
        }
    }

    #[tokio::test]
    async fn whoever_falls_silent_or_drips_is_too_slow() {
        // Silent for longer than a piece may take; pieces without end for longer than the whole may take.
        for (pause, idle, whole) in [(HOUR, MOMENT, HOUR), (MOMENT, HOUR, MOMENT * 10)] {
            let own = upload((0..1_000).map(|_| data("")).collect(), pause, idle, whole);
            let state = own.state();
            assert_eq!(own.collect().await.unwrap_err(), CallerFault::Slow);
            assert_eq!(state.fault(), Some(CallerFault::Slow));
        }
    }
}
