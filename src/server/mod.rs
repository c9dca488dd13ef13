//! The doors: listeners, connections and their limits. Joins the two towers.

mod options;

pub use options::{Limits, ListenOptions};
