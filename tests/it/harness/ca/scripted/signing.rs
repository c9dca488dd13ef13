//! The certificates of a scripted CA, correct and faulty.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, KeyPair, SanType,
};

use super::jws::decode;
use super::reply::Reply;
use super::script::CertificateFault;
use super::state::Identifier;
use crate::harness::ca::pki::{TestCa, valid_for};

/// Signs the certificate that the CSR asks for, or a faulty one.
pub(super) fn sign(
    ca: &TestCa,
    csr: &str,
    wanted: &BTreeSet<Identifier>,
    (lifetime, wrong): (Duration, Option<CertificateFault>),
) -> Result<Vec<u8>, Reply> {
    let refuse = |detail: &str| Reply::problem(400, "badCSR", detail);
    let mut csr = CertificateSigningRequestParams::from_der(&decode(csr)?.into())
        .map_err(|error| refuse(&error.to_string()))?;
    if csr
        .params
        .subject_alt_names
        .iter()
        .map(name)
        .collect::<BTreeSet<_>>()
        != *wanted
    {
        return Err(refuse("the names are not those of the order"));
    }
    let params = &mut csr.params;
    valid_for(params, lifetime);
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    match wrong {
        Some(CertificateFault::Garbage) => {
            return Ok(b"-----BEGIN CERTIFICATE-----\n%%%\n".to_vec());
        }
        Some(CertificateFault::Names) => {
            params.subject_alt_names = CertificateParams::new(["wrong.example".to_owned()])
                .unwrap()
                .subject_alt_names;
        }
        Some(CertificateFault::Expired) => {
            let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
            params.not_before = (yesterday - lifetime).into();
            params.not_after = yesterday.into();
        }
        Some(CertificateFault::Early) => {
            params.not_before = (SystemTime::now() + Duration::from_secs(3600)).into();
        }
        Some(_) | None => (),
    }
    let leaf = match wrong {
        Some(CertificateFault::Key) => {
            let key = KeyPair::generate().unwrap();
            csr.params.signed_by(&key, ca.issuer())
        }
        _ => csr.signed_by(ca.issuer()),
    };
    let leaf = leaf.map_err(|error| refuse(&error.to_string()))?;
    Ok(chain(&leaf.pem(), &ca.pem(), wrong))
}

/// Writes the chain of a leaf, in order or not.
fn chain(leaf: &str, above: &str, wrong: Option<CertificateFault>) -> Vec<u8> {
    let root = |name: &str| TestCa::root(name).pem();
    match wrong {
        Some(CertificateFault::Untidy) => {
            let stranger = root("a stranger");
            let blocks = format!("{above}{stranger}{}{above}", leaf.trim_end());
            [b"\xc9metteur\r\n", blocks.as_bytes()].concat()
        }
        Some(CertificateFault::Alone) => leaf.into(),
        Some(CertificateFault::DamagedChain) => {
            format!("{leaf}{}", above.replacen("MI", "%%", 1)).into()
        }
        Some(CertificateFault::Hostile) => {
            let hostile = root("x\n2026-01-01T00:00:00Z ERROR all is lost\u{1b}[31m");
            format!("{leaf}{above}{hostile}").into()
        }
        _ => format!("{leaf}{above}").into(),
    }
}

fn name(san: &SanType) -> Identifier {
    match san {
        SanType::DnsName(name) => ("dns".to_owned(), name.as_str().to_owned()),
        SanType::IpAddress(ip) => ("ip".to_owned(), ip.to_string()),
        other => ("other".to_owned(), format!("{other:?}")),
    }
}
