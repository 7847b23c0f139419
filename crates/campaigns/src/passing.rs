//! Parameters of the visitor's URL that are passed on to the destination: click IDs of advertising systems, UTM parameters.

use percent_encoding::utf8_percent_encode;
use schema::Words;

use crate::destination::VALUE;

/// Maximum number of names of a campaign.
const MAX_NAMES: usize = 50;

/// Maximum length that passed parameters may add to a destination, in bytes.
const MAX_PASSED: usize = 2048;

/// Names of a new campaign: those that the big advertising systems and web analytics put into every link.
const DEFAULT: [&str; 10] = [
    "gclid",
    "gbraid",
    "wbraid",
    "dclid",
    "fbclid",
    "msclkid",
    "ttclid",
    "twclid",
    "li_fat_id",
    "utm_*",
];

/// Names of a new campaign.
pub(crate) fn default_names() -> Words {
    Words(DEFAULT.map(str::to_owned).into())
}

/// Parses names separated by commas; one may end in `*`.
pub(crate) fn check_names(text: &str) -> Result<Words, String> {
    let names = Words::typed(text);
    let is_name = |name: &str| {
        let (start, fewest) = match name.strip_suffix('*') {
            Some(start) => (start, 3),
            None => (name, 1),
        };
        (fewest..=64).contains(&start.len()) && is_plain(start)
    };
    if let Some(wrong) = names.0.iter().find(|name| !is_name(name)) {
        return Err(format!(
            "“{wrong}” is not a parameter's name, such as gclid, or utm_* for all that begin with utm_."
        ));
    }
    if names.0.len() > MAX_NAMES {
        return Err(format!("Name at most {MAX_NAMES} parameters."));
    }
    Ok(names)
}

/// Adds the named parameters of a visitor's query to an address, before its fragment. One that the address has already
/// keeps the value of the campaign.
pub fn pass(address: &mut String, query: &str, names: &Words) {
    if query.is_empty() || names.0.is_empty() {
        return;
    }
    let is_passed = |name: &str| {
        is_plain(name)
            && names.0.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == wanted,
            })
    };
    let fragment = address.find('#').map(|at| address.split_off(at));
    let longest = address.len() + MAX_PASSED;
    for pair in query.split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        if !is_passed(name) || has_parameter(address, name) {
            continue;
        }
        for (_, value) in dialects::decode_lossy(pair) {
            let length = address.len();
            address.push(if address.contains('?') { '&' } else { '?' });
            address.push_str(name);
            address.push('=');
            address.extend(utf8_percent_encode(&value, VALUE));
            if address.len() > longest {
                address.truncate(length);
            }
        }
    }
    if let Some(fragment) = fragment {
        address.push_str(&fragment);
    }
}

/// True if a name needs no encoding.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    name.bytes().all(is_plain)
}

fn has_parameter(address: &str, name: &str) -> bool {
    let query = address.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|pair| pair.split('=').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(address: &str, query: &str) -> String {
        let mut address = address.to_owned();
        pass(&mut address, query, &default_names());
        address
    }

    #[test]
    fn named_parameters_are_added_and_those_of_the_campaign_stay() {
        for (address, query, expected) in [
            (
                "https://s.example/p",
                "gclid=A-1&sub1=x&x=1",
                "https://s.example/p?gclid=A-1",
            ),
            (
                "https://s.example/p?c=1#top",
                "utm_source=news&utm_term=a%20b&gclid=",
                "https://s.example/p?c=1&utm_source=news&utm_term=a%20b&gclid=#top",
            ),
            (
                "https://s.example/p?utm_source=ours",
                "utm_source=theirs&fbclid=%ff%0d%0aX",
                "https://s.example/p?utm_source=ours&fbclid=%EF%BF%BD%0D%0AX",
            ),
            (
                "https://s.example/p",
                "gclid=a&gclid=b",
                "https://s.example/p?gclid=a",
            ),
            ("https://s.example/p", "", "https://s.example/p"),
        ] {
            assert_eq!(passed(address, query), expected, "{query}");
        }
        let long = format!("gclid={}&fbclid=1", "x".repeat(3_000));
        assert_eq!(
            passed("https://s.example/p", &long),
            "https://s.example/p?fbclid=1"
        );
    }

    #[test]
    fn a_name_is_a_name() {
        assert_eq!(check_names("gclid, utm_*").unwrap().0, ["gclid", "utm_*"]);
        for wrong in ["*", "a*", "a b", "a=b", "ü"] {
            assert!(check_names(wrong).is_err(), "{wrong}");
        }
    }
}
