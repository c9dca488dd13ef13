//! Commands that run the binary.

use std::os::fd::OwnedFd;
use std::process::Stdio;

use command_fds::{CommandFdExt, FdMapping};
use tokio::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_proxy");

/// A command that runs the binary, in an environment without settings for it.
pub(crate) fn command() -> Command {
    clean(Command::new(BINARY))
}

/// A command that runs the binary after `preparation`, which the shell `program` with these arguments runs.
pub(crate) fn prepared(program: &str, args: &[&str], preparation: &str) -> Command {
    let mut command = Command::new(program);
    let script = format!("{preparation} && exec \"$0\" \"$@\"");
    command.args(args).args(["-c", &script, BINARY]);
    clean(command)
}

fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let is_setting = |prefix: &&str| name.to_string_lossy().starts_with(*prefix);
        if ["PROXY_", "OTEL_"].iter().any(is_setting) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Passes sockets under these names, as systemd does.
pub(crate) fn pass(sockets: Vec<(String, OwnedFd)>, command: &mut Command) {
    if sockets.is_empty() {
        return;
    }
    let (names, sockets): (Vec<_>, Vec<_>) = sockets.into_iter().unzip();
    command
        .env("LISTEN_FDS", names.len().to_string())
        .env("LISTEN_FDNAMES", names.join(":"));
    let mappings = (3..).zip(sockets).map(|(child_fd, parent_fd)| FdMapping {
        parent_fd,
        child_fd,
    });
    let command = command.as_std_mut();
    command.fd_mappings(mappings.collect()).unwrap();
}
