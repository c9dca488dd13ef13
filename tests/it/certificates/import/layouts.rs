//! The layouts of other programs: which certificates are found in them.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proxy::certs::import::scan;
use rcgen::{CertificateParams, KeyPair};

use super::fixtures::{Ca, Left, names};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn whole(names: &[&str]) -> Vec<(String, usize)> {
    names.iter().map(|name| ((*name).to_owned(), 2)).collect()
}

#[test]
fn certbots_links_are_followed() {
    let leaf = Ca::new().sign(&["www.example.org"], 30 * DAY);
    let left = Left::new(&[
        ("archive/www.example.org/fullchain3.pem", &leaf.chain()),
        ("archive/www.example.org/privkey3.pem", &leaf.key),
        ("live/README", "This directory contains your keys"),
    ]);
    let live = left.path("live/www.example.org");
    std::fs::create_dir(&live).unwrap();
    for name in ["fullchain", "privkey"] {
        let target = format!("../../archive/www.example.org/{name}3.pem");
        std::os::unix::fs::symlink(target, live.join(format!("{name}.pem"))).unwrap();
    }
    for place in ["", "live", "live/www.example.org"] {
        let scanned = scan(&left.path(place)).unwrap();
        assert_eq!(names(&scanned), whole(&["www.example.org"]), "{place}");
    }
    std::fs::remove_file(left.path("archive/www.example.org/fullchain3.pem")).unwrap();
    let refused = scan(&left.path("live")).unwrap().refused;
    assert!(
        refused[0]
            .to_string()
            .contains("fullchain.pem cannot be read"),
        "{refused:?}"
    );
}

#[test]
fn caddys_folder_is_read_without_its_own_ca() {
    let ca = Ca::new();
    let (www, wild) = (
        ca.sign(&["www.example.org"], 30 * DAY),
        ca.sign(&["*.example.org"], 30 * DAY),
    );
    let acme = "certificates/acme-v02.api.letsencrypt.org-directory";
    let left = Left::new(&[
        (
            &format!("caddy/{acme}/www.example.org/www.example.org.crt"),
            &www.chain(),
        ),
        (
            &format!("caddy/{acme}/www.example.org/www.example.org.key"),
            &www.key,
        ),
        (
            &format!("caddy/{acme}/www.example.org/www.example.org.json"),
            "{}",
        ),
        (
            &format!("caddy/{acme}/wildcard_.example.org/wildcard_.example.org.crt"),
            &wild.chain(),
        ),
        (
            &format!("caddy/{acme}/wildcard_.example.org/wildcard_.example.org.key"),
            &wild.key,
        ),
    ]);
    for place in ["", "caddy", "caddy/certificates"] {
        let scanned = scan(&left.path(place)).unwrap();
        assert_eq!(
            names(&scanned),
            whole(&["*.example.org", "www.example.org"]),
            "{place}"
        );
    }
    let local = left.path("caddy/certificates/local/localhost");
    std::fs::create_dir_all(&local).unwrap();
    std::fs::write(local.join("localhost.crt"), www.chain()).unwrap();
    let scanned = scan(&left.path("caddy")).unwrap();
    assert_eq!(scanned.found.len(), 2);
    assert!(scanned.refused[0].to_string().contains("Caddy's local CA"));
}

#[test]
fn both_versions_of_traefiks_file_are_read() {
    let leaf = Ca::new().sign(&["www.example.org"], 30 * DAY);
    let (chain, key) = (STANDARD.encode(leaf.chain()), STANDARD.encode(&leaf.key));
    let current = format!(
        r#"{{"le": {{"Account": {{"Email": ""}}, "Certificates": [{{"domain": {{"main": "www.example.org"}}, "certificate": "{chain}", "key": "{key}", "Store": "default"}}]}},
            "unused": {{"Account": null, "Certificates": null}}}}"#
    );
    let former = format!(
        r#"{{"Account": {{}}, "Certificates": [{{"Domain": {{"Main": "www.example.org", "SANs": null}}, "Certificate": "{chain}", "Key": "{key}"}}]}}"#
    );
    for text in [current, former] {
        let left = Left::new(&[("acme.json", &text)]);
        for place in ["", "acme.json"] {
            let scanned = scan(&left.path(place)).unwrap();
            assert_eq!(names(&scanned), whole(&["www.example.org"]));
        }
    }
    let broken = r#"{"le": {"Certificates": [{"domain": {"main": "a.example"}, "certificate": "%", "key": ""}]}}"#;
    for (text, sentence) in [
        (
            broken,
            "(a.example): its certificate or key is not in base64",
        ),
        ("{", "is not Traefik's acme.json"),
    ] {
        let left = Left::new(&[("acme.json", text)]);
        let refused = scan(left.0.path()).unwrap().refused;
        assert!(refused[0].to_string().contains(sentence), "{refused:?}");
    }
}

#[test]
fn legos_folder_is_read_with_the_chain_beside_it() {
    let ca = Ca::new();
    let (one, two) = (
        ca.sign(&["one.example"], 30 * DAY),
        ca.sign(&["*.two.example"], 30 * DAY),
    );
    let left = Left::new(&[
        ("certificates/one.example.crt", &one.chain()),
        ("certificates/one.example.issuer.crt", &one.issuer),
        ("certificates/one.example.key", &one.key),
        ("certificates/one.example.json", "{}"),
        ("certificates/_.two.example.crt", &two.leaf),
        ("certificates/_.two.example.issuer.crt", &two.issuer),
        ("certificates/_.two.example.key", &two.key),
    ]);
    for place in ["", "certificates"] {
        let scanned = scan(&left.path(place)).unwrap();
        assert_eq!(names(&scanned), whole(&["*.two.example", "one.example"]));
    }
}

#[test]
fn plain_pem_is_one_file_or_a_pair() {
    let leaf = Ca::new().sign(&["www.example.org"], 30 * DAY);
    let both = format!("Bag Attributes\n{}{}", leaf.key, leaf.chain());
    for (chain_name, chain, key_name) in [
        ("haproxy.pem", both, "nothing"),
        ("www.crt", leaf.chain(), "www.key"),
        ("www.pem", leaf.chain(), "www-key.pem"),
        ("www.pem", leaf.chain(), "www.pem.key"),
        ("fullchain1.pem", leaf.chain(), "privkey1.pem"),
        ("cert.pem", leaf.chain(), "key.pem"),
    ] {
        let left = Left::new(&[(chain_name, &chain), (key_name, &leaf.key)]);
        for place in ["", chain_name] {
            let scanned = scan(&left.path(place)).unwrap();
            assert_eq!(names(&scanned), whole(&["www.example.org"]), "{chain_name}");
        }
    }
    // A file with the whole chain is preferred to one with the leaf alone.
    let left = Left::new(&[
        ("cert1.pem", &leaf.leaf),
        ("chain1.pem", &leaf.issuer),
        ("fullchain1.pem", &leaf.chain()),
        ("privkey1.pem", &leaf.key),
    ]);
    assert_eq!(
        names(&scan(left.0.path()).unwrap()),
        whole(&["www.example.org"])
    );
}

#[test]
fn an_unusable_certificate_is_refused_with_the_reason() {
    let ca = Ca::new();
    let good = ca.sign(&["www.example.org"], 30 * DAY);
    let past = ca.sign_until(&["www.example.org"], SystemTime::now() - DAY);
    let other = Ca::new().sign(&["www.example.org"], 30 * DAY);
    let staging = Ca::named("(STAGING) Counterfeit Cashew").sign(&["www.example.org"], 30 * DAY);
    let nameless = ca.sign(&[], 30 * DAY);
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["www.example.org".to_owned()]).unwrap();
    let own = own.self_signed(&own_key).unwrap().pem();
    for (chain, key, sentence) in [
        (past.chain(), &past.key, "it expired at"),
        (
            good.chain(),
            &other.key,
            "does not belong to its certificate",
        ),
        (good.chain().replace("MII", "!!!"), &good.key, "is damaged"),
        (staging.chain(), &staging.key, "from a staging CA"),
        (
            nameless.chain(),
            &nameless.key,
            "it is not for any host name",
        ),
        (own, &own_key.serialize_pem(), "it is self-signed"),
    ] {
        let left = Left::new(&[("www.crt", &chain), ("www.key", key)]);
        let scanned = scan(&left.path("www.crt")).unwrap();
        assert!(scanned.found.is_empty(), "{sentence}");
        let [refused] = &scanned.refused[..] else {
            panic!("{sentence}: {:?}", scanned.refused);
        };
        let refused = refused.to_string();
        assert!(
            refused.contains(sentence) && refused.contains("www.crt"),
            "{refused}"
        );
    }
    let left = Left::new(&[("www.crt", &good.chain()), ("empty/README", "nothing")]);
    let refused = &scan(&left.path("www.crt")).unwrap().refused[0];
    assert!(
        refused.to_string().contains("put the key next to it"),
        "{refused}"
    );
    for (place, sentence) in [("empty", "in a known form"), ("nowhere", "cannot be read")] {
        let error = scan(&left.path(place)).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
}
