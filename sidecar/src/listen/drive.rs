//! Drives one connection in HTTP/2 to its end, on the thread where it belongs, and tells it when its end has come: at rest for too long,
//! or the listener leaves.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::watch;

use super::line::Line;
use super::phase::Phase;

/// Runs the connection. It is told at once that the listener leaves: GOAWAY loses no request.
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
            () = line.goes() => {
                line.go().await;
                continue;
            }
            () = rested, if !told => {}
            changed = phase.changed(), if !told => {
                if changed.is_ok() && *phase.borrow_and_update() == Phase::Serving {
                    continue;
                }
            }
        }
        told = true;
        connection.as_mut().graceful_shutdown();
    }
}
