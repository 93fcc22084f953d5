//! `varco top`: a running sidecar at a glance, read from its operator's port.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::mpsc;
use tokio::time::Instant;
use varco::audit::destination::Destination;
use varco::config;
use varco::telemetry::exposition::Exposition;
use varco::telemetry::frame::{Look, draw};

use super::say;

/// Another screen without a cursor; and back.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?1049l";

/// Shows what a running sidecar is doing: rates, refusals, latency, its upstream, what is under way.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco top                                      the sidecar of this machine; q and Enter, or Ctrl-C, ends it
  varco top --admin http://127.0.0.1:9470        another operator's port
  varco top --once | grep '^upstream'            one frame as plain text, for scripts

Rates and latencies are those between two looks. Exits 1 where the sidecar does not answer.")]
pub struct Top {
    /// The sidecar's operator's port (`admin.address`).
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464")]
    admin: String,
    /// Print one frame and end.
    #[arg(long)]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    every: u64,
    /// Lines of the terminal; what does not fit is left out.
    #[arg(long, value_name = "LINES", default_value_t = 24)]
    rows: usize,
}

impl Top {
    pub fn run(self) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return say::failed(format!("the runtime can't be started: {error}")),
        };
        let live = !self.once && io::stdout().is_terminal();
        let outcome = runtime.block_on(self.show(live));
        // Also where it ended badly: the terminal is as it was.
        if live {
            let mut out = io::stdout().lock();
            let _ = out.write_all(END.as_bytes()).and_then(|()| out.flush());
        }
        // A thread may wait for a key still.
        runtime.shutdown_background();
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => say::failed(fault),
        }
    }

    async fn show(&self, live: bool) -> Result<(), String> {
        let server =
            Destination::new(&config::Destination::at(&self.admin)).map_err(|error| error.to_string())?;
        let every = Duration::from_secs(self.every);
        let mut before = look(&server, &self.admin).await?;
        let mut at = Instant::now();
        if live {
            print(BEGIN)?;
        }
        let mut keys = if live { keys() } else { mpsc::channel(1).1 };
        let mut ended = std::pin::pin!(ended());
        let mut next = at + every;
        loop {
            tokio::select! {
                () = &mut ended => return Ok(()),
                Some(line) = keys.recv() => {
                    if line.trim().eq_ignore_ascii_case("q") {
                        return Ok(());
                    }
                }
                () = tokio::time::sleep_until(next) => {
                    let now = look(&server, &self.admin).await;
                    let seconds = at.elapsed().as_secs_f64();
                    at = Instant::now();
                    next = at + every;
                    match now {
                        Ok(now) => {
                            self.print(live, &draw(&before, &now, seconds))?;
                            before = now;
                        }
                        // A live view outlasts a restart of what it shows.
                        Err(fault) if live => self.print(live, &[fault])?,
                        Err(fault) => return Err(fault),
                    }
                    if self.once {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn print(&self, live: bool, lines: &[String]) -> Result<(), String> {
        if !live {
            return print(&format!("{}\n", lines.join("\n")));
        }
        let head = format!("varco top   {}   q and Enter, or Ctrl-C, ends", self.admin);
        let mut text = "\x1b[H".to_owned();
        for (number, line) in std::iter::once(&head).chain(lines).take(self.rows.max(2) - 1).enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\r\n\x1b[J");
        print(&text)
    }
}

/// On standard output. A reader that closed the pipe ends it.
fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())
}

/// One look at the sidecar.
async fn look(server: &Destination, admin: &str) -> Result<Look, String> {
    let get = async |path: &str| {
        let accept = HeaderValue::from_static("*/*");
        let answer = server.send(Method::GET, path, accept, Default::default()).await;
        let answer = answer.map_err(|cause| format!("nothing answers at {admin}: {cause}. Name the operator's port of a running sidecar with --admin."))?;
        match answer.status {
            StatusCode::OK => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            status => Err(format!(
                "{admin}{path} answers with status {}: is it the operator's port?",
                status.as_u16()
            )),
        }
    };
    let metrics = Exposition::parse(&get("/metrics").await?);
    let tasks = serde_json::from_str(&get("/tasks").await?);
    Ok(Look { metrics, tasks: tasks.map_err(|error| format!("{admin}/tasks is not understood: {error}"))? })
}

/// Lines that are typed. Reading them blocks a thread of its own.
fn keys() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Returns on Ctrl-C or SIGTERM.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
