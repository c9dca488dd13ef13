//! The chain that is served: the path from the leaf towards its root, over certificates that were given in any order.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{ASN1Time, X509Certificate};

use super::flaw::{Flaw, shown};
use super::link::{comparable, is_linked, is_self_signed, parse};

/// Most certificates in a chain.
const LONGEST: usize = 10;

/// Most signatures that are checked for one chain. Others than a mistaken or hostile sender need a handful.
const CHECKS: usize = 200;

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
        let given = file.len();
        let mut all = vec![leaf];
        all.extend(file);
        all.extend_from_slice(others);
        let parsed: Vec<_> = all.iter().map(parse).collect();
        let mut seen = HashSet::new();
        let is_repeated: Vec<_> = all.iter().map(|der| !seen.insert(der.as_ref())).collect();
        let Path {
            mut steps,
            has_root,
            ..
        } = Search::new(&parsed, &is_repeated).best();
        let left_out = |repeated: bool| {
            let mut indices = (1..=given)
                .filter(|index| !steps.contains(index) && is_repeated[*index] == repeated);
            let first = indices.next()?;
            Some(Flaw::LeftOut {
                subject: parsed[first].as_ref().map(|it| shown(it.subject())),
                others: indices.count(),
                is_repeated: repeated,
            })
        };
        let mut flaws: Vec<_> = [false, true].into_iter().filter_map(left_out).collect();
        if has_root && steps.len() > 1 {
            // Clients either have the root already or do not trust it.
            steps.pop();
        } else if !has_root && let Some(top) = steps.last().and_then(|top| parsed[*top].as_ref()) {
            flaws.push(Flaw::MissingIssuer {
                issuer: shown(top.issuer()),
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
    /// Number of certificates above the leaf that are not valid now.
    unusable: usize,
    /// Whether the last one is a root.
    has_root: bool,
}

impl Path {
    /// Ranks paths, the best first.
    fn rank(&self) -> (usize, Reverse<bool>) {
        (self.unusable, Reverse(self.has_root))
    }
}

/// Search for the best path: one whose certificates are valid, and that ends at a root. Where several paths are as good, the
/// sender's order decides.
struct Search<'a> {
    parsed: &'a [Option<X509Certificate<'a>>],
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
    now: ASN1Time,
    checks: usize,
    best: Option<Path>,
}

impl<'a> Search<'a> {
    fn new(parsed: &'a [Option<X509Certificate<'a>>], is_repeated: &[bool]) -> Self {
        let mut by_subject = HashMap::<_, Vec<_>>::new();
        for (index, certificate) in parsed.iter().enumerate().skip(1) {
            if let Some(certificate) = certificate.as_ref().filter(|_| !is_repeated[index]) {
                let places = by_subject.entry(comparable(certificate.subject()));
                places.or_default().push(index);
            }
        }
        Self {
            parsed,
            by_subject,
            now: ASN1Time::now(),
            checks: 0,
            best: None,
        }
    }

    /// Returns the best path from the first certificate.
    fn best(mut self) -> Path {
        self.extend(vec![0], 0);
        self.best.unwrap_or_else(|| Path {
            steps: vec![0],
            unusable: 0,
            has_root: false,
        })
    }

    /// Tries all ways to go on from the last certificate.
    fn extend(&mut self, steps: Vec<usize>, unusable: usize) {
        let last = steps.last().copied().unwrap_or_default();
        let Some(below) = &self.parsed[last] else {
            return;
        };
        self.checks += 1;
        if is_self_signed(below) {
            return self.offer(steps, unusable, true);
        }
        let above = self.by_subject.get(&comparable(below.issuer()));
        let above = above.cloned().unwrap_or_default();
        let mut is_end = true;
        for next in above {
            if self.checks >= CHECKS || self.is_settled() || steps.len() >= LONGEST {
                break;
            }
            let Some(certificate) = &self.parsed[next] else {
                continue;
            };
            self.checks += 1;
            if steps.contains(&next) || !is_linked(below, certificate) {
                continue;
            }
            is_end = false;
            let is_valid = certificate.validity().is_valid_at(self.now);
            let steps = steps.iter().copied().chain([next]).collect();
            self.extend(steps, unusable + usize::from(!is_valid));
        }
        if is_end {
            self.offer(steps, unusable, false);
        }
    }

    fn offer(&mut self, steps: Vec<usize>, unusable: usize, has_root: bool) {
        let path = Path {
            steps,
            unusable,
            has_root,
        };
        let best = self.best.as_ref();
        if best.is_none_or(|best| path.rank() < best.rank()) {
            self.best = Some(path);
        }
    }

    /// Whether no other path can be better.
    fn is_settled(&self) -> bool {
        let best = self.best.as_ref();
        best.is_some_and(|best| best.unusable == 0 && best.has_root)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

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

    /// Returns for each certificate that is left out whether it is repeated.
    fn left_out(chain: &Chain) -> Vec<bool> {
        let flaws = chain.flaws.iter().filter_map(|flaw| match flaw {
            Flaw::LeftOut {
                is_repeated,
                others,
                ..
            } => Some(vec![*is_repeated; 1 + others]),
            _ => None,
        });
        flaws.flatten().collect()
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

    /// Signs the same CA, with the same key, for another time or by another root.
    fn again(of: &Signer, by: &Signer, days: std::ops::Range<i64>) -> CertificateDer<'static> {
        let mut params = of.params.clone();
        let at = |day: i64| {
            let distance = Duration::from_secs(24 * 3600 * day.unsigned_abs());
            let now = SystemTime::now();
            if day < 0 {
                now - distance
            } else {
                now + distance
            }
        };
        params.not_before = at(days.start).into();
        params.not_after = at(days.end).into();
        let issuer = Issuer::from_params(&by.params, &by.key);
        params.signed_by(&of.key, &issuer).unwrap().into()
    }

    #[test]
    fn an_intermediate_that_is_not_valid_is_taken_only_if_there_is_no_other() {
        let root = root("root");
        let ca = root.below("ca");
        let leaf = ca.below("leaf").der;
        let (expired, early) = (again(&ca, &root, -20..-10), again(&ca, &root, 10..20));
        let valid = again(&ca, &root, -10..10);
        for file in [
            vec![expired.clone(), early.clone(), valid.clone()],
            vec![early, expired.clone(), valid.clone(), root.der.clone()],
            vec![valid.clone(), expired.clone()],
        ] {
            let chain = Chain::build(leaf.clone(), file, &[]);
            assert_eq!(chain.certificates, [leaf.clone(), valid.clone()]);
        }
        let chain = Chain::build(leaf.clone(), vec![expired.clone()], &[]);
        assert_eq!(chain.certificates, [leaf, expired]);
    }

    #[test]
    fn a_way_that_leads_to_a_root_is_preferred_to_one_that_ends_before() {
        let (given, absent) = (root("given"), root("absent"));
        let ca = given.below("ca");
        let leaf = ca.below("leaf").der;
        let (dead_end, way) = (again(&ca, &absent, -10..10), again(&ca, &given, -10..10));
        for file in [
            vec![dead_end.clone(), way.clone(), given.der.clone()],
            vec![given.der.clone(), way.clone(), dead_end.clone()],
        ] {
            let chain = Chain::build(leaf.clone(), file, &[]);
            assert_eq!(chain.certificates, [leaf.clone(), way.clone()]);
        }
        // Without the root both are as good.
        let chain = Chain::build(leaf.clone(), vec![dead_end.clone(), way], &[]);
        assert_eq!(chain.certificates, [leaf, dead_end]);
    }

    #[test]
    fn thousands_of_namesakes_cost_no_more_than_a_bounded_number_of_checks() {
        let leaf = root("root").below("ca").below("leaf");
        let namesake = root("root").below("ca").der;
        let file = (0..3000u32).map(|serial| {
            // Another signature makes another certificate.
            let mut der = namesake.to_vec();
            let end = der.len();
            der[end - 4..].copy_from_slice(&serial.to_be_bytes());
            CertificateDer::from(der)
        });
        let chain = Chain::build(leaf.der.clone(), file.collect(), &[]);
        assert_eq!(chain.certificates, [leaf.der]);
        let flaw = chain.flaws[0].to_string();
        assert_eq!(
            flaw,
            "the certificate of CN=ca and 2999 others do not belong to the chain and are left out"
        );
        assert_eq!(chain.flaws.len(), 2);
    }

    #[test]
    fn names_in_a_certificate_cannot_end_a_line_or_fill_it() {
        let name = format!("x\n2026 ERROR all is lost\u{1b}[31m{}", "y".repeat(1000));
        let stranger = root(&name);
        let leaf = root(&name).below("leaf");
        let chain = Chain::build(leaf.der, vec![stranger.der], &[]);
        assert_eq!(chain.flaws.len(), 2);
        for flaw in chain.flaws.iter().map(Flaw::to_string) {
            assert!(
                flaw.contains("CN=x\\n2026 ERROR all is lost\\u{1b}[31my"),
                "{flaw}"
            );
            assert!(
                !flaw.contains(char::is_control) && flaw.len() < 300,
                "{flaw}"
            );
        }
    }
}
