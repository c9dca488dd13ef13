//! Import of certificates from other programs: reads their formats, checks the certificates, and stores them as if they
//! had been obtained here. Contacts no CA.

mod caddy;
mod candidate;
mod certificate_index;
mod error;
mod material;
mod pem_file;
mod pem_folder;
mod scan;
mod store;
mod traefik;

pub use candidate::Candidate;
pub use error::Error;
pub use scan::{Scan, scan};
pub use store::{ImportedName, store};
