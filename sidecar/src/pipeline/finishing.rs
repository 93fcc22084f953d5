//! A request's work, and what becomes of it when its caller hangs up or the program meets a fault.
//!
//! It runs within its connection's task, where nothing has to be handed from task to task. On the planes that write, whoever lets
//! go of it before its end leaves it to a task of its own, so that nothing happens at the hospital's server without its audit
//! record; what passes through ends with its caller. What is on the wrong side, an alarm or anything else, goes on on the right
//! one, in a task of its own ([`workers::cross`]). A fault in the program ends the one request alone, and is told.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body_util::Either;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::answer::Answer;
use super::{Refusal, Reply};
use crate::listen::workers;

/// What a request ended with, or the payload of the panic that ended it.
type Ended<T> = Result<T, Box<dyn Any + Send>>;

enum Place<T> {
    Here(Pin<Box<dyn Future<Output = T> + Send>>),
    /// With another worker; it comes to its end there by itself.
    There(JoinHandle<T>),
    Ended,
}

/// Work that may be let go of. Begun with its first poll: what nobody polled is not done.
pub(super) struct Work<T: Send + 'static> {
    place: Place<T>,
    /// It comes to its end, whoever waits for it.
    finishes: bool,
}

impl<T: Send + 'static> Work<T> {
    /// Work that comes to its end, whoever waits for it.
    pub fn finishing(work: impl Future<Output = T> + Send + 'static) -> Work<T> {
        Work { place: Place::Here(Box::pin(work)), finishes: true }
    }

    /// Work that ends with its caller, and stays with the worker of its connection.
    pub fn ending(work: impl Future<Output = T> + Send + 'static) -> Work<T> {
        Work { place: Place::Here(Box::pin(work)), finishes: false }
    }
}

impl<T: Send + 'static> Future for Work<T> {
    type Output = Ended<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended<T>> {
        let ended = match &mut self.place {
            Place::Here(work) => {
                // What a panic leaves half done is dropped right after it, and seen by nobody.
                let poll = || catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
                match workers::poll_crossing(poll) {
                    (Ok(Poll::Ready(output)), _) => Ok(output),
                    (Err(payload), _) => Err(payload),
                    (Ok(Poll::Pending), None) => return Poll::Pending,
                    (Ok(Poll::Pending), Some(worker)) => {
                        if let Place::Here(work) = std::mem::replace(&mut self.place, Place::Ended) {
                            self.place = Place::There(worker.runtime.spawn(work));
                        }
                        return self.poll(context);
                    }
                }
            }
            Place::There(task) => match ready!(Pin::new(task).poll(context)) {
                Ok(output) => Ok(output),
                Err(error) => Err(error.try_into_panic().unwrap_or_else(|error| Box::new(error))),
            },
            Place::Ended => return Poll::Pending,
        };
        self.place = Place::Ended;
        Poll::Ready(ended)
    }
}

impl<T: Send + 'static> Drop for Work<T> {
    fn drop(&mut self) {
        if let Place::Here(work) = std::mem::replace(&mut self.place, Place::Ended)
            && self.finishes
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

/// The answer that a request's work comes to, whatever becomes of the work.
pub(super) struct Answering(pub Work<Response<Reply>>);

impl Future for Answering {
    type Output = Response<Reply>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Reply>> {
        let ended = ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(ended.unwrap_or_else(|_| {
            tracing::error!(
                "answering a request met a fault in the program; the panic before this line says where"
            );
            Answer::refused(&Refusal::Internal).into_response("", true).map(Either::Left)
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::sync::Arc;

    use tokio::sync::{Notify, oneshot};

    use super::*;
    use crate::listen::workers::{Side, Workers};

    #[tokio::test]
    async fn work_that_is_waited_for_gives_its_answer() {
        let work = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(Work::finishing(work).await.unwrap(), 7);
    }

    /// What becomes of work that is let go of once it has begun: whether it comes to its end.
    async fn let_go_of(finishes: bool) -> bool {
        let (done, ended) = oneshot::channel();
        let (go, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (its_go, its_begun) = (go.clone(), begun.clone());
        let work = async move {
            its_begun.notify_one();
            its_go.notified().await;
            let _ = done.send("on record");
        };
        let waiting = tokio::spawn(if finishes { Work::finishing(work) } else { Work::ending(work) });
        begun.notified().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        go.notify_one();
        ended.await.is_ok()
    }

    #[tokio::test]
    async fn work_that_is_let_go_of_comes_to_its_end_or_ends_with_its_caller() {
        assert!(let_go_of(true).await);
        assert!(!let_go_of(false).await);
    }

    #[tokio::test]
    async fn an_alarms_work_goes_on_with_their_worker_and_is_waited_for() {
        let workers = Workers::start(1).unwrap();
        let (tell, told) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        workers.spawn(Side::Ordinary, async {
            let work = Work::finishing(async {
                workers::cross(Side::Alarms).await;
                workers::side()
            });
            let faulty = Work::finishing(async {
                workers::cross(Side::Alarms).await;
                panic!("a fault in the program");
            });
            let worked = work.await.unwrap();
            let payload = faulty.await.unwrap_err();
            tell.send((worked, workers::side(), payload.is::<&'static str>())).unwrap();
            // Let go of after it has crossed.
            let mut left = Work::finishing(async {
                workers::cross(Side::Alarms).await;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                done.send(workers::side()).unwrap();
            });
            std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut left).poll(context).is_pending())).await;
        });
        assert_eq!(told.await.unwrap(), (Side::Alarms, Side::Ordinary, true));
        assert_eq!(ended.await.unwrap(), Side::Alarms);
    }

    #[tokio::test]
    async fn a_panic_ends_the_one_request_and_is_told() {
        async fn faulty<T>() -> T {
            tokio::task::yield_now().await;
            panic!("a fault in the program");
        }
        let payload = Work::<()>::finishing(faulty()).await.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"a fault in the program"));
        for work in [Work::finishing(faulty()), Work::ending(faulty())] {
            let told = Answering(work).await;
            assert_eq!(told.status(), 500);
            assert_eq!(told.headers()["connection"], "close");
        }
    }
}
