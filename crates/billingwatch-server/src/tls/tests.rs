//! What a pair of files may be, and what is said of those that are none.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use billingwatch_core::time::{Span, Timestamp};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);

/// A folder with a pair that goes together and holds in the years 2020 to 2029.
struct Folder(tempfile::TempDir);

/// Certificate and key, in PEM.
fn pair() -> (String, String) {
    let mut params = CertificateParams::new(vec!["billing.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.put(pair());
        folder
    }

    fn put(&self, (certificate, key): (String, String)) {
        fs::write(self.path("chain.pem"), certificate).unwrap();
        fs::write(self.path("key.pem"), key).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.path("chain.pem"),
            key: self.path("key.pem"),
        }
    }

    /// What loading says, with the folder's name left out.
    fn refusal(&self) -> String {
        let error = self.files().load().unwrap_err().to_string();
        error.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[test]
fn a_pair_is_read_with_its_chain_and_its_end() {
    let folder = Folder::new();
    let (further, _) = pair();
    let own = fs::read_to_string(folder.path("chain.pem")).unwrap();
    write(
        &folder.path("chain.pem"),
        &format!("a comment\n{own}{further}"),
    );
    let certificate = folder.files().load().unwrap();
    assert_eq!(certificate.certified.cert.len(), 2);
    assert_eq!(
        certificate.ends_at(),
        Some(Timestamp::from_secs(1_893_456_000))
    );
}

#[test]
fn it_stands_well_ends_soon_has_ended_or_begins_later() {
    let certificate = Folder::new().files().load().unwrap();
    let ends_at = certificate.ends_at().unwrap();
    let stands = |now| certificate.standing(now);
    assert_eq!(stands(NOON), Standing::Good);
    assert_eq!(stands(ends_at - Span::days(14)), Standing::Good);
    let soon = ends_at - Span::days(14) + Span::secs(1);
    assert_eq!(stands(soon), Standing::EndsSoon(ends_at));
    assert_eq!(stands(ends_at), Standing::EndsSoon(ends_at));
    assert_eq!(stands(ends_at + Span::secs(1)), Standing::Ended(ends_at));
    let begins_at = Timestamp::from_secs(1_577_836_800);
    assert_eq!(
        stands(begins_at - Span::secs(1)),
        Standing::Begins(begins_at)
    );
    insta::assert_snapshot!(
        [Standing::Begins(begins_at), Standing::EndsSoon(ends_at), Standing::Ended(ends_at)]
            .iter()
            .filter_map(Standing::warning)
            .collect::<Vec<_>>()
            .join("\n"), @"
        the TLS certificate holds only from 2020-01-01T00:00:00Z on
        the TLS certificate ends at 2030-01-01T00:00:00Z: renew it before that
        the TLS certificate ended at 2030-01-01T00:00:00Z: Stripe and everybody else will refuse to connect until it is renewed
        ");
    assert_eq!(Standing::Good.warning(), None);
}

#[test]
fn what_is_wrong_names_its_file_and_the_remedy() {
    let mut said = Vec::new();
    let mut refused = |what: &str, spoil: &dyn Fn(&Folder)| {
        let folder = Folder::new();
        spoil(&folder);
        said.push(format!("{what}: {}", folder.refusal()));
    };
    refused("no certificate's file", &|folder| {
        fs::remove_file(folder.path("chain.pem")).unwrap();
    });
    refused("no key's file", &|folder| {
        fs::remove_file(folder.path("key.pem")).unwrap();
    });
    refused("empty", &|folder| write(&folder.path("chain.pem"), ""));
    refused("not PEM", &|folder| {
        fs::write(folder.path("chain.pem"), [0x30, 0x82, 0x01, 0xff]).unwrap();
    });
    refused("the files swapped", &|folder| {
        let (certificate, key) = pair();
        folder.put((key, certificate));
    });
    refused("a key for a certificate", &|folder| {
        let (certificate, _) = pair();
        write(&folder.path("key.pem"), &certificate);
    });
    refused("another's key", &|folder| {
        write(&folder.path("key.pem"), &pair().1);
    });
    refused("a key with a password", &|folder| {
        let text =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
        write(&folder.path("key.pem"), text);
    });
    refused("a key of nothing", &|folder| {
        let text = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        write(&folder.path("key.pem"), text);
    });
    refused("a certificate of nothing", &|folder| {
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        write(&folder.path("chain.pem"), text);
    });
    refused("a certificate cut off", &|folder| {
        let own = fs::read_to_string(folder.path("chain.pem")).unwrap();
        write(&folder.path("chain.pem"), &own[..own.len() / 2]);
    });
    refused("a huge file", &|folder| {
        write(&folder.path("chain.pem"), &"x".repeat(1024 * 1024 + 1));
    });
    insta::assert_snapshot!(said.join("\n"), @"
        no certificate's file: cannot read chain.pem: No such file or directory (os error 2)
        no key's file: cannot read key.pem: No such file or directory (os error 2)
        empty: chain.pem holds no certificate: it must be PEM, with `-----BEGIN CERTIFICATE-----`, the server's own first and then those that lead to its authority
        not PEM: chain.pem holds no certificate: it must be PEM, with `-----BEGIN CERTIFICATE-----`, the server's own first and then those that lead to its authority
        the files swapped: chain.pem holds no certificate: it must be PEM, with `-----BEGIN CERTIFICATE-----`, the server's own first and then those that lead to its authority
        a key for a certificate: key.pem holds no private key: it must be PEM, with `-----BEGIN PRIVATE KEY-----` (or RSA or EC before PRIVATE)
        another's key: the private key in key.pem does not belong to the first certificate in chain.pem: the server's own certificate must stand first
        a key with a password: key.pem holds a private key with a password: take it off (`openssl pkey -in KEY -out NEW`) and let only this user read the file
        a key of nothing: key.pem holds a private key that cannot be used: unexpected error: failed to parse private key as RSA, ECDSA, or EdDSA
        a certificate of nothing: chain.pem holds a certificate that cannot be read: BadEncoding
        a certificate cut off: chain.pem holds a certificate that cannot be read: it is cut off: its END line is missing
        a huge file: chain.pem is larger than 1 MiB, so neither a certificate nor a key
        ");
}

#[test]
fn a_renewed_pair_is_taken_up_and_half_of_one_is_not() {
    let folder = Folder::new();
    let certificates = Certificates::load(folder.files(), NOON).unwrap();
    let in_use = || certificates.current().certified.cert[0].to_vec();
    let first = in_use();
    certificates.refresh(NOON);
    assert_eq!(in_use(), first);
    let (certificate, key) = pair();
    write(&folder.path("chain.pem"), &certificate);
    certificates.refresh(NOON);
    assert_eq!(in_use(), first, "its key is not there yet");
    fs::remove_file(folder.path("key.pem")).unwrap();
    certificates.refresh(NOON);
    assert_eq!(in_use(), first);
    write(&folder.path("key.pem"), &key);
    certificates.refresh(NOON);
    let second = in_use();
    assert_ne!(second, first);
    // The old key comes back with the old certificate: both are read anew.
    folder.put(pair());
    certificates.refresh(NOON);
    assert_ne!(in_use(), second);
}
