//! Kind of device of a User-Agent.

use aho_corasick::BuildError;

use super::words::Words;

/// Kind of device. uap-core has models, not kinds, so this list is ours.
///
/// An iPad that requests desktop pages (the default since iPadOS 13) identifies as a Macintosh and counts as one here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// A computer with a keyboard.
    Desktop,
    /// A telephone, or a player of its size.
    Mobile,
    /// A tablet or an e-reader.
    Tablet,
    /// A television, or a box or stick that is plugged into one.
    Tv,
    /// Any other device: consoles, cars, programs, or unknown.
    Other,
}

impl Device {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Desktop, Self::Mobile, Self::Tablet, Self::Tv, Self::Other];

    /// Code for storage and filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
            Self::Other => "other",
        }
    }
}

/// Rules in order: the first rule with a word in the User-Agent decides.
const RULES: [(Device, &[&str]); 6] = [
    (Device::Other, &["playstation", "xbox", "nintendo"]),
    (
        Device::Tv,
        &[
            "smart-tv",
            "smarttv",
            "smart tv",
            "smart_tv",
            "googletv",
            "google tv",
            "android tv",
            "androidtv",
            "apple tv",
            "appletv",
            "hbbtv",
            "netcast",
            "web0s",
            "webos.tv",
            "roku",
            "crkey",
            "bravia",
            "; aft",
            "viera",
            "philipstv",
            "opera tv",
            "tizen tv",
            "tv safari",
            "tv bro",
            "inettvbrowser",
            "ce-html",
            "mibox",
            "mitv",
            "shield android tv",
            "chromecast",
            "dtv",
            "vidaa",
            "whaletv",
        ],
    ),
    (
        Device::Tablet,
        &[
            "ipad",
            "playbook",
            "kindle",
            "; kf",
            "silk/",
            "silk-accelerated",
            "tablet;",
            "tablet)",
            "tablet build",
            "galaxy tab",
            "touchpad",
            "nook",
        ],
    ),
    (
        Device::Mobile,
        &[
            "mobile",
            "iphone",
            "ipod",
            "windows phone",
            "windows ce",
            "blackberry",
            "bb10",
            "opera mini",
            "opera mobi",
            "symbian",
            "series40",
            "series60",
            "nokia",
            "kaios",
            "midp",
            "j2me",
            "ucweb",
            "phone;",
        ],
    ),
    // Since Android 3, tablets send "Android" without "Mobile".
    (Device::Tablet, &["android"]),
    (
        Device::Desktop,
        &[
            "windows nt",
            "windows 9",
            "win98",
            "macintosh",
            "mac_powerpc",
            "x11",
            "cros ",
            "linux x86_64",
            "linux i686",
            "freebsd",
            "openbsd",
            "netbsd",
        ],
    ),
];

/// The compiled rules.
pub(super) struct Devices {
    words: Words,
    /// Number of the rule, by the number of the word.
    rule_of_word: Vec<usize>,
}

impl Devices {
    /// Compiles the rules.
    pub(super) fn new() -> Result<Self, BuildError> {
        let words = || {
            RULES
                .iter()
                .enumerate()
                .flat_map(|(rule, (_, words))| words.iter().map(move |word| (rule, *word)))
        };
        Ok(Self {
            words: Words::new(words().map(|(_, word)| word))?,
            rule_of_word: words().map(|(rule, _)| rule).collect(),
        })
    }

    /// Kind of device of a User-Agent.
    pub(super) fn device(&self, user_agent: &str) -> Device {
        let rules = self
            .words
            .all(user_agent)
            .filter_map(|word| self.rule_of_word.get(word).copied());
        let (device, _) = rules
            .min()
            .and_then(|rule| RULES.get(rule))
            .copied()
            .unwrap_or((Device::Other, &[]));
        device
    }
}
