//! Search: redirects from an id, an order ID or a unique name to its page, and lists what else the text is found in.

use actix_web::web;
use askama::Template;
use campaigns::campaigns as campaign_table;
use campaigns::links;
use conversions::ConversionFilter;
use postbacks::PostbackFilter;
use reports::Dimension;
use schema::{
    AdvertiserId, AffiliateId, AlertId, ApplicationId, CampaignId, ConversionId, DeliveryId, DestinationId,
    GoalId, LinkId, PostbackId,
};
use serde::Deserialize;
use tenancy::memberships::{self, MemberFilter};
use tenancy::parties::PartyFilter;
use tenancy::{Permission, advertisers, affiliates, needs};

use crate::error::PageError;
use crate::listing::with_query;
use crate::page::Page;
use crate::shell::{PageResult, Shell, html, see_other};
use crate::urls;

/// Results of a kind, at most.
const MAX_RESULTS: usize = 10;

#[derive(Debug, Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

/// `GET /search?q=…`
pub(super) async fn go(mut page: Page<needs::SignIn>, search: web::Query<Search>) -> PageResult {
    let text = search.q.trim();
    if text.is_empty() {
        return see_other("/");
    }
    if page.click_id(text).is_some() {
        return see_other(&urls::click(text));
    }
    if let Some(url) = of_id(text) {
        return see_other(&url);
    }
    let sees_conversions = page.actor.may(Permission::SeeConversions);
    if let (Ok(id), true) = (text.parse::<ConversionId>(), sees_conversions) {
        let filter = ConversionFilter {
            scope: page.actor.scope(),
            id: Some(id),
            ..ConversionFilter::default()
        };
        let found = conversions::list(&mut page.conn, &filter, 1).await?;
        let frame = page.commit().await?;
        let click = found.first().and_then(|named| named.conversion.click_id);
        let click = click.and_then(|key| frame.click_url(key));
        let conversion = || match found.first() {
            Some(_) => urls::conversion(id),
            None => urls::order(text),
        };
        return see_other(&click.unwrap_or_else(conversion));
    }
    let mut results = orders(&mut page, text).await?;
    results.extend(configuration(&mut page, text).await?);
    results.extend(people(&mut page, text).await?);
    if let [only] = results.as_slice() {
        return see_other(&only.url);
    }
    let reports = sub_id_reports(&page, text);
    let frame = page.commit().await?;
    html(&Results {
        shell: frame.shell("", "Search"),
        text: text.to_owned(),
        results,
        reports,
    })
}

/// Page of an object whose id this is. None for a text that is no id.
fn of_id(text: &str) -> Option<String> {
    let (prefix, _) = text.split_once('_')?;
    match prefix {
        PostbackId::PREFIX => text.parse().ok().map(urls::postback),
        CampaignId::PREFIX => text.parse().ok().map(urls::campaign),
        AdvertiserId::PREFIX => text.parse().ok().map(urls::advertiser),
        AffiliateId::PREFIX => text.parse().ok().map(urls::affiliate),
        LinkId::PREFIX => text.parse().ok().map(urls::link),
        GoalId::PREFIX => text.parse().ok().map(urls::goal),
        ApplicationId::PREFIX => text.parse().ok().map(urls::application),
        DestinationId::PREFIX => text.parse().ok().map(urls::destination),
        DeliveryId::PREFIX => text
            .parse::<DeliveryId>()
            .ok()
            .map(|id| format!("/deliveries/{id}")),
        AlertId::PREFIX => text.parse::<AlertId>().ok().map(|_| "/alerts".to_owned()),
        _ => None,
    }
}

/// Object in which the text was found.
struct Found {
    kind: &'static str,
    name: String,
    detail: String,
    url: String,
}

/// Conversions of an order, or else its postbacks that were not accepted.
async fn orders(page: &mut Page<needs::SignIn>, text: &str) -> Result<Vec<Found>, PageError> {
    let scope = page.actor.scope();
    let found = |name: &str, url| Found {
        kind: "Order",
        name: text.to_owned(),
        detail: name.to_owned(),
        url,
    };
    if page.actor.may(Permission::SeeConversions) {
        let filter = ConversionFilter {
            scope,
            order_id: Some(text.to_owned()),
            ..ConversionFilter::default()
        };
        let conversions = conversions::list(&mut page.conn, &filter, 1).await?;
        if let Some(first) = conversions.first() {
            return Ok(vec![found(&first.campaign, urls::order(text))]);
        }
    }
    if page.actor.may(Permission::SeePostbacks) {
        let filter = PostbackFilter {
            scope,
            order_id: Some(text.to_owned()),
            ..PostbackFilter::default()
        };
        if !postbacks::list(&mut page.conn, &filter, 1).await?.is_empty() {
            let url = urls::postbacks_of_order(text);
            return Ok(vec![found("Postbacks that were not accepted", url)]);
        }
    }
    Ok(Vec::new())
}

/// Campaigns, advertisers, affiliates and links by name, external ID, tag or alias.
async fn configuration(page: &mut Page<needs::SignIn>, text: &str) -> Result<Vec<Found>, PageError> {
    let scope = page.actor.scope();
    let mut results = Vec::new();
    if page.actor.may(Permission::SeeCampaigns) {
        let wanted = text.to_lowercase();
        let campaigns = campaign_table::visible(&mut page.conn, scope, None).await?;
        let named = campaigns
            .into_iter()
            .filter(|(campaign, _)| campaign.name.to_lowercase().contains(&wanted));
        results.extend(named.take(MAX_RESULTS).map(|(campaign, advertiser)| Found {
            kind: "Campaign",
            url: urls::campaign(campaign.id),
            name: campaign.name,
            detail: advertiser,
        }));
        if let Some(link) = links::of_alias(&mut page.conn, text).await?
            && let Ok(link) = links::find_visible(&mut page.conn, scope, link.id).await
        {
            results.push(Found {
                kind: "Link",
                name: link.alias,
                detail: link.id.to_string(),
                url: urls::link(link.id),
            });
        }
    }
    if page.actor.may(Permission::SeeParties) {
        let limit = i64::try_from(MAX_RESULTS).unwrap_or(i64::MAX);
        let filter = PartyFilter {
            search: Some(text.to_owned()),
            include_archived: true,
            ..PartyFilter::default()
        };
        let advertisers = advertisers::list(&mut page.conn, &filter, limit).await?;
        results.extend(advertisers.into_iter().map(|advertiser| Found {
            kind: "Advertiser",
            url: urls::advertiser(advertiser.id),
            name: advertiser.name,
            detail: advertiser.external_id.unwrap_or_default(),
        }));
        let filter = PartyFilter {
            search: Some(text.to_owned()),
            include_archived: true,
            ..PartyFilter::default()
        };
        let affiliates = affiliates::list(&mut page.conn, &filter, None, limit).await?;
        let managed = |manager| scope.manager.is_none_or(|own| manager == Some(own));
        results.extend(
            affiliates
                .into_iter()
                .filter(|affiliate| managed(affiliate.manager_id))
                .map(|affiliate| Found {
                    kind: "Affiliate",
                    url: urls::affiliate(affiliate.id),
                    name: affiliate.name,
                    detail: affiliate.external_id.unwrap_or_default(),
                }),
        );
    }
    Ok(results)
}

/// Members of the network by name or e-mail address.
async fn people(page: &mut Page<needs::SignIn>, text: &str) -> Result<Vec<Found>, PageError> {
    if !page.actor.may(Permission::SeeMembers) {
        return Ok(Vec::new());
    }
    let wanted = text.to_lowercase();
    let members = memberships::list(&mut page.conn, &MemberFilter::default(), 10_000).await?;
    let matching = members.into_iter().filter(|member| {
        member.email.to_lowercase().contains(&wanted) || member.person_name.to_lowercase().contains(&wanted)
    });
    Ok(matching
        .take(MAX_RESULTS)
        .map(|member| Found {
            kind: "Person",
            detail: match member.party {
                Some(party) => format!("{}, {} of {party}", member.email, member.role.kind().label()),
                None => format!("{}, {}", member.email, member.role.kind().label()),
            },
            name: member.person_name,
            url: "/members".to_owned(),
        })
        .collect())
}

/// Labels and URLs of the reports that are filtered by the text as a sub ID.
fn sub_id_reports(page: &Page<needs::SignIn>, text: &str) -> Vec<(&'static str, String)> {
    if !page.actor.may(Permission::SeeReports) {
        return Vec::new();
    }
    [
        Dimension::Sub1,
        Dimension::Sub2,
        Dimension::Sub3,
        Dimension::Sub4,
        Dimension::Sub5,
    ]
    .into_iter()
    .filter(|dimension| dimension.is_visible_to(&page.actor))
    .map(|dimension| {
        let contains = format!("{dimension}.contains");
        let filters = [
            ("period", "last_90_days"),
            ("group", dimension.as_str()),
            (contains.as_str(), text),
        ];
        (dimension.label(), with_query("/reports", &filters))
    })
    .collect()
}

#[derive(Template)]
#[template(path = "figures/search/show.html")]
struct Results {
    shell: Shell,
    text: String,
    results: Vec<Found>,
    reports: Vec<(&'static str, String)>,
}
