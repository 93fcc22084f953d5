//! Words for people: results on standard output, faults on standard error.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Display;
use std::io::IsTerminal;
use std::process::ExitCode;

/// One line on standard output.
pub fn line(text: impl Display) {
    use std::io::Write;
    // A reader that closed the pipe wants no more lines: that is not a fault.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// One line on standard error.
pub fn note(text: impl Display) {
    eprintln!("{text}");
}

/// A fault that ends the command: exit code 1.
pub fn failed(fault: impl Display) -> ExitCode {
    eprintln!("varco: {fault}");
    ExitCode::FAILURE
}

/// True where standard output can show colours.
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
