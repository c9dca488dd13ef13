//! A provider whose records outlive no process for good.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::error::Dns01Error;
use super::journal::DnsJournal;
use super::provider::{DnsProvider, TxtRecord};
use crate::name::HostPattern;

/// Sets the records for one certificate, each of which is in the journal for as long as it may be in DNS.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) provider: Arc<dyn DnsProvider>,
    pub(super) journal: DnsJournal,
    pub(super) certificate: HostPattern,
}

impl DnsProvider for Remembered {
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move {
            let entered = self.journal.enter(&self.certificate, record).await;
            entered.map_err(Dns01Error::Journal)?;
            self.provider.present(record).await
        }
        .boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move {
            let _last_try = self.journal.last_try(record);
            self.provider.cleanup(record).await?;
            let struck = self.journal.strike(&self.certificate, record).await;
            struck.map_err(Dns01Error::Journal)
        }
        .boxed()
    }
}
