//! Detection of User-Agents that programs send.
//!
//! A User-Agent is a robot's if it contains a word of robots, or if it names no client: no engine, browser, phone or
//! app that people use. Words count neither inside an exception nor inside the name of an Android device, which its
//! manufacturer chooses freely: `Spider 8` and `ID bot 53` are phones.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use super::words::Words;

/// Published words of robots; its first lines name the packages. `data/update-robots` generates it.
const PUBLISHED: &str = include_str!("../../data/crawlers.txt");
/// Our part: clients, exceptions, further words; its first lines describe the format.
const OURS: &str = include_str!("../../data/bots.txt");
/// Ends of the name of an Android device.
const MODEL_ENDS: [&str; 4] = [")", " build/", "compatible", "http"];

/// The compiled lists.
pub(super) struct Bots {
    clients: Words,
    texts: AhoCorasick,
    /// Entry of each text, by its number.
    entries: Vec<Entry>,
}

/// Entry of a list besides its text.
#[derive(Clone, Copy)]
enum Entry {
    Exception,
    Word {
        begins: Begins,
        /// True if a word must also end at its end.
        ends: bool,
    },
}

/// Required position of the start of a word.
#[derive(Clone, Copy)]
enum Begins {
    Anywhere,
    /// Start of the User-Agent.
    Text,
    /// Start of a word.
    Word,
}

impl Bots {
    /// Compiles both lists.
    ///
    /// # Errors
    /// Errors of the automaton if the lists have millions of words.
    pub(super) fn new() -> Result<Self, BuildError> {
        Self::compiled(PUBLISHED.lines().chain(OURS.lines()))
    }

    fn compiled<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, BuildError> {
        let mut clients = Vec::new();
        let mut texts = Vec::new();
        let mut entries = Vec::new();
        for line in lines.map(str::trim_end) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(client) = line.strip_prefix("= ") {
                clients.push(client);
                continue;
            }
            let (text, entry) = line
                .strip_prefix("- ")
                .map_or_else(|| word(line), |text| (text, Entry::Exception));
            texts.push(text);
            entries.push(entry);
        }
        let texts = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(texts)?;
        Ok(Self {
            clients: Words::new(clients)?,
            texts,
            entries,
        })
    }

    /// True if a program sent the User-Agent.
    pub(super) fn is_bot(&self, user_agent: &str) -> bool {
        self.has_robot_word(user_agent) || !self.clients.any(user_agent)
    }

    fn has_robot_word(&self, user_agent: &str) -> bool {
        let mut words = Vec::new();
        let mut exceptions = Vec::new();
        for found in self.texts.find_overlapping_iter(user_agent) {
            let place = found.range();
            match self.entries.get(found.pattern().as_usize()) {
                Some(Entry::Exception) => exceptions.push(place),
                Some(Entry::Word { begins, ends }) if stands(user_agent, &place, *begins, *ends) => {
                    words.push(place);
                }
                _ => {}
            }
        }
        if words.is_empty() {
            return false;
        }
        exceptions.extend(model(user_agent));
        let is_excepted = |word: &Range<usize>| {
            exceptions
                .iter()
                .any(|exception| exception.start <= word.start && word.end <= exception.end)
        };
        !words.iter().all(is_excepted)
    }
}

/// Text and entry of a line that holds a word.
fn word(line: &str) -> (&str, Entry) {
    let (line, ends) = line.strip_suffix('|').map_or((line, false), |line| (line, true));
    let (text, begins) = if let Some(text) = line.strip_prefix('*') {
        (text, Begins::Anywhere)
    } else if let Some(text) = line.strip_prefix('^') {
        (text, Begins::Text)
    } else {
        (line, Begins::Word)
    };
    (text, Entry::Word { begins, ends })
}

/// True if a found word begins and ends in the required positions.
fn stands(text: &str, place: &Range<usize>, begins: Begins, ends: bool) -> bool {
    let begins_well = match begins {
        Begins::Anywhere => true,
        Begins::Text => place.start == 0,
        Begins::Word => !continues(text, place.start),
    };
    begins_well && !(ends && continues(text, place.end))
}

/// True if a word continues across a position: a letter, digit or underscore of ASCII on both sides.
fn continues(text: &str, at: usize) -> bool {
    let is_word = |at: usize| {
        let byte = text.as_bytes().get(at);
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    at.checked_sub(1).is_some_and(is_word) && is_word(at)
}

/// Place of the name of an Android device, with the version before it, as in `Android 13; Spider 8)`.
fn model(user_agent: &str) -> Option<Range<usize>> {
    const ANDROID: &str = "android ";
    let text = user_agent.to_ascii_lowercase();
    let (start, rest) = text.match_indices(ANDROID).find_map(|(at, _)| {
        let rest = text.get(at..)?;
        let version = rest.as_bytes().get(ANDROID.len())?;
        version.is_ascii_digit().then_some((at, rest))
    })?;
    let ends = MODEL_ENDS.iter().filter_map(|end| rest.find(end));
    Some(start..start + ends.min().unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/144.0";

    fn bots(lines: &[&str]) -> Bots {
        Bots::compiled(["= gecko", "= android"].iter().chain(lines).copied()).unwrap()
    }

    /// True if the word makes a robot of a browser's User-Agent that ends with the text.
    fn flags(line: &str, text: &str) -> bool {
        bots(&[line]).is_bot(&format!("{BROWSER} {text}"))
    }

    #[test]
    fn a_word_counts_where_its_marks_require() {
        assert!(flags("yeti", "Yeti2/1.0") && flags("yeti", "(Yeti)") && flags("yeti", "éyeti"));
        assert!(!flags("yeti", "Spayeti/1.0") && !flags("yeti", "x_yeti"));
        assert!(flags("*bot|", "Foobot/1.0") && flags("*bot|", "a BOT"));
        assert!(!flags("*bot|", "robotics") && !flags("*bot|", "bot_x"));
        assert!(flags("*crawl", "xcrawlx"));
        assert!(flags(".com|", "x.com/a") && !flags(".com|", "x.company"));
        assert!(!flags("^php", "php/8"));
        assert!(bots(&["^php"]).is_bot("PHP/8.3 Gecko"));
    }

    #[test]
    fn a_word_inside_an_exception_does_not_count() {
        let list = bots(&["*bot", "*scan", "- cubot", "- camscan", "- viber", "viber"]);
        assert!(!list.is_bot("CUBOT X19 CamScanner Gecko Viber"));
        assert!(list.is_bot("CUBOT X19 Gecko Googlebot"), "another word counts");
        assert!(list.is_bot("CUBOTS scan Gecko"), "the same word elsewhere counts");
    }

    #[test]
    fn the_name_of_an_android_device_does_not_count() {
        let list = bots(&["*bot|", "*spider", "*crawl"]);
        for phone in [
            "Mozilla/5.0 (Linux; Android 13; Spider 8) Gecko",
            "Mozilla/5.0 (Linux; Android 7.0; ID bot 53 Build/NRD90M) Gecko",
            "Mozilla/5.0 (Linux; U; Android 4.4; bot",
        ] {
            assert!(!list.is_bot(phone), "{phone}");
        }
        for robot in [
            "Mozilla/5.0 (Linux; Android 13; Spider 8) Gecko (compatible; Foobot/1.0)",
            "Mozilla/5.0 (Linux; Android 13; compatible; Foobot/1.0) Gecko",
            "Mozilla/5.0 (Linux; Android 13; Pixel 8 Build/X; Foobot/1.0) Gecko",
            "AndroidBot/1.0 Gecko",
            "Android bot",
            "Spider (Android 13)",
        ] {
            assert!(list.is_bot(robot), "{robot}");
        }
        assert_eq!(model("x; ANDROID 9; A) b"), Some(3..15));
        assert_eq!(model("Android; Android"), None);
    }

    #[test]
    fn a_user_agent_that_names_no_client_is_a_robots() {
        let list = Bots::new().unwrap();
        for robot in [
            "FooFetcher/1.0",
            "Mozilla/5.0",
            "Mozilla/5.0 (compatible; Foo/1.0)",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
            "x",
            "😀",
        ] {
            assert!(list.is_bot(robot), "{robot}");
        }
        for person in [
            BROWSER,
            "Dalvik/2.1.0 (Linux; U; Android 11; SM-A105F)",
            "MyApp/1.0 CFNetwork/1485 Darwin/23.1.0",
            "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10",
            "Lynx/2.9.0dev.4 libwww-FM/2.14 SSL-MM/1.4.1",
            "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
        ] {
            assert!(!list.is_bot(person), "{person}");
        }
    }

    #[test]
    fn the_lists_have_the_expected_form() {
        let sources = PUBLISHED.lines().filter(|line| line.starts_with("# source: "));
        assert_eq!(sources.count(), 2, "the packages and their versions are named");
        let mut words = 0;
        for line in PUBLISHED.lines().filter(|line| !line.starts_with('#')) {
            let (text, _) = word(line);
            assert!(text.len() > 1 || line == format!("^{text}"), "too short: {line}");
            assert_eq!(line, line.trim().to_lowercase());
            assert!(!line.starts_with("- ") && !line.starts_with("= "), "{line}");
            words += 1;
        }
        assert!(words > 500, "{words}");
        for line in OURS.lines().filter(|line| !line.starts_with('#')) {
            assert_eq!(line, line.trim().to_lowercase());
        }
    }
}
