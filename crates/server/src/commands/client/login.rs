//! `clickledger login`, `logout` and `whoami`.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use serde_json::{Value, json};
use url::{Host, Url};

use super::{authorities, connect, plain};
use crate::client::{Client, Credentials, Profile};
use crate::commands::{CommandError, WrongUsage};
use crate::config::client::{
    LoginOptions, LogoutOptions, WhoamiOptions, credentials_file, key_of_environment,
};
use crate::output::Output;

/// Stores an API key, after a check that the server accepts it.
pub(super) async fn login(options: &LoginOptions, output: Output) -> Result<(), CommandError> {
    let file = file()?;
    let mut stored = Credentials::read(&file)?;
    let connection = &options.connection;
    let known = stored.profiles.get(&connection.profile);
    let url = connection.url_or(known.map(|profile| profile.url.as_str()));
    let url = url.ok_or_else(|| WrongUsage("the URL is not valid".to_owned()))?;
    if is_readable_on_the_way(&url) {
        eprintln!("clickledger: {url} is not https: others on the network can read the key.");
    }
    let key = read_key(&url).await?;
    let client = Client::new(url.clone(), key.clone(), authorities(connection)?);
    let me = client.get("me", &[]).await?;
    let profile = Profile {
        url: url.to_string(),
        api_key: key,
    };
    stored.profiles.insert(connection.profile.clone(), profile);
    stored.write(&file)?;
    let text = format!(
        "{}\nThe key is stored in {} as “{}”.",
        sentence(&me),
        file.display(),
        connection.profile
    );
    output.print(text, &described(me, &client, Some(&connection.profile)))?;
    if key_of_environment().is_some() {
        eprintln!("clickledger: CLICKLEDGER_API_KEY is set and takes precedence over the stored key.");
    }
    Ok(())
}

/// Removes one stored key, or all.
pub(super) fn logout(options: &LogoutOptions, output: Output) -> Result<(), CommandError> {
    let file = file()?;
    let mut stored = Credentials::read(&file)?;
    let removed: Vec<String> = if options.all {
        std::mem::take(&mut stored.profiles).into_keys().collect()
    } else {
        let unknown = || WrongUsage(format!("no key is stored as “{}”", options.profile));
        let (name, _) = stored
            .profiles
            .remove_entry(&options.profile)
            .ok_or_else(unknown)?;
        vec![name]
    };
    if !removed.is_empty() {
        stored.write(&file)?;
    }
    let text = format!(
        "Removed: {}. The key stays valid until it is revoked in the dashboard under Settings → API keys.",
        if removed.is_empty() {
            "nothing".to_owned()
        } else {
            removed.join(", ")
        }
    );
    Ok(output.print(text, &json!({ "removed": removed }))?)
}

/// Prints the member, the role and the network of the key.
pub(super) async fn whoami(options: &WhoamiOptions, output: Output) -> Result<(), CommandError> {
    let client = connect(&options.connection)?;
    let me = client.get("me", &[]).await?;
    let profile = key_of_environment()
        .is_none()
        .then_some(options.connection.profile.as_str());
    let scopes = match me["scopes"].as_array() {
        Some(scopes) => scopes.iter().map(plain).collect::<Vec<_>>().join(", "),
        None => "all of the role".to_owned(),
    };
    let source = profile.map_or_else(
        || "CLICKLEDGER_API_KEY".to_owned(),
        |name| format!("profile “{name}”"),
    );
    let text = format!(
        "{}\nserver  {}\nkey     {source}\nscopes  {scopes}",
        sentence(&me),
        client.page("")
    );
    Ok(output.print(text, &described(me, &client, profile))?)
}

/// Caller in a sentence.
fn sentence(me: &Value) -> String {
    let network = &me["network"];
    format!(
        "{} ({}) in {} ({})",
        plain(&me["name"]),
        plain(&me["role"]).replace('_', " "),
        plain(&network["name"]),
        plain(&network["id"])
    )
}

/// Caller as the API describes it, with server and profile.
fn described(mut me: Value, client: &Client, profile: Option<&str>) -> Value {
    if let Some(members) = me.as_object_mut() {
        members.insert("url".to_owned(), client.page("").into());
        members.insert("profile".to_owned(), profile.into());
    }
    me
}

fn file() -> Result<PathBuf, WrongUsage> {
    credentials_file()
        .ok_or_else(|| WrongUsage("set HOME or XDG_CONFIG_HOME, where the key is stored".to_owned()))
}

/// True for a URL without https whose host is another machine.
fn is_readable_on_the_way(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !is_local
}

/// API key from the terminal without echo, or the first line of standard input.
async fn read_key(url: &Url) -> Result<String, CommandError> {
    let hidden = if io::stdin().is_terminal() {
        eprint!("API key for {url} (from Settings → API keys; it is not shown): ");
        io::stderr().flush()?;
        Some(HiddenInput::start()?)
    } else {
        None
    };
    let reading = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = tokio::select! {
        line = reading => line??,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            drop(hidden);
            // The blocking read cannot be cancelled, so the process ends here.
            std::process::exit(130);
        }
    };
    let key = line.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(WrongUsage("enter one API key, clk_key_…".to_owned()).into());
    }
    Ok(key.to_owned())
}

/// Terminal that does not show what is typed, until this is dropped.
struct HiddenInput(Termios);

impl HiddenInput {
    fn start() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        hidden.local_flags.insert(LocalFlags::ECHONL);
        termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_readable_on_the_way_without_https_to_another_machine() {
        for (url, expected) in [
            ("http://app.example.com", true),
            ("http://10.0.0.7:8080", true),
            ("https://app.example.com", false),
            ("http://127.0.0.1:8080", false),
            ("http://localhost:8080", false),
            ("http://[::1]:8080", false),
        ] {
            assert_eq!(
                is_readable_on_the_way(&Url::parse(url).unwrap()),
                expected,
                "{url}"
            );
        }
    }
}
