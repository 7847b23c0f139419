//! Navigation: the rail of each audience, its sections, and the links of the help menu.

use tenancy::{Actor, Permission};

/// Entry of the navigation.
pub(crate) struct NavItem {
    pub(crate) label: &'static str,
    pub(crate) href: &'static str,
    /// Icon of the sprite.
    pub(crate) icon: &'static str,
    pub(crate) current: bool,
}

/// Entries of the navigation under one heading. The first section has none.
pub(crate) struct NavSection {
    pub(crate) heading: &'static str,
    pub(crate) items: Vec<NavItem>,
}

/// Label, address and icon of an entry, and true if it is shown.
type Entry = (&'static str, &'static str, &'static str, bool);

fn section(heading: &'static str, current: &str, entries: &[Entry]) -> NavSection {
    let items = entries
        .iter()
        .filter(|(_, _, _, visible)| *visible)
        .map(|(label, href, icon, _)| NavItem {
            label,
            href,
            icon,
            current: *label == current,
        })
        .collect();
    NavSection { heading, items }
}

fn shown(sections: impl IntoIterator<Item = NavSection>) -> Vec<NavSection> {
    let sections = sections.into_iter();
    sections.filter(|section| !section.items.is_empty()).collect()
}

/// Navigation of a member of a network. `current` is the label of the present entry.
pub(crate) fn of_member(actor: &Actor, current: &str) -> Vec<NavSection> {
    let may = |permission| actor.may(permission);
    let reports = may(Permission::SeeReports);
    let parties = may(Permission::SeeParties);
    let settings = may(Permission::SeeNetwork);
    // Users of an advertiser have their own integration page; others open it from the advertiser.
    let integration = actor.scope().advertiser.is_some();
    let deliveries = may(Permission::SeeDeliveries);
    // Affiliates have no other postbacks than those to their trackers.
    let is_affiliate = actor.scope().affiliate.is_some();
    let (postbacks, outgoing) = if is_affiliate {
        (false, "Postbacks")
    } else {
        (may(Permission::SeePostbacks), "Deliveries")
    };
    shown([
        section(
            "",
            current,
            &[
                ("Integration", "/integration", "plug-connected", integration),
                ("Home", "/", "home", reports),
                ("Reports", "/reports", "chart-bar", reports),
            ],
        ),
        section(
            "Activity",
            current,
            &[
                (
                    "Conversions",
                    "/conversions",
                    "coins",
                    may(Permission::SeeConversions),
                ),
                ("Postbacks", "/postbacks", "transfer-in", postbacks),
                (outgoing, "/destinations", "transfer-out", deliveries),
            ],
        ),
        section(
            if parties { "Partners" } else { "Promotion" },
            current,
            &[
                (
                    "Campaigns",
                    "/campaigns",
                    "speakerphone",
                    may(Permission::SeeCampaigns),
                ),
                ("Advertisers", "/advertisers", "building-store", parties),
                ("Affiliates", "/affiliates", "users", parties),
                ("Applications", "/applications", "inbox", parties),
            ],
        ),
        section(
            if settings { "Network" } else { "Access" },
            current,
            &[
                ("People", "/members", "id-badge-2", may(Permission::SeeMembers)),
                ("Settings", "/settings", "settings", settings),
                ("API keys", "/settings/keys", "key", !settings),
            ],
        ),
    ])
}

/// Keys that work on every page, and what they do.
pub(crate) const SHORTCUTS: [(&str, &str); 9] = [
    ("/", "Search"),
    ("?", "Show this list"),
    ("Esc", "Close a menu"),
    ("[ ]", "Earlier and later period"),
    ("j k", "Next and previous row"),
    ("x", "Tick the row"),
    ("Enter", "Open the row"),
    ("f", "Filter by the row"),
    ("g", "Go to a page"),
];

/// Key that opens an entry of the rail after `g`. None for entries without one.
pub(crate) fn key(href: &str) -> Option<&'static str> {
    let keys = [
        ("/", "h"),
        ("/ops", "h"),
        ("/reports", "r"),
        ("/ops/report", "r"),
        ("/conversions", "c"),
        ("/postbacks", "p"),
        ("/destinations", "d"),
        ("/campaigns", "m"),
        ("/advertisers", "v"),
        ("/affiliates", "a"),
        ("/applications", "l"),
        ("/integration", "i"),
        ("/members", "u"),
        ("/settings", "s"),
        ("/settings/keys", "k"),
        ("/ops/node", "n"),
        ("/ops/log", "l"),
    ];
    let found = keys.into_iter().find(|(page, _)| *page == href);
    found.map(|(_, key)| key)
}

/// Navigation of an operator's pages.
pub(crate) fn of_operator(current: &str) -> Vec<NavSection> {
    shown([section(
        "",
        current,
        &[
            ("Networks", "/ops", "building-community", true),
            ("Report", "/ops/report", "report-analytics", true),
            ("Health", "/ops/node", "heartbeat", true),
            ("Audit log", "/ops/log", "history", true),
        ],
    )])
}

/// Navigation of a visitor who is not signed in: the documentation.
pub(crate) fn of_visitor(current: &str) -> Vec<NavSection> {
    let entries = DOCS.map(|(label, href, icon, _)| (label, href, icon, true));
    shown([section("Documentation", current, &entries)])
}

/// Readers of a page of the documentation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    All,
    /// Those who send postbacks, and the staff of a network.
    Senders,
    Operators,
}

/// Pages of the documentation: label, address, icon and readers.
const DOCS: [(&str, &str, &str, Readers); 7] = [
    (
        "Sending postbacks",
        "/docs/postback",
        "transfer-in",
        Readers::Senders,
    ),
    (
        "Receiving postbacks",
        "/docs/delivery",
        "transfer-out",
        Readers::All,
    ),
    ("How earnings work", "/docs/earnings", "coins", Readers::All),
    ("Report parameters", "/docs/reports", "chart-bar", Readers::All),
    ("API reference", "/docs/api", "code", Readers::All),
    (
        "Running Clickledger",
        "/docs/running",
        "server-2",
        Readers::Operators,
    ),
    ("Metrics", "/docs/monitoring", "activity", Readers::Operators),
];

/// Labels of the pages of the documentation, for their shells.
pub(crate) mod docs {
    pub(crate) const SENDING: &str = super::DOCS[0].0;
    pub(crate) const RECEIVING: &str = super::DOCS[1].0;
    pub(crate) const EARNINGS: &str = super::DOCS[2].0;
    pub(crate) const REPORTS: &str = super::DOCS[3].0;
    pub(crate) const RUNNING: &str = super::DOCS[5].0;
    pub(crate) const MONITORING: &str = super::DOCS[6].0;
}

/// Links of the help menu of a signed-in person.
pub(crate) fn help(actor: Option<&Actor>, is_operator: bool) -> Vec<NavItem> {
    let sends = actor.is_some_and(|actor| actor.scope().affiliate.is_none());
    let pages = DOCS.iter().filter(|(_, _, _, readers)| match readers {
        Readers::All => true,
        Readers::Senders => sends,
        Readers::Operators => is_operator,
    });
    let mut links: Vec<_> = pages
        .map(|(label, href, icon, _)| NavItem {
            label,
            href,
            icon,
            current: false,
        })
        .collect();
    if sends {
        links.push(NavItem {
            label: "Postback debugger",
            href: "/tools/postback",
            icon: "bug",
            current: false,
        });
    }
    links
}
