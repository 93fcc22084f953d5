//! `varco plugin`: what a plugin's author needs, from an empty folder to a signed component.
//!
//! A project is a folder with a manifest `plugin.json`; [`project`] knows its shape. What is built lies in `dist/`: the
//! component and the manifest stamped with its digest. Tests and measurements run through the gateway's own host, within
//! the manifest's limits.
//!
//! Exit codes are a contract: 0 all well, 1 the plugin is at fault, 2 could not run.

mod bench;
mod build;
mod component;
mod difference;
mod fixture;
mod hostile_input;
mod inspect;
mod layout;
mod new;
mod project;
mod sign;
mod stand;
mod test;
mod toolchain;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::say;

/// The contract that plugins are built against.
const CONTRACT: &str = include_str!("../../../../plugins/wit/varco-plugin.wit");

/// Makes, builds, tests, measures, signs and explains plugins.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco plugin new small-bodies              a working project in Rust (--lang js, --lang c)
  varco plugin build small-bodies            small-bodies/dist/small-bodies.wasm and its manifest
  varco plugin test small-bodies             fixtures and hostile inputs, through the gateway's own host
  varco plugin bench small-bodies            calls a second, p50, p99, memory
  varco plugin sign --key key.pem small-bodies
  varco plugin inspect --trust vendor.pem dist/small-bodies.plugin.json

Exit codes: 0 all well, 1 the plugin is at fault, 2 could not run.")]
pub struct Plugin {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    New(new::New),
    Build(build::Build),
    Test(test::Test),
    Bench(bench::Bench),
    Sign(sign::Sign),
    Inspect(inspect::Inspect),
}

impl Plugin {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            PluginCommand::New(command) => command.run(),
            PluginCommand::Build(command) => command.run(),
            PluginCommand::Test(command) => command.run(),
            PluginCommand::Bench(command) => command.run(),
            PluginCommand::Sign(command) => command.run(),
            PluginCommand::Inspect(command) => command.run(),
        };
        match result {
            Ok(Ending::Well) => ExitCode::SUCCESS,
            Ok(Ending::AtFault) => ExitCode::from(1),
            Err(fault) => {
                say::note(format!("varco: {fault:#}"));
                ExitCode::from(2)
            }
        }
    }
}

/// How a command that could run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Well,
    AtFault,
}

impl Ending {
    fn of(well: bool) -> Self {
        if well { Self::Well } else { Self::AtFault }
    }
}
