//! Folders of PEM files, matched by public key; odd files and odd certificates, made by OpenSSL.

use std::process::Command;
use std::time::SystemTime;

use proxy::certs::import::scan;
use rcgen::{CertificateParams, KeyPair};

use super::fixtures::{Ca, DAY, Left, names};

fn whole(names: &[&str]) -> Vec<(String, usize)> {
    names.iter().map(|name| ((*name).to_owned(), 2)).collect()
}

#[test]
fn files_of_any_program_are_matched_by_public_key() {
    let ca = Ca::new();
    let (leaf, other) = (
        ca.sign(&["www.example.org"], 30 * DAY),
        ca.sign(&["other.example.org"], 30 * DAY),
    );
    let root = ca.root.pem();
    let (chain, both) = (leaf.chain(), format!("{}{root}", leaf.issuer));
    for (program, files) in [
        (
            "acme.sh",
            vec![
                ("www.example.org_ecc/www.example.org.cer", &leaf.leaf),
                ("www.example.org_ecc/www.example.org.key", &leaf.key),
                ("www.example.org_ecc/ca.cer", &leaf.issuer),
                ("www.example.org_ecc/fullchain.cer", &chain),
            ],
        ),
        (
            "dehydrated",
            vec![
                ("certs/www.example.org/cert-1.pem", &leaf.leaf),
                ("certs/www.example.org/chain-1.pem", &leaf.issuer),
                ("certs/www.example.org/privkey-1.pem", &leaf.key),
            ],
        ),
        (
            "Synology",
            vec![
                ("_archive/abC123/cert.pem", &leaf.leaf),
                ("_archive/abC123/short-chain.pem", &leaf.issuer),
                ("_archive/abC123/privkey.pem", &leaf.key),
                ("_archive/abC123/root.pem", &root),
            ],
        ),
        (
            "Apache",
            vec![
                ("certs/server.crt", &leaf.leaf),
                ("certs/ca-bundle.crt", &both),
                ("private/apache.key", &leaf.key),
                ("private/other.key", &other.key),
            ],
        ),
        (
            "a key with another name",
            vec![
                ("site.crt", &chain),
                ("other.pem", &other.key),
                ("secret", &leaf.key),
            ],
        ),
    ] {
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        let left = Left::new(&files);
        let scanned = scan(left.0.path()).unwrap();
        assert_eq!(names(&scanned), whole(&["www.example.org"]), "{program}");
    }
}

#[test]
fn of_several_generations_the_one_that_is_valid_for_longest_is_taken() {
    let ca = Ca::new();
    let past = ca.sign_until(&["www.example.org"], SystemTime::now() - DAY);
    let (short, long) = (
        ca.sign(&["www.example.org"], 10 * DAY),
        ca.sign(&["www.example.org"], 60 * DAY),
    );
    let mut files = Vec::new();
    for (index, leaf) in [&past, &long, &short].into_iter().enumerate() {
        let folder = "archive/www.example.org";
        for (name, text) in [
            ("cert", &leaf.leaf),
            ("chain", &leaf.issuer),
            ("privkey", &leaf.key),
        ] {
            files.push((format!("{folder}/{name}{index}.pem"), text.clone()));
        }
    }
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let left = Left::new(&files);
    for place in ["", "archive", "archive/www.example.org"] {
        let scanned = scan(&left.path(place)).unwrap();
        assert_eq!(names(&scanned), whole(&["www.example.org"]), "{place}");
        let origin = scanned.found[0].origin();
        assert!(origin.ends_with("cert1.pem"), "{origin}");
    }
}

#[test]
fn a_certificate_that_no_client_trusts_does_not_hide_a_good_one() {
    let good = Ca::new().sign(&["www.example.org"], 30 * DAY);
    let staging = Ca::named("(STAGING) Counterfeit Cashew").sign(&["www.example.org"], 60 * DAY);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["www.example.org".to_owned()]).unwrap();
    params.not_after = (SystemTime::now() + 3650 * DAY).into();
    let snakeoil = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
    let staging = staging.chain() + &staging.key;
    let good = good.chain() + &good.key;
    for worthless in [&staging, &snakeoil] {
        for names in [["a.pem", "b.pem"], ["b.pem", "a.pem"]] {
            let left = Left::new(&[(names[0], &good), (names[1], worthless)]);
            let scanned = scan(left.0.path()).unwrap();
            assert_eq!(self::names(&scanned), whole(&["www.example.org"]));
        }
    }
    // Alone, each is refused with its reason.
    let left = Left::new(&[("a.pem", &staging), ("b.pem", &snakeoil)]);
    let refused = scan(left.0.path()).unwrap().refused;
    assert!(
        refused[0].to_string().contains("self-signed"),
        "{refused:?}"
    );
}

#[test]
fn a_folder_with_many_generations_and_files_is_read_to_its_end() {
    let ca = Ca::new();
    let mut files = Vec::new();
    for name in 0..40 {
        for age in 0..10u32 {
            let leaf = ca.sign(&[&format!("n{name:02}.example")], (60 - age) * DAY);
            let file = |kind: &str| format!("archive/n{name:02}.example/{kind}{}.pem", 10 - age);
            files.push((file("cert"), leaf.leaf.clone()));
            files.push((file("chain"), leaf.issuer.clone()));
            files.push((file("fullchain"), leaf.chain()));
            files.push((file("privkey"), leaf.key));
        }
    }
    for number in 0..10_000 {
        files.push((format!("csr/{number:04}_csr-certbot.pem"), String::new()));
    }
    let last = ca.sign(&["www.example.org"], 30 * DAY);
    files.push((
        "live/www.example.org/fullchain.pem".to_owned(),
        last.chain(),
    ));
    files.push(("live/www.example.org/privkey.pem".to_owned(), last.key));
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let left = Left::new(&files);

    let scanned = scan(left.0.path()).unwrap();

    let found = names(&scanned);
    assert_eq!(found.len(), 41);
    assert_eq!(found[40], ("www.example.org".to_owned(), 2));
    let origins = scanned.found[..40].iter().map(|it| it.origin());
    let newest = origins.filter(|origin| origin.ends_with("fullchain10.pem"));
    assert_eq!(newest.count(), 40);
}

#[test]
fn an_incomplete_or_untidy_chain_is_imported_with_a_warning() {
    let ca = Ca::new();
    let leaf = ca.sign(&["www.example.org"], 30 * DAY);
    let stranger = Ca::new().intermediate.pem();
    let missing = "the certificate of CN=an intermediate is missing; unless clients have it, put it into a PEM file";
    for (chain, warning) in [
        (leaf.leaf.clone(), missing),
        (
            format!("{}{stranger}", leaf.leaf),
            "does not belong to the chain and is left out",
        ),
        (
            format!("{}{0}{}", leaf.leaf, leaf.issuer),
            "CN=a leaf is repeated",
        ),
    ] {
        let left = Left::new(&[("www.crt", &chain), ("www.key", &leaf.key)]);
        let scanned = scan(&left.path("www.crt")).unwrap();
        let warnings = scanned.found[0].warnings();
        assert!(
            warnings.iter().any(|it| it.contains(warning)),
            "{warnings:?}"
        );
    }
    let whole = format!("{}{}", leaf.chain(), ca.root.pem());
    let left = Left::new(&[("www.crt", &whole), ("www.key", &leaf.key)]);
    let scanned = scan(&left.path("www.crt")).unwrap();
    assert_eq!(scanned.found[0].warnings(), [""; 0]);
}

/// Runs OpenSSL in a folder.
fn openssl(left: &Left, args: &str) {
    let mut command = Command::new("openssl");
    let done = command
        .args(args.split(' '))
        .current_dir(left.0.path())
        .output();
    let done = done.unwrap();
    assert!(
        done.status.success(),
        "{args}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn what_openssl_writes_is_read_or_refused_by_its_name() {
    let leaf = Ca::new().sign(&["www.example.org"], 30 * DAY);
    let left = || {
        let left = Left::new(&[("www.crt", &leaf.chain()), ("plain", &leaf.key)]);
        openssl(&left, "pkey -in plain -out www.key");
        std::fs::remove_file(left.path("plain")).unwrap();
        left
    };
    let encrypted = "its private key is encrypted; decrypt it with `openssl pkey";
    for (args, sentence) in [
        ("pkey -in www.key", None),
        ("ec -in www.key", None),
        ("x509 -in www.crt -text", None),
        ("pkey -in www.key -aes256 -passout pass:x", Some(encrypted)),
        ("ec -in www.key -aes256 -passout pass:x", Some(encrypted)),
        (
            "x509 -in www.crt -trustout",
            Some("convert it with `openssl x509 -in"),
        ),
        ("x509 -in www.crt -outform der", Some("it is DER, not PEM")),
        (
            "pkcs12 -export -in www.crt -inkey www.key -passout pass:x",
            Some("it is PKCS#12, not PEM"),
        ),
        (
            "crl2pkcs7 -nocrl -certfile www.crt",
            Some("its certificates are in PKCS#7"),
        ),
    ] {
        let left = left();
        openssl(&left, &format!("{args} -out new"));
        let is_chain = args.contains("www.crt");
        let target = if is_chain { "www.crt" } else { "www.key" };
        std::fs::rename(left.path("new"), left.path(target)).unwrap();
        for place in ["", "www.crt"] {
            let scanned = scan(&left.path(place)).unwrap();
            match sentence {
                None => assert_eq!(scanned.found.len(), 1, "{args}: {:?}", scanned.refused),
                Some(sentence) => {
                    let refused: Vec<_> = scanned.refused.iter().map(ToString::to_string).collect();
                    assert!(
                        refused.iter().any(|it| it.contains(sentence)),
                        "{args}: {refused:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn odd_certificates_get_the_right_words() {
    let left = Left::new(&[]);
    openssl(
        &left,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -subj /CN=ca -days 30 -keyout ca.key -out ca.pem",
    );
    for (name, extension) in [
        (
            "staple",
            "subjectAltName=DNS:staple.example.org\ntlsfeature=status_request",
        ),
        ("plain", "subjectAltName=DNS:plain.example.org"),
        ("common", "basicConstraints=CA:FALSE"),
    ] {
        std::fs::create_dir(left.path(name)).unwrap();
        std::fs::write(left.path(&format!("{name}.ext")), extension).unwrap();
        openssl(
            &left,
            &format!(
                "req -new -newkey rsa:2048 -nodes -subj /CN={name}.example.org -keyout {name}/a.key -out {name}.csr"
            ),
        );
        openssl(
            &left,
            &format!(
                "x509 -req -sha512 -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 20 -extfile {name}.ext -out {name}/a.crt"
            ),
        );
        std::fs::copy(left.path("ca.pem"), left.path(&format!("{name}/chain.pem"))).unwrap();
    }
    let staple = scan(&left.path("staple")).unwrap();
    let warnings = staple.found[0].warnings();
    assert!(
        warnings[0].contains("must-staple") && warnings.len() == 1,
        "{warnings:?}"
    );
    // The library cannot check a signature by P-521, and the chain is complete all the same.
    let plain = scan(&left.path("plain")).unwrap();
    assert_eq!(plain.found[0].warnings(), [""; 0]);
    let refused = scan(&left.path("common")).unwrap().refused;
    assert!(
        refused[0].to_string().contains("only as common name"),
        "{refused:?}"
    );
}

#[test]
fn signatures_that_the_library_cannot_check_are_links_by_name_and_key() {
    let left = Left::new(&[("ext", "subjectAltName=DNS:www.example.org")]);
    for (kind, key, sign) in [
        ("p521", "ec -pkeyopt ec_paramgen_curve:P-521", "-sha512"),
        ("p256", "ec -pkeyopt ec_paramgen_curve:P-256", "-sha512"),
        ("rsa1024", "rsa:1024", "-sha256"),
        (
            "pss20",
            "rsa:2048",
            "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:20",
        ),
        (
            "pss32",
            "rsa:2048",
            "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32",
        ),
    ] {
        std::fs::create_dir(left.path(kind)).unwrap();
        for (name, subject) in [("ca", "ca"), ("other", "ca")] {
            let file = format!("{kind}-{name}");
            openssl(
                &left,
                &format!(
                    "req -x509 -newkey {key} -nodes -subj /CN={subject} -days 30 -keyout {file}.key -out {file}.pem"
                ),
            );
        }
        openssl(
            &left,
            &format!(
                "req -new -newkey rsa:2048 -nodes -subj /CN=www.example.org -keyout {kind}/www.key -out {kind}.csr"
            ),
        );
        openssl(
            &left,
            &format!(
                "x509 -req {sign} -in {kind}.csr -CA {kind}-ca.pem -CAkey {kind}-ca.key -CAcreateserial -days 20 -extfile ext -out {kind}/www.crt"
            ),
        );
        // A namesake with another key stands beside the issuer.
        for (place, name) in ["other", "ca"].into_iter().enumerate() {
            let from = left.path(&format!("{kind}-{name}.pem"));
            std::fs::copy(from, left.path(&format!("{kind}/{place}.pem"))).unwrap();
        }
        let scanned = scan(&left.path(kind)).unwrap();
        assert_eq!(scanned.found[0].warnings(), [""; 0], "{kind}");
        assert_eq!(scanned.found[0].names()[0].to_string(), "www.example.org");
    }
}
