//! Language rules of the project that a machine can check: doc comments, banned words, and three habits of code.
//!
//! This file lists the banned words, so it is exempt from the rules about words and code.

/// Path of this file, relative to the repository.
pub(crate) const THIS_FILE: &str = "tests/house/language.rs";

/// Words that a doc comment must not begin with: it begins with a noun or a verb.
const RELATIVES: [&str; 12] = [
    "what", "whose", "whether", "how", "why", "where", "when", "as", "who", "whom", "which", "that",
];

/// Words and phrases that hide the actor.
const BANNED: [&[&str]; 10] = [
    &["somebody"],
    &["nobody"],
    &["whoever"],
    &["anybody"],
    &["said"],
    &["told"],
    &["of", "its", "own"],
    &["of", "one's", "own"],
    &["there", "is"],
    &["there", "are"],
];

/// Uses of banned words that cannot be avoided: path, word and reason. An unused entry fails the test.
pub(crate) const ALLOWED: [(&str, &str, &str); 2] = [
    (
        "crates/server/src/postgres/mod.rs",
        "nobody",
        "the Unix user that runs Postgres where no user named postgres exists",
    ),
    (
        "crates/postbacks/src/record.rs",
        "said",
        "the name of the field of parsed values in records of the second format, which journals still hold",
    ),
];

/// A violation of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Line number, from 1.
    pub(crate) line: usize,
    /// Violated rule.
    pub(crate) rule: &'static str,
    /// Word or code that violates it.
    pub(crate) found: String,
}

/// Doc comments that begin with a relative or interrogative word: in the first line of a block, and below `# Errors`.
pub(crate) fn doc_comments(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut previous = None;
    let mut is_below_errors = false;
    for (index, line) in text.lines().enumerate() {
        let comment = doc_comment(line);
        let marker = comment.map(|(marker, _)| marker);
        if let Some((_, body)) = comment
            && (marker != previous || is_below_errors)
        {
            let first = body.trim_start().split(|c: char| !c.is_alphabetic()).next();
            let first = first
                .map(str::to_lowercase)
                .filter(|word| RELATIVES.contains(&word.as_str()));
            findings.extend(first.map(|found| Finding {
                line: index + 1,
                rule: "doc comment",
                found,
            }));
        }
        previous = marker;
        is_below_errors = comment.is_some_and(|(_, body)| body.trim() == "# Errors");
    }
    findings
}

/// Marker and text of a line that is a doc comment.
fn doc_comment(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim_start();
    if let Some(body) = line.strip_prefix("//!") {
        return Some(("//!", body));
    }
    line.strip_prefix("///")
        .filter(|body| !body.starts_with('/'))
        .map(|body| ("///", body))
}

/// Banned words and phrases, also where a phrase continues on the next line. An underscore separates words.
pub(crate) fn banned_words(text: &str) -> Vec<Finding> {
    let words = words(text);
    let mut findings = Vec::new();
    for start in 0..words.len() {
        for phrase in BANNED {
            let Some(used @ [first, rest @ ..]) = words.get(start..start + phrase.len()) else {
                continue;
            };
            let matches = used.iter().zip(phrase).all(|(word, wanted)| word.text == *wanted);
            if matches && rest.iter().all(|word| word.continues) {
                findings.push(Finding {
                    line: first.line,
                    rule: "banned word",
                    found: phrase.join(" "),
                });
            }
        }
    }
    findings
}

struct Word {
    text: String,
    line: usize,
    /// True if only white space, underscores, line breaks and comment markers separate it from the word before.
    continues: bool,
}

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let body = ["///", "//!", "//", "--", "*"]
            .into_iter()
            .find_map(|marker| line.strip_prefix(marker))
            .unwrap_or(line);
        // A backslash continues a string literal on the next line.
        let body = body.strip_suffix('\\').unwrap_or(body).replace('’', "'");
        let mut current = String::new();
        for c in body.chars().chain([' ']) {
            if c.is_alphabetic() || (c == '\'' && !current.is_empty()) {
                current.extend(c.to_lowercase());
                continue;
            }
            if !current.is_empty() {
                words.push(Word {
                    text: current.trim_end_matches('\'').to_owned(),
                    line: index + 1,
                    continues,
                });
                current.clear();
                continues = true;
            }
            continues &= c.is_whitespace() || c == '_';
        }
    }
    words
}

/// Constants without a meaning, unnamed closure arguments, and `match` on a bool, in Rust code.
pub(crate) fn code_habits(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        let checks = [
            ("constant PATIENCE", names_patience(code)),
            ("closure argument `it`", has_unnamed_argument(code)),
            ("match on a bool", is_bool_arm(code)),
        ];
        for (rule, violated) in checks {
            if violated {
                findings.push(Finding {
                    line: index + 1,
                    rule,
                    found: code.trim_end().to_owned(),
                });
            }
        }
    }
    findings
}

fn names_patience(code: &str) -> bool {
    ["const PATIENCE", "static PATIENCE"].into_iter().any(|name| {
        code.split(name)
            .skip(1)
            .any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// True if a closure takes an argument named `it`, alone or beside others.
fn has_unnamed_argument(code: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices("it").any(|(at, _)| {
        let before = code[..at]
            .trim_end_matches(['&', ' '])
            .trim_end_matches("mut")
            .trim_end_matches(['&', ' ']);
        let after = &code[at + 2..];
        let opens = before.ends_with('|') && !before.ends_with("||");
        let closes = after.starts_with('|') && !after.starts_with("||");
        let stands_alone = !code[..at].ends_with(is_name) && !after.starts_with(is_name);
        stands_alone && (opens && after.starts_with(['|', ':', ',']) || before.ends_with(',') && closes)
    })
}

/// True for an arm `true =>` or `false =>`, with or without a guard, at the start of the line or after a brace.
fn is_bool_arm(code: &str) -> bool {
    let starts = std::iter::once(0).chain(code.match_indices('{').map(|(at, _)| at + 1));
    starts.into_iter().any(|start| {
        let arm = code[start..].trim_start();
        ["true", "false"].into_iter().any(|word| {
            arm.strip_prefix(word).is_some_and(|rest| {
                rest.starts_with(" =>") || (rest.starts_with(" if ") && rest.contains("=>"))
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn the_language_lint_sees_what_it_is_for() {
        for word in RELATIVES {
            assert_eq!(
                lines(&doc_comments(&format!("    /// {word} it does."))),
                [1],
                "{word}"
            );
        }
        assert_eq!(
            lines(&doc_comments("//! What this owns.\n//! How it works.\n")),
            [1]
        );
        assert_eq!(
            lines(&doc_comments("/// Name.\nx: u8,\n/// What's\ny: u8,\n//! Why.")),
            [3, 5]
        );
        assert_eq!(
            lines(&doc_comments(
                "/// Name.\n///\n/// # Errors\n/// When the database fails.\n/// What else."
            )),
            [4]
        );
        for fine in [
            "/// Whatever.",
            "/// Assigns.",
            "// What a plain comment may begin with.",
            "//// What.",
            "/// Name.\n/// Where it is shown.",
            "/// # Errors\n/// Returns an error if the database fails.",
            "let text = \"/// What\";",
        ] {
            assert_eq!(doc_comments(fine), [], "{fine}");
        }

        for bad in [
            "-- Somebody.",
            "fn nobody_pays() {",
            "<p>Whoever</p>",
            "anybody",
            "what was said",
            "was_told_so",
            "enum Told {",
            "a name of its own",
            "/// a key of\n/// its own",
            "of one’s own",
            "\"There is\"",
            "    // where there\n    // are",
            "a text there \\\nis",
        ] {
            assert_eq!(lines(&banned_words(bad)), [1], "{bad}");
        }
        for fine in [
            "saidi, bodies and toldo",
            "It stands there. Is it read?",
            "is there",
            "of its owner",
            "its own",
            "there, are",
        ] {
            assert_eq!(banned_words(fine), [], "{fine}");
        }

        for bad in [
            "const PATIENCE: Duration = x;",
            "pub static PATIENCE: u8 = 1;",
            "list.map(|it| it.id)",
            "list.map(move |it: &Link| it.id)",
            "list.fold(0, |sum, it| sum)",
            "list.map(|&it| x)",
            "list.map(|mut it| x)",
            "    true => 1,",
            "    false if x == 1 => 2,",
            "match x { true => 1,",
        ] {
            assert_eq!(lines(&code_habits(bad)), [1], "{bad}");
        }
        for fine in [
            "const CLICK_PATIENCE_MS: u8 = 1;",
            "const PATIENCES: u8 = 1;",
            "list.map(|item| item.id)",
            "list.map(|unit| 1)",
            "let x = a || it || b;",
            "call(it, x)",
            "(true, false) => 1,",
            "Some(true) => 1,",
            "// true => 1,",
            "vec![true, false]",
            "if x { true } else { false }",
        ] {
            assert_eq!(code_habits(fine), [], "{fine}");
        }
    }
}
