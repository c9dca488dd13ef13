//! Routes of a scripted CA.

use super::jws::Signed;
use super::script::Step;

/// The step that a request belongs to, and the resource that it is for.
pub(super) struct Route {
    pub(super) step: Step,
    pub(super) path: String,
    pub(super) number: usize,
}

impl Route {
    pub(super) fn of(path: &str, body: &[u8]) -> Option<Self> {
        let mut parts = path.trim_start_matches('/').split('/');
        let (service, number) = (parts.next()?, parts.next());
        let step = match (service, number) {
            ("dir", None) => Step::Directory,
            ("nonce", None) => Step::NewNonce,
            ("account", None) => Step::NewAccount,
            ("account", Some(_)) => Step::Account,
            ("key-change", None) => Step::KeyChange,
            ("revoke", None) => Step::Revoke,
            ("order", None) => Step::NewOrder,
            ("authz", Some(_)) if is_deactivation(body) => Step::Deactivate,
            ("authz", Some(_)) => Step::Authorization,
            ("challenge", Some(_)) => Step::Challenge,
            ("order", Some(_)) => Step::Order,
            ("finalize", Some(_)) => Step::Finalize,
            ("certificate", Some(_)) => Step::Certificate,
            ("renewal-info", Some(_)) => Step::RenewalInfo,
            _ => return None,
        };
        Some(Self {
            step,
            path: path.to_owned(),
            number: match step {
                Step::RenewalInfo => 0,
                _ => number.map_or(Some(0), |number| number.parse().ok())?,
            },
        })
    }
}

fn is_deactivation(body: &[u8]) -> bool {
    let payload = Signed::parse(body).and_then(|signed| signed.json());
    payload.is_ok_and(|payload| payload["status"] == "deactivated")
}
