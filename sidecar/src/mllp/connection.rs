//! One connection: frames come in, messages are done one after another, answers go out in the same order.
//!
//! The next messages are read while one is at work: at most `in_flight`, and at most as many bytes as one message may
//! have, beside the one that is being read. More than that waits in the sender's own buffers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::{counter, gauge};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};
use varco_core::hl7v2::{FrameError, MllpDecoder};

use super::intake::Intake;
use super::sender::Peer;

/// Time for a sender to take an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// What was read.
enum Arrived {
    /// A message, and its room.
    Message(Bytes, Waiting),
    /// No frame; nothing follows.
    Broken(Vec<u8>, FrameError),
}

/// A message's place among those that wait, given back when it is dropped.
struct Waiting(#[allow(dead_code)] Option<OwnedSemaphorePermit>);

impl Waiting {
    fn begin(room: Option<OwnedSemaphorePermit>) -> Waiting {
        gauge!("varco_mllp_waiting").increment(1.0);
        Waiting(room)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        gauge!("varco_mllp_waiting").decrement(1.0);
    }
}

/// Serves until the sender ends, breaks a rule or is too slow, or `stop` turns true; what was read by then is done.
pub(super) async fn serve<S>(stream: S, peer: Arc<Peer>, intake: Arc<Intake>, stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (input, output) = split(stream);
    let (queue, arrived) = mpsc::channel(intake.settings().in_flight);
    let reading = read(input, &intake, &peer, queue, stop);
    let answering = answer(output, &intake, &peer, arrived);
    tokio::pin!(answering);
    tokio::select! {
        () = &mut answering => {}
        () = reading => answering.await,
    }
}

async fn read(
    mut input: impl AsyncRead + Unpin,
    intake: &Intake,
    peer: &Peer,
    queue: mpsc::Sender<Arrived>,
    mut stop: watch::Receiver<bool>,
) {
    let settings = intake.settings();
    let room = Arc::new(Semaphore::new(settings.message_bytes));
    let mut decoder = MllpDecoder::new(settings.message_bytes, settings.lenient);
    let mut chunk = vec![0; CHUNK];
    let mut begun: Option<Instant> = None;
    loop {
        loop {
            let arrived = match decoder.message() {
                Ok(None) => break,
                Ok(Some(message)) => {
                    begun = None;
                    let bytes = u32::try_from(message.len().min(settings.message_bytes)).unwrap_or(u32::MAX);
                    let room = room.clone().acquire_many_owned(bytes).await.ok();
                    Arrived::Message(message.into(), Waiting::begin(room))
                }
                Err(error) => Arrived::Broken(decoder.begun().to_vec(), error),
            };
            let last = matches!(arrived, Arrived::Broken(..));
            if queue.send(arrived).await.is_err() || last {
                return;
            }
        }
        let now = Instant::now();
        let (deadline, cause) = match decoder.is_inside() {
            true => (*begun.get_or_insert(now) + Duration::from_secs(settings.message_seconds), "too-slow"),
            false => (now + Duration::from_secs(settings.idle_seconds), "idle"),
        };
        let read = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            read = timeout_at(deadline, input.read(&mut chunk)) => read,
        };
        match read {
            Ok(Ok(0)) if decoder.is_inside() => {
                return told(peer, "cut", "the connection ended inside a message");
            }
            Ok(Ok(0)) => return,
            Ok(Ok(count)) => decoder.feed(chunk.get(..count).unwrap_or_default()),
            Ok(Err(error)) => {
                tracing::debug!(address = %peer.address, %error, "an MLLP connection ended badly");
                return;
            }
            Err(_) if cause == "idle" => {
                tracing::debug!(address = %peer.address, "a silent MLLP connection was closed");
                return;
            }
            Err(_) => return told(peer, cause, "a message did not arrive in time"),
        }
    }
}

fn told(peer: &Peer, cause: &'static str, what: &str) {
    counter!("varco_mllp_broken_total", "cause" => cause).increment(1);
    tracing::warn!(address = %peer.address, cause, "an MLLP connection was closed: {what}");
}

async fn answer(
    mut output: impl AsyncWrite + Unpin,
    intake: &Arc<Intake>,
    peer: &Arc<Peer>,
    mut arrived: mpsc::Receiver<Arrived>,
) {
    while let Some(next) = arrived.recv().await {
        let (answer, _waiting) = match next {
            Arrived::Message(message, waiting) => (intake.take(message, peer.clone()).await, Some(waiting)),
            Arrived::Broken(begun, error) => (intake.broken(&begun, error, peer), None),
        };
        let written = async {
            output.write_all(&answer).await?;
            output.flush().await
        };
        match timeout(ANSWER_TIME, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::info!(address = %peer.address, %error, "an answer could not be sent; the message is done or refused as recorded");
                return;
            }
            Err(_) => return told(peer, "answer-not-taken", "an answer was not taken in time"),
        }
    }
    let _ = timeout(ANSWER_TIME, output.shutdown()).await;
}
