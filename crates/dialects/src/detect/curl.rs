//! The call that a curl command makes.

use data_encoding::BASE64;

use crate::detect::{PastedCall, paste};
use crate::wire::encoded;

/// Most words of a command that are looked at.
const WORD_LIMIT: usize = 1_000;

/// Options that take a value and say nothing about the call.
const IGNORED: [&str; 22] = [
    "-o",
    "--output",
    "-A",
    "--user-agent",
    "-e",
    "--referer",
    "-b",
    "--cookie",
    "-c",
    "--cookie-jar",
    "-m",
    "--max-time",
    "--connect-timeout",
    "-x",
    "--proxy",
    "--retry",
    "-w",
    "--write-out",
    "--cacert",
    "--cert",
    "--resolve",
    "-F",
];

/// Reads a command; `None` where it has no URL.
pub(crate) fn read(command: &str) -> Option<PastedCall> {
    let mut words = words(command).into_iter().skip(1);
    let mut command = Command::default();
    while let Some(word) = words.next() {
        let (option, attached) = split(&word);
        match option {
            "-G" | "--get" => command.in_query = true,
            "" => {
                command.url.get_or_insert(word);
            }
            known if IGNORED.contains(&known) && attached.is_none() => drop(words.next()),
            known if takes_value(known) => {
                let value = attached.map(str::to_owned).or_else(|| words.next())?;
                command.set(known, value);
            }
            _ => {}
        }
    }
    command.call()
}

fn takes_value(option: &str) -> bool {
    const TAKEN: [&str; 14] = [
        "-X",
        "--request",
        "-H",
        "--header",
        "-d",
        "--data",
        "--data-raw",
        "--data-binary",
        "--data-ascii",
        "--data-urlencode",
        "--json",
        "-u",
        "--user",
        "--url",
    ];
    TAKEN.contains(&option)
}

/// An option and the value attached to it: `--data=x`, `-XPOST`. A word that is none is no option.
fn split(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (word, None),
        };
    }
    if !word.starts_with('-') || word.len() < 2 {
        return ("", None);
    }
    match word.split_at_checked(2) {
        Some((option, "")) => (option, None),
        Some((option, value)) if takes_value(option) || IGNORED.contains(&option) => (option, Some(value)),
        // Several flags in one word: `-sSL`, or `-sG`.
        _ if word.contains('G') => ("-G", None),
        _ => (word, None),
    }
}

#[derive(Default)]
struct Command {
    url: Option<String>,
    method: Option<String>,
    headers: Vec<(String, String)>,
    user: Option<String>,
    data: Vec<String>,
    json: bool,
    in_query: bool,
}

impl Command {
    fn set(&mut self, option: &str, value: String) {
        match option {
            "-X" | "--request" => self.method = Some(value),
            "-H" | "--header" => {
                if let Some((name, value)) = value.split_once(':') {
                    self.headers.push((name.to_owned(), value.to_owned()));
                }
            }
            "-u" | "--user" => self.user = Some(value),
            "--url" => self.url = Some(value),
            "--data-urlencode" => self.data.push(urlencode(&value)),
            "--json" => {
                self.json = true;
                self.data.push(value);
            }
            // A file is not here to be read.
            _ if value.starts_with('@') => {}
            _ => self.data.push(value),
        }
    }

    fn call(self) -> Option<PastedCall> {
        let mut call = paste::url(&self.url?)?;
        let data = self.data.join(if self.json { "" } else { "&" });
        let has_data = !self.data.is_empty();
        if self.in_query && has_data {
            let joint = if call.target.contains('?') { '&' } else { '?' };
            call.target.push(joint);
            call.target.push_str(&data);
        } else if has_data {
            call.method = "POST".to_owned();
            call.content_type = Some(match self.json {
                true => "application/json".to_owned(),
                false => "application/x-www-form-urlencoded".to_owned(),
            });
            call.body = data;
        }
        if let Some(method) = self.method {
            call.method = method;
        }
        if let Some(user) = self.user {
            call.authorization = Some(format!("Basic {}", BASE64.encode(user.as_bytes())));
        }
        for (name, value) in &self.headers {
            paste::header(&mut call, name, value);
        }
        Some(call)
    }
}

/// `name=text` with the text encoded; `=text` and `text` are all text.
fn urlencode(value: &str) -> String {
    match value.split_once('=') {
        Some(("", text)) => encoded(text),
        Some((name, text)) => format!("{name}={}", encoded(text)),
        None => encoded(value),
    }
}

/// The words of a command as a POSIX shell takes them apart: quotes, escapes, lines that go on. An open quote ends
/// with the text.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = command.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (Some('\''), other) => word.get_or_insert_default().push(other),
            (Some(_), '\\') => {
                // In double quotes a backslash escapes only these.
                match characters.next_if(|next| matches!(next, '"' | '\\' | '$' | '`' | '\n')) {
                    Some('\n') => {}
                    Some(escaped) => word.get_or_insert_default().push(escaped),
                    None => word.get_or_insert_default().push('\\'),
                }
            }
            (Some(_), other) => word.get_or_insert_default().push(other),
            (None, open @ ('\'' | '"')) => {
                quote = Some(open);
                word.get_or_insert_default();
            }
            (None, '\\') => match characters.next() {
                Some('\n') | None => {}
                // A line that goes on, saved with the line ends of Windows.
                Some('\r') => drop(characters.next_if_eq(&'\n')),
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            (None, space) if space.is_whitespace() => {
                if words.len() == WORD_LIMIT {
                    return words;
                }
                words.extend(word.take());
            }
            // What follows is another command.
            (None, '|' | ';' | '>') if word.is_none() => break,
            (None, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}
