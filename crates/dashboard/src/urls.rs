//! Addresses of pages, as functions: templates, redirects and the route table use these and nothing else.

use campaigns::integrations::Token;
use schema::{
    AdvertiserId, AffiliateId, AlertId, ApplicationId, CampaignId, ConversionId, GoalId, LinkId, NetworkId,
    PostbackId, UrlTemplateId,
};

fn with(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}

/// The sign-in page, on the way to another one.
pub(crate) fn sign_in(wanted: &str) -> String {
    match wanted {
        "/" => "/sign-in".to_owned(),
        wanted => with("/sign-in", &[("next", wanted)]),
    }
}

/// Where the code of the second factor is asked for, on the way to a page.
pub(crate) fn second_factor_code(next: &str) -> String {
    with("/sign-in/code", &[("next", next)])
}

/// One campaign.
pub(crate) fn campaign(id: CampaignId) -> String {
    format!("/campaigns/{id}")
}

/// What may be set on a campaign.
pub(crate) fn campaign_settings(id: CampaignId) -> String {
    format!("/campaigns/{id}/settings")
}

/// How far the tests of a campaign have come.
pub(crate) fn test(id: CampaignId) -> String {
    format!("/campaigns/{id}/test")
}

/// What the tests of a campaign have proven.
pub(crate) fn certificate(id: CampaignId) -> String {
    format!("/campaigns/{id}/certificate")
}

/// Where somebody says that they know of an alert.
pub(crate) fn see_alert(id: AlertId) -> String {
    format!("/alerts/{id}/seen")
}

/// One tracking link.
pub(crate) fn link(id: LinkId) -> String {
    format!("/links/{id}")
}

/// One goal.
pub(crate) fn goal(id: GoalId) -> String {
    format!("/goals/{id}")
}

/// One advertiser.
pub(crate) fn advertiser(id: AdvertiserId) -> String {
    format!("/advertisers/{id}")
}

/// One affiliate.
pub(crate) fn affiliate(id: AffiliateId) -> String {
    format!("/affiliates/{id}")
}

/// How one advertiser's server is connected.
pub(crate) fn integration(id: AdvertiserId) -> String {
    format!("/integration/{id}")
}

/// How the advertiser's server is connected for one campaign.
pub(crate) fn campaign_integration(id: CampaignId) -> String {
    format!("/campaigns/{id}/integration")
}

/// One application.
pub(crate) fn application(id: ApplicationId) -> String {
    format!("/applications/{id}")
}

/// One network, as operators see it.
pub(crate) fn network(id: NetworkId) -> String {
    format!("/ops/networks/{id}")
}

/// The audit log of one thing.
pub(crate) fn audit_of(object: &str) -> String {
    with("/settings/audit", &[("object", object)])
}

/// One click, by the id that travels.
pub(crate) fn click(click_id: &str) -> String {
    format!("/clicks/{click_id}")
}

/// One inbound postback.
pub(crate) fn postback(id: PostbackId) -> String {
    format!("/postbacks/{id}")
}

/// A batch of replays.
pub(crate) fn replay(batch: uuid::Uuid) -> String {
    format!("/replays/{batch}")
}

/// The form for a URL template that begins as what is known of a system (`system`) or a tracker (`tracker`).
pub(crate) fn new_url_template(known_as: &str, key: &str) -> String {
    with("/tools/templates/new", &[(known_as, key)])
}

/// One URL template.
pub(crate) fn url_template(id: UrlTemplateId) -> String {
    format!("/tools/templates/{id}")
}

/// Where the form that decides a conversion is sent.
pub(crate) fn settle(id: ConversionId) -> String {
    format!("/conversions/{id}")
}

/// Conversions of one order.
pub(crate) fn order(order_id: &str) -> String {
    with("/conversions", &[("order", order_id)])
}

/// Postbacks of one order that were not accepted.
pub(crate) fn postbacks_of_order(order_id: &str) -> String {
    with("/postbacks", &[("order", order_id)])
}

/// A reason in the documentation.
pub(crate) fn reason(code: &str) -> String {
    format!("/docs/reasons/{code}")
}

/// The postback URL an advertiser's server calls, with slots for the values of an order.
pub(crate) fn postback_template(tracking_url: &str, goal: &str, token: Option<&Token>) -> String {
    let token = token.map_or("YOUR_TOKEN", Token::as_str);
    format!(
        "{tracking_url}/postback?click_id=CLICK_ID&goal={goal}&order_id=ORDER_ID&amount=AMOUNT&currency=CURRENCY&token={token}"
    )
}

/// Returns `wanted` if it is a path of this site, else the home page. Prevents open redirects.
pub(crate) fn local(wanted: &str) -> &str {
    let mut first = wanted.bytes();
    let local = first.next() == Some(b'/') && !matches!(first.next(), Some(b'/' | b'\\'));
    if local && wanted.bytes().all(|byte| byte.is_ascii_graphic()) {
        wanted
    } else {
        "/"
    }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn only_a_path_of_this_site_is_followed() {
        assert_eq!(local("/reports?from=2026-11-01"), "/reports?from=2026-11-01");
        for elsewhere in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil",
            "javascript:x",
            "/a\r\nX: 1",
        ] {
            assert_eq!(local(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
