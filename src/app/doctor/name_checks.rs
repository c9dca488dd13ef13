//! Checks of one name: its DNS, ports 80 and 443, CAA, its certificate, and what clients get in the handshake.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use tokio::task::spawn_blocking;

use super::check_context::{CheckContext, RunningProxy};
use super::subject::Subject;
use super::udp_probe;
use crate::admin::{CheckResult, CheckStatus};
use crate::certs::issuer::Issuer;
use crate::certs::preflight::{Clearance, Examination, Reason, Record, TlsExamination};
use crate::certs::{
    Certificate, Inventory, RefusalKind, Standing, Stored, StoredStanding, TlsFiles,
};
use crate::name::{HostPattern, NameMap};

/// Checks how clients and CAs reach the name.
pub(super) async fn reach(context: &CheckContext, subject: &Subject<'_>) -> Vec<CheckResult> {
    let examination = if subject.name.is_local() {
        None
    } else {
        let issuer = issuers(context, subject)
            .iter()
            .find(|it| it.inspection(&subject.name).is_some());
        let preflight = context
            .preflight
            .examine(issuer.map(|issuer| &**issuer), &subject.name);
        Some(preflight.await)
    };
    let mut checks = Vec::new();
    if let Some(examination) = &examination {
        checks.extend(records(examination));
        let answered =
            || "port 80 of its addresses is answered with this process's own token".to_owned();
        let answers = examination.answers.as_ref();
        checks.extend(answers.map(|answers| judged("port 80", answers, answered)));
    }
    let addresses = examination.as_ref().map(|it| it.addresses.as_slice());
    let mut answered = Vec::new();
    if let Some(name) = subject.exact().filter(|_| subject.site.has_tls()) {
        let found = context
            .tls
            .examine(name, addresses.unwrap_or_default())
            .await;
        checks.extend(found.as_ref().map(port_443));
        answered = found.map(|found| found.answered).unwrap_or_default();
    }
    checks.extend(http3(context, subject, &answered).await);
    let caa = examination.and_then(|examination| examination.caa);
    let allowed = || "the CAA records allow the CA, or there are none".to_owned();
    checks.extend(caa.map(|caa| judged("caa", &caa, allowed)));
    checks.extend(handshake(context, subject, &answered).await);
    checks
}

/// Returns the issuers that may sign for the name.
pub(super) fn issuers<'a>(
    context: &'a CheckContext,
    subject: &Subject<'_>,
) -> &'a [Arc<dyn Issuer>] {
    let policies = &context.rules.policies;
    let policy = match &subject.name {
        HostPattern::Exact(name) => policies.lookup(name.as_str()),
        pattern => policies.get(pattern),
    };
    policy.map_or(&[], |policy| {
        let name = policy.subject_of(&subject.name);
        context.rules.issuers.for_subject(&name, policy)
    })
}

fn judged(
    check: &str,
    judgement: &Result<Clearance, Reason>,
    well: impl FnOnce() -> String,
) -> CheckResult {
    match judgement {
        Ok(Clearance::Sure) => CheckResult::ok(check, well()),
        Ok(Clearance::Doubtful(reason)) => CheckResult::warn(check, reason),
        Err(reason) => CheckResult::fail(check, reason),
    }
}

fn records(examination: &Examination) -> Option<CheckResult> {
    let listed = || {
        let addresses = examination
            .addresses
            .iter()
            .map(|(record, address)| match record {
                Record::A => format!("A points to {address}"),
                Record::Aaaa => format!("AAAA points to {address}"),
                Record::Literal => format!("{address} is the name itself"),
            });
        addresses.collect::<Vec<_>>().join(", ")
    };
    let records = examination.records.as_ref()?;
    Some(judged("dns", records, listed))
}

/// Checks whether clients that come to these addresses over TCP can come over UDP too.
async fn http3(
    context: &CheckContext,
    subject: &Subject<'_>,
    answered: &[IpAddr],
) -> Option<CheckResult> {
    const CHECK: &str = "http3";
    let mut listeners = context.running.as_ref()?.listeners.iter();
    let serves =
        listeners.any(|it| it.protocol == "http3" && subject.site.listen.contains(&it.name));
    if !serves || answered.is_empty() {
        return None;
    }
    let port = context.config.listen.http3.port;
    let port = port.unwrap_or_else(|| context.tls.port());
    for address in answered {
        if !udp_probe::is_answered((*address, port).into()).await {
            let sentence = format!(
                "UDP port {port} of {address} does not answer from here, so clients there use TCP; let UDP through in the firewall, or set `http3 = false`"
            );
            return Some(CheckResult::warn(CHECK, sentence));
        }
    }
    let sentence = format!("UDP port {port} of its addresses is answered");
    Some(CheckResult::ok(CHECK, sentence))
}

fn port_443(found: &TlsExamination) -> CheckResult {
    match &found.reason {
        None => CheckResult::ok(
            "port 443",
            "port 443 of its addresses is answered with this process's own certificate",
        ),
        Some(reason) if reason.is_certain() => CheckResult::fail("port 443", reason),
        Some(reason) => CheckResult::warn("port 443", reason),
    }
}

/// Compares the certificate that clients get with the stored one. Without a running proxy, nobody presents it.
async fn handshake(
    context: &CheckContext,
    subject: &Subject<'_>,
    answered: &[IpAddr],
) -> Option<CheckResult> {
    let running = context.running.as_ref()?;
    let name = subject.exact()?;
    let stored = stored(context, running, subject).await?;
    let (place, chain) = match answered.first() {
        Some(address) => (address.to_string(), context.tls.chain(name, *address).await),
        None => {
            let listener = listener(context, running, subject)?;
            (
                listener.to_string(),
                context.tls.chain_at(name, listener).await,
            )
        }
    };
    Some(compared(context, subject, &place, chain, &stored).await)
}

async fn compared(
    context: &CheckContext,
    subject: &Subject<'_>,
    place: &str,
    chain: Option<Vec<CertificateDer<'static>>>,
    stored: &Certificate,
) -> CheckResult {
    const CHECK: &str = "handshake";
    let Some(chain) = chain else {
        let sentence = format!(
            "clients get no certificate at {place}, although there is one; see the log of the proxy"
        );
        return CheckResult::fail(CHECK, sentence);
    };
    if chain.first() != Some(stored.leaf()) {
        let sentence = format!(
            "clients get another certificate at {place} than the stored one; `proxy reload` reads the files again, and another program may answer there"
        );
        return CheckResult::fail(CHECK, sentence);
    }
    let is_public =
        subject.site.tls.is_some() || issuers(context, subject).iter().any(|it| it.is_public());
    let flaws = spawn_blocking(move || {
        let flaws = Certificate::flaws_of(chain);
        let flaws = flaws
            .into_iter()
            .filter(|flaw| is_public && flaw.concerns_clients());
        flaws.map(|flaw| flaw.to_string()).collect::<Vec<_>>()
    });
    match flaws.await.unwrap_or_default().first() {
        Some(flaw) => CheckResult::warn(CHECK, flaw),
        None => CheckResult::ok(
            CHECK,
            format!("clients get the stored certificate at {place}, with its whole chain"),
        ),
    }
}

/// Returns the certificate on disk: the site's own file, or the stored one.
async fn stored(
    context: &CheckContext,
    running: &RunningProxy,
    subject: &Subject<'_>,
) -> Option<Arc<Certificate>> {
    if let Some(files) = subject.site.tls.clone() {
        let read = spawn_blocking(move || read_files(&files)).await;
        return read.ok().flatten().map(Arc::new);
    }
    let inventory = Inventory::open(context.records.clone()).await.ok()?;
    let name = running.manager.subject_of(&subject.name);
    match inventory.certificate(&name).await.ok()??.stored {
        Stored::Found(certificate) => Some(certificate),
        Stored::Missing | Stored::Damaged(_) => None,
    }
}

fn read_files(files: &TlsFiles) -> Option<Certificate> {
    let (chain, key) = (
        std::fs::read(&files.cert).ok()?,
        std::fs::read(&files.key).ok()?,
    );
    Certificate::from_pem_pair(&chain, &key).ok()
}

/// Returns the address of a listener of this process that serves the site to everybody.
fn listener(
    context: &CheckContext,
    running: &RunningProxy,
    subject: &Subject<'_>,
) -> Option<SocketAddr> {
    let configured = &context.config.listen.https;
    let has_header = configured.iter().any(|it| it.proxy_protocol.is_some());
    let mut open = running.listeners.iter().filter(|it| it.protocol == "https");
    let found = open.find(|it| subject.site.listen.contains(&it.name))?;
    let address: SocketAddr = found.address.parse().ok().filter(|_| !has_header)?;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Some(SocketAddr::new(ip, address.port()))
}

/// Tells the standing of the name, and what holds back further orders.
pub(super) async fn standing(
    context: &CheckContext,
    files: &NameMap<PathBuf>,
    subject: &Subject<'_>,
) -> Vec<CheckResult> {
    if !subject.site.has_tls() {
        return Vec::new();
    }
    let now = SystemTime::now();
    let stored = StoredStanding {
        policies: &context.rules.policies,
        issuers: &context.rules.issuers,
        records: &context.records,
        files: Some(files),
    };
    let standing = match &context.running {
        Some(running) => running.manager.standing_of(&subject.name).await,
        None => stored.standing_of_pattern(&subject.name, now).await,
    };
    let mut checks = vec![CheckResult::new(
        severity(&standing),
        "certificate",
        &standing,
    )];
    if matches!(standing, Standing::Served { .. })
        && let Some(hold) = stored.hold(&subject.name, now).await
    {
        checks.push(CheckResult::warn("budget", hold));
    }
    checks
}

fn severity(standing: &Standing) -> CheckStatus {
    match standing {
        Standing::Served {
            last_error: None,
            unreadable: None,
            ..
        }
        | Standing::FromFiles { .. }
        | Standing::Waiting { .. } => CheckStatus::Ok,
        Standing::Served { .. } | Standing::Ordering => CheckStatus::Warn,
        // The ask endpoint refuses most names rightly.
        Standing::Refused {
            because: RefusalKind::AskSaidNo,
            ..
        } => CheckStatus::Warn,
        Standing::BackingOff { .. } | Standing::Held { .. } | Standing::Refused { .. } => {
            CheckStatus::Fail
        }
    }
}
