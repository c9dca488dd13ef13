//! The internal CA, which signs for names that no public CA signs. Needs no network.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::super::{Error, IssueRequest, Issuer, Pem};
use super::intermediate::Intermediate;
use super::root::Root;
use super::{InternalCaOptions, root};
use crate::storage::Storage;

/// Issuer that signs for local names with its own root. The root is opened at the first use.
#[derive(Debug)]
pub struct InternalCa {
    storage: Arc<dyn Storage>,
    options: InternalCaOptions,
    root: OnceCell<Root>,
    intermediate: ArcSwapOption<Intermediate>,
}

impl InternalCa {
    /// Id of the issuer.
    pub(in crate::certs) const ID: &'static str = root::ID;

    /// Creates a CA whose root is in `storage`. Does not access the storage yet.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, options: InternalCaOptions) -> Self {
        Self {
            storage,
            options,
            root: OnceCell::new(),
            intermediate: ArcSwapOption::empty(),
        }
    }

    /// Loads the root from storage, or creates it. Processes that start at the same time get the same root.
    pub async fn open(&self) -> Result<(), Error> {
        self.root().await.map(|_| ())
    }

    /// Returns the location of the root certificate (PEM), for clients that want to trust it.
    #[must_use]
    pub fn root_location(&self) -> String {
        self.storage.location(&root::records().1)
    }

    async fn root(&self) -> Result<&Root, Error> {
        self.root
            .get_or_try_init(|| Root::open(&self.storage, &self.options))
            .await
    }

    async fn intermediate(&self, root: &Root, now: SystemTime) -> Result<Arc<Intermediate>, Error> {
        let current = self.intermediate.load_full();
        if let Some(current) = current.filter(|current| current.is_young(now)) {
            return Ok(current);
        }
        let current = Arc::new(Intermediate::open(&self.storage, root, now).await?);
        self.intermediate.store(Some(Arc::clone(&current)));
        Ok(current)
    }
}

impl Issuer for InternalCa {
    fn id(&self) -> &'static str {
        Self::ID
    }

    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
        let subject = request.subject;
        async move {
            let now = SystemTime::now();
            let root = self.root().await?;
            root.check(subject, now)?;
            self.intermediate(root, now).await?.sign(subject, now)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use x509_parser::prelude::{FromDer, X509Certificate};

    use std::time::Duration;

    use super::*;
    use crate::certs::budget::AttemptCharges;
    use crate::certs::certificate::Certificate;
    use crate::certs::clock::Clock;
    use crate::certs::issuer::NameConstraint;
    use crate::name::HostPattern;
    use crate::storage::{FileStorage, Key};

    struct World {
        dir: tempfile::TempDir,
        storage: Arc<dyn Storage>,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let storage = Arc::new(FileStorage::open(dir.path()).unwrap());
            Self { dir, storage }
        }

        fn ca(&self, constraints: &[&str]) -> InternalCa {
            let constraints = constraints.iter();
            let options = InternalCaOptions {
                name_constraints: constraints
                    .map(|text| NameConstraint::parse(text).unwrap())
                    .collect(),
            };
            InternalCa::new(Arc::clone(&self.storage), options)
        }

        fn file(&self, name: &str) -> std::path::PathBuf {
            self.dir.path().join("internal-ca").join(name)
        }

        async fn intermediate(&self) -> Vec<u8> {
            let key = Key::new(&["internal-ca", "intermediate.pem"]);
            self.storage.load(&key).await.unwrap().unwrap()
        }
    }

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    async fn issue(ca: &InternalCa, name: &str) -> Result<Certificate, Error> {
        let subject = pattern(name);
        let pem = ca
            .issue(IssueRequest {
                subject: &subject,
                charges: &AttemptCharges::free(),
                clock: Clock::system(),
                replaces: None,
            })
            .await?;
        let root = std::fs::read_to_string(ca.root_location()).unwrap();
        // `Certificate::from_pem` verifies the signatures of the chain.
        let whole = Certificate::from_pem(format!("{}{root}", pem.as_str()).as_bytes())?;
        whole.verify_for(&subject, SystemTime::now())?;
        assert_eq!(whole.certified_key().cert.len(), 2, "leaf and intermediate");
        Ok(whole)
    }

    fn parse<'a>(der: &'a CertificateDer<'_>) -> X509Certificate<'a> {
        X509Certificate::from_der(der).unwrap().1
    }

    #[tokio::test]
    async fn the_root_is_kept_and_leaves_are_short_lived() {
        let world = World::new();
        world.ca(&[]).open().await.unwrap();
        let root = std::fs::read(world.file("root.pem")).unwrap();
        let again = world.ca(&[]);
        for name in ["localhost", "*.home.arpa", "10.0.0.1", "::1"] {
            let leaf = issue(&again, name).await.unwrap();
            let left = leaf.not_after().duration_since(SystemTime::now()).unwrap();
            let half_a_day = Duration::from_secs(12 * 3600);
            assert!(left <= half_a_day && left > half_a_day / 2);
        }
        assert_eq!(std::fs::read(world.file("root.pem")).unwrap(), root);
    }

    #[tokio::test]
    async fn leaf_and_intermediate_have_the_right_extensions() {
        let world = World::new();
        let served = issue(&world.ca(&[]), "nas.home.arpa").await.unwrap();
        let [leaf, intermediate] = [0, 1].map(|index| &served.certified_key().cert[index]);
        let (leaf, intermediate) = (parse(leaf), parse(intermediate));
        let basic = intermediate.basic_constraints().unwrap().unwrap();
        assert!(basic.critical && basic.value.ca);
        assert_eq!(basic.value.path_len_constraint, Some(0));
        assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
        for certificate in [&leaf, &intermediate] {
            let usage = certificate.extended_key_usage().unwrap().unwrap().value;
            assert!(usage.server_auth && !usage.client_auth && !usage.any);
            let debug = format!("{:?}", certificate.extensions());
            assert!(debug.contains("AuthorityKeyIdentifier"), "{debug}");
            assert!(debug.contains("SubjectKeyIdentifier"), "{debug}");
        }
        assert!(leaf.validity().not_after <= intermediate.validity().not_after);
        let now = SystemTime::now();
        assert!(now.duration_since(served.not_before()).unwrap() <= Duration::from_secs(301));
    }

    #[tokio::test]
    async fn an_intermediate_is_shared_for_half_of_its_lifetime() {
        let world = World::new();
        let (one, other) = (world.ca(&[]), world.ca(&[]));
        let (first, second) = (issue(&one, "a.test").await, issue(&other, "b.test").await);
        let chain = |leaf: Certificate| leaf.certified_key().cert[1].clone();
        assert_eq!(chain(first.unwrap()), chain(second.unwrap()));

        let stored = world.intermediate().await;
        let root = one.root().await.unwrap();
        let days = |days: u64| SystemTime::now() + Duration::from_secs(days * 24 * 3600);
        one.intermediate(root, days(3)).await.unwrap();
        assert_eq!(world.intermediate().await, stored);
        one.intermediate(root, days(4)).await.unwrap();
        assert_ne!(world.intermediate().await, stored);
    }

    #[tokio::test]
    async fn no_certificate_outlives_its_issuer() {
        let world = World::new();
        let ca = world.ca(&[]);
        let root = ca.root().await.unwrap();
        let before_end = root.not_after() - Duration::from_secs(3600);
        let intermediate = ca.intermediate(root, before_end).await.unwrap();
        let pem = intermediate.sign(&pattern("a.test"), before_end).unwrap();
        let served = Certificate::from_pem(pem.as_str().as_bytes()).unwrap();
        let above = parse(&served.certified_key().cert[1]).validity().not_after;
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            above.timestamp() as u64,
            seconds(root.not_after()).as_secs()
        );
        assert_eq!(served.not_after(), root.not_after());
        let refused = root
            .check(&pattern("a.test"), root.not_after())
            .unwrap_err();
        assert!(refused.to_string().contains("`proxy trust`"), "{refused}");
    }

    #[tokio::test]
    async fn an_intermediate_of_another_root_is_replaced() {
        let world = World::new();
        issue(&world.ca(&[]), "a.test").await.unwrap();
        for name in ["root.key", "root.pem"] {
            std::fs::remove_file(world.file(name)).unwrap();
        }
        issue(&world.ca(&[]), "a.test").await.unwrap();
        std::fs::write(world.file("intermediate.pem"), "garbage").unwrap();
        issue(&world.ca(&[]), "a.test").await.unwrap();
    }

    #[tokio::test]
    async fn a_constrained_root_signs_only_permitted_names_and_keeps_its_constraints() {
        let world = World::new();
        let ca = world.ca(&["home.arpa", "10.0.0.0/8"]);
        for name in ["home.arpa", "*.home.arpa", "10.1.2.3"] {
            issue(&ca, name).await.unwrap();
        }
        // A later change of the configuration has no effect.
        for ca in [ca, world.ca(&[]), world.ca(&["localhost"])] {
            for name in ["localhost", "192.168.0.1", "::1"] {
                let refused = issue(&ca, name).await.unwrap_err().to_string();
                assert!(
                    refused.contains("only for home.arpa, 10.0.0.0/8"),
                    "{refused}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_root_whose_key_was_removed_is_replaced() {
        let world = World::new();
        world.ca(&[]).open().await.unwrap();
        std::fs::remove_file(world.file("root.key")).unwrap();
        issue(&world.ca(&[]), "localhost").await.unwrap();
    }

    #[tokio::test]
    async fn a_damaged_root_is_reported_with_its_remedy() {
        let world = World::new();
        world.ca(&[]).open().await.unwrap();
        std::fs::write(world.file("root.pem"), "garbage").unwrap();
        let error = world.ca(&[]).open().await.unwrap_err().to_string();
        assert!(
            error.contains("root.pem is damaged") && error.contains("remove it"),
            "{error}"
        );
    }
}
