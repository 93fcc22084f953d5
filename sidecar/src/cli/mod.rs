//! The command line: one command a file.

mod audit;
mod certify;
mod check;
mod consent;
mod demo;
mod fhirpath;
mod map;
mod packages;
mod plugin;
mod policy_tests;
mod say;
mod serve;
mod snapshot;
mod top;
mod validate;
mod whole_file;

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
enum Command {
    Demo(demo::DemoCommand),
    Serve(serve::Serve),
    Top(top::Top),
    Check(check::Check),
    Consent(consent::Consent),
    Audit(audit::Audit),
    Certify(certify::Certify),
    Packages(packages::Packages),
    Validate(validate::Validate),
    Snapshot(snapshot::Snapshot),
    #[command(name = "fhirpath")]
    FhirPath(fhirpath::FhirPath),
    Map(map::Map),
    Plugin(plugin::Plugin),
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::Top(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Consent(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Certify(command) => command.run(),
        Command::Packages(command) => command.run(),
        Command::Validate(command) => command.run(),
        Command::Snapshot(command) => command.run(),
        Command::FhirPath(command) => command.run(),
        Command::Map(command) => command.run(),
        Command::Plugin(command) => command.run(),
    }
}
