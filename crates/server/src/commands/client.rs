//! Commands that call the API of a server, for people and scripts with an API key.
#![expect(
    clippy::indexing_slicing,
    reason = "an absent member of a JSON value is null, not a panic"
)]

use serde_json::Value;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::{CommandError, WrongUsage};
use crate::client::{Client, Credentials, Failure};
use crate::config::client::{
    ClientCommand, ConnectionOptions, PostbacksCommand, credentials_file, key_of_environment,
};
use crate::outgoing::public_authorities;
use crate::output::Output;

mod export;
mod import;
mod listen;
mod login;
mod postbacks;
mod trigger;

/// Runs a command.
///
/// # Errors
/// [`Failure`] for what the API refuses; [`WrongUsage`] for names that do not exist.
pub async fn client(command: ClientCommand, output: Output) -> Result<(), CommandError> {
    match command {
        ClientCommand::Login(options) => login::login(&options, output).await,
        ClientCommand::Logout(options) => login::logout(&options, output),
        ClientCommand::Whoami(options) => login::whoami(&options, output).await,
        ClientCommand::Listen(options) => listen::listen(&options, output).await,
        ClientCommand::Trigger(options) => trigger::trigger(&options, output).await,
        ClientCommand::Postbacks(PostbacksCommand::List(options)) => postbacks::list(&options, output).await,
        ClientCommand::Postbacks(PostbacksCommand::Show(options)) => postbacks::show(&options, output).await,
        ClientCommand::Postbacks(PostbacksCommand::Replay(options)) => {
            postbacks::replay(&options, output).await
        }
        ClientCommand::Export(options) => export::export(&options, output).await,
        ClientCommand::Import(options) => import::import(&options, output).await,
    }
}

/// Client of the server and key that the options, the environment and the stored profiles name, in this order. A stored
/// key is sent to its own server only.
fn connect(options: &ConnectionOptions) -> Result<Client, CommandError> {
    let authorities = authorities(options)?;
    let key = key_of_environment();
    // A key of the environment needs no file, so that scripts run without a home.
    let stored = match credentials_file() {
        Some(file) if key.is_none() || options.url.is_none() => Credentials::read(&file)?,
        _ => Credentials::default(),
    };
    let profile = stored.profiles.get(&options.profile);
    let url = options
        .url_or(profile.map(|profile| profile.url.as_str()))
        .ok_or_else(|| WrongUsage("the URL is not valid".to_owned()))?;
    if let Some(key) = key {
        return Ok(Client::new(url, key, authorities));
    }
    let profile = profile.ok_or_else(|| no_key(&options.profile))?;
    if url.as_str().trim_end_matches('/') != profile.url.trim_end_matches('/') {
        return Err(WrongUsage(format!(
            "the stored key “{}” is for {}. Run `clickledger login --url {url}` first, with another --profile to keep both.",
            options.profile, profile.url
        ))
        .into());
    }
    Ok(Client::new(url, profile.api_key.clone(), authorities))
}

fn no_key(profile: &str) -> Failure {
    let message = format!(
        "No API key is stored as “{profile}”. Run `clickledger login`, or set CLICKLEDGER_API_KEY and CLICKLEDGER_URL."
    );
    Failure::local("unauthenticated", &message)
}

/// Authorities whose certificates are accepted.
fn authorities(options: &ConnectionOptions) -> Result<RootCertStore, WrongUsage> {
    let mut authorities = public_authorities();
    if let Some(file) = &options.ca_file {
        let unreadable = |error: &dyn std::fmt::Display| WrongUsage(format!("{}: {error}", file.display()));
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            authorities.add(certificate).map_err(|error| unreadable(&error))?;
        }
    }
    Ok(authorities)
}

/// ID of an object that the user names by ID, external ID or name.
async fn id_of(
    client: &Client,
    list: &str,
    prefix: &str,
    kind: &str,
    named: &str,
) -> Result<String, CommandError> {
    let named = named.trim();
    if named.starts_with(prefix) {
        return Ok(named.to_owned());
    }
    let mut after = String::new();
    let mut found: Vec<String> = Vec::new();
    loop {
        let mut query = vec![("limit", "200")];
        if !after.is_empty() {
            query.push(("after", &after));
        }
        let page = client.get(list, &query).await?;
        let items = page["items"].as_array().into_iter().flatten();
        let by_external_id = |item: &&Value| item["external_id"].as_str() == Some(named);
        if let Some(item) = items.clone().find(by_external_id) {
            return Ok(text(&item["id"]));
        }
        let is_named = |item: &&Value| {
            item["name"]
                .as_str()
                .is_some_and(|name| name.eq_ignore_ascii_case(named))
        };
        found.extend(items.filter(is_named).map(|item| text(&item["id"])));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    match found.as_slice() {
        [id] => Ok(id.clone()),
        [] => Err(WrongUsage(format!("no {kind} has the ID, external ID or name “{named}”")).into()),
        several => {
            let ids = several.join(", ");
            Err(WrongUsage(format!("several are named “{named}”: {ids}. Give the ID.")).into())
        }
    }
}

async fn advertiser(client: &Client, named: &str) -> Result<String, CommandError> {
    id_of(client, "advertisers", "adv_", "advertiser", named).await
}

async fn campaign(client: &Client, named: &str) -> Result<String, CommandError> {
    id_of(client, "campaigns", "cmp_", "campaign", named).await
}

/// Text of a JSON value; empty for null.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Same text, safe for a terminal: postbacks contain what strangers send.
fn plain(value: &Value) -> String {
    let is_harmful =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text(value)
        .chars()
        .map(|c| if is_harmful(c) { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_of_strangers_cannot_control_the_terminal() {
        assert_eq!(
            plain(&json!("A-1\u{1b}[2J\n\u{202e}x")),
            "A-1\u{fffd}[2J\u{fffd}\u{fffd}x"
        );
        assert_eq!(
            (plain(&Value::Null), plain(&json!(7))),
            (String::new(), "7".to_owned())
        );
    }
}
