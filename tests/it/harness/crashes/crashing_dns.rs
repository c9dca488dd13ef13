//! A DNS provider that stops at a crash point.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proxy::certs::challenge::{Dns01Error, DnsProvider, TxtRecord};

use crate::harness::crashes::crash_point::CrashPoint;
use crate::harness::dns::server::DnsServer;

/// Sets and removes records at a DNS server.
#[derive(Debug)]
pub(crate) struct CrashingDns {
    dns: Arc<DnsServer>,
    crash_point: Arc<CrashPoint>,
}

impl CrashingDns {
    pub(crate) fn new(dns: Arc<DnsServer>, crash_point: Arc<CrashPoint>) -> Self {
        Self { dns, crash_point }
    }
}

impl DnsProvider for CrashingDns {
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        let work = async {
            self.dns.txt(&record.name, &[&record.value]);
            Ok(())
        };
        self.crash_point.change("present".to_owned(), work).boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        let work = async {
            self.dns.remove_txt(&record.name, &record.value);
            Ok(())
        };
        self.crash_point.change("cleanup".to_owned(), work).boxed()
    }
}
