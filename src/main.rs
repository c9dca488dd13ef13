//! The `proxy` binary: hands its arguments over and returns the exit code.

use std::process::ExitCode;

use proxy::app::{self, Inherited};
use proxy::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let inherited = Inherited::take();
    let predecessor = inherited.predecessor();
    let start = move |config, file: Option<_>| Ok(app::run(&config, file.as_ref(), inherited)?);
    cli::main(predecessor, Box::new(start))
}
