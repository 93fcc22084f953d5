//! Worker threads: each drives its own connections, with everything that their requests do.
//!
//! A connection stays with the thread that got it, so that a request's steps never wait for another thread to wake up:
//! sockets, timers and the connections to the hospital's server are that thread's own. A connection goes to the worker
//! that has the fewest.
//!
//! One more thread is for alarms alone ([`Side::Alarms`]): anywhere else each step of an alarm waits behind all steps that are
//! ready on its thread, while this one mostly sleeps, and who mostly sleeps gets a processor at once. It begins with the first
//! alarm; a gateway without any has none. What belongs on the other side is moved there whole, between two of its steps
//! ([`cross`]); what belongs where is decided in [`super::exchange`].

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use metrics::counter;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::time::Instant;

use super::hurry;

thread_local! {
    static HERE: Cell<(usize, Side)> = const { Cell::new((0, Side::Ordinary)) };
    /// The workers that this thread is one of.
    static CREW: RefCell<Option<Arc<Crew>>> = const { RefCell::new(None) };
    /// Where the work that is polled at the moment wants to go on.
    static WANTED: Cell<Option<Side>> = const { Cell::new(None) };
}

/// How long a worker that was told to stop waits for what callers left behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time between two beats of a worker.
const BEAT: Duration = Duration::from_millis(500);

/// Whose work a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Everybody's.
    Ordinary,
    /// That of alarms.
    Alarms,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Ordinary => Side::Alarms,
            Side::Alarms => Side::Ordinary,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Side::Ordinary => "ordinary",
            Side::Alarms => "alarms",
        }
    }
}

/// The number of the worker that this thread is, from 1; 0 on any other thread.
pub(crate) fn index() -> usize {
    HERE.get().0
}

/// Whose work this thread does.
pub(crate) fn side() -> Side {
    HERE.get().1
}

/// Goes on on a worker of that side, where this thread is one of the other. Timers and sockets that are held meanwhile are told of
/// by this thread; a caller's [`super::wire::Wire`] goes along.
pub(crate) async fn cross(to: Side) {
    let mut wants = index() > 0 && side() != to;
    poll_fn(|context| {
        if !std::mem::take(&mut wants) {
            return Poll::Ready(());
        }
        WANTED.set(Some(to));
        // Where nobody takes it there, it goes on here.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls work that may [`cross`]; where it is left pending for that, with the worker that is to poll it from now on.
pub(crate) fn poll_crossing<T>(poll: impl FnOnce() -> T) -> (T, Option<Worker>) {
    WANTED.set(None);
    let polled = poll();
    let elsewhere =
        WANTED.take().and_then(|side| CREW.with_borrow(|crew| crew.as_ref()?.worker(side).cloned()));
    (polled, elsewhere)
}

/// One worker thread.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    /// What it runs.
    pub runtime: Handle,
    side: Side,
    connections: Arc<AtomicUsize>,
}

impl Worker {
    fn start(number: usize, side: Side, mut stopped: watch::Receiver<()>) -> io::Result<Worker> {
        let name = match side {
            Side::Ordinary => format!("worker-{number}"),
            Side::Alarms => "worker-alarms".to_owned(),
        };
        let (tell, told) = mpsc::sync_channel(1);
        std::thread::Builder::new().name(name).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            HERE.set((number, side));
            let _ = tell.send(Ok(runtime.handle().clone()));
            runtime.block_on(async {
                // A timer that is always near: tokio wakes its thread for each timer that is nearer than all others, and
                // with this one none of a request's is.
                while tokio::time::timeout(BEAT, stopped.changed()).await.is_err() {}
                // What a caller began is finished, though the caller went away. All workers end together: what went to another
                // one has left timers behind.
                let deadline = Instant::now() + PATIENCE;
                while any_works() && Instant::now() < deadline {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        })?;
        let runtime = told.recv().map_err(io::Error::other)??;
        Ok(Worker { runtime, side, connections: Arc::default() })
    }

    /// Tells the thread which workers it is one of.
    fn join(&self, crew: &Arc<Crew>) {
        let crew = crew.clone();
        self.runtime.spawn(async { CREW.set(Some(crew)) });
    }

    fn drive(&self, connection: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.runtime.spawn(Driven { connection: Some(connection), among: self.connections.clone() });
    }
}

/// A connection on the worker that has it and counts it.
struct Driven {
    connection: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    among: Arc<AtomicUsize>,
}

impl Future for Driven {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
        if side() == Side::Ordinary {
            hurry::make_room();
        }
        let (polled, elsewhere) = poll_crossing(|| connection.as_mut().poll(context));
        let Some(worker) = elsewhere else { return polled };
        if let Some(connection) = self.connection.take() {
            counter!("varco_connections_moved_total", "to" => worker.side.name()).increment(1);
            worker.drive(connection);
        }
        Poll::Ready(())
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.among.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether there is work left for one of the workers that this thread is one of.
fn any_works() -> bool {
    let works = |worker: &Worker| worker.runtime.metrics().num_alive_tasks() > 0;
    CREW.with_borrow(|crew| crew.as_ref().is_some_and(|crew| crew.all().any(works)))
}

/// The workers of one sidecar, as each of them knows them.
#[derive(Debug)]
struct Crew {
    ordinary: Vec<Worker>,
    /// The one for alarms, once there was an alarm; nothing where it can't be had.
    alarms: OnceLock<Option<Worker>>,
    stopped: watch::Receiver<()>,
}

impl Crew {
    fn all(&self) -> impl Iterator<Item = &Worker> {
        self.ordinary.iter().chain(self.alarms.get().and_then(Option::as_ref))
    }

    fn worker(self: &Arc<Crew>, side: Side) -> Option<&Worker> {
        match side {
            Side::Ordinary => {
                self.ordinary.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed))
            }
            Side::Alarms => self.alarms.get_or_init(|| self.begin_alarms()).as_ref(),
        }
    }

    fn begin_alarms(self: &Arc<Crew>) -> Option<Worker> {
        match Worker::start(self.ordinary.len() + 1, Side::Alarms, self.stopped.clone()) {
            Ok(worker) => {
                worker.join(self);
                Some(worker)
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    "there is no thread for alarms alone: they wait among all requests until the next start; allow this process one thread more"
                );
                None
            }
        }
    }
}

/// The worker threads of one sidecar. Dropped, they finish what was begun, within ten seconds.
pub struct Workers {
    crew: Arc<Crew>,
    /// They stop when it is gone.
    _run: watch::Sender<()>,
}

impl Workers {
    /// Starts `count` of them.
    pub fn start(count: usize) -> io::Result<Workers> {
        let (run, stopped) = watch::channel(());
        let ordinary = (1..=count).map(|number| Worker::start(number, Side::Ordinary, stopped.clone()));
        let crew = Crew { ordinary: ordinary.collect::<io::Result<_>>()?, alarms: OnceLock::new(), stopped };
        let crew = Arc::new(crew);
        crew.ordinary.iter().for_each(|worker| worker.join(&crew));
        Ok(Workers { crew, _run: run })
    }

    /// Whether every worker takes up work within this time.
    pub async fn answer(&self, within: Duration) -> bool {
        for worker in self.crew.all() {
            let done = worker.runtime.spawn(async {});
            if !matches!(tokio::time::timeout(within, done).await, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// Begins a connection on a worker of that side.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, side: Side, connection: F) {
        let worker = self.crew.worker(side).or_else(|| self.crew.worker(Side::Ordinary));
        if let Some(worker) = worker {
            // On the heap by itself: what a task is given would stand in it twice.
            worker.drive(Box::pin(connection));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_crosses_goes_on_on_the_other_side_and_back() {
        let workers = Workers::start(2).unwrap();
        let (tell, told) = oneshot::channel();
        workers.spawn(Side::Ordinary, async {
            let mut seen = vec![(index(), side())];
            for to in [Side::Ordinary, Side::Alarms, Side::Alarms, Side::Ordinary] {
                cross(to).await;
                seen.push((index(), side()));
            }
            tell.send(seen).unwrap();
        });
        let (first, other) = (Side::Ordinary, (3, Side::Alarms));
        let seen = told.await.unwrap();
        assert_eq!(seen[..4], [(1, first), (1, first), other, other]);
        assert_eq!(seen[4].1, Side::Ordinary);
        assert!(workers.answer(Duration::from_secs(10)).await);
    }

    #[tokio::test]
    async fn there_is_no_thread_for_alarms_before_the_first_and_nobody_crosses_from_elsewhere() {
        let workers = Workers::start(1).unwrap();
        cross(Side::Alarms).await;
        assert_eq!((index(), side()), (0, Side::Ordinary));
        assert!(workers.crew.alarms.get().is_none());
        // Work that nobody takes there goes on where it is.
        let (tell, told) = oneshot::channel();
        workers.crew.ordinary[0].runtime.spawn(async {
            cross(Side::Alarms).await;
            tell.send(index()).unwrap();
        });
        assert_eq!(told.await.unwrap(), 1);
        assert!(workers.crew.alarms.get().is_none());
    }
}
