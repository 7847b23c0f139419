//! Rules of the repository that a machine can check: dependencies between crates, templates, size of files, language.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "house/language.rs"]
mod language;

/// Allowed dependencies of each crate, as in ARCHITECTURE.md.
const ARROWS: [(&str, &[&str]); 20] = [
    ("telemetry", &[]),
    ("schema", &["telemetry"]),
    ("columns", &[]),
    ("dialects", &[]),
    ("journal", &[]),
    ("visitors", &[]),
    ("conserve", &[]),
    ("tenancy", &["schema", "telemetry"]),
    ("campaigns", &["dialects", "schema", "tenancy"]),
    ("conversions", &["campaigns", "dialects", "schema", "tenancy"]),
    (
        "postbacks",
        &["campaigns", "conversions", "dialects", "schema", "tenancy"],
    ),
    (
        "tracking",
        &[
            "campaigns",
            "columns",
            "conversions",
            "dialects",
            "journal",
            "postbacks",
            "schema",
            "telemetry",
            "tenancy",
            "visitors",
        ],
    ),
    (
        "monitoring",
        &[
            "conversions",
            "journal",
            "postbacks",
            "schema",
            "tenancy",
            "tracking",
        ],
    ),
    ("reports", &["columns", "schema", "telemetry", "tenancy"]),
    (
        "delivery",
        &[
            "campaigns",
            "conversions",
            "dialects",
            "schema",
            "telemetry",
            "tenancy",
        ],
    ),
    (
        "dashboard",
        &[
            "campaigns",
            "conversions",
            "delivery",
            "dialects",
            "monitoring",
            "postbacks",
            "reports",
            "schema",
            "telemetry",
            "tenancy",
            "tracking",
        ],
    ),
    (
        "api",
        &[
            "campaigns",
            "conversions",
            "delivery",
            "monitoring",
            "postbacks",
            "reports",
            "schema",
            "tenancy",
            "tracking",
        ],
    ),
    (
        "demo",
        &[
            "campaigns",
            "conversions",
            "delivery",
            "journal",
            "postbacks",
            "schema",
            "tenancy",
            "tracking",
            "visitors",
        ],
    ),
    (
        "server",
        &[
            "api",
            "dashboard",
            "delivery",
            "demo",
            "journal",
            "monitoring",
            "postbacks",
            "reports",
            "schema",
            "telemetry",
            "tenancy",
            "tracking",
        ],
    ),
    (
        "testkit",
        &[
            "campaigns",
            "delivery",
            "monitoring",
            "postbacks",
            "schema",
            "server",
            "tenancy",
            "tracking",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn crates_depend_on_lower_crates_only() {
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

/// Cargo compiles the files of `tests` only where `crates/server/Cargo.toml` names them.
#[test]
fn every_test_file_is_run() {
    let manifest = fs::read_to_string(root().join("crates/server/Cargo.toml")).unwrap();
    let mut count = 0;
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".rs") {
            let path = format!("path = \"../../tests/{name}\"");
            assert!(
                manifest.contains(&path),
                "crates/server/Cargo.toml has no [[test]] for tests/{name}"
            );
            count += 1;
        }
    }
    assert!(count > 30, "the tests were not found");
}

#[test]
fn templates_comply_with_the_content_security_policy() {
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

/// Parts of a template that the Content-Security-Policy forbids, or that are not escaped.
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
    // Charts are templates themselves, escaped when they are rendered.
    let dense: String = lower.split_whitespace().collect();
    if dense.replace("{{chart|safe}}", "").contains("|safe") || dense.contains("|escape(") {
        found.push("|safe".to_owned());
    }
    found
}

#[test]
fn no_file_has_more_than_600_lines() {
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
                "{} has {lines} lines: split it by subject",
                path.display()
            );
        }
    }
}

/// Violations of the language rules of the whole repository.
#[test]
fn code_and_texts_keep_to_the_language_rules() {
    let mut findings: Vec<(String, language::Finding)> = Vec::new();
    let mut unused = language::ALLOWED.to_vec();
    let texts = texts();
    assert!(texts.len() > 300, "the files were not found");
    for (path, text) in &texts {
        let is_rust = path.ends_with(".rs");
        let mut found = Vec::new();
        if is_rust {
            found.extend(language::doc_comments(text));
        }
        if path != language::THIS_FILE {
            let mut words = language::banned_words(text);
            for (allowed_path, word, _) in language::ALLOWED {
                let before = words.len();
                words.retain(|finding| path != allowed_path || finding.found != word);
                if words.len() < before {
                    unused.retain(|(path, allowed, _)| (*path, *allowed) != (allowed_path, word));
                }
            }
            found.extend(words);
            if is_rust {
                found.extend(language::code_habits(text));
            }
        }
        findings.extend(found.into_iter().map(|finding| (path.clone(), finding)));
    }
    let list: String = findings
        .iter()
        .map(|(path, finding)| format!("{path}:{}: {}: {}\n", finding.line, finding.rule, finding.found))
        .collect();
    assert!(findings.is_empty(), "{list}\n{}", counts(&findings));
    assert!(unused.is_empty(), "no longer needed in ALLOWED: {unused:?}");
}

/// Files under the language rules, by path relative to the repository. Vendored and generated files are left out.
fn texts() -> Vec<(String, String)> {
    let root = root().canonicalize().unwrap();
    let mut files = Vec::new();
    for folder in ["crates", "tests", "templates", "migrations", "static"] {
        collect(&root.join(folder), &mut files);
    }
    files.extend(["README.md", "ARCHITECTURE.md", "BENCHMARKS.md"].map(|name| root.join(name)));
    let mut texts = Vec::new();
    for file in files {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let is_left_out = [
            "static/vendor/",
            "crates/visitors/data/",
            "crates/schema/src/schema.rs",
        ]
        .into_iter()
        .any(|left_out| path.starts_with(left_out));
        let is_text = match path.split('/').next().unwrap() {
            "crates" | "tests" => path.ends_with(".rs"),
            "static" => path.ends_with(".js") || path.ends_with(".css"),
            _ => true,
        };
        if is_text && !is_left_out {
            texts.push((path, fs::read_to_string(&file).unwrap()));
        }
    }
    texts
}

/// Table of findings by rule and by crate or folder.
fn counts(findings: &[(String, language::Finding)]) -> String {
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for (path, finding) in findings {
        let depth = if path.starts_with("crates/") { 2 } else { 1 };
        let place = path.split('/').take(depth).collect::<Vec<_>>().join("/");
        *counts.entry((place, finding.rule)).or_default() += 1;
    }
    counts
        .iter()
        .map(|((place, rule), count)| format!("{count:5} {rule:24} {place}\n"))
        .collect()
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
