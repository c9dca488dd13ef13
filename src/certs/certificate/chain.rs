//! The chain that is served: the path from the leaf towards its root, over certificates that were given in any order.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::X509Certificate;

use super::flaw::Flaw;
use super::link::{is_linked, is_self_signed, parse};

/// Most certificates in a chain.
const LONGEST: usize = 10;

/// A chain, leaf first and without its root, and what is wrong with it.
pub(super) struct Chain {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) flaws: Vec<Flaw>,
}

impl Chain {
    /// Builds the chain of `leaf` over the other certificates of its `file`, and over those of `others`. Certificates of the
    /// file that are not needed are flaws.
    pub(super) fn build(
        leaf: CertificateDer<'static>,
        file: Vec<CertificateDer<'static>>,
        others: &[CertificateDer<'static>],
    ) -> Self {
        let given = 1..=file.len();
        let mut all = vec![leaf];
        all.extend(file);
        all.extend_from_slice(others);
        let parsed: Vec<_> = all.iter().map(parse).collect();
        let Path {
            mut steps,
            has_root,
        } = Path::find(&parsed);
        let left_out = given.filter(|index| !steps.contains(index));
        let mut flaws: Vec<_> = left_out
            .map(|index| Flaw::LeftOut {
                subject: parsed[index].as_ref().map(|it| it.subject().to_string()),
                is_repeated: all[..index].contains(&all[index]),
            })
            .collect();
        if has_root && steps.len() > 1 {
            // Clients either have the root already or do not trust it.
            steps.pop();
        } else if !has_root && let Some(top) = steps.last().and_then(|top| parsed[*top].as_ref()) {
            flaws.push(Flaw::MissingIssuer {
                issuer: top.issuer().to_string(),
                name: top.issuer().as_raw().to_vec(),
                is_leaf_alone: steps.len() == 1,
            });
        }
        let certificates = steps.iter().map(|index| all[*index].clone());
        Self {
            certificates: certificates.collect(),
            flaws,
        }
    }
}

/// Indices of the certificates from the leaf upwards.
struct Path {
    steps: Vec<usize>,
    /// Whether the last one is a root.
    has_root: bool,
}

impl Path {
    /// Finds the path from the first certificate. Where several have signed the same one, the sender's order decides.
    fn find(parsed: &[Option<X509Certificate<'_>>]) -> Self {
        let mut steps = vec![0];
        while let Some(below) = steps.last().and_then(|last| parsed[*last].as_ref()) {
            if is_self_signed(below) {
                return Self {
                    steps,
                    has_root: true,
                };
            }
            let signs = |above: &Option<X509Certificate<'_>>| {
                above.as_ref().is_some_and(|above| is_linked(below, above))
            };
            let mut free = (0..parsed.len()).filter(|index| !steps.contains(index));
            match free.find(|index| signs(&parsed[*index])) {
                Some(next) if steps.len() < LONGEST => steps.push(next),
                _ => break,
            }
        }
        Self {
            steps,
            has_root: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
        PKCS_ECDSA_P521_SHA512,
    };

    use super::*;

    struct Signer {
        params: CertificateParams,
        key: KeyPair,
        der: CertificateDer<'static>,
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params
    }

    fn root(name: &str) -> Signer {
        let (params, key) = (params(name), KeyPair::generate().unwrap());
        let der = params.self_signed(&key).unwrap().into();
        Signer { params, key, der }
    }

    impl Signer {
        fn sign(&self, name: &str, key: KeyPair) -> Self {
            let params = params(name);
            let issuer = Issuer::from_params(&self.params, &self.key);
            let der = params.signed_by(&key, &issuer).unwrap().into();
            Self { params, key, der }
        }

        fn below(&self, name: &str) -> Self {
            self.sign(name, KeyPair::generate().unwrap())
        }
    }

    fn left_out(chain: &Chain) -> Vec<bool> {
        let flaws = chain.flaws.iter().filter_map(|flaw| match flaw {
            Flaw::LeftOut { is_repeated, .. } => Some(*is_repeated),
            _ => None,
        });
        flaws.collect()
    }

    #[test]
    fn the_path_is_found_in_any_order_and_the_rest_is_left_out() {
        let root = root("root");
        let upper = root.below("upper");
        let lower = upper.below("lower");
        let (leaf, stranger) = (lower.below("leaf"), self::root("stranger"));
        let wanted = [leaf.der.clone(), lower.der.clone(), upper.der.clone()];
        let der = |signer: &Signer| signer.der.clone();
        for (file, unneeded) in [
            (vec![der(&lower), der(&upper), der(&root)], vec![]),
            (vec![der(&root), der(&upper), der(&lower)], vec![]),
            (vec![der(&upper), der(&stranger), der(&lower)], vec![false]),
            (
                vec![der(&lower), der(&lower), der(&leaf), der(&upper)],
                vec![true, true],
            ),
            (
                vec![
                    CertificateDer::from(vec![0x30, 0]),
                    der(&upper),
                    der(&lower),
                ],
                vec![false],
            ),
        ] {
            let chain = Chain::build(leaf.der.clone(), file, &[]);
            assert_eq!(chain.certificates, wanted);
            assert_eq!(left_out(&chain), unneeded);
        }
    }

    #[test]
    fn other_files_complete_the_chain_and_are_no_flaw() {
        let root = root("root");
        let lower = root.below("lower");
        let (leaf, stranger) = (lower.below("leaf"), self::root("stranger"));
        let others = [stranger.der, root.der, lower.der.clone()];
        let chain = Chain::build(leaf.der.clone(), Vec::new(), &others);
        assert_eq!(chain.certificates, [leaf.der.clone(), lower.der]);
        assert!(chain.flaws.is_empty(), "{:?}", chain.flaws);
        let alone = Chain::build(leaf.der, Vec::new(), &[]);
        assert!(
            matches!(&alone.flaws[..], [Flaw::MissingIssuer { issuer, .. }] if issuer == "CN=lower"),
            "{:?}",
            alone.flaws
        );
    }

    #[test]
    fn two_certificates_that_sign_each_other_end_the_path() {
        let (one, other) = (root("one"), root("other"));
        let key = |signer: &Signer| KeyPair::from_pem(&signer.key.serialize_pem()).unwrap();
        let (one, other) = (one.sign("other", key(&other)), other.sign("one", key(&one)));
        let leaf = other.below("leaf");
        let chain = Chain::build(leaf.der, vec![one.der, other.der], &[]);
        assert_eq!(chain.certificates.len(), 3);
    }

    #[test]
    fn an_unknown_signature_is_accepted_by_name_and_key_identifier() {
        let key = |algorithm| KeyPair::generate_for(algorithm).unwrap();
        let p521 = root("root").sign("intermediate", key(&PKCS_ECDSA_P521_SHA512));
        let namesake = root("root").sign("intermediate", key(&PKCS_ECDSA_P521_SHA512));
        let leaf = p521.sign("leaf", key(&PKCS_ECDSA_P256_SHA256));
        let file = vec![namesake.der, p521.der.clone()];
        let chain = Chain::build(leaf.der.clone(), file, &[]);
        assert_eq!(chain.certificates, [leaf.der, p521.der]);
    }

    #[test]
    fn a_wrong_signature_is_no_link() {
        let (one, namesake) = (root("root").below("ca"), root("root").below("ca"));
        let leaf = one.below("leaf");
        let chain = Chain::build(leaf.der.clone(), vec![namesake.der], &[]);
        assert_eq!(chain.certificates, [leaf.der]);
        assert_eq!(left_out(&chain), [false]);
    }
}
