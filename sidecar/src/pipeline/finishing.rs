//! A request's work, which a caller that hangs up does not stop.
//!
//! It runs within its connection's task, where nothing has to be handed from task to task. Whoever lets go of it before
//! its end leaves it to a task of its own, so that nothing happens at the hospital's server without its audit record.
//! A fault in the program ends the one request alone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// What a request ended with, or the payload of the panic that ended it.
pub(super) type Ended<T> = Result<T, Box<dyn Any + Send>>;

/// A future that comes to its end, whoever waits for it.
pub(super) struct Finishing<F: Future<Output: Send> + Send + 'static> {
    /// Nothing once it has ended.
    work: Option<Pin<Box<F>>>,
}

impl<F: Future<Output: Send> + Send + 'static> Finishing<F> {
    /// Begun with its first poll: work that nobody polled is not done.
    pub fn new(work: F) -> Finishing<F> {
        Finishing { work: Some(Box::pin(work)) }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Finishing<F> {
    type Output = Ended<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended<F::Output>> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        // What a panic leaves half done is dropped right after it, and seen by nobody.
        let ended = match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => Err(payload),
        };
        self.work = None;
        Poll::Ready(ended)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Finishing<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::sync::Arc;

    use tokio::sync::{Notify, oneshot};

    use super::*;

    #[tokio::test]
    async fn work_that_is_waited_for_gives_its_answer() {
        let work = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(Finishing::new(work).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_that_is_let_go_of_comes_to_its_end() {
        let (done, ended) = oneshot::channel();
        let (go, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (its_go, its_begun) = (go.clone(), begun.clone());
        let waiting = tokio::spawn(Finishing::new(async move {
            its_begun.notify_one();
            its_go.notified().await;
            let _ = done.send("on record");
        }));
        begun.notified().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        go.notify_one();
        assert_eq!(ended.await.unwrap(), "on record");
    }

    #[tokio::test]
    async fn a_panic_ends_the_one_request() {
        let faulty = async {
            tokio::task::yield_now().await;
            if std::hint::black_box(true) {
                panic!("a fault in the program");
            }
        };
        let payload = Finishing::new(faulty).await.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"a fault in the program"));
    }
}
