//! The `varco` program: the sidecar and the tools around it.

mod cli;

/// Requests are many small allocations, and what one thread takes another gives back: the store's writer, for one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
