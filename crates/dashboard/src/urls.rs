//! URLs of pages, as functions. Templates, redirects and tests of routes use only these.

use campaigns::integrations::Token;
use schema::{
    AdvertiserId, AffiliateId, AlertId, ApplicationId, CampaignId, ConversionId, DestinationId, GoalId,
    LinkId, NetworkId, PostbackId, UrlTemplateId,
};
use uuid::Uuid;

fn with(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}

/// Sign-in page, with the page to open afterwards.
pub(crate) fn sign_in(wanted: &str) -> String {
    match wanted {
        "/" => "/sign-in".to_owned(),
        wanted => with("/sign-in", &[("next", wanted)]),
    }
}

/// Form for the code of two-factor authentication, with the page to open afterwards.
pub(crate) fn second_factor_code(next: &str) -> String {
    with("/sign-in/code", &[("next", next)])
}

/// Campaign.
pub(crate) fn campaign(id: CampaignId) -> String {
    format!("/campaigns/{id}")
}

/// Settings of a campaign.
pub(crate) fn campaign_settings(id: CampaignId) -> String {
    format!("/campaigns/{id}/settings")
}

/// Test progress of a campaign.
pub(crate) fn test(id: CampaignId) -> String {
    format!("/campaigns/{id}/test")
}

/// Test certificate of a campaign.
pub(crate) fn certificate(id: CampaignId) -> String {
    format!("/campaigns/{id}/certificate")
}

/// Form action that acknowledges an alert.
pub(crate) fn see_alert(id: AlertId) -> String {
    format!("/alerts/{id}/seen")
}

/// Tracking link.
pub(crate) fn link(id: LinkId) -> String {
    format!("/links/{id}")
}

/// Destination of deliveries.
pub(crate) fn destination(id: DestinationId) -> String {
    format!("/destinations/{id}")
}

/// Log of a destination.
pub(crate) fn deliveries_of(id: DestinationId) -> String {
    format!("/deliveries?destination={id}")
}

/// Conversion.
pub(crate) fn conversion(id: ConversionId) -> String {
    format!("/conversions/{id}")
}

/// Corrections that were made together.
pub(crate) fn corrected(batch: Uuid) -> String {
    format!("/conversions/corrections?batch={batch}")
}

/// Form action that corrects a conversion.
pub(crate) fn corrections(id: ConversionId) -> String {
    format!("/conversions/{id}/corrections")
}

/// Goal.
pub(crate) fn goal(id: GoalId) -> String {
    format!("/goals/{id}")
}

/// Advertiser.
pub(crate) fn advertiser(id: AdvertiserId) -> String {
    format!("/advertisers/{id}")
}

/// Affiliate.
pub(crate) fn affiliate(id: AffiliateId) -> String {
    format!("/affiliates/{id}")
}

/// Integration of an advertiser.
pub(crate) fn integration(id: AdvertiserId) -> String {
    format!("/integration/{id}")
}

/// Integration of a campaign.
pub(crate) fn campaign_integration(id: CampaignId) -> String {
    format!("/campaigns/{id}/integration")
}

/// Application.
pub(crate) fn application(id: ApplicationId) -> String {
    format!("/applications/{id}")
}

/// Network on the operators' pages.
pub(crate) fn network(id: NetworkId) -> String {
    format!("/ops/networks/{id}")
}

/// Audit log of one object.
pub(crate) fn audit_of(object: &str) -> String {
    with("/settings/audit", &[("object", object)])
}

/// Click, by its signed ID.
pub(crate) fn click(click_id: &str) -> String {
    format!("/clicks/{click_id}")
}

/// Postback.
pub(crate) fn postback(id: PostbackId) -> String {
    format!("/postbacks/{id}")
}

/// Batch of replays.
pub(crate) fn replay(batch: uuid::Uuid) -> String {
    format!("/replays/{batch}")
}

/// Form of a new URL template for a known `system` or `tracker`.
pub(crate) fn new_url_template(known_as: &str, key: &str) -> String {
    with("/tools/templates/new", &[(known_as, key)])
}

/// URL template.
pub(crate) fn url_template(id: UrlTemplateId) -> String {
    format!("/tools/templates/{id}")
}

/// Form action that decides a conversion.
pub(crate) fn settle(id: ConversionId) -> String {
    format!("/conversions/{id}")
}

/// Conversions of an order.
pub(crate) fn order(order_id: &str) -> String {
    with("/conversions", &[("order", order_id)])
}

/// Postbacks of an order that were not accepted.
pub(crate) fn postbacks_of_order(order_id: &str) -> String {
    with("/postbacks", &[("order", order_id)])
}

/// Documentation of a reason.
pub(crate) fn reason(code: &str) -> String {
    format!("/docs/reasons/{code}")
}

/// Postback URL of an advertiser's server, with placeholders for the values of an order.
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
