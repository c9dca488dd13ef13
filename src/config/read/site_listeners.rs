//! Reads `listen` of a site: the names of its listeners.

use crate::config::report::{ListenerProblem, Problem};
use crate::config::toml::{TomlTable, TomlValue};
use crate::proxy::HttpMode;

use super::site_reader::SiteReader;

impl SiteReader<'_, '_> {
    /// Reads `listen` of a site that begins at `start`. Without it, the site is on the listeners of `inherited`.
    pub(crate) fn read_listeners(
        &mut self,
        start: usize,
        table: &TomlTable<'_>,
        http: HttpMode,
        inherited: Vec<String>,
    ) -> Vec<String> {
        let Some(value) = table.value("listen") else {
            self.check_served(start, &inherited, http);
            return inherited;
        };
        if !value.is_string() && !value.is_list() {
            self.report.at(value.start(), value.mismatch());
            return inherited;
        }
        let values = value.elements();
        if values.is_empty() {
            let problem = ListenerProblem::NoName;
            self.report.at(value.start(), problem.into());
        }
        let mut names = Vec::new();
        let mut are_known = !values.is_empty();
        for value in values {
            let name = self
                .report
                .accept(value.start(), self.known_listener(value));
            are_known &= name.is_some();
            names.extend(name.filter(|name| !names.contains(name)));
        }
        if are_known {
            self.check_served(value.start(), &names, http);
        }
        names
    }

    /// Reports a site that no listener serves.
    pub(crate) fn check_served(&mut self, start: usize, names: &[String], http: HttpMode) {
        if let Some(problem) = self.config.unserved(names, http) {
            self.report.at(start, problem.into());
        }
    }

    fn known_listener(&self, value: TomlValue<'_>) -> Result<String, Problem> {
        let name = value.string()?;
        let known: Vec<_> = self.config.listener_names().collect();
        if known.contains(&name) {
            return Ok(name.to_owned());
        }
        // Such names are short, so that one exchanged letter makes a large part of them.
        let mistakes = |known: &&str| strsim::osa_distance(name, known);
        let nearest = known.iter().copied().min_by_key(mistakes);
        let nearest = nearest.filter(|known| 3 * mistakes(known) <= known.len());
        let problem = ListenerProblem::Unknown {
            name: name.to_owned(),
            nearest: nearest.map(str::to_owned),
            known: known.into_iter().map(str::to_owned).collect(),
        };
        Err(problem.into())
    }
}
