//! Where log lines go: gathered, and written to standard output together.
//!
//! A line for each request must not cost a system call for each request. Lines are gathered for [`GATHER`] at most; a
//! warning or an error is written at once, with all that stands before it. Whoever reads too slowly stops no request:
//! beyond [`MOST`] bytes lines are left out and counted (`varco_log_lines_dropped_total`).

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::counter;

/// How long a line may wait for others.
const GATHER: Duration = Duration::from_millis(20);
/// Most bytes that wait.
const MOST: usize = 4 * 1024 * 1024;

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// A line among them must not wait.
    urgent: bool,
    dropped: u64,
}

struct Shared {
    gathered: Mutex<Gathered>,
    filled: Condvar,
    /// Held while bytes are written, so that they keep their order.
    out: Mutex<Box<dyn Write + Send>>,
}

/// Log lines on their way out.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

impl Lines {
    /// Lines that go to `out`, written by a thread of their own.
    pub fn to(out: impl Write + Send + 'static) -> io::Result<Lines> {
        let lines = Lines(Arc::new(Shared {
            gathered: Mutex::default(),
            filled: Condvar::new(),
            out: Mutex::new(Box::new(out)),
        }));
        let own = lines.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || own.run())?;
        Ok(lines)
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.0.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            let waiting = self.gathered();
            let first = self.0.filled.wait_while(waiting, |own| own.bytes.is_empty());
            let first = first.unwrap_or_else(PoisonError::into_inner);
            let gathering = self.0.filled.wait_timeout_while(first, GATHER, |own| !own.urgent);
            drop(gathering);
            self.flush();
        }
    }

    /// Takes a whole line; an urgent one is written at once, with all that stands before it.
    pub fn take(&self, line: &[u8], urgent: bool) {
        let mut gathered = self.gathered();
        if gathered.bytes.len().saturating_add(line.len()) > MOST {
            gathered.dropped += 1;
            return;
        }
        let wake = gathered.bytes.is_empty() || (urgent && !gathered.urgent);
        gathered.bytes.extend_from_slice(line);
        gathered.urgent |= urgent;
        drop(gathered);
        if wake {
            self.0.filled.notify_one();
        }
    }

    /// Writes what has been gathered.
    pub fn flush(&self) {
        let mut out = self.0.out.lock().unwrap_or_else(PoisonError::into_inner);
        let Gathered { bytes, dropped, .. } = std::mem::take(&mut *self.gathered());
        if dropped > 0 {
            counter!("varco_log_lines_dropped_total").increment(dropped);
        }
        // Where standard output is gone there is nobody to tell.
        let _ = out.write_all(&bytes).and_then(|()| out.flush());
    }
}
