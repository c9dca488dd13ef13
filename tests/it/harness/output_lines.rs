//! The lines that the proxy writes to standard output and standard error.

use std::time::Duration;

use proxy::tasks::Tasks;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;
use tokio::time::timeout;

/// Time limit for everything that a test waits for of the proxy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the lines of `stream` in a task, if the test does not read it itself.
pub(crate) fn follow(
    stream: Option<impl AsyncRead + Send + Unpin + 'static>,
    readers: &Tasks,
) -> watch::Receiver<String> {
    let (sender, receiver) = watch::channel(String::new());
    let Some(stream) = stream else {
        return receiver;
    };
    readers.spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|text| {
                text.push_str(&line);
                text.push('\n');
            });
        }
    });
    receiver
}

/// Waits until a line of `text` has `part`, and returns it. Shows the log if none comes.
pub(crate) async fn wait_for(
    text: &mut watch::Receiver<String>,
    part: &str,
    log: &watch::Receiver<String>,
) -> String {
    let find = |text: &str| {
        text.lines()
            .find(|line| line.contains(part))
            .map(str::to_owned)
    };
    let waited = timeout(PATIENCE, text.wait_for(|text| find(text).is_some())).await;
    match waited {
        Ok(Ok(text)) => find(&text).unwrap(),
        _ => panic!(
            "`{part}` was not said; the log is:\n{}",
            log.borrow().as_str()
        ),
    }
}

/// Waits until the lines of `log` with `part` are about `total` names, and returns them. The proxy writes one line for the names
/// that fail at about the same time; how many those are depends on the speed of the machine.
pub(crate) async fn lines_for_names(
    log: &mut watch::Receiver<String>,
    part: &str,
    total: usize,
) -> Vec<String> {
    let find = |log: &str| {
        let lines = log.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let names = |log: &String| find(log).iter().map(|line| number(line)).sum::<usize>();
    match timeout(PATIENCE, log.wait_for(|log| names(log) >= total)).await {
        Ok(Ok(log)) => find(&log),
        _ => panic!("`{part}` was not said of {total} names"),
    }
}

/// Returns the number of names that a line is about.
fn number(line: &str) -> usize {
    let number = line.split_once("number=").and_then(|(_, after)| {
        let (digits, _) = after.split_once(' ')?;
        digits.parse().ok()
    });
    number.unwrap_or(1)
}
