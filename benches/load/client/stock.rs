//! Certificates for many names, written where the proxy looks for them.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Failure, print};

pub(crate) fn stock(folder: &Path, suffix: &str, names: usize) -> Result<(), Failure> {
    let key = rcgen::KeyPair::generate()?;
    let day = Duration::from_secs(24 * 3600);
    for index in 1..names {
        let name = format!("n{index}.{suffix}");
        let mut params = rcgen::CertificateParams::new([name.clone()])?;
        params.not_before = (SystemTime::now() - day).into();
        params.not_after = (SystemTime::now() + 89 * day).into();
        let record = params.self_signed(&key)?.pem() + &key.serialize_pem();
        let folder = folder.join(name);
        fs::create_dir(&folder)?;
        fs::write(folder.join("certificate.pem"), record)?;
    }
    print(&json!({ "stored": names }))
}
