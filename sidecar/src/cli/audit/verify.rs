//! `varco audit verify`: every record of the trail follows from the one before it.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use varco::store::{OpenIntent, TrailProof};
use varco_core::audit::Removed;
use varco_core::audit::chain::RecordHash;

use super::{Source, could_not_run};
use crate::cli::say;

/// Proves the hash chain of the audit trail, and names the first record that was changed, removed, inserted or moved.
///
/// Exits 0 if the trail is as it was written, 1 if not, 2 if it could not be read. The chain alone can't show that its
/// last records are missing: keep the hash that is printed elsewhere, and give it as --kept the next time.
///
/// A write is recorded before it is asked of the hospital's server and again when it has ended. Writes whose end is not on
/// record are listed: where the sidecar was killed in between, the server tells what became of them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco audit verify --config varco.toml
  varco audit verify --store backup/varco.sqlite --output json
  varco audit verify --config varco.toml --kept 4f1d…64 digits…9a

With --output json, one object is printed:
  {\"intact\": true, \"records\": 1204, \"lastRecorded\": \"2026-11-22T05:13:32.123Z\", \"lastHash\": \"4f1d…\",
   \"keptFound\": true, \"removed\": null, \"broken\": null,
   \"open\": [{\"id\": \"0199…-intent\", \"recorded\": \"2026-11-22T05:13:32.123Z\"}]}
Where old records were removed by `audit.keep`, the proof begins after them, and `removed` holds what the trail itself
says of that: {\"records\": 90311, \"through\": 90311, \"at\": \"2031-11-22T00:10:02.000Z\", \"rule\": \"keep = \\\"5 years\\\"\"}.")]
pub struct Verify {
    #[command(flatten)]
    source: Source,
    /// A hash that an earlier run printed: it must still stand in the trail.
    #[arg(long, value_name = "HASH")]
    kept: Option<RecordHash>,
    /// How to print the result.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Verify {
    pub fn run(self) -> ExitCode {
        let trail = match self.source.open() {
            Ok(trail) => trail,
            Err(code) => return code,
        };
        let bar = progress(trail.reader.span().unwrap_or_default());
        let proof = trail.reader.prove(self.kept, |records| bar.set_position(records));
        bar.finish_and_clear();
        match proof.and_then(|proof| Ok((proof, trail.reader.open_intents()?))) {
            Ok((proof, open)) => self.tell(&proof, &open),
            Err(error) => could_not_run(error),
        }
    }

    fn tell(&self, proof: &TrailProof, open: &[OpenIntent]) -> ExitCode {
        let TrailProof { began_after, records, last_recorded, last_hash, kept_found, broken } = proof;
        let intact = broken.is_none() && *kept_found != Some(false);
        match self.output {
            Output::Json => {
                let broken = broken.as_ref().map(|own| {
                    json!({ "record": own.seq, "id": own.id, "recorded": own.recorded, "what": own.what.to_string() })
                });
                let removed = began_after.as_ref().map(|own| {
                    let Removed { total, through, rule, .. } = &own.removed;
                    json!({ "records": total, "through": through, "at": own.at, "rule": rule })
                });
                let open = open.iter().map(|own| json!({ "id": own.id, "recorded": own.recorded }));
                let open: Vec<serde_json::Value> = open.collect();
                say::line(json!({
                    "open": open, "removed": removed, "intact": intact, "records": records, "lastRecorded": last_recorded,
                    "lastHash": last_hash.to_string(), "keptFound": kept_found, "broken": broken,
                }));
            }
            Output::Text => {
                if let Some(own) = began_after {
                    let Removed { total, through, rule, .. } = &own.removed;
                    say::line(format!(
                        "{total} record(s) before this, up to number {through}, were removed by the rule {rule}, the \
                         last of them at {}.",
                        own.at
                    ));
                }
                if let Some(own) = broken {
                    say::line(format!(
                        "record {} (AuditEvent/{}, {}): {}.",
                        own.seq, own.id, own.recorded, own.what
                    ));
                    say::line(format!(
                        "{records} record(s) before it are as they were written. Compare this record with a backup \
                         from before the change."
                    ));
                } else {
                    let until =
                        last_recorded.as_ref().map_or(String::new(), |at| format!(", the last of {at}"));
                    say::line(format!("{records} record(s){until}: each follows from the one before it."));
                    if *kept_found == Some(false) {
                        say::line(
                            "The hash that was kept does not stand in the trail: its end was cut off, or all of it was \
                             written anew, or it is of a record that was removed by the rule. Compare with a backup.",
                        );
                    }
                }
                for OpenIntent { id, recorded } in open {
                    say::line(format!(
                        "AuditEvent/{id}, {recorded}: a write was begun, and its end is not on record."
                    ));
                }
                say::line(format!("last hash {last_hash}"));
            }
        }
        if intact { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn progress(records: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(records), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} records, {eta} left") {
        bar.set_style(style);
    }
    bar
}
