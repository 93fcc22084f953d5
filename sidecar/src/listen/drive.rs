//! Drives one connection to its end, and tells it when that has come: at rest for too long, or the listener leaves.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::watch;

use super::line::Line;
use super::phase::Phase;

/// Runs the connection. HTTP/2 is told at once that the listener leaves: its GOAWAY loses no request. HTTP/1.1 knows no such
/// word, so its connections are closed only when the listener closes, and until then by the next answer.
pub async fn drive<C: GracefulConnection>(
    connection: C,
    line: Arc<Line>,
    mut phase: watch::Receiver<Phase>,
) -> C::Output {
    let mut connection = pin!(connection);
    let mut told = false;
    loop {
        // What the connection's own turn has found out is seen right after it.
        let rested = std::future::poll_fn(|_| match line.is_rested() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = rested, if !told => {}
            changed = phase.changed(), if !told => {
                let now = *phase.borrow_and_update();
                let goes = match now {
                    Phase::Serving => false,
                    Phase::Leaving | Phase::HandedOver => line.is_http2(),
                    Phase::Closing => true,
                };
                if now > Phase::Serving {
                    line.set_leaving();
                }
                if changed.is_ok() && !goes {
                    continue;
                }
            }
        }
        told = true;
        connection.as_mut().graceful_shutdown();
    }
}
