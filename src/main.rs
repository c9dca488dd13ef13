//! The `proxy` binary: hands its arguments over and returns the exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    proxy::cli::main(|config, file| Ok(proxy::app::run(&config, file.as_ref())?))
}
