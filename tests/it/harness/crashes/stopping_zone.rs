//! A zone that can be changed until its process stands still.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proxy::certs::challenge::{Dns01Error, DnsProvider, TxtRecord};

use crate::harness::crashes::stops::Stops;
use crate::harness::dns::server::DnsServer;

/// Sets records at a DNS server.
#[derive(Debug)]
pub(crate) struct StoppingZone {
    dns: Arc<DnsServer>,
    stops: Arc<Stops>,
}

impl StoppingZone {
    pub(crate) fn new(dns: Arc<DnsServer>, stops: Arc<Stops>) -> Self {
        Self { dns, stops }
    }
}

impl DnsProvider for StoppingZone {
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        let work = async {
            self.dns.txt(&record.name, &[&record.value]);
            Ok(())
        };
        self.stops.change("present".to_owned(), work).boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        let work = async {
            self.dns.remove_txt(&record.name, &record.value);
            Ok(())
        };
        self.stops.change("cleanup".to_owned(), work).boxed()
    }
}
