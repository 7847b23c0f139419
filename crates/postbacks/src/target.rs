//! Request targets of tracking hosts: postbacks, clicks, and neither.

use std::sync::LazyLock;

use campaigns::links::is_reserved;

/// Beginnings of first path segments that the parameters decide about.
static PREFIXES: LazyLock<Vec<&'static str>> = LazyLock::new(|| dialects::marked_prefixes().collect());

/// Kind of a request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A postback; behind the network's slug on the shared host.
    Postback {
        /// Slug of the network, if one precedes the path.
        slug: Option<&'a str>,
    },
    /// A click through a tracking link.
    Click {
        /// Slug of the network, if one precedes the path.
        slug: Option<&'a str>,
        /// Alias of the link.
        alias: &'a str,
    },
    /// Neither.
    Unknown,
}

impl<'a> Target<'a> {
    /// Kind of this target (path and query).
    #[must_use]
    pub fn of(target: &'a str) -> Self {
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let path = path.strip_prefix('/').unwrap_or_default();
        // All that a click pays: one look-up in a set, and a few prefixes.
        let may_be_postback = |first: &str| {
            let mut prefixes = PREFIXES.iter();
            first.is_empty() || is_reserved(first) || prefixes.any(|prefix| first.starts_with(prefix))
        };
        let is_postback = dialects::is_postback_target;
        match path.split_once('/') {
            None if may_be_postback(path) && is_postback(target) => Self::Postback { slug: None },
            None if path.is_empty() => Self::Unknown,
            None => Self::Click {
                slug: None,
                alias: path,
            },
            // `//alias`, as some programs join host and path.
            Some(("", alias)) if !alias.is_empty() && !alias.contains('/') && !is_postback(target) => {
                Self::Click { slug: None, alias }
            }
            Some((first, _)) if may_be_postback(first) && is_postback(target) => {
                Self::Postback { slug: None }
            }
            Some((slug, rest)) => {
                let behind_slug = target.get(slug.len() + 1..).unwrap_or_default();
                let first = rest.split('/').next().unwrap_or_default();
                if may_be_postback(first) && is_postback(behind_slug) {
                    return Self::Postback { slug: Some(slug) };
                }
                // A slash at the end says nothing.
                match rest.trim_end_matches('/') {
                    "" if slug.is_empty() => Self::Unknown,
                    "" => Self::Click {
                        slug: None,
                        alias: slug,
                    },
                    alias if alias.contains('/') => Self::Unknown,
                    alias => Self::Click {
                        slug: Some(slug),
                        alias,
                    },
                }
            }
        }
    }

    /// Byte of a postback's target where the postback begins: behind the network's slug, if one precedes it.
    #[must_use]
    pub fn offset(self) -> usize {
        match self {
            Self::Postback { slug: Some(slug) } => slug.len() + 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postbacks_and_clicks_are_distinguished() {
        let postback = |slug| Target::Postback { slug };
        let click = |slug, alias| Target::Click { slug, alias };
        for (target, expected) in [
            ("/postback?click_id=1", postback(None)),
            ("/orbit/postback", postback(Some("orbit"))),
            ("/p.ashx?r=1", postback(None)),
            ("/orbit/p.ashx?r=1", postback(Some("orbit"))),
            ("/?nid=1&transaction_id=2", postback(None)),
            ("/orbit/?nid=1&transaction_id=2", postback(Some("orbit"))),
            ("/SP39?transaction_id=1", postback(None)),
            ("/GP39?adv_sub=1", postback(None)),
            ("/SP39?sub1=a", click(None, "SP39")),
            ("/conversion/tracking_mode:api/clickref:x/", postback(None)),
            ("/orbit/conversion/xid", postback(Some("orbit"))),
            ("/summer-sale?sub1=a", click(None, "summer-sale")),
            ("/orbit/summer-sale", click(Some("orbit"), "summer-sale")),
            ("/", Target::Unknown),
            ("/summer-sale/?sub1=a", click(None, "summer-sale")),
            ("//summer-sale", click(None, "summer-sale")),
            ("/orbit/summer-sale/", click(Some("orbit"), "summer-sale")),
            ("//", Target::Unknown),
            ("/a/b/c", Target::Unknown),
        ] {
            assert_eq!(Target::of(target), expected, "{target}");
        }
    }
}
