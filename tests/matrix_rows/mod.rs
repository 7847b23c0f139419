//! Rows of the access matrix: each route, the roles that may use it, and the positions of IDs in it.

use tenancy::RoleKind::{self, Admin, Advertiser, AdvertiserDeveloper, Affiliate, Analyst, Manager, Owner};

/// Kinds of IDs in requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    Campaign,
    Goal,
    Rule,
    LandingPage,
    UrlTemplate,
    Cap,
    Coupon,
    Link,
    Advertiser,
    Affiliate,
    Group,
    Application,
    Member,
    Invitation,
    Key,
    Session,
    Network,
    Conversion,
    Postback,
    Audit,
    Click,
    Alert,
}

/// Access to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Public,
    /// Behind sign-in, but not called by the test.
    Unasked,
    Person,
    Operator,
    Roles(&'static [RoleKind]),
    /// Like `Roles`, if not all of them can open the scene's object.
    Owners(&'static [RoleKind]),
}

/// A route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) door: Door,
    /// Kind of the ID in the path; None if the path has none.
    pub(crate) id: Option<Id>,
    /// IDs in the query string.
    pub(crate) queries: &'static [(&'static str, Id)],
    /// IDs in the body.
    pub(crate) fields: &'static [(&'static str, Id)],
    /// Other fields of the body.
    pub(crate) texts: &'static [(&'static str, &'static str)],
}

const fn row(method: &'static str, path: &'static str, door: Door) -> Row {
    Row {
        method,
        path,
        door,
        id: None,
        queries: &[],
        fields: &[],
        texts: &[],
    }
}

impl Row {
    const fn of(mut self, id: Id) -> Self {
        self.id = Some(id);
        self
    }
    const fn by(mut self, queries: &'static [(&'static str, Id)]) -> Self {
        self.queries = queries;
        self
    }
    const fn with(mut self, fields: &'static [(&'static str, Id)]) -> Self {
        self.fields = fields;
        self
    }
    const fn saying(mut self, texts: &'static [(&'static str, &'static str)]) -> Self {
        self.texts = texts;
        self
    }
}

const ALL: Door = Door::Roles(&[
    Owner,
    Admin,
    Manager,
    Analyst,
    Advertiser,
    AdvertiserDeveloper,
    Affiliate,
]);
const SAVERS: Door = Door::Roles(SAVING);
const OWN_SAVERS: Door = Door::Owners(SAVING);
const SAVING: &[RoleKind] = &[Owner, Admin, Manager, Advertiser, AdvertiserDeveloper, Affiliate];
const OWN_ALL: Door = Door::Owners(RoleKind::ALL);
const NOT_DEVELOPERS: Door = Door::Roles(&[Owner, Admin, Manager, Analyst, Advertiser, Affiliate]);
const NOT_AFFILIATES: Door = Door::Roles(&[Owner, Admin, Manager, Analyst, Advertiser, AdvertiserDeveloper]);
const ROTATORS: Door = Door::Roles(&[Owner, Admin, Manager, Advertiser, AdvertiserDeveloper]);
const STAFF: Door = Door::Roles(&[Owner, Admin, Manager, Analyst]);
const MANAGERS: Door = Door::Roles(&[Owner, Admin, Manager]);
const ADMINS: Door = Door::Roles(&[Owner, Admin]);
const LINKERS: Door = Door::Roles(&[Owner, Admin, Manager, Affiliate]);
const OWNERS: Door = Door::Roles(&[Owner]);
const PUBLIC: Door = Door::Public;
const PERSON: Door = Door::Person;
const OPERATOR: Door = Door::Operator;

#[rustfmt::skip]
pub(crate) const PAGES: &[Row] = &[
    row("get", "/sign-in", PUBLIC),
    row("post", "/sign-in", PUBLIC),
    row("get", "/sign-in/code", PUBLIC),
    row("post", "/sign-in/code", PUBLIC),
    row("get", "/sign-in/link/{token}", PUBLIC),
    row("post", "/sign-in/link/{token}", PUBLIC),
    row("post", "/sign-out", PUBLIC),
    row("get", "/forgot", PUBLIC),
    row("post", "/forgot", PUBLIC),
    row("get", "/reset/{token}", PUBLIC),
    row("post", "/reset/{token}", PUBLIC),
    row("get", "/sign-up", PUBLIC),
    row("post", "/sign-up", PUBLIC),
    row("get", "/setup/{token}", PUBLIC),
    row("post", "/setup/{token}", PUBLIC),
    row("get", "/invitations/{token}", PUBLIC),
    row("post", "/invitations/{token}", PUBLIC),
    row("get", "/join/{slug}", PUBLIC),
    row("post", "/join/{slug}", PUBLIC),
    row("get", "/join/{slug}/{token}", PUBLIC),
    row("post", "/theme", PUBLIC),
    row("get", "/docs/postback", PUBLIC),
    row("get", "/docs/reasons/{code}", PUBLIC),
    row("get", "/postback", PUBLIC),
    row("post", "/postback", PUBLIC),

    row("get", "/account", PERSON),
    row("post", "/account/name", PERSON),
    row("post", "/account/password", PERSON),
    row("post", "/account/sessions/end-others", PERSON),
    row("post", "/account/sessions/{id}/end", PERSON).of(Id::Session),
    row("post", "/account/switch", PERSON).with(&[("membership", Id::Member)]),
    row("post", "/account/leave", LEAVES),
    row("get", "/account/second-factor", PERSON),
    row("post", "/account/second-factor", PERSON),
    row("post", "/account/second-factor/remove", PERSON),
    row("post", "/account/second-factor/recovery-codes", PERSON),

    row("get", "/ops", OPERATOR),
    row("post", "/ops/networks", OPERATOR),
    row("get", "/ops/networks/{id}", OPERATOR).of(Id::Network),
    row("post", "/ops/networks/{id}/status", OPERATOR).of(Id::Network),
    row("post", "/ops/networks/{id}/limits", OPERATOR).of(Id::Network),
    row("post", "/ops/networks/{id}/act", OPERATOR).of(Id::Network),
    row("post", "/ops/networks/{id}/erase", OPERATOR).of(Id::Network),
    row("get", "/ops/log", OPERATOR),
    row("get", "/ops/node", OPERATOR),

    row("get", "/", ALL),
    row("get", "/search", ALL).by(&[("q", Id::Conversion), ("q", Id::Click), ("q", Id::Advertiser)]),
    row("get", "/start", MANAGERS),
    row("post", "/start", MANAGERS),
    row("get", "/tools/postback", ALL),
    row("post", "/tools/postback", ALL),
    row("get", "/tools/templates/new", SAVERS),
    row("post", "/tools/templates", SAVERS),
    row("get", "/tools/templates/{id}", OWN_SAVERS).of(Id::UrlTemplate),
    row("post", "/tools/templates/{id}", OWN_SAVERS).of(Id::UrlTemplate).saying(&[("name", "x"), ("direction", "outbound"), ("url", "https://x.example/?p={payout}")]),
    row("post", "/tools/templates/{id}/remove", OWN_SAVERS).of(Id::UrlTemplate),
    row("get", "/reports", NOT_DEVELOPERS).by(&[("campaign", Id::Campaign), ("affiliate", Id::Affiliate)]),
    row("get", "/reports.csv", NOT_DEVELOPERS).by(&[("campaign", Id::Campaign), ("affiliate", Id::Affiliate)]),
    row("get", "/conversions", NOT_DEVELOPERS).by(&[("before", Id::Conversion)]),
    row("post", "/conversions/{id}", MANAGERS).of(Id::Conversion).saying(&[("decision", "approve")]),
    row("get", "/postbacks", NOT_AFFILIATES).by(&[("before", Id::Postback)]),
    row("get", "/postbacks/{id}", NOT_AFFILIATES).of(Id::Postback),
    row("get", "/clicks/{click_id}", NOT_DEVELOPERS).of(Id::Click),
    row("get", "/campaigns", NOT_DEVELOPERS),
    row("get", "/campaigns/files/{sheet}", Door::Unasked),
    row("post", "/campaigns/files/{sheet}", Door::Unasked),
    row("get", "/campaigns/files/{sheet}/export.csv", Door::Unasked),
    row("get", "/campaigns/{id}", NOT_DEVELOPERS).of(Id::Campaign),
    row("get", "/campaigns/{id}/settings", MANAGERS).of(Id::Campaign),
    row("post", "/campaigns/{id}/settings", MANAGERS).of(Id::Campaign),
    row("post", "/campaigns/{id}/landing-pages", MANAGERS).of(Id::Campaign),
    row("post", "/campaigns/{id}/landing-pages/remove", MANAGERS).of(Id::Campaign).with(&[("landing_page", Id::LandingPage)]),
    row("post", "/campaigns/{id}/caps", MANAGERS).of(Id::Campaign).with(&[("cap_affiliate", Id::Affiliate)]).saying(&[("cap_metric", "clicks"), ("cap_period", "day"), ("cap_most", "1000000")]),
    row("post", "/campaigns/{id}/caps/remove", MANAGERS).of(Id::Campaign).with(&[("cap", Id::Cap)]),
    row("post", "/campaigns/{id}/coupons", MANAGERS).of(Id::Campaign).with(&[("coupon_affiliate", Id::Affiliate)]).saying(&[("coupon_code", "SUMMER")]),
    row("post", "/campaigns/{id}/coupons/remove", MANAGERS).of(Id::Campaign),
    row("post", "/campaigns/{id}/promoters", MANAGERS).of(Id::Campaign).with(&[("affiliate", Id::Affiliate)]),
    row("get", "/campaigns/{id}/test", NOT_AFFILIATES).of(Id::Campaign),
    row("post", "/campaigns/{id}/test", MANAGERS).of(Id::Campaign),
    row("post", "/campaigns/{id}/test/simulate", MANAGERS).of(Id::Campaign),
    row("post", "/campaigns/{id}/test/go-live", MANAGERS).of(Id::Campaign),
    row("get", "/campaigns/{id}/certificate", NOT_AFFILIATES).of(Id::Campaign),
    row("get", "/campaigns/{id}/integration", NOT_AFFILIATES).of(Id::Campaign),
    row("post", "/campaigns/{id}/integration", MANAGERS).of(Id::Campaign),
    row("post", "/campaigns/{id}/integration/make", MANAGERS).of(Id::Campaign),
    row("post", "/campaigns/{id}/integration/token", ROTATORS).of(Id::Campaign),
    row("post", "/campaigns/{id}/integration/secret", ROTATORS).of(Id::Campaign),
    row("post", "/campaigns/{id}/integration/remove", MANAGERS).of(Id::Campaign),
    row("get", "/campaigns/{id}/goals/new", MANAGERS).of(Id::Campaign),
    row("post", "/campaigns/{id}/goals", MANAGERS).of(Id::Campaign).with(&[("parent_goal", Id::Goal)]).saying(&[("name", "x"), ("code", "x"), ("kind", "sale"), ("unique_by", "order"), ("commission", "1"), ("revenue", "2")]),
    row("get", "/goals/{id}", MANAGERS).of(Id::Goal),
    row("post", "/goals/{id}", MANAGERS).of(Id::Goal),
    row("post", "/goals/{id}/rules", MANAGERS).of(Id::Goal).with(&[("rule_affiliate", Id::Affiliate), ("rule_group", Id::Group)]),
    row("post", "/goals/{id}/rules/remove", MANAGERS).of(Id::Goal).with(&[("rule", Id::Rule)]),
    row("get", "/campaigns/{id}/links/new", LINKERS).of(Id::Campaign),
    row("post", "/campaigns/{id}/links", LINKERS).of(Id::Campaign).with(&[("affiliate", Id::Affiliate)]),
    row("post", "/campaigns/{id}/ask", LINKERS).of(Id::Campaign),
    row("get", "/links/{id}", NOT_DEVELOPERS).of(Id::Link),
    row("post", "/links/{id}", LINKERS).of(Id::Link).with(&[("changed_landing_page", Id::LandingPage)]),
    row("get", "/links/{id}/qr.svg", NOT_DEVELOPERS).of(Id::Link),
    row("post", "/campaigns/{id}/token", ROTATORS).of(Id::Campaign),
    row("post", "/postbacks/replay", MANAGERS).saying(&[("reason", "none_of_these")]),
    row("post", "/postbacks/{id}/replay", MANAGERS).of(Id::Postback),
    row("get", "/replays/{batch}", Door::Unasked),
    row("get", "/alerts", NOT_AFFILIATES).by(&[("before", Id::Alert)]),
    row("post", "/alerts/{id}/seen", MANAGERS).of(Id::Alert),
    row("get", "/integration", NOT_AFFILIATES),
    row("get", "/integration/{id}", NOT_AFFILIATES).of(Id::Advertiser),
    row("post", "/integration/{id}", MANAGERS).of(Id::Advertiser),
    row("post", "/integration/{id}/token", ROTATORS).of(Id::Advertiser),
    row("post", "/integration/{id}/secret", ROTATORS).of(Id::Advertiser),
    row("get", "/advertisers", STAFF).by(&[("after", Id::Advertiser)]),
    row("post", "/advertisers", MANAGERS),
    row("get", "/advertisers/new", MANAGERS),
    row("get", "/advertisers/export.csv", STAFF),
    row("get", "/advertisers/import", MANAGERS),
    row("post", "/advertisers/import", MANAGERS).saying(&[("csv", "name,external_id\nx,1")]),
    row("get", "/advertisers/{id}", STAFF).of(Id::Advertiser),
    row("post", "/advertisers/{id}", MANAGERS).of(Id::Advertiser),
    row("get", "/affiliates", STAFF).by(&[("after", Id::Affiliate), ("group", Id::Group)]),
    row("post", "/affiliates", MANAGERS).with(&[("group", Id::Group)]).saying(&[("name", "x"), ("status", "active")]),
    row("get", "/affiliates/new", MANAGERS),
    row("get", "/affiliates/export.csv", STAFF).by(&[("group", Id::Group)]),
    row("get", "/affiliates/import", MANAGERS),
    row("post", "/affiliates/import", MANAGERS).saying(&[("csv", "name,group\nx,Rival group")]),
    row("get", "/affiliates/groups", STAFF),
    row("post", "/affiliates/groups", MANAGERS),
    row("post", "/affiliates/groups/{id}", MANAGERS).of(Id::Group).saying(&[("name", "x")]),
    row("post", "/affiliates/groups/{id}/remove", MANAGERS).of(Id::Group),
    row("get", "/affiliates/{id}", STAFF).of(Id::Affiliate),
    row("post", "/affiliates/{id}", MANAGERS).of(Id::Affiliate),
    row("get", "/applications", STAFF).by(&[("before", Id::Application)]),
    row("get", "/applications/{id}", STAFF).of(Id::Application),
    row("post", "/applications/{id}/approve", MANAGERS).of(Id::Application),
    row("post", "/applications/{id}/decline", MANAGERS).of(Id::Application),
    row("get", "/members", STAFF),
    row("post", "/members/invite", MANAGERS).with(&[("advertiser", Id::Advertiser)]).saying(&[("email", "x@example.com"), ("role", "advertiser")]),
    row("post", "/members/{id}/role", ADMINS).of(Id::Member).saying(&[("role", "manager")]),
    row("post", "/members/{id}/remove", MANAGERS).of(Id::Member),
    row("post", "/members/invitations/{id}/withdraw", MANAGERS).of(Id::Invitation),
    row("get", "/settings", STAFF),
    row("post", "/settings", ADMINS),
    row("post", "/settings/click-key", ADMINS),
    row("get", "/settings/joining", STAFF),
    row("post", "/settings/joining", ADMINS),
    row("get", "/settings/keys", ALL),
    row("post", "/settings/keys", ALL),
    row("post", "/settings/keys/token", ALL),
    row("post", "/settings/keys/{id}/revoke", ALL).of(Id::Key),
    row("get", "/settings/proof", STAFF),
    row("post", "/settings/proof", ADMINS),
    row("get", "/settings/audit", ADMINS).by(&[("object", Id::Affiliate), ("before", Id::Audit)]),
    row("get", "/settings/audit.csv", ADMINS).by(&[("object", Id::Affiliate)]),
    row("get", "/settings/delete", OWNERS),
    row("post", "/settings/delete", OWNERS),
    row("get", "/settings/export.ndjson", OWNERS),
];

/// Leaving an impersonation that was not started begins a fresh session, which would sign the test out.
const LEAVES: Door = Door::Unasked;

#[rustfmt::skip]
pub(crate) const API: &[Row] = &[
    row("get", "/api/v1/openapi.json", PUBLIC),
    row("get", "/api/v1/me", ALL),
    row("post", "/api/v1/tokens", ALL),
    row("post", "/api/v1/impersonations", OPERATOR),
    row("get", "/api/v1/network", STAFF),
    row("patch", "/api/v1/network", ADMINS),
    row("post", "/api/v1/network/click-key", ADMINS),
    row("get", "/api/v1/network/joining", STAFF),
    row("patch", "/api/v1/network/joining", ADMINS),
    row("get", "/api/v1/advertisers", STAFF).by(&[("after", Id::Advertiser)]),
    row("post", "/api/v1/advertisers", MANAGERS),
    row("post", "/api/v1/advertisers/import", MANAGERS).saying(&[("csv", "name\nx")]),
    row("get", "/api/v1/advertisers/export", STAFF),
    row("get", "/api/v1/advertisers/{id}", STAFF).of(Id::Advertiser),
    row("patch", "/api/v1/advertisers/{id}", MANAGERS).of(Id::Advertiser),
    row("get", "/api/v1/affiliates", STAFF).by(&[("after", Id::Affiliate), ("group", Id::Group)]),
    row("post", "/api/v1/affiliates", MANAGERS).with(&[("group", Id::Group)]).saying(&[("name", "x")]),
    row("post", "/api/v1/affiliates/import", MANAGERS).saying(&[("csv", "name\nx")]),
    row("get", "/api/v1/affiliates/export", STAFF),
    row("get", "/api/v1/affiliates/{id}", STAFF).of(Id::Affiliate),
    row("patch", "/api/v1/affiliates/{id}", MANAGERS).of(Id::Affiliate),
    row("get", "/api/v1/affiliate-groups", STAFF),
    row("post", "/api/v1/affiliate-groups", MANAGERS),
    row("patch", "/api/v1/affiliate-groups/{id}", MANAGERS).of(Id::Group).saying(&[("name", "x")]),
    row("delete", "/api/v1/affiliate-groups/{id}", MANAGERS).of(Id::Group),
    row("get", "/api/v1/campaigns", STAFF).by(&[("advertiser", Id::Advertiser)]),
    row("post", "/api/v1/campaigns", MANAGERS).with(&[("advertiser", Id::Advertiser)]).saying(&[("currency", "EUR"), ("name", "x"), ("destination", "https://x.example/?c={click_id}")]),
    row("get", "/api/v1/campaigns/{id}", STAFF).of(Id::Campaign),
    row("patch", "/api/v1/campaigns/{id}", MANAGERS).of(Id::Campaign).saying(&[("name", "x")]),
    row("post", "/api/v1/quick-start", MANAGERS),
    row("get", "/api/v1/goals", STAFF).by(&[("campaign", Id::Campaign)]),
    row("post", "/api/v1/goals", MANAGERS).with(&[("campaign", Id::Campaign), ("parent_goal", Id::Goal)]).saying(&[("code", "x"), ("name", "x"), ("kind", "sale"), ("commission", "1"), ("revenue", "2")]),
    row("get", "/api/v1/goals/{id}", STAFF).of(Id::Goal),
    row("patch", "/api/v1/goals/{id}", MANAGERS).of(Id::Goal).saying(&[("name", "x")]),
    row("get", "/api/v1/rules", STAFF).by(&[("goal", Id::Goal)]),
    row("post", "/api/v1/rules", MANAGERS).with(&[("goal", Id::Goal), ("affiliate", Id::Affiliate), ("group", Id::Group)]).saying(&[("name", "x"), ("commission", "1"), ("revenue", "2")]),
    row("patch", "/api/v1/rules/{id}", MANAGERS).of(Id::Rule).saying(&[("name", "x")]),
    row("delete", "/api/v1/rules/{id}", MANAGERS).of(Id::Rule),
    row("get", "/api/v1/landing-pages", STAFF).by(&[("campaign", Id::Campaign)]),
    row("post", "/api/v1/landing-pages", MANAGERS).with(&[("campaign", Id::Campaign)]).saying(&[("name", "x"), ("url", "https://x.example/?c={click_id}")]),
    row("patch", "/api/v1/landing-pages/{id}", MANAGERS).of(Id::LandingPage).saying(&[("name", "x")]),
    row("delete", "/api/v1/landing-pages/{id}", MANAGERS).of(Id::LandingPage),
    row("get", "/api/v1/caps", STAFF).by(&[("campaign", Id::Campaign)]),
    row("post", "/api/v1/caps", MANAGERS).with(&[("campaign", Id::Campaign), ("affiliate", Id::Affiliate)]).saying(&[("metric", "revenue"), ("period", "total"), ("most", "9")]),
    row("delete", "/api/v1/caps/{id}", MANAGERS).of(Id::Cap),
    row("get", "/api/v1/coupons", STAFF).by(&[("campaign", Id::Campaign)]),
    row("post", "/api/v1/coupons", MANAGERS).with(&[("campaign", Id::Campaign), ("affiliate", Id::Affiliate)]).saying(&[("code", "X")]),
    row("delete", "/api/v1/coupons/{id}", MANAGERS).of(Id::Coupon),
    row("get", "/api/v1/promoters", STAFF).by(&[("campaign", Id::Campaign)]),
    row("post", "/api/v1/promoters", MANAGERS).with(&[("campaign", Id::Campaign), ("affiliate", Id::Affiliate)]).saying(&[("status", "approved")]),
    row("get", "/api/v1/links", NOT_DEVELOPERS).by(&[("campaign", Id::Campaign), ("affiliate", Id::Affiliate)]),
    row("post", "/api/v1/links", LINKERS).with(&[("campaign", Id::Campaign), ("affiliate", Id::Affiliate)]),
    row("get", "/api/v1/links/{id}", NOT_DEVELOPERS).of(Id::Link),
    row("patch", "/api/v1/links/{id}", LINKERS).of(Id::Link).with(&[("landing_page", Id::LandingPage)]),
    row("post", "/api/v1/campaigns/import", MANAGERS).saying(&[("csv", "name\nx")]),
    row("get", "/api/v1/campaigns/export", STAFF),
    row("post", "/api/v1/goals/import", MANAGERS).saying(&[("csv", "campaign,code\nRival campaign,sale")]),
    row("get", "/api/v1/goals/export", STAFF),
    row("post", "/api/v1/rules/import", MANAGERS).saying(&[("csv", "campaign,goal,name\nRival campaign,sale,x")]),
    row("get", "/api/v1/rules/export", STAFF),
    row("post", "/api/v1/landing-pages/import", MANAGERS).saying(&[("csv", "campaign,name\nRival campaign,x")]),
    row("get", "/api/v1/landing-pages/export", STAFF),
    row("post", "/api/v1/coupons/import", MANAGERS).saying(&[("csv", "campaign,code\nRival campaign,X")]),
    row("get", "/api/v1/coupons/export", STAFF),
    row("post", "/api/v1/links/import", MANAGERS).saying(&[("csv", "campaign,affiliate\nRival campaign,x")]),
    row("get", "/api/v1/links/export", STAFF),
    row("get", "/api/v1/url-templates", ALL).by(&[("after", Id::UrlTemplate)]),
    row("post", "/api/v1/url-templates", SAVERS),
    row("get", "/api/v1/url-templates/{id}", OWN_ALL).of(Id::UrlTemplate),
    row("patch", "/api/v1/url-templates/{id}", OWN_SAVERS).of(Id::UrlTemplate).saying(&[("name", "x")]),
    row("delete", "/api/v1/url-templates/{id}", OWN_SAVERS).of(Id::UrlTemplate),
    row("get", "/api/v1/integrations/{id}", NOT_AFFILIATES).of(Id::Advertiser),
    row("patch", "/api/v1/integrations/{id}", MANAGERS).of(Id::Advertiser),
    row("post", "/api/v1/integrations/{id}/token", ROTATORS).of(Id::Advertiser),
    row("post", "/api/v1/integrations/{id}/signing-secret", ROTATORS).of(Id::Advertiser),
    row("get", "/api/v1/campaigns/{id}/integration", NOT_AFFILIATES).of(Id::Campaign),
    row("post", "/api/v1/campaigns/{id}/integration", MANAGERS).of(Id::Campaign),
    row("patch", "/api/v1/campaigns/{id}/integration", MANAGERS).of(Id::Campaign),
    row("delete", "/api/v1/campaigns/{id}/integration", MANAGERS).of(Id::Campaign),
    row("post", "/api/v1/campaigns/{id}/integration/token", ROTATORS).of(Id::Campaign),
    row("post", "/api/v1/campaigns/{id}/integration/signing-secret", ROTATORS).of(Id::Campaign),
    row("get", "/api/v1/campaigns/{id}/test", NOT_AFFILIATES).of(Id::Campaign),
    row("post", "/api/v1/campaigns/{id}/test-link", MANAGERS).of(Id::Campaign),
    row("post", "/api/v1/campaigns/{id}/simulation", MANAGERS).of(Id::Campaign),
    row("post", "/api/v1/campaigns/{id}/go-live", MANAGERS).of(Id::Campaign),
    row("get", "/api/v1/conversions", NOT_DEVELOPERS).by(&[("campaign", Id::Campaign), ("affiliate", Id::Affiliate), ("after", Id::Conversion)]),
    row("get", "/api/v1/conversions/{id}", NOT_DEVELOPERS).of(Id::Conversion),
    row("post", "/api/v1/conversions/{id}/approve", MANAGERS).of(Id::Conversion),
    row("post", "/api/v1/conversions/{id}/reject", MANAGERS).of(Id::Conversion),
    row("get", "/api/v1/postbacks", NOT_AFFILIATES).by(&[("after", Id::Postback)]),
    row("get", "/api/v1/postbacks/{id}", NOT_AFFILIATES).of(Id::Postback),
    row("post", "/api/v1/replays", MANAGERS).with(&[("advertiser", Id::Advertiser)]),
    row("get", "/api/v1/replays/{id}", Door::Unasked),
    row("get", "/api/v1/alerts", NOT_AFFILIATES).by(&[("after", Id::Alert)]),
    row("post", "/api/v1/alerts/{id}/seen", MANAGERS).of(Id::Alert),
    row("get", "/api/v1/applications", STAFF).by(&[("after", Id::Application)]),
    row("get", "/api/v1/applications/{id}", STAFF).of(Id::Application),
    row("post", "/api/v1/applications/{id}/approve", MANAGERS).of(Id::Application),
    row("post", "/api/v1/applications/{id}/decline", MANAGERS).of(Id::Application).saying(&[("reason", "x")]),
    row("get", "/api/v1/members", STAFF).by(&[("after", Id::Member)]),
    row("patch", "/api/v1/members/{id}", ADMINS).of(Id::Member).saying(&[("role", "manager")]),
    row("delete", "/api/v1/members/{id}", MANAGERS).of(Id::Member),
    row("get", "/api/v1/invitations", STAFF),
    row("post", "/api/v1/invitations", MANAGERS).with(&[("advertiser", Id::Advertiser)]).saying(&[("email", "x@example.com"), ("role", "advertiser")]),
    row("delete", "/api/v1/invitations/{id}", MANAGERS).of(Id::Invitation),
    row("get", "/api/v1/keys", ALL),
    row("post", "/api/v1/keys", ALL),
    row("delete", "/api/v1/keys/{id}", ALL).of(Id::Key),
    row("get", "/api/v1/audit", ADMINS).by(&[("object", Id::Affiliate), ("after", Id::Audit)]),
];
