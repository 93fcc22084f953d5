//! A request's body as it comes, and what becomes of the part that nobody has read.
//!
//! An answer over HTTP/1.1 that is given before its request's body was read must say that the connection ends: what comes next on
//! it is no request (RFC 9112 §9.6). Whoever answers need not know whether it has read all. Let go of, a body leaves its rest here
//! ([`Rest`]); before the answer's head is written, what has come of it already is thrown away, and only where more is to come does
//! the connection end.
//!
//! Bounds: [`LET_GO`] bytes and [`TURNS`] turns of the connection. A body that is still being handed on when its answer begins is in
//! order. Streams of HTTP/2 end by themselves.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// Most bytes that are let go of for the connection's sake.
const LET_GO: usize = 64 * 1024;
/// How often the connection is given a turn for that.
const TURNS: u32 = 2;

/// A request's body.
#[derive(Debug)]
pub struct Coming<B: Body<Data = Bytes> + Unpin = Incoming> {
    /// Nothing once it was let go of.
    body: Option<B>,
    /// Where its rest goes, as long as there is one to speak of.
    rest: Option<Arc<Rest<B>>>,
    /// The caller waits to be told to go on, and was not.
    held_back: bool,
}

/// What nobody has read of a body.
#[derive(Debug)]
pub(super) struct Rest<B>(Mutex<Left<B>>);

#[derive(Debug)]
enum Left<B> {
    /// Nothing, or it is still being read.
    Nothing,
    /// A body that can be read on.
    Body(B),
    /// What can't be read any more, or should not be.
    Lost,
}

impl<B: Body<Data = Bytes> + Unpin> Coming<B> {
    /// The request with its body, and the place of what will be left of that; none where nothing can be, or where it does not
    /// matter: on a connection in HTTP/2.
    pub(super) fn of(request: Request<B>, http2: bool) -> (Request<Coming<B>>, Option<Arc<Rest<B>>>) {
        let rest =
            (!http2 && !request.body().is_end_stream()).then(|| Arc::new(Rest(Mutex::new(Left::Nothing))));
        let held_back = rest.is_some() && request.headers().contains_key(EXPECT);
        let own = rest.clone();
        (request.map(|body| Coming { body: Some(body), rest: own, held_back }), rest)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Drop for Coming<B> {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take() else { return };
        match self.body.take().filter(|body| !body.is_end_stream()) {
            None => {}
            // To read it would be to ask for it.
            Some(_) if self.held_back => rest.set(Left::Lost),
            Some(body) => rest.set(Left::Body(body)),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Coming<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let own = &mut *self;
        let Some(body) = &mut own.body else { return Poll::Ready(None) };
        own.held_back = false;
        let next = ready!(Pin::new(body).poll_frame(context));
        match &next {
            Some(Ok(_)) => {}
            None => own.rest = None,
            Some(Err(_)) => {
                if let Some(rest) = own.rest.take() {
                    rest.set(Left::Lost);
                }
            }
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Rest<B> {
    fn set(&self, left: Left<B>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }

    /// Whether something is still to come once what is there already has been let go of.
    pub async fn is_unread(&self) -> bool {
        let left =
            std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Left::Nothing);
        match left {
            Left::Nothing => false,
            Left::Lost => true,
            Left::Body(body) => is_endless(body).await,
        }
    }
}

/// True where the body does not end within what has come.
async fn is_endless<B: Body<Data = Bytes> + Unpin>(mut body: B) -> bool {
    let (mut room, mut turns) = (LET_GO, TURNS);
    std::future::poll_fn(|context| {
        while !body.is_end_stream() {
            match Pin::new(&mut body).poll_frame(context) {
                Poll::Ready(None) => return Poll::Ready(false),
                Poll::Ready(Some(Ok(frame))) => {
                    match room.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                        Some(left) => room = left,
                        None => return Poll::Ready(true),
                    }
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(true),
                // What the connection has at hand comes with its next turn.
                Poll::Pending if turns > 0 => {
                    turns -= 1;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Ready(true),
            }
        }
        Poll::Ready(false)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http::HeaderValue;
    use http_body_util::BodyExt;

    use super::*;

    /// What comes of a body; where it has no end, for ever nothing.
    struct Pieces(VecDeque<Result<&'static [u8], &'static str>>, bool);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            match self.0.pop_front() {
                None if !self.1 => Poll::Pending,
                next => Poll::Ready(next.map(|own| own.map(|data| Frame::data(Bytes::from_static(data))))),
            }
        }
    }

    /// Whether a body is unread after so many pieces were read of it.
    async fn unread(
        pieces: &[Result<&'static [u8], &'static str>],
        ends: bool,
        read: usize,
        expect: bool,
    ) -> bool {
        let mut request = Request::new(Pieces(pieces.iter().copied().collect(), ends));
        if expect {
            request.headers_mut().insert(EXPECT, HeaderValue::from_static("100-continue"));
        }
        let (mut request, rest) = Coming::of(request, false);
        for _ in 0..read {
            let _ = request.body_mut().frame().await;
        }
        drop(request);
        match rest {
            Some(rest) => rest.is_unread().await,
            None => false,
        }
    }

    #[tokio::test]
    async fn what_has_come_is_let_go_of_and_only_more_ends_the_connection() {
        const LARGE: &[u8] = &[b'x'; LET_GO];
        let (piece, fault) = (Ok(b"ab".as_slice()), Err("gone"));
        for read in 0..4 {
            assert!(!unread(&[piece, piece], true, read, false).await, "all is there, {read} were read");
        }
        assert!(unread(&[piece, piece], false, 1, false).await, "more is to come");
        assert!(unread(&[piece, Ok(LARGE)], true, 0, false).await, "it is too much");
        assert!(!unread(&[piece, Ok(LARGE)], true, 1, false).await);
        assert!(
            unread(&[piece, fault], true, 1, false).await && unread(&[piece, fault], true, 2, false).await
        );
        assert!(unread(&[piece], true, 0, true).await, "nobody asks for what nobody wants");
        assert!(!unread(&[piece], true, 1, true).await);
    }

    #[tokio::test]
    async fn a_body_that_is_still_being_read_is_in_order() {
        let (request, rest) = Coming::of(Request::new(Pieces(VecDeque::new(), false)), false);
        let rest = rest.into_iter().next();
        assert!(matches!(&rest, Some(rest) if !rest.is_unread().await));
        drop(request);
        assert!(matches!(&rest, Some(rest) if rest.is_unread().await));
        assert!(Coming::of(Request::new(Pieces(VecDeque::new(), false)), true).1.is_none(), "over HTTP/2");
    }
}
