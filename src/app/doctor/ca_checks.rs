//! Checks of the CAs that sign for the checked names: whether they can be reached, and what their clocks say.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::admin::CheckResult;
use crate::certs::issuer::Issuer;

/// Asks each CA for its directory.
pub(super) async fn contact(issuers: &[Arc<dyn Issuer>]) -> Vec<CheckResult> {
    let contacts = issuers.iter().map(|issuer| async move {
        let contact = issuer.contact().await?;
        let name = issuer.name();
        Some(match contact {
            Ok(contact) => {
                let found = format!("{name} answers at {}", contact.directory);
                let clock = match contact.skew {
                    None => CheckResult::warn(
                        "clock",
                        format!("{name} does not tell its time, so this machine's clock was not compared; see that NTP sets it"),
                    ),
                    Some(skew) if !skew.matters() => CheckResult::ok(
                        "clock",
                        format!("this machine's clock agrees with that of {name}"),
                    ),
                    Some(skew) => {
                        let sentence = format!("this machine's clock is wrong: {}", skew.sentence());
                        if skew.breaks_certificates() {
                            CheckResult::fail("clock", sentence)
                        } else {
                            CheckResult::warn("clock", sentence)
                        }
                    }
                };
                vec![CheckResult::ok("ca", found), clock]
            }
            Err(error) => vec![CheckResult::fail(
                "ca",
                format!("{name} cannot be used: {error}; see whether this machine reaches it, and whether `directory` and `root` of the issuer are right"),
            )],
        })
    });
    join_all(contacts)
        .await
        .into_iter()
        .flatten()
        .flatten()
        .collect()
}
