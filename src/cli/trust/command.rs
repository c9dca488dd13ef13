//! The command itself: the root, then store by store, one line each.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::command_line::Failure as CommandFailure;
use super::super::shell_words::shell_quoted;
use super::browser_store;
use super::outcome::{Change, Error, Failure, Outcome};
use super::root::Root;
use super::system_store::SystemStore;
use super::tool::Tools;
use crate::config::StorageUrl;

/// Which root, and whether it goes in or out.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Trust {
    /// Take the root out again
    #[arg(long)]
    remove: bool,
    /// Where the proxy keeps its data [default: the default data directory]
    #[arg(long, value_name = "URL", env = "PROXY_STORAGE")]
    storage: Option<String>,
    /// The folder that takes the place of `/`
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

pub(in crate::cli) fn execute(trust: Trust, out: &mut dyn Write) -> Result<(), CommandFailure> {
    let given = trust.storage.as_deref().filter(|text| !text.is_empty());
    let storage = StorageUrl::of_flag(given).map_err(Error::Config)?;
    let change = match trust.remove {
        true => Change::Remove,
        false => Change::Install,
    };
    let data = std::path::absolute(storage.directory())?;
    let sudo = sudo(change, &data);
    let root = Root::read(&data, &sudo)?;
    writeln!(out, "{root}")?;
    let tools = Tools::below(&trust.root);
    let mut is_complete = true;
    let mut tell = |store: &str, outcome: &Outcome| -> io::Result<()> {
        is_complete &= !outcome.is_failed();
        writeln!(out, "{store}: {outcome}")
    };

    match SystemStore::find(&trust.root) {
        Some(store) => {
            let outcome = store.change(change, &root, &tools, &sudo);
            tell(
                &format!("system store {}", store.folder().display()),
                &outcome,
            )?;
        }
        None if change == Change::Remove => tell("system store", &Outcome::WasNotThere)?,
        None => tell("system store", &Outcome::Failed(Failure::NoSystemStore))?,
    }
    let home = std::env::home_dir().unwrap_or_default();
    let databases = browser_store::find(&home);
    for database in &databases {
        let outcome = browser_store::change(database, change, &root, &tools);
        tell(&format!("browser store {}", database.display()), &outcome)?;
    }
    if databases.is_empty() {
        writeln!(out, "browser stores: none below {}", home.display())?;
    }
    match is_complete {
        true => Ok(()),
        false => Err(Error::Incomplete.into()),
    }
}

/// The same command as root, whose default data directory is another one.
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
