//! Parsing a curl command.

use data_encoding::BASE64;

use crate::detect::{PastedCall, paste};
use crate::wire::encoded;

/// Maximum number of words of a command.
const WORD_LIMIT: usize = 1_000;

/// Options with a value that do not affect the request.
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

/// Parses a command; `None` without a URL.
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

/// Splits an option from an attached value: `--data=x`, `-XPOST`. The option of any other word is empty.
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
            // The contents of a file are not available here.
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
            let content_type = if self.json {
                "application/json"
            } else {
                "application/x-www-form-urlencoded"
            };
            call.content_type = Some(content_type.to_owned());
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

/// Encodes the text of `name=text`; `=text` and `text` are encoded whole.
fn urlencode(value: &str) -> String {
    match value.split_once('=') {
        Some(("", text)) => encoded(text),
        Some((name, text)) => format!("{name}={}", encoded(text)),
        None => encoded(value),
    }
}

/// Splits a command into words as a POSIX shell does: quotes, escapes, continued lines. An unclosed quote ends with the
/// text.
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
                // In double quotes a backslash escapes only these characters.
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
                // A continued line with a Windows line ending.
                Some('\r') => drop(characters.next_if_eq(&'\n')),
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            (None, space) if space.is_whitespace() => {
                if words.len() == WORD_LIMIT {
                    return words;
                }
                words.extend(word.take());
            }
            // The rest is another command.
            (None, '|' | ';' | '>') if word.is_none() => break,
            (None, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}
