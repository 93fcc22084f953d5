//! `varco serve` as a process of its own.

use std::process::{Child, Command, Stdio};

use super::{Setup, listening};

/// A running `varco serve`; killed with the test.
pub struct Serving(pub Child);

impl Serving {
    /// Starts it, and waits until somebody listens on `port`.
    pub async fn start(setup: &Setup, port: u16) -> Serving {
        let child = Command::new(env!("CARGO_BIN_EXE_varco"))
            .args(["serve", "--config"])
            .arg(setup.config_file())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let serving = Serving(child);
        listening(port).await;
        serving
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
