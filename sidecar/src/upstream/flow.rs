//! An answer that is handed on as it comes: its head, and its body piece by piece, each asked of the server when the caller has
//! taken the one before.
//!
//! Bounds: bytes in all, time between two pieces, time for the whole. A body that breaks one, or that the server breaks off,
//! ends with an error, never as if it were whole. Until it has ended the request counts as under way to the server; dropped
//! before, it closes its connection. Trailers end here.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::guard::Passage;
use super::patience::Patience;
use super::transport::AnswerBody;
use super::upload::UploadState;
use super::wait::{Over, Wait};
use super::{UpstreamError, chain};

/// An answer whose body is to come.
pub(crate) struct Flowing {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Flow,
}

/// The body.
pub(crate) struct Flow {
    body: AnswerBody,
    status: StatusCode,
    patience: Patience,
    wait: Wait,
    most: u64,
    moved: u64,
    /// The caller's body, which may still be on its way.
    upload: Option<Arc<UploadState>>,
    /// Until it has ended.
    passage: Option<Passage>,
}

impl Flow {
    /// The body of an answer: of at most so many bytes, until the deadline.
    pub(super) fn new(
        mut body: AnswerBody,
        (patience, deadline, most): (Patience, Instant, u64),
        upload: Option<Arc<UploadState>>,
        (status, passage): (StatusCode, Option<Passage>),
    ) -> Flow {
        let whole = body.is_end_stream();
        if whole {
            body.give_back();
        }
        let wait = Wait::new(patience.idle, deadline);
        let mut flow = Flow { body, status, patience, wait, most, moved: 0, upload, passage };
        if whole {
            flow.ended(None);
        }
        flow
    }

    /// Bytes that were handed on.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Bytes of the caller's body that were.
    pub fn sent(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.moved())
    }

    fn ended(&mut self, error: Option<&UpstreamError>) {
        if let Some(passage) = self.passage.take() {
            passage.ended(error.map_or(Ok(self.status), Err));
        }
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        loop {
            return Poll::Ready(match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(None) => None,
                Poll::Ready(Some(Err(error))) => {
                    // One connection has both bodies: what broke the one may have been the other.
                    let fault = self.upload.as_ref().and_then(|upload| upload.fault());
                    Some(Err(fault
                        .map_or_else(|| UpstreamError::Unreachable(chain(&error)), UpstreamError::Caller)))
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let moved = self.moved.saturating_add(data.len() as u64);
                    if moved > self.most {
                        Some(Err(self.too_large()))
                    } else if !self.wait.came(self.body.is_end_stream()) {
                        Some(Err(UpstreamError::Timeout(self.patience.whole.as_secs())))
                    } else {
                        self.moved = moved;
                        Some(Ok(data))
                    }
                }
                Poll::Pending => match self.wait.poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Over::Idle) => {
                        Some(Err(UpstreamError::Stalled(self.patience.idle.as_secs())))
                    }
                    Poll::Ready(Over::Whole) => {
                        Some(Err(UpstreamError::Timeout(self.patience.whole.as_secs())))
                    }
                },
            });
        }
    }

    fn too_large(&self) -> UpstreamError {
        UpstreamError::TooLarge(usize::try_from(self.most).unwrap_or(usize::MAX))
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let next = std::task::ready!(self.next(context));
        match &next {
            Some(Err(error)) => self.ended(Some(error)),
            None => self.ended(None),
            // Whoever asks that first asks for no further piece.
            Some(Ok(_)) if self.body.is_end_stream() => self.ended(None),
            Some(Ok(_)) => {}
        }
        Poll::Ready(next.map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
