//! `varco serve`: the sidecar.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use varco::handoff::Taken;
use varco::run::{Life, Origin};
use varco::systemd::{self, Manager};
use varco::{config, run, telemetry};

use super::check::show;
use super::say;

/// Runs the sidecar beside a hospital's FHIR server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco check --config varco.toml     explains every fault before anything starts
  varco serve --config varco.toml     runs until SIGTERM or Ctrl-C, then lets open requests finish

A smallest configuration:
  [site]
  id = \"030913\"
  base_url = \"https://fhir.hospital.example/fhir\"
  [listen]
  address = \"0.0.0.0:8443\"
  tls = { certificate = \"server.pem\", key = \"server.key\" }
  [upstream]
  url = \"http://127.0.0.1:8080/fhir\"
  [tokens]
  issuer = \"https://hub.example\"
  jwks = \"hub.jwks.json\"
  [store]
  path = \"varco.sqlite\"

A FHIR server on two machines, spared when it is in trouble: at most 100 requests at a time, 200 that wait for half a
second, and none for a while after 50 failures in a row:
  [upstream]
  url = \"https://fhir.hospital.example/fhir\"
  ca = \"hospital-ca.pem\"
  addresses = [\"10.1.2.3:8443\", \"10.1.2.4:8443\"]
  concurrency = 100
  queue = 200
  queue_milliseconds = 500
  breaker = { failures = 50 }

An upgrade without a lost request: with `handoff` in [listen], a second `varco serve` takes the ports of the first, which
finishes what it has begun and ends. `kill -USR2` makes the running one start its successor from its own path:
  [listen]
  handoff = \"/run/varco/handoff.sock\"

Audit records kept for five years, and each one sent to an external FHIR store:
  [audit]
  keep = \"5 years\"
  [audit.export]
  url = \"https://arr.example/fhir/AuditEvent\"
  ca = \"arr-ca.pem\"
  token_file = \"arr.token\"

With HL7 v2 messages of the hospital's own departments (MLLP), each acknowledged once its FHIR transaction is done
and recorded; varco check --schema lists all settings:
  [mllp]
  address = \"10.1.2.3:2575\"
  tls = { certificate = \"server.pem\", key = \"server.key\", client_ca = \"departments.pem\" }
  [[mllp.sender]]
  name = \"lis\"
  application = \"LAB\"
  certificate_name = \"lis.hospital.example\"
  types = [\"ORU^R01\"]")]
pub struct Serve {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Serve {
    pub fn run(self) -> ExitCode {
        let config = match config::load(&self.config) {
            Ok(config) => config,
            Err(error) => return show(&error),
        };
        telemetry::start_log(config.log.level);
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return say::failed(format!("the runtime can't be started: {error}")),
        };
        runtime.block_on(async {
            // Named now: after an upgrade the file of this program is another's.
            let program = std::env::current_exe();
            let manager = Arc::new(Manager::from_environment());
            let taken = match &config.listen.handoff {
                None => None,
                Some(path) => match Taken::ask(path) {
                    Ok(taken) => taken,
                    Err(error) => {
                        return say::failed(format!("the process that serves can't be followed: {error}"));
                    }
                },
            };
            let origin = Origin { taken, given: systemd::sockets(), manager: manager.clone() };
            let can_hand_over = config.listen.handoff.is_some();
            let metrics = match telemetry::start_metrics() {
                Ok(metrics) => metrics,
                Err(error) => return say::failed(format!("metrics can't be counted: {error}")),
            };
            let mut running = match run::start_from(config, metrics, origin).await {
                Ok(running) => running,
                Err(error) => return say::failed(error),
            };
            running.follow(self.config);
            manager.ready("requests are answered");
            if let Some(every) = systemd::watchdog() {
                tokio::spawn(give_life_signs(running.life(), manager.clone(), every));
            }
            tokio::spawn(start_successors(program, can_hand_over));
            tokio::select! {
                () = stop_asked() => {
                    manager.stopping();
                    running.stop().await;
                }
                () = running.handed_over() => running.leave().await,
            }
            telemetry::flush_log();
            ExitCode::SUCCESS
        })
    }
}

/// Tells the service manager that this process lives, for as long as it would answer requests.
async fn give_life_signs(life: Life, manager: Arc<Manager>, every: Duration) {
    loop {
        match life.is_alive().await {
            true => manager.alive(),
            false => tracing::error!("requests would not be answered: the service manager gets no life sign"),
        }
        tokio::time::sleep(every).await;
    }
}

/// On SIGUSR2 starts the program that stands now where this one was started from, with the same arguments: it takes over.
async fn start_successors(program: std::io::Result<PathBuf>, can_hand_over: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut asked = match signal(SignalKind::user_defined2()) {
        Ok(asked) => asked,
        Err(error) => return tracing::warn!(%error, "SIGUSR2 can't be watched"),
    };
    while asked.recv().await.is_some() {
        if !can_hand_over {
            tracing::error!("SIGUSR2 asks for a new process to take over: set listen.handoff for that");
            continue;
        }
        let started = program.as_ref().map_err(ToString::to_string).and_then(|program| {
            let mut command = Command::new(program);
            command.args(std::env::args_os().skip(1)).stdin(Stdio::null());
            // What the service manager said of this process is not true of the next.
            for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
                command.env_remove(name);
            }
            command.spawn().map_err(|error| error.to_string())
        });
        match started {
            Ok(mut child) => {
                tracing::info!(process = child.id(), "a new process was started to take over");
                // Ends by itself where that fails; if it takes over, this process ends first.
                std::thread::spawn(move || child.wait());
            }
            Err(error) => tracing::error!(%error, "no new process can be started to take over"),
        }
    }
}

/// Returns on SIGTERM, or on Ctrl-C.
async fn stop_asked() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM can't be watched; only Ctrl-C stops gently");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
