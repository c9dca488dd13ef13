//! The command: shows the root certificate, then changes store by store, with one line for each.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::browser_store;
use super::home::Home;
use super::outcome::{Change, Error, Failure, Outcome};
use super::root::Root;
use super::system_store::SystemStore;
use super::tool::Tools;
use crate::cli::failure::Failure as CommandFailure;
use crate::cli::shell_words::shell_quoted;
use crate::config::StorageUrl;

/// Add the root certificate of the internal CA to this machine's trust stores, or remove it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Trust {
    /// Remove the root certificate
    #[arg(long)]
    remove: bool,
    /// Data directory of the proxy, such as `file:/var/lib/proxy` [default: $STATE_DIRECTORY, else /var/lib/proxy for root, else `proxy` in the user's data directory]
    #[arg(long, value_name = "URL", env = "PROXY_STORAGE")]
    storage: Option<String>,
    /// Folder to use instead of `/`
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

pub(in crate::cli) fn execute(trust: Trust, out: &mut dyn Write) -> Result<(), CommandFailure> {
    let given = trust.storage.as_deref().filter(|text| !text.is_empty());
    let storage = StorageUrl::of_flag(given).map_err(Error::Config)?;
    let change = if trust.remove {
        Change::Remove
    } else {
        Change::Install
    };
    let data = std::path::absolute(storage.directory())?;
    let sudo = sudo(change, &data);
    let root = Root::read(&data, &sudo)?;
    writeln!(out, "{root}")?;
    let tools = Tools::below(&trust.root);
    let mut is_complete = true;
    let mut write_line = |store: &str, outcome: &Outcome| -> io::Result<()> {
        is_complete &= !outcome.is_failed();
        writeln!(out, "{store}: {outcome}")
    };

    match SystemStore::find(&trust.root) {
        Some(store) => {
            let outcome = store.change(change, &root, &tools, &sudo);
            write_line(
                &format!("system store {}", store.folder().display()),
                &outcome,
            )?;
        }
        None if change == Change::Remove => write_line("system store", &Outcome::NotInstalled)?,
        None => write_line("system store", &Outcome::Failed(Failure::NoSystemStore))?,
    }
    let homes = Home::find_all(&trust.root);
    let databases: Vec<_> = homes.iter().flat_map(browser_store::find).collect();
    for database in &databases {
        let outcome = browser_store::change(database, change, &root, &tools);
        write_line(&format!("browser store {}", database.display()), &outcome)?;
    }
    if databases.is_empty() {
        let homes: Vec<_> = homes
            .iter()
            .map(|home| home.path.display().to_string())
            .collect();
        writeln!(out, "browser stores: none in {}", homes.join(" and "))?;
    }
    if is_complete {
        Ok(())
    } else {
        Err(Error::Incomplete.into())
    }
}

/// Returns this command for root, whose default data directory is a different one.
fn sudo(change: Change, data: &Path) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "proxy".into());
    let remove = match change {
        Change::Install => "",
        Change::Remove => " --remove",
    };
    format!(
        "sudo {} trust{remove} --storage {}",
        shell_quoted(&program.display().to_string()),
        shell_quoted(&format!("file:{}", data.display())),
    )
}
