//! Daily keys: comparability of hashes, and the file's survival of a crash.
#![expect(clippy::unwrap_used, reason = "a test fails on any error")]

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use tempfile::TempDir;
use visitors::{VisitorHash, VisitorKeys};

const TODAY: i32 = 20_778;
const CHROME: Option<&str> = Some("Mozilla/5.0 (Linux; Android 10; K) Chrome/126.0.0.0 Mobile");

fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("visitor.keys")
}

fn hash(keys: &VisitorKeys, ip: &str, user_agent: Option<&str>, day: i32) -> VisitorHash {
    keys.hash(ip.parse::<IpAddr>().unwrap(), user_agent, day).unwrap()
}

fn days(path: &Path) -> Vec<i32> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap().0.parse().unwrap())
        .collect()
}

#[test]
fn a_visitor_has_one_hash_on_a_day_and_another_on_the_next() {
    let directory = TempDir::new().unwrap();
    let keys = VisitorKeys::open(&file(&directory)).unwrap();
    let first = hash(&keys, "81.2.3.4", CHROME, TODAY);
    assert_eq!(hash(&keys, "::ffff:81.2.3.4", CHROME, TODAY), first);
    assert_ne!(hash(&keys, "81.2.3.5", CHROME, TODAY), first);
    assert_ne!(hash(&keys, "81.2.3.4", Some("curl/8"), TODAY), first);
    assert_ne!(hash(&keys, "81.2.3.4", None, TODAY), first);
    let next = hash(&keys, "81.2.3.4", CHROME, TODAY + 1);
    assert_ne!(next, first);
    assert_eq!(
        hash(&keys, "81.2.3.4", CHROME, TODAY),
        first,
        "in another time zone it is still yesterday"
    );
    let elsewhere = TempDir::new().unwrap();
    assert_ne!(
        hash(
            &VisitorKeys::open(&file(&elsewhere)).unwrap(),
            "81.2.3.4",
            CHROME,
            TODAY
        ),
        first
    );
}

#[test]
fn only_the_first_half_of_an_ipv6_address_counts() {
    let directory = TempDir::new().unwrap();
    let keys = VisitorKeys::open(&file(&directory)).unwrap();
    let one = hash(&keys, "2a02:8100:1:2::1", CHROME, TODAY);
    assert_eq!(
        hash(&keys, "2a02:8100:1:2:ffff:ffff:ffff:ffff", CHROME, TODAY),
        one
    );
    assert_ne!(hash(&keys, "2a02:8100:1:3::1", CHROME, TODAY), one);
}

#[test]
fn only_the_first_512_bytes_of_a_user_agent_count() {
    let directory = TempDir::new().unwrap();
    let keys = VisitorKeys::open(&file(&directory)).unwrap();
    let long = |end: &str| hash(&keys, "81.2.3.4", Some(&("a".repeat(512) + end)), TODAY);
    assert_eq!(long("b"), long("c"));
}

#[test]
fn the_file_is_read_again_and_never_has_more_than_three_keys() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory);
    let keys = VisitorKeys::open(&path).unwrap();
    let mut last = hash(&keys, "81.2.3.4", CHROME, TODAY);
    assert_eq!(days(&path), [20_778]);
    for day in 1..5 {
        let keys = VisitorKeys::open(&path).unwrap();
        assert_eq!(
            hash(&keys, "81.2.3.4", CHROME, TODAY + day - 1),
            last,
            "the key outlives the process"
        );
        last = hash(&keys, "81.2.3.4", CHROME, TODAY + day);
        let kept: Vec<_> = ((TODAY + day - 2).max(TODAY)..=TODAY + day).collect();
        assert_eq!(days(&path), kept);
    }
    let keys = VisitorKeys::open(&path).unwrap();
    hash(&keys, "81.2.3.4", CHROME, TODAY + 10);
    assert_eq!(
        days(&path),
        [20_788],
        "after days without a visitor no old key is left"
    );
}

#[test]
fn a_destroyed_key_does_not_return() {
    let directory = TempDir::new().unwrap();
    let keys = VisitorKeys::open(&file(&directory)).unwrap();
    let first = hash(&keys, "81.2.3.4", CHROME, TODAY);
    hash(&keys, "81.2.3.4", CHROME, TODAY + 3);
    assert_ne!(hash(&keys, "81.2.3.4", CHROME, TODAY), first);
}

#[test]
fn keys_are_destroyed_without_a_visitor_too() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory);
    let keys = VisitorKeys::open(&path).unwrap();
    hash(&keys, "81.2.3.4", CHROME, TODAY);
    assert!(!keys.forget_old(TODAY + 2).unwrap());
    assert_eq!(days(&path), [20_778]);
    assert!(keys.forget_old(TODAY + 3).unwrap());
    assert!(days(&path).is_empty());
    assert!(
        VisitorKeys::open(&path).is_ok(),
        "a file without keys can be read"
    );
}

#[test]
fn only_the_owner_can_read_the_file() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory);
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    hash(&VisitorKeys::open(&path).unwrap(), "81.2.3.4", CHROME, TODAY);
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    VisitorKeys::open(&path).unwrap();
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_keys() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory);
    let first = hash(&VisitorKeys::open(&path).unwrap(), "81.2.3.4", CHROME, TODAY);
    let beside = directory.path().join("visitor.keys.new");
    fs::write(&beside, "20779 00ff").unwrap();
    let keys = VisitorKeys::open(&path).unwrap();
    assert!(!beside.exists());
    assert_eq!(hash(&keys, "81.2.3.4", CHROME, TODAY), first);
    hash(&keys, "81.2.3.4", CHROME, TODAY + 1);
    assert_eq!(days(&path), [20_778, 20_779]);
    assert!(!beside.exists());
}

#[test]
fn a_key_is_on_disk_before_its_first_hash() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory);
    let keys = VisitorKeys::open(&path).unwrap();
    // A directory takes the name of the new file, so that it cannot be written.
    let beside = directory.path().join("visitor.keys.new");
    fs::create_dir(&beside).unwrap();
    assert!(keys.hash("81.2.3.4".parse().unwrap(), CHROME, TODAY).is_err());
    fs::remove_dir(&beside).unwrap();
    let first = hash(&keys, "81.2.3.4", CHROME, TODAY);
    assert_eq!(
        hash(&VisitorKeys::open(&path).unwrap(), "81.2.3.4", CHROME, TODAY),
        first
    );
}

#[test]
fn a_file_of_another_format_is_refused_and_unchanged() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory);
    for text in ["hello", "20778 abc", "x 00", "20778 00\n"] {
        fs::write(&path, text).unwrap();
        let error = VisitorKeys::open(&path).err().unwrap();
        assert!(error.to_string().contains("visitor.keys"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn many_threads_at_midnight_agree_on_one_key() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory);
    let keys = VisitorKeys::open(&path).unwrap();
    hash(&keys, "81.2.3.4", CHROME, TODAY - 1);
    let together = Barrier::new(8);
    let hashes: Vec<_> = std::thread::scope(|scope| {
        let visit = || {
            together.wait();
            hash(&keys, "81.2.3.4", CHROME, TODAY)
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(visit)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    assert_eq!(days(&path), [20_777, 20_778]);
    assert_eq!(
        hash(&VisitorKeys::open(&path).unwrap(), "81.2.3.4", CHROME, TODAY),
        hashes[0]
    );
}
