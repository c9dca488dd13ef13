//! Look-up of SRV records (RFC 2782) and of their target hosts.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::timeout;
use tracing::debug;

use super::host_lookup::{DnsAnswer, HostLookup, MAX_ADDRESSES, into_io, lifetime};
use super::resolved_ip::ResolvedIp;
use crate::name::HostName;
use crate::upstream::srv_name::{SrvName, SrvTarget};

/// Maximum number of hosts that are resolved in parallel.
const AT_ONCE: usize = 16;
/// Time-out for all look-ups of one service. Its records could contain any number of hosts for which no server answers.
const DEADLINE: Duration = Duration::from_secs(10);

/// Resolves a service. Returns the addresses of the targets with the lowest priority number for which there are any. If
/// the look-up of a host fails, its addresses from the `last` answer are used, unless DNS says that it does not exist.
pub(super) async fn resolve_srv(
    client: &HostLookup,
    service: &SrvName,
    last: &[ResolvedIp],
) -> io::Result<DnsAnswer<ResolvedIp>> {
    let late = |_| {
        let reason = "the hosts of the service took too long to resolve";
        Err(io::Error::new(io::ErrorKind::TimedOut, reason))
    };
    let resolving = resolve_in_time(client, service, last);
    timeout(DEADLINE, resolving).await.unwrap_or_else(late)
}

async fn resolve_in_time(
    client: &HostLookup,
    service: &SrvName,
    last: &[ResolvedIp],
) -> io::Result<DnsAnswer<ResolvedIp>> {
    let name = Name::from_ascii(service.as_str()).map_err(io::Error::other)?;
    let lookup = client.get()?.lookup(name, RecordType::SRV).await;
    let lookup = lookup.map_err(into_io)?;
    let answers = lookup.answers();
    let records = answers.iter().filter_map(|record| match &record.data {
        RData::SRV(record) => Some(record),
        _ => None,
    });
    let mut lifetime = lifetime(answers);
    let mut error = io::Error::new(io::ErrorKind::NotFound, "DNS has no such service");
    for targets in by_priority(records) {
        let mut found = Vec::new();
        let mut asked = stream::iter(targets)
            .map(|target| async move { (client.resolve_host(&target.host).await, target) })
            .buffer_unordered(AT_ONCE);
        while let Some((answer, target)) = asked.next().await {
            let at = |ip: IpAddr| ResolvedIp::of_target(target.clone(), ip);
            match answer {
                Ok(answer) => {
                    lifetime = lifetime.min(answer.lifetime);
                    found.extend(answer.addresses.into_iter().map(at));
                }
                Err(failure) => {
                    debug!(%service, host = %target.host, error = %failure, "target of service did not resolve");
                    if failure.kind() != io::ErrorKind::NotFound {
                        let known = last.iter().filter(|known| known.is_of(&target.host));
                        found.extend(known.map(|known| at(known.ip)));
                        error = failure;
                    }
                }
            }
        }
        if !found.is_empty() {
            return Ok(DnsAnswer {
                addresses: found,
                lifetime,
            });
        }
    }
    Err(error)
}

/// Groups the targets by priority, lowest number first. Leaves out duplicates and targets beyond [`MAX_ADDRESSES`].
fn by_priority<'a>(records: impl Iterator<Item = &'a SRV>) -> Vec<Vec<SrvTarget>> {
    let mut targets: Vec<_> = records
        .filter_map(|record| Some((record.priority, target(record)?)))
        .collect();
    targets.sort_unstable();
    // Two records for the same host and port are one backend.
    targets.dedup_by(|(one_priority, one), (priority, target)| {
        (*one_priority, &one.host, one.port) == (*priority, &target.host, target.port)
    });
    // One target too many shows the caller that some were left out.
    targets.truncate(MAX_ADDRESSES + 1);
    let groups = targets.chunk_by(|(one, _), (other, _)| one == other);
    let group =
        |group: &[(u16, SrvTarget)]| group.iter().map(|(_, target)| target.clone()).collect();
    groups.map(group).collect()
}

/// Returns the target of a record; `None` if the target is `.`, which means that there is no service (RFC 2782), or
/// invalid.
fn target(record: &SRV) -> Option<SrvTarget> {
    let host = HostName::parse(&record.target.to_ascii()).ok()?;
    (record.port != 0).then_some(SrvTarget {
        host,
        port: record.port,
        weight: record.weight.max(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_client::NameServer;

    fn groups(records: &[(u16, u16, u16, &str)]) -> Vec<Vec<String>> {
        let record = |&(priority, weight, port, target): &(u16, u16, u16, &str)| {
            SRV::new(priority, weight, port, Name::from_ascii(target).unwrap())
        };
        let records: Vec<_> = records.iter().map(record).collect();
        let tell = |target: SrvTarget| format!("{}:{} {}", target.host, target.port, target.weight);
        let groups = by_priority(records.iter()).into_iter();
        groups
            .map(|group| group.into_iter().map(tell).collect())
            .collect()
    }

    #[test]
    fn targets_are_grouped_by_priority_with_port_and_weight() {
        let records = [
            (20, 5, 80, "backup.example.org."),
            (10, 60, 8080, "B.example.org."),
            (10, 0, 8081, "a.example.org."),
        ];
        let expected: &[&[&str]] = &[
            &["a.example.org:8081 1", "b.example.org:8080 60"],
            &["backup.example.org:80 5"],
        ];
        assert_eq!(groups(&records), expected);
    }

    #[test]
    fn records_without_a_valid_host_and_port_are_left_out() {
        assert!(groups(&[(0, 0, 0, ".")]).is_empty());
        assert!(groups(&[(0, 0, 80, ".")]).is_empty());
        assert!(groups(&[(0, 0, 0, "a.example.org.")]).is_empty());
    }

    #[test]
    fn duplicate_targets_are_removed() {
        let records = [
            (1, 5, 80, "a.example.org."),
            (1, 7, 80, "A.example.org."),
            (1, 5, 81, "a.example.org."),
        ];
        let expected: &[&[&str]] = &[&["a.example.org:80 5", "a.example.org:81 5"]];
        assert_eq!(groups(&records), expected);
    }

    #[test]
    fn the_number_of_targets_is_limited() {
        let names: Vec<_> = (0..500).map(|n| format!("n{n}.example.org.")).collect();
        let records: Vec<_> = names.iter().map(|name| (1, 1, 80, name.as_str())).collect();
        assert_eq!(groups(&records)[0].len(), MAX_ADDRESSES + 1);
        let numbered = records.iter().zip(0..);
        let records: Vec<_> = numbered
            .map(|(&(_, weight, port, name), priority)| (priority, weight, port, name))
            .collect();
        let groups = groups(&records);
        assert_eq!(groups.len(), MAX_ADDRESSES + 1);
        assert_eq!(groups[2], ["n2.example.org:80 1"]);
    }

    /// Answers a question for SRV records with this number of targets, each with another priority.
    fn answer(question: &[u8], targets: u8) -> Vec<u8> {
        let name = question[12..].iter().position(|byte| *byte == 0).unwrap();
        let mut answer = question[..12 + name + 5].to_vec();
        answer[2] = 0x84;
        answer[6..12].copy_from_slice(&[0, targets, 0, 0, 0, 0]);
        for number in 0..targets {
            answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 10]);
            answer.extend([0, number, 0, 1, 0, 80, 2, b'n', b'a' + number, 0]);
        }
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn the_look_up_of_many_unanswered_targets_times_out() {
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = HostLookup::new(vec![NameServer::At(server.local_addr().unwrap())]);
        let service = SrvName::parse("_http._tcp.app.example.test").unwrap();
        let answering = async {
            let mut packet = [0; 512];
            loop {
                let (len, client) = server.recv_from(&mut packet).await.unwrap();
                if packet[13] == b'_' {
                    let answer = answer(&packet[..len], 25);
                    server.send_to(&answer, client).await.unwrap();
                }
            }
        };
        let start = tokio::time::Instant::now();
        let error = tokio::select! {
            found = resolve_srv(&client, &service, &[]) => found.unwrap_err(),
            () = answering => unreachable!(),
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), DEADLINE.as_secs());
    }
}
