//! `varco serve`: the sidecar.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
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
            let metrics = match telemetry::start_metrics() {
                Ok(metrics) => metrics,
                Err(error) => return say::failed(format!("metrics can't be counted: {error}")),
            };
            match run::start(config, metrics).await {
                Ok(running) => {
                    running.follow(self.config);
                    stop_asked().await;
                    running.stop().await;
                    ExitCode::SUCCESS
                }
                Err(error) => say::failed(error),
            }
        })
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
