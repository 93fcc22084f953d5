//! The `varco` program: the sidecar and the tools around it.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
