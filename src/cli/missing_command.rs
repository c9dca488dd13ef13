//! Commands of other programs that people type, each with the command of this one.

/// The commands that people type, with what to use.
const HINTS: [(&[&str], &str); 13] = [
    (
        &["validate", "configtest", "test", "verify", "lint"],
        "use `proxy check`",
    ),
    (&["start", "serve", "up"], "use `proxy run`"),
    (
        &["reverse-proxy", "reverse_proxy"],
        "use `proxy --upstream ADDR --domain NAME`",
    ),
    (&["version"], "use `proxy --version`"),
    (&["adapt", "config", "dump", "show"], "use `proxy explain`"),
    (&["format"], "use `proxy fmt`"),
    (&["dry-run", "rehearsal"], "use `proxy rehearse`"),
    (&["diagnose", "health", "healthcheck"], "use `proxy doctor`"),
    (&["quit", "shutdown", "down"], "use `proxy stop`"),
    (
        &["restart"],
        "use `proxy reload`, `proxy upgrade`, or `proxy stop` and `proxy run`",
    ),
    (
        &["renew", "revoke", "import", "list", "certificates", "cert"],
        "use `proxy certs`, whose `--help` lists its commands",
    ),
    (&["untrust"], "use `proxy trust --remove`"),
    (&["hash", "htpasswd"], "use `proxy hash-password`"),
];

/// Returns the sentence about a command that does not exist, if people know it from other programs.
pub(super) fn sentence(typed: &str) -> Option<String> {
    let (_, hint) = HINTS.iter().find(|(names, _)| names.contains(&typed))?;
    Some(format!("`{typed}` is not a command; {hint}"))
}
