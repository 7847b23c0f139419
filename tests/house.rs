//! The rules of the house that a machine can check: who may depend on whom, and what templates may not contain.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each crate may depend on. ARCHITECTURE.md has the same picture.
const ARROWS: [(&str, &[&str]); 14] = [
    ("schema", &[]),
    ("dialects", &[]),
    ("journal", &[]),
    ("visitors", &[]),
    ("conserve", &[]),
    ("tenancy", &["schema"]),
    ("campaigns", &["dialects", "schema", "tenancy"]),
    (
        "tracking",
        &[
            "campaigns",
            "dialects",
            "journal",
            "schema",
            "tenancy",
            "visitors",
        ],
    ),
    ("reports", &["schema", "tenancy"]),
    (
        "dashboard",
        &[
            "campaigns",
            "dialects",
            "reports",
            "schema",
            "tenancy",
            "tracking",
        ],
    ),
    ("api", &["campaigns", "schema", "tenancy", "tracking"]),
    (
        "demo",
        &[
            "campaigns",
            "journal",
            "schema",
            "tenancy",
            "tracking",
            "visitors",
        ],
    ),
    (
        "server",
        &["api", "dashboard", "demo", "schema", "tenancy", "tracking"],
    ),
    (
        "testkit",
        &["campaigns", "schema", "server", "tenancy", "tracking"],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn crates_depend_on_lower_floors_only() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .unwrap();
    let ours: BTreeSet<_> = metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let allowed: BTreeMap<_, _> = ARROWS.into_iter().collect();
    assert_eq!(
        ours,
        allowed.keys().map(ToString::to_string).collect(),
        "a crate is missing from ARROWS"
    );
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let is_test_only = dependency.kind == cargo_metadata::DependencyKind::Development;
            if ours.contains(&dependency.name) && !is_test_only {
                assert!(
                    allowed[package.name.as_str()].contains(&dependency.name.as_str()),
                    "{} must not depend on {}",
                    package.name,
                    dependency.name
                );
            }
        }
    }
}

#[test]
fn nothing_in_a_template_needs_a_looser_policy() {
    let mut templates = Vec::new();
    collect(&root().join("templates"), &mut templates);
    assert!(templates.len() > 10, "the templates were not found");
    for path in templates {
        let text = fs::read_to_string(&path).unwrap();
        let found = lint(&text);
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}

#[test]
fn the_template_lint_sees_what_it_is_for() {
    for bad in [
        "<p style=\"color:red\">",
        "<a href='javascript:x()'>",
        "<button onclick=\"x()\">",
        "<div hx-on:click=\"x()\">",
        "<script>x()</script>",
        "<style>p{}</style>",
        "{{ name|safe }}",
        "{{ name | safe }}",
    ] {
        assert_eq!(lint(bad).len(), 1, "{bad}");
    }
    assert!(
        lint("<script src=\"/a.js\" defer></script><p class=\"style\">one=1</p>{{ chart|safe }}").is_empty()
    );
}

/// What a template contains that the Content-Security-Policy forbids, or that is not escaped.
fn lint(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lower = text.to_lowercase();
    for forbidden in [" style=", "javascript:", "hx-on", "<style"] {
        if lower.contains(forbidden) {
            found.push(forbidden.to_owned());
        }
    }
    for tag in lower.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        let handler = tag
            .split_whitespace()
            .skip(1)
            .find(|attribute| attribute.starts_with("on") && attribute.contains('='));
        if let Some(handler) = handler {
            found.push(handler.to_owned());
        }
        if tag.starts_with("script") && !tag.contains(" src=") {
            found.push("inline script".to_owned());
        }
    }
    // Charts are templates themselves, escaped where they are rendered.
    let dense: String = lower.split_whitespace().collect();
    if dense.replace("{{chart|safe}}", "").contains("|safe") || dense.contains("|escape(") {
        found.push("|safe".to_owned());
    }
    found
}

#[test]
fn no_file_has_grown_past_what_one_can_read() {
    let mut files = Vec::new();
    collect(&root().join("crates"), &mut files);
    collect(&root().join("tests"), &mut files);
    for path in files {
        let is_ours =
            path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("src/schema.rs");
        if is_ours {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(
                lines <= 600,
                "{} has {lines} lines: two rooms may live in it",
                path.display()
            );
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            collect(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}
