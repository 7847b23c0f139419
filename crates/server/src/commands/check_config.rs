//! `clickledger check-config`: findings about the configuration, without serving.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use schema::{Address, Verification};
use serde_json::json;
use tenancy::{Mailer, Secret};
use tracking::Places;
use url::Url;

use super::CommandError;
use crate::backup::target::Target;
use crate::config::{CheckConfigOptions, ServeOptions, StoreOptions};
use crate::database::{
    DatabaseError, refuse_power, refuse_shared_sessions, require_migrated, secret_path, supported_version,
};
use crate::output::Output;
use crate::postgres::usable_bin_dir;

/// Printed findings.
struct Findings {
    output: Output,
    problems: usize,
}

impl Findings {
    fn line(&self, level: &str, subject: &str, text: &str) {
        let indented = text.replace('\n', "\n                             ");
        let line = format!("{level:<8} {subject:<19} {indented}");
        // The exit code has the result if the reader of standard output is gone.
        let _ = self
            .output
            .print(line, &json!({"level": level, "subject": subject, "text": text}));
    }

    fn fine(&self, subject: &str, text: impl AsRef<str>) {
        self.line("ok", subject, text.as_ref());
    }

    fn warning(&self, subject: &str, text: impl AsRef<str>) {
        self.line("warning", subject, text.as_ref());
    }

    fn problem(&mut self, subject: &str, text: impl ToString) {
        self.problems += 1;
        self.line("problem", subject, &text.to_string());
    }
}

/// Checks addresses, files, folders, the database and the mail server, and prints a line per finding. Changes nothing.
///
/// # Errors
/// Returns an error if a finding is a problem.
pub async fn check_config(
    file: Option<&Path>,
    options: &CheckConfigOptions,
    output: Output,
) -> Result<(), CommandError> {
    let mut findings = Findings { output, problems: 0 };
    let serve = &options.serve;
    // A file with problems is refused before any command runs.
    match file {
        Some(path) => findings.fine("configuration file", path.display().to_string()),
        None => findings.fine("configuration file", "none (--config)"),
    }
    check_listeners(serve, &mut findings);
    check_urls(serve, &mut findings);
    check_folders(serve, &mut findings);
    let secret = check_secret(&serve.store, &mut findings);
    check_database(&serve.store, secret.as_ref(), &mut findings).await;
    check_backup(serve, &mut findings).await;
    check_mail(options, &mut findings).await;
    check_traces(serve, &mut findings);
    match findings.problems {
        0 => Ok(()),
        1 => Err("the configuration has a problem".into()),
        count => Err(format!("the configuration has {count} problems").into()),
    }
}

async fn check_backup(options: &ServeOptions, findings: &mut Findings) {
    const SUBJECT: &str = "backup";
    let backup = &options.backup;
    let Some(place) = &backup.backup_to else {
        if options.store.database_url.is_some() {
            findings.fine(
                SUBJECT,
                "none of the journals; that of the database is up to its Postgres",
            );
        } else {
            findings.warning(
                SUBJECT,
                "none: everything is lost with the disk of this machine. Set --backup-to",
            );
        }
        return;
    };
    let listed = async { Target::open(place, &backup.s3)?.list("backups").await };
    match listed.await {
        Ok(_) => findings.fine(SUBJECT, format!("{place} can be read")),
        Err(error) => findings.problem(SUBJECT, error),
    }
}

fn check_listeners(options: &ServeOptions, findings: &mut Findings) {
    let listen = &options.listen;
    let mut listeners = vec![
        ("dashboard-listen", listen.dashboard_listen),
        ("tracking-listen", listen.tracking_listen),
    ];
    listeners.extend(listen.metrics_listen.map(|address| ("metrics-listen", address)));
    let shown: Vec<_> = listeners
        .iter()
        .map(|(name, address)| format!("{name} {address}"))
        .collect();
    findings.fine("listeners", shown.join(", "));
    for (index, (name, address)) in listeners.iter().enumerate() {
        let twin = listeners
            .iter()
            .skip(index + 1)
            .find(|(_, other)| other == address);
        if let Some((other, _)) = twin.filter(|_| address.port() != 0) {
            findings.problem(
                "listeners",
                format!("{name} and {other} are the same address, {address}"),
            );
        }
    }
}

/// Names the collector, so that a forgotten one is seen.
fn check_traces(options: &ServeOptions, findings: &mut Findings) {
    if let Some(traces) = options.traces.settings() {
        let share = traces.ratio * 100.0;
        findings.fine(
            "otlp-endpoint",
            format!("{share} % of traces go to {}", traces.endpoint),
        );
    }
}

fn check_urls(options: &ServeOptions, findings: &mut Findings) {
    let mut is_behind_proxy = false;
    for (name, url) in [
        ("dashboard-url", &options.urls.dashboard_url),
        ("tracking-url", &options.urls.tracking_url),
    ] {
        let Some(text) = url else {
            findings.warning(
                name,
                format!("missing: links lead to the address of the listener. Set --{name} to the public URL"),
            );
            continue;
        };
        match Url::parse(text) {
            Ok(url)
                if matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none() =>
            {
                is_behind_proxy |= url.scheme() == "https";
                findings.fine(name, text);
            }
            _ => findings.problem(
                name,
                format!("{text} must be a URL such as https://app.example.com, without a path"),
            ),
        }
    }
    if is_behind_proxy && options.proxies.trusted_proxies.is_empty() {
        findings.warning(
            "trusted-proxy",
            "missing, although a public URL is https: every visitor has the address of the proxy in front",
        );
    }
}

fn check_folders(options: &ServeOptions, findings: &mut Findings) {
    let folder = options.store.data_dir();
    let existing = folder
        .ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"));
    let shown = folder.display();
    if !existing.is_dir() {
        findings.problem("data-dir", format!("{} is not a folder", existing.display()));
    } else if let Err(error) = access(existing, AccessFlags::W_OK | AccessFlags::X_OK) {
        let user = nix::unistd::geteuid();
        findings.problem(
            "data-dir",
            format!(
                "the user {user} cannot write to {}: {}",
                existing.display(),
                error.desc()
            ),
        );
    } else if existing == folder {
        findings.fine("data-dir", format!("{shown} is writable"));
    } else {
        findings.fine("data-dir", format!("{shown} will be created"));
    }
    for path in &options.storage.places {
        match Places::open(&[PathBuf::clone(path)]) {
            Ok(_) => findings.fine("places", path.display().to_string()),
            Err(error) => findings.problem("places", error),
        }
    }
}

/// Returns the secret, if it exists and is well-formed.
fn check_secret(store: &StoreOptions, findings: &mut Findings) -> Option<Secret> {
    let path = secret_path(&store.data_dir());
    let (text, source) = match store.secret_text() {
        Ok(Some(text)) => {
            let file = store.secret_file.as_ref().map(|path| path.display().to_string());
            (Ok(text), file.unwrap_or_else(|| "--secret".to_owned()))
        }
        Ok(None) if !path.exists() => {
            findings.fine("secret", format!("{} will be created", path.display()));
            return None;
        }
        Ok(None) => (std::fs::read_to_string(&path), path.display().to_string()),
        Err(error) => {
            findings.problem("secret", error);
            return None;
        }
    };
    let secret = text
        .map_err(|error| error.to_string())
        .and_then(|text| Secret::from_text(&text).map_err(|error| error.to_string()));
    match secret {
        Ok(secret) => {
            findings.fine("secret", source);
            Some(secret)
        }
        Err(error) => {
            findings.problem("secret", format!("{source}: {error}"));
            None
        }
    }
}

async fn check_database(store: &StoreOptions, secret: Option<&Secret>, findings: &mut Findings) {
    let url = match store.database() {
        Ok(Some(url)) => url,
        Ok(None) => {
            match usable_bin_dir(&store.data_dir(), store.pg_bin.as_deref()) {
                Ok(folder) => findings.fine(
                    "database-url",
                    format!("none: a private Postgres of {}", folder.display()),
                ),
                Err(error) => findings.problem("database-url", format!("none, and {error}")),
            }
            return;
        }
        Err(error) => return findings.problem("database-url", error),
    };
    check_protection("database-url", &url, findings);
    let is_migrated = match check_login(&url, secret, findings).await {
        Ok(is_migrated) => is_migrated,
        Err(error) => return findings.problem("database-url", error),
    };
    match store.owner_database() {
        Ok(Some(owner)) => {
            check_protection("owner-database-url", &owner, findings);
            match schema::connect(&owner).await {
                Ok(_) => findings.fine("owner-database-url", "the login of the owner is accepted"),
                Err(error) => findings.problem("owner-database-url", error),
            }
        }
        Ok(None) => {
            if let Err(error) = is_migrated {
                findings.problem("database-url", error);
            }
        }
        Err(error) => findings.problem("owner-database-url", error),
    }
}

/// Checks version and rights of the login that serves. Inside, returns an error if migrations are missing.
async fn check_login(
    url: &str,
    secret: Option<&Secret>,
    findings: &Findings,
) -> Result<Result<(), DatabaseError>, DatabaseError> {
    refuse_shared_sessions(url).await?;
    let mut conn = schema::connect(url).await?;
    let version = supported_version(&mut conn).await?;
    let login = refuse_power(url).await?;
    findings.fine(
        "database-url",
        format!("PostgreSQL {version}; the login {login} owns nothing"),
    );
    let is_migrated = require_migrated(&mut conn).await;
    if let (Ok(()), Some(secret)) = (&is_migrated, secret) {
        secret.check(&mut conn).await?;
        findings.fine("secret", "belongs to the database");
    }
    Ok(is_migrated)
}

/// Prints if the connection is protected against a server in between.
fn check_protection(subject: &str, url: &str, findings: &Findings) {
    let Ok(address) = url.parse::<Address>() else {
        return;
    };
    let place = address.place();
    match address.verification() {
        Some(Verification::Full) => findings.fine(subject, format!("{place}, over TLS with a verified server")),
        _ if address.is_local() => findings.fine(subject, place),
        Some(Verification::Authority) => findings.warning(
            subject,
            format!(
                "{place}: every server with a certificate of the authority is accepted. Use sslmode=verify-full if the \
                 certificate names the host"
            ),
        ),
        Some(Verification::Nothing) => findings.warning(
            subject,
            format!("{place}: the server is not authenticated. Use sslmode=verify-full (`clickledger help serve`)"),
        ),
        None => findings.warning(
            subject,
            format!("{place}: the connection may be unencrypted. Use sslmode=verify-full (`clickledger help serve`)"),
        ),
    }
}

async fn check_mail(options: &CheckConfigOptions, findings: &mut Findings) {
    let mail = &options.serve.mail;
    if mail.smtp_url.is_none() {
        findings.warning(
            "smtp-url",
            "missing: links of invitations are shown and logged, and no alert is mailed",
        );
        return;
    }
    if mail.mail_from.contains("@localhost") {
        findings.warning(
            "mail-from",
            format!(
                "{}: recipients may refuse this sender. Set --mail-from",
                mail.mail_from
            ),
        );
    }
    let mailer = match mail.settings().map(|settings| Mailer::new(&settings)) {
        Ok(Ok(mailer)) => mailer,
        Ok(Err(error)) => return findings.problem("smtp-url", error),
        Err(error) => return findings.problem("smtp-url", error),
    };
    if !options.connect {
        return findings.fine("smtp-url", "well-formed (--connect signs in to it)");
    }
    match mailer.test().await {
        Ok(()) => findings.fine("smtp-url", "the mail server accepts the login"),
        Err(error) => findings.problem("smtp-url", error),
    }
}
