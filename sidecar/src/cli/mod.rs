//! The command line: one command a file.

#[allow(dead_code)]
mod say;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Varco: a federated FHIR interoperability gateway.
#[derive(Debug, Parser)]
#[command(name = "varco", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    match Cli::parse().command {}
}
