//! The sections of the page for people. No line is wider than 100 columns.

use std::io::{self, Write};
use std::time::Duration;

use super::figures_text::{NONE, ago, bytes, cut, moment, rate, share, span, time, wrapped};
use crate::admin::{
    BackendLine, CertificateStatus, ListenerStatus, RefusalCount, SiteTraffic, Status,
};
use crate::cli::table::{Painter, Table};
use crate::listener_names::DEFAULT_LISTENER;

/// Width of a page.
const WIDTH: usize = 100;
/// Width of a name in a table.
const NAME_WIDTH: usize = 32;
/// Most sites of the page: those with the most requests.
const SITES: usize = 20;
/// Most names of the page that need no attention.
const NAMES: usize = 10;
/// Most names of the page that need attention.
const ALARMS: usize = 20;
/// Indentation of a sentence below its row.
const INDENT: usize = 4;

/// Writes a status in sections.
pub(super) struct Sections<'s> {
    status: &'s Status,
    painter: Painter,
}

/// A row of a table, and the sentence below it.
struct Row<const N: usize> {
    cells: [String; N],
    note: Option<String>,
}

impl<'s> Sections<'s> {
    pub(super) fn new(status: &'s Status, painter: Painter) -> Self {
        Self { status, painter }
    }

    /// Writes all sections, or only those about a site.
    pub(super) fn write(&self, is_one_site: bool, out: &mut dyn Write) -> io::Result<()> {
        if !is_one_site {
            self.write_process(out)?;
        }
        self.write_sites(is_one_site, out)?;
        self.write_backends(out)?;
        self.write_certificates(out)?;
        if !is_one_site {
            self.write_refusals(out)?;
        }
        Ok(())
    }

    fn write_process(&self, out: &mut dyn Write) -> io::Result<()> {
        let status = self.status;
        let uptime = Duration::from_secs(status.uptime_seconds);
        let uptime = humantime::format_duration(uptime);
        write_line("up", &format!("{uptime}, version {}", status.version), out)?;
        write_listeners(&status.listeners, out)?;
        write_line("sites", &status.sites.to_string(), out)?;
        let protocols = status.protocols.iter().filter(|it| it.open > 0);
        let protocols: Vec<_> = protocols
            .map(|it| format!("{} {}", it.open, it.protocol))
            .collect();
        let mut connections = status.connections.to_string();
        if !protocols.is_empty() {
            connections = format!("{connections}: {}", protocols.join(", "));
        }
        write_line("connections", &connections, out)?;
        write_line("handshakes", &self.handshakes(), out)?;
        let certificates = &status.certificates;
        let in_memory = format!("{} in memory", certificates.in_memory);
        write_line("certificates", &in_memory, out)?;
        if certificates.names_without > 0 {
            let (without, names) = (certificates.names_without, certificates.names);
            write_line("", &format!("none for {without} of {names} names"), out)?;
        }
        if certificates.expired > 0 {
            write_line(
                "",
                &format!("{} of them expired", certificates.expired),
                out,
            )?;
        }
        Ok(())
    }

    fn handshakes(&self) -> String {
        let handshakes = &self.status.handshakes;
        let of = |result: &str| {
            let counts = handshakes.iter().filter(|it| it.result == result);
            counts.map(|it| it.count).sum::<u64>()
        };
        let (full, resumed, failed) = (of("full"), of("resumed"), of("failed"));
        format!("{full} full, {resumed} resumed, {failed} failed since the start")
    }

    fn write_sites(&self, is_one_site: bool, out: &mut dyn Write) -> io::Result<()> {
        let all = &self.status.site_traffic;
        let mut busiest: Vec<_> = all
            .iter()
            .filter(|it| is_one_site || it.requests > 0 || it.in_flight > 0)
            .collect();
        busiest.sort_by(|one, other| {
            let by_rate = other.per_second.total_cmp(&one.per_second);
            by_rate.then(other.requests.cmp(&one.requests))
        });
        if busiest.is_empty() {
            return Ok(());
        }
        let shown = busiest.len().min(SITES);
        let rows = busiest.into_iter().take(SITES).map(|site| Row {
            cells: site_cells(site),
            note: None,
        });
        let head = [
            "SITE", "REQ/S", "5XX", "P50", "P95", "P99", "RECEIVED", "SENT", "RUNNING",
        ];
        let table = Table::new(head).right(&[1, 2, 3, 4, 5, 6, 7, 8]);
        self.write_table(table, &rows.collect::<Vec<_>>(), out)?;
        if all.len() > shown && !is_one_site {
            let rest = all.len() - shown;
            writeln!(
                out,
                "({rest} more with fewer requests or none; `proxy status NAME` shows one of them)"
            )?;
        }
        writeln!(
            out,
            "(requests of the last minute; errors and latency of 5 minutes; bytes since the start)"
        )
    }

    fn write_backends(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = Vec::new();
        for upstream in &self.status.upstreams {
            let mut name = cut(&upstream.name, NAME_WIDTH);
            if upstream.queued > 0 {
                name = format!("{} ({} wait)", cut(&upstream.name, 20), upstream.queued);
            }
            let mut cells = <[String; 8]>::default();
            cells[0] = name;
            rows.push(Row { cells, note: None });
            rows.extend(upstream.backends.iter().map(|backend| Row {
                cells: backend_cells(backend),
                note: backend_note(backend),
            }));
        }
        let head = [
            "BACKEND", "STATE", "REQ/S", "ERRORS", "P50", "P95", "RUNNING", "CHECKED",
        ];
        let table = Table::new(head).right(&[2, 3, 4, 5, 6]);
        self.write_table(table, &rows, out)
    }

    fn write_certificates(&self, out: &mut dyn Write) -> io::Result<()> {
        let names = &self.status.names;
        let alarms = names.iter().filter(|name| name.needs_attention);
        let others = names.iter().filter(|name| !name.needs_attention);
        let shown: Vec<_> = alarms.take(ALARMS).chain(others.take(NAMES)).collect();
        let rows = shown.iter().map(|name| Row {
            cells: certificate_cells(name),
            note: name.needs_attention.then(|| name.standing.clone()),
        });
        let head = [
            "CERTIFICATE",
            "ISSUER",
            "VALID UNTIL",
            "RENEWED FROM",
            "STATE",
        ];
        let rows: Vec<_> = rows.collect();
        self.write_table(Table::new(head), &rows, out)?;
        let rest = names.len() - shown.len() + self.status.names_left_out;
        if rest > 0 {
            writeln!(out, "({rest} more; `proxy certs list` shows all)")?;
        }
        Ok(())
    }

    fn write_refusals(&self, out: &mut dyn Write) -> io::Result<()> {
        let refusals = &self.status.refusals;
        if refusals.is_empty() {
            return writeln!(out, "\nnothing refused since the start");
        }
        writeln!(out, "\n{}", self.painter.heading("refused since the start"))?;
        let width = refusals.iter().map(|refusal| refusal.reason.len()).max();
        let width = width.unwrap_or_default();
        for RefusalCount { reason, count } in refusals {
            writeln!(out, "  {reason:<width$}  {count}")?;
        }
        Ok(())
    }

    /// Writes a table with its notes after an empty line, or nothing if it has no rows.
    fn write_table<const N: usize>(
        &self,
        table: Table<N>,
        rows: &[Row<N>],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut table = table.painted(self.painter);
        writeln!(out)?;
        table.fit(
            rows.iter()
                .map(|row| row.cells.each_ref().map(String::as_str)),
        );
        table.write_head(out)?;
        for row in rows {
            table.write_row(row.cells.each_ref().map(String::as_str), out)?;
            let note = row.note.iter();
            for line in note.flat_map(|note| wrapped(note, WIDTH - INDENT)) {
                writeln!(out, "{:INDENT$}{line}", "")?;
            }
        }
        Ok(())
    }
}

fn write_line(label: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{label:<13} {}", cut(text, WIDTH - 14))
}

/// Writes one line for each listener, with its name if that is not the default one.
fn write_listeners(listeners: &[ListenerStatus], out: &mut dyn Write) -> io::Result<()> {
    for (index, listener) in listeners.iter().enumerate() {
        let label = if index == 0 { "listening" } else { "" };
        let ListenerStatus {
            protocol,
            name,
            address,
        } = listener;
        let text = match name.as_str() {
            DEFAULT_LISTENER => format!("{protocol} {address}"),
            name => format!("{protocol} {address} ({name})"),
        };
        write_line(label, &text, out)?;
    }
    Ok(())
}

fn site_cells(site: &SiteTraffic) -> [String; 9] {
    [
        cut(&site.site, NAME_WIDTH),
        rate(site.per_second),
        share(site.error_share),
        time(site.p50),
        time(site.p95),
        time(site.p99),
        bytes(site.received_bytes),
        bytes(site.sent_bytes),
        site.in_flight.to_string(),
    ]
}

fn backend_cells(backend: &BackendLine) -> [String; 8] {
    let checked = backend.last_check.as_ref();
    [
        format!("  {}", cut(&backend.address, NAME_WIDTH)),
        backend.state.clone(),
        rate(backend.per_second),
        share(backend.error_share),
        time(backend.p50),
        time(backend.p95),
        backend.in_flight.to_string(),
        checked.map_or_else(|| NONE.to_owned(), |check| ago(&check.at)),
    ]
}

/// Says why a backend gets no requests, and when it is tried again.
fn backend_note(backend: &BackendLine) -> Option<String> {
    let reason = backend.reason.as_deref();
    let again = backend.retry_in.map(|seconds| match seconds {
        0 => "the next request tries it".to_owned(),
        seconds => format!("tried again in {}", span(Duration::from_secs(seconds))),
    });
    match (reason, again) {
        (Some(reason), Some(again)) => Some(format!("{again}; {reason}")),
        (Some(reason), None) => Some(reason.to_owned()),
        (None, again) => again,
    }
}

fn certificate_cells(name: &CertificateStatus) -> [String; 5] {
    let issuer = name.issuer.as_deref();
    [
        cut(&name.name, NAME_WIDTH),
        issuer.map_or_else(|| NONE.to_owned(), |issuer| cut(issuer, 14)),
        moment(name.not_after.as_deref()),
        moment(name.renew_at.as_deref()),
        name.state.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{
        CertificateCounts, CheckLine, HandshakeCount, ProtocolStatus, UpstreamTraffic,
    };

    fn status() -> Status {
        let listener = |protocol: &str, name: &str, address: &str| ListenerStatus {
            protocol: protocol.to_owned(),
            name: name.to_owned(),
            address: address.to_owned(),
        };
        Status {
            version: "1.2.3".to_owned(),
            uptime_seconds: 93_784,
            listeners: vec![
                listener("http", "default", "[::]:80"),
                listener("https", "lan", "192.168.1.10:8443"),
            ],
            sites: 3,
            connections: 12,
            protocols: vec![
                ProtocolStatus {
                    protocol: "http".to_owned(),
                    open: 0,
                    total: 7,
                },
                ProtocolStatus {
                    protocol: "https-http2".to_owned(),
                    open: 11,
                    total: 40,
                },
            ],
            handshakes: [
                ("1.3", "full", 30),
                ("1.3", "resumed", 10),
                ("unknown", "failed", 2),
            ]
            .map(|row| HandshakeCount {
                version: row.0.to_owned(),
                result: row.1.to_owned(),
                count: row.2,
            })
            .to_vec(),
            certificates: CertificateCounts {
                in_memory: 3,
                names: 4,
                names_without: 1,
                expired: 2,
            },
            refusals: [("unknown-host", 120), ("no-certificate", 3)]
                .map(|(reason, count)| RefusalCount {
                    reason: reason.to_owned(),
                    count,
                })
                .to_vec(),
            ..Status::default()
        }
    }

    fn site(name: &str, per_second: f64) -> SiteTraffic {
        SiteTraffic {
            site: name.to_owned(),
            requests: 1000,
            in_flight: 3,
            per_second,
            error_share: Some(0.012),
            p50: Some(0.012),
            p95: Some(0.25),
            p99: Some(1.25),
            received_bytes: 1_300_000,
            sent_bytes: 5_000_000_000,
        }
    }

    fn name(name: &str, state: &str, needs_attention: bool) -> CertificateStatus {
        CertificateStatus {
            name: name.to_owned(),
            not_before: None,
            issuer: Some("letsencrypt".to_owned()),
            not_after: Some("2027-01-24T10:11:12Z".to_owned()),
            renew_at: Some("2026-12-24T10:11:12Z".to_owned()),
            state: state.to_owned(),
            standing: "backing off after 3 failures: the CA cannot reach port 80 of this machine, because a firewall drops its connections; open port 80".to_owned(),
            needs_attention,
        }
    }

    fn full() -> Status {
        let backend = |address: &str, state: &str, reason: Option<&str>| BackendLine {
            address: address.to_owned(),
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
            retry_in: (state == "ejected").then_some(20),
            per_second: 12.5,
            error_share: Some(0.0),
            p50: Some(0.0105),
            p95: None,
            last_check: (state == "down").then(CheckLine::default),
            ..BackendLine::default()
        };
        Status {
            site_traffic: vec![site("www.example.org", 0.3), site("*.example.net", 120.0)],
            upstreams: vec![UpstreamTraffic {
                name: "www.example.org/".to_owned(),
                queued: 0,
                backends: vec![
                    backend("10.0.0.1:3000", "up", None),
                    backend(
                        "10.0.0.2:3000",
                        "down",
                        Some("the health check got status 503"),
                    ),
                    backend("10.0.0.3:3000", "ejected", Some("connection refused")),
                ],
            }],
            names: vec![
                name("new.example.org", "backing-off", true),
                name("www.example.org", "served", false),
            ],
            names_left_out: 7,
            ..status()
        }
    }

    fn written(status: &Status, is_one_site: bool, painter: Painter) -> String {
        let mut out = Vec::new();
        let sections = Sections::new(status, painter);
        sections.write(is_one_site, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_proxy_without_traffic_has_a_short_page() {
        let expected = "\
up            1day 2h 3m 4s, version 1.2.3
listening     http [::]:80
              https 192.168.1.10:8443 (lan)
sites         3
connections   12: 11 https-http2
handshakes    30 full, 10 resumed, 2 failed since the start
certificates  3 in memory
              none for 1 of 4 names
              2 of them expired

refused since the start
  unknown-host    120
  no-certificate  3
";
        assert_eq!(written(&status(), false, Painter::PLAIN), expected);
        let calm = Status {
            refusals: Vec::new(),
            certificates: CertificateCounts::default(),
            protocols: Vec::new(),
            ..status()
        };
        let page = written(&calm, false, Painter::PLAIN);
        assert!(
            page.ends_with("\nnothing refused since the start\n"),
            "{page}"
        );
        assert!(page.contains("\nconnections   12\n") && !page.contains("none for"));
    }

    #[test]
    fn sites_backends_and_certificates_have_a_table_each() {
        let page = written(&full(), true, Painter::PLAIN);
        let expected = "
SITE             REQ/S   5XX    P50     P95    P99  RECEIVED     SENT  RUNNING
*.example.net      120  1.2%  12 ms  250 ms  1.2 s   1.2 MiB  4.7 GiB        3
www.example.org    0.3  1.2%  12 ms  250 ms  1.2 s   1.2 MiB  4.7 GiB        3
(requests of the last minute; errors and latency of 5 minutes; bytes since the start)

BACKEND           STATE    REQ/S  ERRORS    P50  P95  RUNNING  CHECKED
www.example.org/
  10.0.0.1:3000   up          12      0%  10 ms    -        0  -
  10.0.0.2:3000   down        12      0%  10 ms    -        0  -
    the health check got status 503
  10.0.0.3:3000   ejected     12      0%  10 ms    -        0  -
    tried again in 20s; connection refused

CERTIFICATE      ISSUER       VALID UNTIL       RENEWED FROM      STATE
new.example.org  letsencrypt  2027-01-24 10:11  2026-12-24 10:11  backing-off
    backing off after 3 failures: the CA cannot reach port 80 of this machine, because a firewall
    drops its connections; open port 80
www.example.org  letsencrypt  2027-01-24 10:11  2026-12-24 10:11  served
(7 more; `proxy certs list` shows all)
";
        assert_eq!(page, expected);
    }

    #[test]
    fn no_line_is_wider_than_100_columns() {
        let long = format!("{0}.{0}.{0}.example.org", "x".repeat(60));
        let mut status = full();
        let huge = SiteTraffic {
            received_bytes: u64::MAX / 4096,
            sent_bytes: u64::MAX / 4096,
            in_flight: 1_000_000,
            error_share: Some(0.000_1),
            p99: Some(0.999),
            p50: Some(0.999),
            ..site(&long, 99_999.0)
        };
        status.site_traffic.push(huge);
        let upstream = &mut status.upstreams[0];
        upstream.queued = 1_000_000;
        upstream.name.clone_from(&long);
        upstream.backends[1].address.clone_from(&long);
        upstream.backends[1].reason = Some(long.repeat(3));
        upstream.backends[2].state = "slow-start".to_owned();
        status.names.push(CertificateStatus {
            issuer: Some(long.clone()),
            ..name(&long, "unconfigured", true)
        });
        status.listeners[0].name.clone_from(&long);
        let page = written(&status, false, Painter::PLAIN);
        for line in page.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn colours_change_no_width_and_are_off_otherwise() {
        let painted = written(&full(), false, Painter::new(true));
        assert!(painted.contains("\x1b[31mdown\x1b[0m"), "{painted}");
        let mut plain = painted;
        for code in ["0", "1", "31", "32", "33"] {
            plain = plain.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(plain, written(&full(), false, Painter::PLAIN));
    }

    #[test]
    fn of_many_sites_and_names_the_page_shows_the_first() {
        let many = Status {
            site_traffic: (0..100)
                .map(|number| site(&format!("s{number}.example.org"), f64::from(number)))
                .collect(),
            names: (0..100)
                .map(|number| name(&format!("s{number}.example.org"), "served", false))
                .collect(),
            ..status()
        };
        let page = written(&many, false, Painter::PLAIN);
        assert!(page.contains("(80 more with fewer requests"), "{page}");
        assert!(page.contains("\ns99.example.org ") && !page.contains("\ns79.example.org  "));
        assert!(
            page.contains("(90 more; `proxy certs list` shows all)"),
            "{page}"
        );
    }
}
