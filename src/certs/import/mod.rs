//! Certificates that other programs left behind: found in the formats of each, checked, and stored
//! as if they had been obtained here. Asks no CA for anything.

mod caddy;
mod certbot;
mod error;
mod found;
mod harvest;
mod keep;
mod lego;
mod material;
mod plain;
mod traefik;

pub use error::Error;
pub use found::Found;
pub use harvest::{Harvest, read};
pub use keep::{Kept, keep};
