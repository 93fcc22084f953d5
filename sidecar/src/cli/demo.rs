//! `varco demo`: a whole region in one process.

use std::io::{Write, stdout};
use std::process::ExitCode;

use clap::Args;
use varco::demo::{Demo, DemoError};
use varco::telemetry;

use super::say;

/// Plays the scenarios in a network of three hospitals, a hub and a foreign contact point.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco demo            plays the scenarios, then leaves the network up and prints requests to try
  varco demo --once     plays them and ends; exits 0 only if every step came out as stated")]
pub struct DemoCommand {
    /// End after the scenarios.
    #[arg(long)]
    once: bool,
}

impl DemoCommand {
    pub fn run(self) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return say::failed(format!("the runtime can't be started: {error}")),
        };
        match runtime.block_on(self.play()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => say::failed("a step did not come out as stated"),
            Err(error) => say::failed(error),
        }
    }

    async fn play(&self) -> Result<bool, DemoError> {
        let metrics = telemetry::start_metrics().map_err(|error| DemoError::Other(error.to_string()))?;
        let folder = std::env::temp_dir().join(format!("varco-demo-{}", std::process::id()));
        let demo = Demo::start(folder, &metrics).await?;
        let played = demo.play(&mut stdout()).await;
        let all_held = matches!(&played, Ok(played) if played.failed == 0 && played.held > 0);
        if all_held && !self.once {
            demo.invite(&mut stdout()).await?;
            stdout().flush()?;
            tokio::signal::ctrl_c().await?;
        }
        demo.stop().await?;
        played.map(|_| all_held)
    }
}
