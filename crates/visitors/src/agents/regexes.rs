//! Parsing of uap-core's `regexes.yaml`: only the subset of YAML that the file uses, line by line.

/// An entry of the file.
#[derive(Debug, Default)]
pub(super) struct Rule<'a> {
    /// Regular expression, in the syntax shared with Python and JavaScript.
    pub(super) regex: &'a str,
    /// True if letter case is ignored.
    pub(super) ignore_case: bool,
    /// Name of the match, with `$1` for the first group; `None` stands for the first group.
    pub(super) name: Option<&'a str>,
}

/// Rules of one section (`user_agent_parsers`, `os_parsers`, `device_parsers`), in the order to try them.
pub(super) fn rules<'a>(yaml: &'a str, section: &str) -> Vec<Rule<'a>> {
    let mut rules: Vec<Rule> = Vec::new();
    let lines = yaml
        .lines()
        .skip_while(|line| line.strip_suffix(':') != Some(section));
    for line in lines
        .skip(1)
        .take_while(|line| !line.starts_with(|c: char| c.is_ascii_lowercase()))
    {
        let Some((key, value)) = line.trim_start().split_once(": ") else {
            continue;
        };
        match key {
            "- regex" => rules.push(Rule {
                regex: unquoted(value),
                ..Rule::default()
            }),
            "regex_flag" => each_last(&mut rules, |rule| rule.ignore_case = unquoted(value) == "i"),
            "family_replacement" | "os_replacement" | "device_replacement" => {
                each_last(&mut rules, |rule| rule.name = Some(unquoted(value)));
            }
            _ => {}
        }
    }
    rules
}

fn each_last<'a>(rules: &mut [Rule<'a>], change: impl FnOnce(&mut Rule<'a>)) {
    if let Some(last) = rules.last_mut() {
        change(last);
    }
}

/// Text between the first quote and the last; a comment may follow.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    let Some(quote @ ('\'' | '"')) = value.chars().next() else {
        return value;
    };
    let inner = value.get(1..).unwrap_or_default();
    inner
        .rfind(quote)
        .and_then(|end| inner.get(..end))
        .unwrap_or(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../data/regexes.yaml");

    #[test]
    fn every_entry_of_the_file_is_parsed() {
        let sections = ["user_agent_parsers", "os_parsers", "device_parsers"];
        let read: usize = sections.iter().map(|section| rules(FILE, section).len()).sum();
        let written = FILE
            .lines()
            .filter(|line| line.trim_start().starts_with("- regex:"))
            .count();
        assert_eq!(read, written);
        assert!(read > 1000);
    }

    #[test]
    fn a_rule_has_all_its_written_parts() {
        let yaml = "a_parsers:\n  # one\n  - regex: 'x''y'\n    regex_flag: 'i'\n    os_replacement: '$1 OS' # why\n\n  \
                    - regex: \"z\"\nb_parsers:\n  - regex: 'b'\n";
        let found = rules(yaml, "a_parsers");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].ignore_case, found[0].name), (true, Some("$1 OS")));
        assert_eq!((found[1].regex, found[1].name), ("z", None));
        assert_eq!(rules(yaml, "b_parsers").len(), 1);
    }

    #[test]
    fn the_file_uses_only_the_supported_yaml() {
        let entries = FILE
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .filter(|line| line.contains(": "));
        for line in entries {
            let (_, value) = line.split_once(": ").unwrap();
            let inner = unquoted(value);
            let escaped = inner.contains("''") || (value.trim().starts_with('"') && inner.contains('\\'));
            assert!(!escaped, "{line}");
        }
    }
}
