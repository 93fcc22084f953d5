//! Worker threads: each drives its own connections, with everything that their requests do.
//!
//! A connection stays with the thread that got it, so that a request's steps never wait for another thread to wake up:
//! sockets, timers and the connections to the hospital's server are that thread's own. A connection goes to the worker
//! that has the fewest.

use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::Instant;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// How long a worker that was told to stop waits for what callers left behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time between two beats of a worker.
const BEAT: Duration = Duration::from_millis(500);

/// The number of the worker that this thread is, from 1; 0 on any other thread.
pub(crate) fn index() -> usize {
    INDEX.get()
}

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
}

/// The worker threads of one sidecar. Dropped, they finish what was begun, within ten seconds.
pub struct Workers {
    workers: Vec<Worker>,
}

impl Workers {
    /// Starts `count` of them.
    pub fn start(count: usize) -> io::Result<Workers> {
        Ok(Workers { workers: (1..=count).map(start).collect::<Result<_, _>>()? })
    }

    /// Whether every worker takes up work within this time.
    pub async fn answer(&self, within: Duration) -> bool {
        for worker in &self.workers {
            let done = worker.runtime.spawn(async {});
            if !matches!(tokio::time::timeout(within, done).await, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// Begins a connection on the worker that has the fewest.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, connection: F) {
        let least = self.workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        let Some(worker) = least else { return };
        let place = Place::take(&worker.connections);
        // On the heap by itself: what a task is given would stand in it twice.
        let connection = Box::pin(connection);
        worker.runtime.spawn(async move {
            connection.await;
            drop(place);
        });
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // A worker that is gone needs no telling.
            let _ = worker.stop.take().map(|stop| stop.send(()));
        }
    }
}

/// One connection in a worker's count.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>) -> Place {
        count.fetch_add(1, Ordering::Relaxed);
        Place(count.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn start(number: usize) -> io::Result<Worker> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        INDEX.set(number);
        runtime.block_on(async {
            let mut stopped = pin!(stopped);
            // A timer that is always near: tokio wakes its thread for each timer that is nearer than all others, and
            // with this one none of a request's is.
            while tokio::time::timeout(BEAT, stopped.as_mut()).await.is_err() {}
            // What a caller began is finished, though the caller went away.
            let deadline = Instant::now() + PATIENCE;
            while Handle::current().metrics().num_alive_tasks() > 0 && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    })?;
    Ok(Worker { runtime: handle, connections: Arc::default(), stop: Some(stop) })
}
