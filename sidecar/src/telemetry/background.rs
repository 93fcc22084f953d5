//! What runs beside requests: when each last did its work, when it will again, and what went wrong, for `/tasks`.
//!
//! A task that is spawned here has an entry for as long as it lives, and tells of itself by [`done`] and [`failed`]; elsewhere
//! these do nothing. What is told stands in the log as well: causes for the operator, never data.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Longest cause that is kept, in characters.
const CAUSE: usize = 300;

tokio::task_local! {
    static OWN: Arc<Entry>;
}

/// The tasks beside requests.
#[derive(Debug, Default)]
pub struct Background {
    entries: Mutex<Vec<Weak<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    since: Timestamp,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    runs: u64,
    failures: u64,
    last: Option<Timestamp>,
    next: Option<Timestamp>,
    error: Option<(Timestamp, String)>,
}

impl Background {
    /// Runs a task under a name, which is shown until the task ends.
    pub fn spawn(
        &self,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let entry = Arc::new(Entry { name: name.into(), since: Timestamp::now(), state: Mutex::default() });
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.strong_count() > 0);
        entries.push(Arc::downgrade(&entry));
        drop(entries);
        tokio::spawn(OWN.scope(entry, task))
    }

    /// Every task that runs, by name.
    pub fn told(&self) -> Vec<Value> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut living: Vec<Arc<Entry>> = entries.iter().filter_map(Weak::upgrade).collect();
        drop(entries);
        living.sort_by(|a, b| a.name.cmp(&b.name).then(a.since.cmp(&b.since)));
        living.iter().map(|entry| entry.told()).collect()
    }
}

impl Entry {
    fn told(&self) -> Value {
        let at = |time: Option<Timestamp>| time.map(|time| format!("{time:.3}"));
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let error =
            state.error.as_ref().map(|(time, cause)| json!({ "at": at(Some(*time)), "cause": cause }));
        json!({
            "name": self.name,
            "since": at(Some(self.since)),
            "runs": state.runs,
            "failures": state.failures,
            "last_run": at(state.last),
            "next_run": at(state.next),
            "last_error": error,
        })
    }

    fn ran(&self, next: Option<Duration>, failure: Option<&str>) {
        let now = Timestamp::now();
        let ahead = next.and_then(|next| now.checked_add(SignedDuration::try_from(next).ok()?).ok());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.runs = state.runs.saturating_add(1);
        state.last = Some(now);
        state.next = ahead;
        if let Some(cause) = failure {
            state.failures = state.failures.saturating_add(1);
            state.error = Some((now, cause.chars().take(CAUSE).collect()));
        }
    }
}

/// The task that calls this did its work, and will again after `next`.
pub fn done(next: Option<Duration>) {
    let _ = OWN.try_with(|own| own.ran(next, None));
}

/// The task that calls this could not do its work, and tries again after `next`.
pub fn failed(cause: &str, next: Option<Duration>) {
    let _ = OWN.try_with(|own| own.ran(next, Some(cause)));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_task_tells_of_itself_for_as_long_as_it_lives() {
        let background = Background::default();
        let (told, ready) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let task = background.spawn("export", async {
            done(Some(Duration::from_secs(5)));
            failed("it can't be reached", None);
            told.send(()).unwrap();
            ended.await.unwrap();
        });
        ready.await.unwrap();
        let seen = background.told().pop().unwrap();
        assert_eq!(
            (&seen["name"], &seen["runs"], &seen["failures"]),
            (&json!("export"), &json!(2), &json!(1))
        );
        assert_eq!(seen["last_error"]["cause"], "it can't be reached");
        assert!(seen["next_run"].is_null() && seen["last_run"].is_string(), "{seen}");
        end.send(()).unwrap();
        task.await.unwrap();
        assert!(background.told().is_empty());
        done(None);
    }
}
