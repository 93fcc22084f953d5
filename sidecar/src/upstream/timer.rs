//! A timer that is used again and again. To set one takes a lock and a place among all others, and most are never needed: what
//! is waited for comes first. So one that is set for earlier than it is needed stays as it is; should it end, it is set anew.

use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep};

use crate::listen::workers;

/// A timer; none is made before something is waited for.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once `until` has come.
    pub fn poll(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let own = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            if own.deadline() > until || own.is_elapsed() {
                own.as_mut().reset(until);
            }
            // Whoever is waited for may have used up what the thread grants a task in one turn, each time: a server that says
            // `100 Continue` for ever. The timer ends that, so it needs no grant.
            ready!(pin!(unconstrained(own.as_mut())).poll(context));
            if own.deadline() >= until {
                return Poll::Ready(());
            }
        }
    }

    /// What comes of `future`; nothing where `until` comes first.
    pub async fn within<F: Future>(&mut self, until: Instant, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => self.poll(until, context).map(|()| None),
        })
        .await
    }
}

/// Timers that nobody uses now, those of each worker apart. Bound: [`Timers::MOST`] for each.
#[derive(Debug)]
pub(super) struct Timers([Mutex<Vec<Timer>>; Timers::SHARDS]);

impl Default for Timers {
    fn default() -> Timers {
        Timers(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Timers {
    const MOST: usize = 128;
    /// Workers whose timers are kept apart; more share.
    const SHARDS: usize = 64;

    /// One for this worker, which comes back when it is dropped.
    pub fn lend(&self) -> Lent<'_> {
        let home = self.0.get(workers::index() % Timers::SHARDS);
        let kept = home.and_then(|own| own.lock().unwrap_or_else(PoisonError::into_inner).pop());
        Lent { timer: kept.unwrap_or_default(), home }
    }
}

/// A timer on loan.
pub(super) struct Lent<'a> {
    timer: Timer,
    home: Option<&'a Mutex<Vec<Timer>>>,
}

impl Deref for Lent<'_> {
    type Target = Timer;

    fn deref(&self) -> &Timer {
        &self.timer
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Timer {
        &mut self.timer
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(home) = self.home else { return };
        let mut home = home.lock().unwrap_or_else(PoisonError::into_inner);
        if home.len() < Timers::MOST {
            home.push(std::mem::take(&mut self.timer));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_ends_when_it_was_meant_to_whatever_it_was_set_for_before() {
        let (began, mut timer) = (Instant::now(), Timer::default());
        let after = |milliseconds: u64| began + Duration::from_millis(milliseconds);
        assert_eq!(timer.within(after(20), async { 7 }).await, Some(7));
        assert!(timer.0.is_none(), "what is there at once needs no timer");
        let moment = tokio::time::sleep_until(after(1));
        assert_eq!(timer.within(after(20), moment).await, Some(()));
        assert_eq!(timer.within(after(50), pending::<()>()).await, None);
        assert!(Instant::now() >= after(50), "not when it was set for before");
        let moment = tokio::time::sleep_until(after(51));
        assert_eq!(timer.within(after(3_600_000), moment).await, Some(()));
        assert_eq!(timer.within(after(60), pending::<()>()).await, None, "set for an hour before");
        assert_eq!(timer.within(after(60), pending::<()>()).await, None, "what is over is over at once");
    }

    /// Each of its polls uses up what the task is granted, as one does that always finds something to read.
    #[tokio::test]
    async fn it_ends_what_never_leaves_the_thread_to_others() {
        let (mut timer, mut turns) = (Timer::default(), 0_u64);
        let until = Instant::now() + Duration::from_millis(20);
        let greedy = async {
            while Instant::now() < until + Duration::from_secs(30) {
                turns += 1;
                tokio::task::consume_budget().await;
            }
        };
        assert_eq!(timer.within(until, greedy).await, None, "it would have gone on");
        assert!(turns > 1_000 && Instant::now() >= until, "{turns} turns");
    }

    #[tokio::test]
    async fn what_is_lent_comes_back() {
        let (timers, hour) = (Timers::default(), Instant::now() + Duration::from_secs(3600));
        let count = || timers.0.iter().map(|own| own.lock().map_or(0, |own| own.len())).sum::<usize>();
        let (mut one, two) = (timers.lend(), timers.lend());
        assert_eq!(one.within(hour, tokio::task::yield_now()).await, Some(()));
        drop((one, two));
        assert_eq!(count(), 2);
        let again = timers.lend();
        assert_eq!(count(), 1);
        drop(again);
    }
}
