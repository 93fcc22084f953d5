//! The listener: HTTP/1.1 and HTTP/2 without TLS, bounded connections, graceful end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::exchange::House;

/// How long requests in flight may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// How long a caller may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// Most streams of one HTTP/2 connection.
const STREAMS: u32 = 128;

/// The accepting task.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(listener: TcpListener, address: SocketAddr, house: Arc<House>) -> Server {
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(accept(listener, house, ended));
        Server { address, end: Some(end), task: Some(task) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn stop(mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn accept(listener: TcpListener, house: Arc<House>, mut ended: oneshot::Receiver<()>) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(house.options.connections));
    // Dropped with this task: its connections end with it.
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        };
        let (place, accepted) = tokio::select! {
            _ = &mut ended => break,
            Some(_) = connections.join_next() => continue,
            accepted = next => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the simulated hospital could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let house = Arc::clone(&house);
        let service = service_fn(move |request| {
            let house = Arc::clone(&house);
            async move { house.exchange(request).await }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            // A caller that goes away, or one that was dropped on purpose, is no fault of the server.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}
