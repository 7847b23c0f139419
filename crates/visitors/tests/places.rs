//! Places from files in both vendors' layout, and reloading of changed or broken files.
#![expect(clippy::unwrap_used, reason = "a test fails on any error")]

mod mmdb;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mmdb::{asn, country};
use tempfile::TempDir;
use visitors::{Place, Places, PlacesError};

fn write(directory: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Writes a file with a later time: the clock of a file system may tick more slowly than a test runs.
fn rewrite(path: &Path, bytes: &[u8], seconds: u64) {
    fs::write(path, bytes).unwrap();
    let later = SystemTime::now() + Duration::from_secs(seconds);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(later)
        .unwrap();
}

fn countries() -> Vec<u8> {
    mmdb::file(
        "DBIP-Country-Lite",
        &[
            ("81.0.0.0/8", country("DE")),
            ("3.0.0.0/9", country("US")),
            ("2a02:8100::/24", country("fr")),
            ("5.5.5.0/24", country("?!")),
        ],
    )
}

fn systems() -> Vec<u8> {
    let networks = [
        ("81.2.0.0/16", asn(3320)),
        ("3.0.0.0/9", asn(16509)),
        ("2a02:8100::/32", asn(3215)),
    ];
    mmdb::file("GeoLite2-ASN", &networks)
}

fn shown(place: Place) -> String {
    let country = place
        .country
        .map_or("-".to_owned(), |country| country.to_string());
    let asn = place.asn.map_or("-".to_owned(), |asn| asn.to_string());
    format!(
        "{country} {asn}{}",
        if place.data_center { " data center" } else { "" }
    )
}

fn find(places: &Places, ip: &str) -> String {
    shown(places.find(ip.parse().unwrap()))
}

#[test]
fn addresses_are_found_in_any_order_of_the_files() {
    let directory = TempDir::new().unwrap();
    let one = write(&directory, "country.mmdb", &countries());
    let two = write(&directory, "asn.mmdb", &systems());
    for files in [[one.clone(), two.clone()], [two, one]] {
        let places = Places::open(&files).unwrap();
        for (ip, expected) in [
            ("81.2.3.4", "DE 3320"),
            ("81.9.3.4", "DE -"),
            ("3.5.5.5", "US 16509 data center"),
            ("::ffff:81.2.3.4", "DE 3320"),
            ("2a02:8100::1", "FR 3215"),
            ("2a02:8101::1", "FR -"),
            ("5.5.5.5", "- -"),
            ("10.1.2.3", "- -"),
            ("192.168.0.1", "- -"),
            ("127.0.0.1", "- -"),
            ("::1", "- -"),
            ("fe80::1", "- -"),
            ("fd00::1", "- -"),
        ] {
            assert_eq!(find(&places, ip), expected, "{ip}");
        }
    }
}

#[test]
fn without_files_every_place_is_unknown() {
    let places = Places::none();
    assert_eq!(find(&places, "81.2.3.4"), "- -");
    assert!(!places.reload_if_changed().unwrap());
}

#[test]
fn one_file_may_contain_both() {
    let directory = TempDir::new().unwrap();
    let (mmdb::Value::Map(mut both), mmdb::Value::Map(more)) = (country("NL"), asn(1136)) else {
        unreachable!()
    };
    both.extend(more);
    let bytes = mmdb::file("GeoIP2-Enterprise", &[("77.0.0.0/8", mmdb::Value::Map(both))]);
    let places = Places::open(&[write(&directory, "both.mmdb", &bytes)]).unwrap();
    assert_eq!(find(&places, "77.1.1.1"), "NL 1136");
}

#[test]
fn a_changed_file_is_read_again_and_an_unchanged_one_is_not() {
    let directory = TempDir::new().unwrap();
    let path = write(&directory, "country.mmdb", &countries());
    let places = Places::open(std::slice::from_ref(&path)).unwrap();
    assert!(!places.reload_if_changed().unwrap());
    rewrite(
        &path,
        &mmdb::file("DBIP-Country-Lite", &[("81.0.0.0/8", country("AT"))]),
        10,
    );
    assert_eq!(find(&places, "81.2.3.4"), "DE -", "unchanged without a reload");
    assert!(places.reload_if_changed().unwrap());
    assert_eq!(find(&places, "81.2.3.4"), "AT -");
    assert!(!places.reload_if_changed().unwrap());
}

#[test]
fn a_broken_new_file_is_named_and_the_old_one_stays_in_use() {
    let directory = TempDir::new().unwrap();
    let good = countries();
    let path = write(&directory, "country.mmdb", &good);
    let places = Places::open(&[write(&directory, "asn.mmdb", &systems()), path.clone()]).unwrap();
    let half = &good[..good.len() / 2];
    // The tree points beyond the data, which only reading every record reveals.
    let mut bent = good.clone();
    bent[3..6].copy_from_slice(&[0xff, 0xff, 0xfe]);
    for (second, broken) in [half, &bent, b"", b"<html>404</html>"].into_iter().enumerate() {
        rewrite(&path, broken, 10 + second as u64);
        for _ in 0..2 {
            let error = places.reload_if_changed().unwrap_err();
            assert!(matches!(error, PlacesError::Broken { .. }), "{error}");
            assert!(error.to_string().contains("country.mmdb"), "{error}");
        }
        assert_eq!(find(&places, "81.2.3.4"), "DE 3320");
        assert!(Places::open(std::slice::from_ref(&path)).is_err());
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        places.reload_if_changed(),
        Err(PlacesError::Unreadable { .. })
    ));
    assert_eq!(find(&places, "81.2.3.4"), "DE 3320");
    rewrite(
        &path,
        &mmdb::file("DBIP-Country-Lite", &[("81.0.0.0/8", country("CH"))]),
        99,
    );
    assert!(places.reload_if_changed().unwrap());
    assert_eq!(find(&places, "81.2.3.4"), "CH 3320");
}

#[test]
fn a_database_of_another_kind_is_refused() {
    let directory = TempDir::new().unwrap();
    let record = mmdb::Value::Map(vec![("is_anonymous", mmdb::Value::Number(1))]);
    let path = write(
        &directory,
        "anonymous.mmdb",
        &mmdb::file("GeoIP2-Anonymous-IP", &[("81.0.0.0/8", record)]),
    );
    let error = Places::open(&[path]).err().unwrap();
    assert!(error.to_string().contains("GeoIP2-Anonymous-IP"), "{error}");
}
