//! How long is waited for an answer: for its head, between its bytes, and for the whole.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::Instant;

use super::timer::Timer;
use super::{UpstreamError, chain};

/// Most bytes that are set aside before they came: addresses, which the system backs with memory when they are written to.
const AT_ONCE: usize = 4 << 20;

/// The bounds of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Until its head is there.
    pub head: Duration,
    /// Between two parts of its body.
    pub idle: Duration,
    /// For all of it, with waiting for a place and retries.
    pub whole: Duration,
}

impl Patience {
    /// When a request that begins now must be answered.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.whole
    }

    /// Waits for the head, with this timer; `moved` says how much of the question was sent so far: as long as some is, the head is not late.
    pub async fn head<T>(
        &self,
        deadline: Instant,
        timer: &mut Timer,
        mut head: Pin<&mut impl Future<Output = Result<T, UpstreamError>>>,
        moved: impl Fn() -> u64,
    ) -> Result<T, UpstreamError> {
        let mut sent = moved();
        loop {
            let until = if self.head < self.whole { Instant::now() + self.head } else { deadline };
            if let Some(head) = timer.within(until.min(deadline), head.as_mut()).await {
                return head;
            }
            let more = std::mem::replace(&mut sent, moved()) != sent;
            if until >= deadline {
                return Err(UpstreamError::Timeout(self.whole.as_secs()));
            }
            if !more {
                return Err(UpstreamError::NoHead(self.head.as_secs()));
            }
        }
    }

    /// The whole body, of at most `most` bytes, waited for with this timer.
    pub async fn body<B>(
        &self,
        deadline: Instant,
        timer: &mut Timer,
        mut body: B,
        most: usize,
    ) -> Result<Bytes, UpstreamError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::error::Error + 'static,
    {
        let expected = body.size_hint().lower();
        if expected > most as u64 {
            return Err(UpstreamError::TooLarge(most));
        }
        let (mut first, mut gathered) = (Bytes::new(), BytesMut::new());
        loop {
            let mut next = pin!(body.frame());
            // What is there already needs neither clock nor timer.
            let frame = match poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    let until = Instant::now() + self.idle;
                    match timer.within(until.min(deadline), next).await {
                        Some(frame) => frame,
                        None if until < deadline => {
                            return Err(UpstreamError::Stalled(self.idle.as_secs()));
                        }
                        None => return Err(UpstreamError::Timeout(self.whole.as_secs())),
                    }
                }
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| UpstreamError::Unreachable(chain(&error)))?;
            // Trailers say nothing that is used.
            let Ok(data) = frame.into_data() else { continue };
            if first.len() + gathered.len() + data.len() > most {
                return Err(UpstreamError::TooLarge(most));
            }
            match (first.is_empty(), gathered.is_empty()) {
                (true, true) => first = data,
                (false, _) => {
                    let expected = usize::try_from(expected).unwrap_or(AT_ONCE).min(AT_ONCE);
                    gathered.reserve(expected.max(first.len() + data.len()));
                    gathered.extend_from_slice(&std::mem::take(&mut first));
                    gathered.extend_from_slice(&data);
                }
                (true, false) => gathered.extend_from_slice(&data),
            }
        }
        Ok(if gathered.is_empty() { first } else { gathered.freeze() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MOMENT: Duration = Duration::from_millis(5);
    const PATIENT: Patience = Patience { head: HOUR, idle: HOUR, whole: HOUR };

    /// A body that pauses before each part, and where it has no more parts, for ever.
    struct Drips {
        parts: Vec<&'static str>,
        ends: bool,
        paused: bool,
    }

    impl Body for Drips {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.paused = !self.paused;
            match (self.parts.is_empty(), self.ends, self.paused) {
                (true, true, _) => Poll::Ready(None),
                (true, false, _) => Poll::Pending,
                (false, _, true) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                (false, ..) => {
                    Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.parts.remove(0).as_bytes())))))
                }
            }
        }
    }

    async fn gathered(
        patience: Patience,
        parts: &[&'static str],
        ends: bool,
        most: usize,
    ) -> Result<Bytes, UpstreamError> {
        let body = Drips { parts: parts.to_vec(), ends, paused: false };
        patience.body(patience.deadline(), &mut Timer::default(), body, most).await
    }

    #[tokio::test]
    async fn a_body_is_gathered_within_its_bounds() {
        let gathered = async |parts: &[&'static str]| gathered(PATIENT, parts, true, 3).await;
        assert_eq!(gathered(&[]).await.unwrap(), "");
        assert_eq!(gathered(&["abc"]).await.unwrap(), "abc");
        assert_eq!(gathered(&["", "a", "", "b", "c"]).await.unwrap(), "abc");
        assert!(matches!(gathered(&["ab", "cd"]).await, Err(UpstreamError::TooLarge(3))));
    }

    #[tokio::test]
    async fn who_falls_silent_is_told_apart_from_who_is_slow() {
        let silent = gathered(Patience { idle: MOMENT, ..PATIENT }, &["a"], false, 9).await;
        assert!(matches!(silent, Err(UpstreamError::Stalled(_))), "{silent:?}");
        let slow = gathered(Patience { whole: MOMENT, ..PATIENT }, &["a"], false, 9).await;
        assert!(matches!(slow, Err(UpstreamError::Timeout(_))), "{slow:?}");
    }

    #[tokio::test]
    async fn a_head_has_a_time_of_its_own_and_no_more_than_the_whole() {
        let never = async |patience: Patience| {
            let never = pending::<Result<(), _>>();
            patience.head(patience.deadline(), &mut Timer::default(), pin!(never), || 0).await
        };
        let at_once = async { Ok(()) };
        assert!(PATIENT.head(PATIENT.deadline(), &mut Timer::default(), pin!(at_once), || 0).await.is_ok());
        let late = never(Patience { head: MOMENT, ..PATIENT }).await;
        assert!(matches!(late, Err(UpstreamError::NoHead(_))), "{late:?}");
        let late = never(Patience { whole: MOMENT, ..PATIENT }).await;
        assert!(matches!(late, Err(UpstreamError::Timeout(_))), "{late:?}");
    }

    #[tokio::test]
    async fn a_head_is_not_late_while_the_question_is_still_being_sent() {
        let (began, own) = (Instant::now(), Patience { head: MOMENT * 20, ..PATIENT });
        // Something is sent each millisecond, for a while.
        let (sent, most) = (|| began.elapsed().as_millis(), MOMENT.as_millis() * 100);
        let moved = || u64::try_from(sent().min(most)).unwrap();
        let never = pending::<Result<(), _>>();
        let late = own.head(own.deadline(), &mut Timer::default(), pin!(never), moved).await;
        assert!(matches!(late, Err(UpstreamError::NoHead(_))), "{late:?}");
        assert!(sent() >= most, "not before the question came to a stand");
    }
}
