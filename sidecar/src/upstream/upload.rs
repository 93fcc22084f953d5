//! A caller's body on its way to a server, as it comes: piece by piece, each asked of the caller when the server has taken the
//! one before. Bounds: bytes in all, time between two pieces, time for the whole. What breaks a bound ends the request to the
//! server in the middle, so that it can't be taken for a whole one; the caller is told why. Trailers end here.
//!
//! A server may answer before it has read all. What is left is then read and let go of, up to [`LET_GO`] bytes, so that the caller
//! gets to read its answer and keeps its connection.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::wait::Wait;
use crate::listen::Coming;

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
    fault: OnceLock<CallerFault>,
}

impl UploadState {
    /// Bytes that were handed on.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// What ended it in the middle.
    pub fn fault(&self) -> Option<CallerFault> {
        self.fault.get().copied()
    }

    fn broke(&self, fault: CallerFault) -> CallerFault {
        *self.fault.get_or_init(|| fault)
    }
}

/// Most bytes of a body that are let go of once the server wants no more of it.
const LET_GO: u64 = 4 * 1024 * 1024;

/// A caller's body within its bounds.
#[derive(Debug)]
pub(crate) struct Upload<B: Body<Data = Bytes> + Unpin + Send + 'static = Coming> {
    /// Nothing once it is let go of.
    body: Option<B>,
    most: u64,
    wait: Wait,
    state: Arc<UploadState>,
}

impl<B: Body<Data = Bytes> + Unpin + Send + 'static> Upload<B> {
    /// This body, of at most `most` bytes, with at most `idle` between two pieces, until the `deadline`.
    pub fn new(body: B, most: u64, idle: Duration, deadline: Instant) -> Upload<B> {
        Upload { body: Some(body), most, wait: Wait::new(idle, deadline), state: Arc::default() }
    }

    /// What is known of it, now and later.
    pub fn state(&self) -> Arc<UploadState> {
        self.state.clone()
    }
}

impl<B: Body<Data = Bytes> + Unpin + Send + 'static> Drop for Upload<B> {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|own| !own.is_end_stream()) else { return };
        if self.state.fault().is_some() || body.size_hint().lower() > LET_GO {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(let_go(body, self.wait.anew()));
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin + Send + 'static> Body for Upload<B> {
    type Data = Bytes;
    type Error = CallerFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallerFault>>> {
        let own = &mut *self;
        let Some(body) = &mut own.body else { return Poll::Ready(None) };
        loop {
            let fault = match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(None) => {
                    own.body = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let moved = own.state.moved().saturating_add(data.len() as u64);
                    if moved > own.most {
                        CallerFault::TooLarge
                    } else if !own.wait.came(body.is_end_stream()) {
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
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// Reads a body to its end, or to a bound.
async fn let_go(mut body: impl Body<Data = Bytes> + Unpin, mut wait: Wait) {
    let mut room = LET_GO;
    std::future::poll_fn(|context| {
        loop {
            match Pin::new(&mut body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let size = frame.data_ref().map_or(0, Bytes::len) as u64;
                    match room.checked_sub(size).filter(|_| wait.came(false)) {
                        Some(left) => room = left,
                        None => return Poll::Ready(()),
                    }
                }
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                Poll::Pending => return wait.poll(context).map(|_| ()),
            }
        }
    })
    .await;
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
    async fn what_the_server_wants_no_more_is_read_to_its_end_or_a_bound() {
        /// A body that tells when it is dropped, and how many pieces were left then.
        struct Told(Pieces, Option<tokio::sync::oneshot::Sender<usize>>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.1.take().map(|told| told.send(self.0.0.len()));
            }
        }
        impl Body for Told {
            type Data = Bytes;
            type Error = &'static str;
            fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
                Pin::new(&mut self.0).poll_frame(context)
            }
        }
        let left = async |count: usize, most: u64| {
            let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
            let pieces = (0..count).map(|_| Ok(Frame::data(piece.clone()))).collect();
            let (told, left) = tokio::sync::oneshot::channel();
            let pieces = Pieces(pieces, Duration::ZERO, Box::pin(tokio::time::sleep(Duration::ZERO)));
            let mut own = Upload::new(Told(pieces, Some(told)), most, HOUR, Instant::now() + HOUR);
            let _ = own.frame().await;
            drop(own);
            left.await.unwrap()
        };
        assert_eq!(left(4, u64::MAX).await, 0, "read to its end");
        assert_eq!(left(9, u64::MAX).await, 3, "no further than the bound");
        assert_eq!(left(4, 1).await, 3, "what broke a bound is not read on");
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
