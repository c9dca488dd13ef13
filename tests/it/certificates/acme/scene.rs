//! A scripted CA with a solver, and clients of it.

use std::sync::Arc;
use std::time::Duration;

use proxy::acme::{Account, AccountKey, Client, Error, Identifier, Options, Order};
use rcgen::KeyPair;

use crate::harness::ca::http01::Http01;
use crate::harness::ca::pki::{csr, is_for_key, verify_chain};
use crate::harness::ca::scripted::{Script, ScriptedCa};

pub(super) const NAME: &str = "www.example.org";

/// A scripted CA and the port 80 that it fetches from.
pub(super) struct Scene {
    pub(super) ca: ScriptedCa,
    pub(super) solver: Http01,
}

impl Scene {
    pub(super) async fn new(script: Script) -> Self {
        let solver = Http01::start().await;
        let ca = ScriptedCa::start(script, solver.port()).await;
        Self { ca, solver }
    }

    pub(super) fn options(&self) -> Options {
        let mut options = Options::new(self.ca.directory_url());
        options.root_pem = Some(self.ca.root_pem().into_bytes());
        options.request_timeout = Duration::from_secs(5);
        options.authorization_timeout = Duration::from_secs(2);
        options
    }

    pub(super) async fn account(&self) -> Result<Account, Error> {
        self.account_with(self.options()).await
    }

    pub(super) async fn account_with(&self, options: Options) -> Result<Account, Error> {
        let client = Arc::new(Client::new(options).unwrap());
        let key = AccountKey::generate().unwrap();
        Account::register(client, key, &[]).await
    }

    pub(super) async fn issue(&self) -> Result<(Vec<u8>, KeyPair), Error> {
        let account = self.account().await?;
        let mut order = Order::create(&account, &[name()]).await?;
        order.prove(&account, &self.solver).await?;
        let (csr, key) = csr(&[NAME]);
        order.finalize(&account, &csr).await?;
        Ok((order.certificate(&account).await?, key))
    }

    pub(super) async fn issue_well(&self) {
        let (chain, key) = self.issue().await.unwrap();
        let leaf = verify_chain(&chain, &self.ca.issuing_root_pem(), NAME).unwrap();
        assert!(is_for_key(&leaf, &key));
    }

    pub(super) async fn fail(script: Script) -> (Self, Error) {
        let scene = Self::new(script).await;
        let error = scene.issue().await.unwrap_err();
        assert_eq!(scene.solver.len(), 0, "the challenge was left behind");
        (scene, error)
    }
}

pub(super) fn name() -> Identifier {
    Identifier::Dns(NAME.to_owned())
}
