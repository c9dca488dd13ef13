//! A DNS provider that writes its records to the journal, so that a later process can remove them.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::error::Dns01Error;
use super::provider::{DnsProvider, TxtRecord};
use super::record_journal::DnsJournal;
use crate::name::HostPattern;

/// Sets the records for one certificate. The journal has each record for as long as DNS may have it.
#[derive(Debug)]
pub(super) struct JournaledProvider {
    pub(super) provider: Arc<dyn DnsProvider>,
    pub(super) journal: DnsJournal,
    pub(super) certificate: HostPattern,
}

impl DnsProvider for JournaledProvider {
    fn check<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Dns01Error>> {
        self.provider.check(name)
    }

    fn may_replace_values(&self) -> bool {
        self.provider.may_replace_values()
    }

    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move {
            let added = self.journal.add(&self.certificate, record).await;
            added.map_err(Dns01Error::Journal)?;
            self.provider.present(record).await
        }
        .boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move {
            let _release = self.journal.release_on_drop(record);
            self.provider.cleanup(record).await?;
            let removed = self.journal.remove(&self.certificate, record).await;
            removed.map_err(Dns01Error::Journal)
        }
        .boxed()
    }
}
