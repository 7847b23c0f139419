//! Endpoint of clicks: finds the link, assigns the click ID, journals the click, and redirects the visitor.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use actix_http::body::BoxBody;
use actix_http::header::{CACHE_CONTROL, LOCATION, REFERER, REFERRER_POLICY, USER_AGENT};
use actix_http::{Method, RequestHead, Response, StatusCode};
use campaigns::campaigns::CampaignStatus;
use campaigns::{ClickFlag, ClickId, ClickIds, DestinationError, MacroValues, Route, RoutingError};
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use schema::clock;
use tenancy::affiliates::AffiliateStatus;
use tenancy::networks::{Network, NetworkStatus};
use visitors::Country;

use super::pages;
use super::request::{TARGET_LIMIT, client_ip, header, is_from_proxy, network_of, untrusted_proxy};
use crate::clicks::NewClick;
use crate::settings::WhenDiskFails;
use crate::tracker::{Intake, Tracker};
use crate::visits::Facts;

/// Timeout of a click; the visitor is asked to try again then.
const CLICK_TIMEOUT: Duration = Duration::from_secs(3);

/// `GET /{alias}?sub1=…`: responds with 302 to the campaign's destination once the click is on disk.
///
/// A HEAD request is recorded too, because its response contains a click ID that must exist; it is flagged as a
/// prefetch.
pub(super) async fn follow(
    request: &RequestHead,
    slug: Option<&str>,
    alias: &str,
    intake: &Intake,
) -> Response<BoxBody> {
    let began = Instant::now();
    let answer = match tokio::time::timeout(CLICK_TIMEOUT, record(request, slug, alias, intake)).await {
        Ok(Ok((status, location))) => redirect(status, location, intake.tracker.is_draining()),
        Ok(Err(page)) => page,
        Err(_) => unavailable(&"not recorded within 3 s"),
    };
    intake.tracker.counts.redirect(answer.status(), began.elapsed());
    answer
}

/// Journals the click. Returns status and location of the redirect, or an error page.
async fn record(
    request: &RequestHead,
    slug: Option<&str>,
    alias: &str,
    intake: &Intake,
) -> Result<(StatusCode, String), Response<BoxBody>> {
    let tracker = &intake.tracker;
    if request
        .uri
        .path_and_query()
        .is_some_and(|target| target.as_str().len() > TARGET_LIMIT)
    {
        return Err(pages::too_long());
    }
    let network = network_of(request, slug, tracker)
        .await
        .map_err(|error| unavailable(&error))?;
    let network = network.ok_or_else(pages::unknown_link)?;
    if network.status != NetworkStatus::Active {
        return Err(pages::suspended());
    }
    let route = find(tracker, &network, alias)
        .await
        .map_err(|error| unavailable(&error))?;
    let route = route.ok_or_else(pages::unknown_link)?;
    check_open(&route, clock::now())?;
    let query = request.uri.query().unwrap_or_default();
    let subs = read_subs(query, route.presets.as_deref());
    let click = new_click(request, tracker, &network, &route, subs);
    let location = match fallback(&route, &click) {
        Some(url) => url.to_owned(),
        None => destination(&tracker.click_ids, &network, &route, &click, query)
            .map_err(|problem| pages::deep_link(&problem))?,
    };
    match intake.record(&network, &click).await {
        Ok(()) => {
            tracker.counts.clicks.add(1);
            Ok((StatusCode::FOUND, location))
        }
        Err(refused) => {
            tracker.counts.unrecorded_clicks.add(1);
            tracing::error!(network = %network.id, link = %route.link_id, %refused, "click not recorded");
            match tracker.when_disk_fails {
                WhenDiskFails::Redirect => Ok((StatusCode::TEMPORARY_REDIRECT, location)),
                WhenDiskFails::Refuse => Err(pages::unavailable()),
            }
        }
    }
}

/// Link of an alias; of an alias without what texts and programs add to it, if none has it as sent.
async fn find(tracker: &Tracker, network: &Network, alias: &str) -> Result<Option<Route>, RoutingError> {
    let found = tracker.routing.alias(network.id, alias).await?;
    match cleaned(alias).filter(|_| found.is_none()) {
        Some(cleaned) => tracker.routing.alias(network.id, &cleaned).await,
        None => Ok(found),
    }
}

/// Alias decoded, without the punctuation of the sentence that a link ended: `sale.`, `sale)`, `summer%2Dsale`. `None` if it
/// has nothing of that.
fn cleaned(alias: &str) -> Option<String> {
    let decoded = percent_decode_str(alias).decode_utf8().ok()?;
    let cleaned = decoded.trim_end_matches(|c: char| c.is_whitespace() || ".,;:!?)]}>'\"*".contains(c));
    (cleaned != alias && !cleaned.is_empty()).then(|| cleaned.to_owned())
}

/// Checks that the link redirects now. The error is the page with the reason.
fn check_open(route: &Route, now: DateTime<Utc>) -> Result<(), Response<BoxBody>> {
    let campaign = route.campaign();
    match campaign.status {
        CampaignStatus::Live => {}
        CampaignStatus::Testing if route.is_test => {}
        CampaignStatus::Paused if !route.is_test => return Err(pages::paused()),
        _ if route.is_test => {}
        CampaignStatus::Draft | CampaignStatus::Testing | CampaignStatus::Ended | CampaignStatus::Paused => {
            return Err(pages::closed());
        }
    }
    let (starts, ends) = (campaign.schedule.starts_at, campaign.schedule.ends_at);
    let is_early = starts.is_some_and(|starts| now < starts);
    let is_late = ends.is_some_and(|ends| now >= ends);
    if (is_early || is_late) && !route.is_test {
        return Err(pages::closed());
    }
    if route.promotion.paused_at.is_some() && !route.is_test {
        return Err(pages::paused());
    }
    match route.affiliate.status {
        AffiliateStatus::Active => Ok(()),
        _ => Err(pages::inactive()),
    }
}

/// Fallback URL of the campaign, for a click outside its targeting or above a cap. The click is recorded with its flag.
fn fallback<'a>(route: &'a Route, click: &NewClick) -> Option<&'a str> {
    let is_excluded = matches!(
        click.visitor.flag,
        Some(ClickFlag::NotTargeted | ClickFlag::CapReached)
    );
    let url = route.campaign().sending.fallback_url.as_deref();
    url.filter(|_| is_excluded)
}

/// Redirect: 302 if the click is on disk, any other status if it is not.
fn redirect(status: StatusCode, location: String, is_draining: bool) -> Response<BoxBody> {
    let mut response = Response::build(status);
    response
        .insert_header((LOCATION, location))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer-when-downgrade"));
    if status != StatusCode::FOUND {
        response.insert_header(("X-Click-Status", "unrecorded"));
    }
    if is_draining {
        response.force_close();
    }
    response.finish().map_into_boxed_body()
}

fn unavailable(error: &dyn std::fmt::Display) -> Response<BoxBody> {
    tracing::error!(%error, "click refused");
    pages::unavailable()
}

/// `sub1` … `sub5`: of repeated ones the first, without empty ones, and the link's presets for missing ones. Broken bytes
/// become `�`, because an error would only lose the visitor.
fn read_subs(query: &str, presets: Option<&[Option<String>; 5]>) -> [Option<String>; 5] {
    let mut subs: [Option<String>; 5] = Default::default();
    for pair in query.split('&') {
        let pair = pair.strip_prefix("amp;").unwrap_or(pair);
        let number = pair
            .strip_prefix("sub")
            .and_then(|rest| rest.split('=').next()?.parse::<usize>().ok());
        let Some(slot @ None) = number.and_then(|number| subs.get_mut(number.wrapping_sub(1))) else {
            continue;
        };
        for (_, value) in dialects::decode_lossy(pair) {
            *slot = Some(value).filter(|value| !value.is_empty());
        }
    }
    if let Some(presets) = presets {
        let missing = subs.iter_mut().zip(presets).filter(|(sub, _)| sub.is_none());
        missing.for_each(|(sub, preset)| sub.clone_from(preset));
    }
    subs
}

/// Page of a deep link: the parameter `url`. A URL that was not encoded goes on to the end, or to the next sub ID.
fn read_page(query: &str) -> Option<String> {
    let mut pairs = query.split('&').skip_while(|pair| !pair.starts_with("url="));
    let first = pairs.next()?;
    let (_, mut page) = dialects::decode_pairs(first).next()?.ok()?;
    let is_raw = first.contains("://") && first.contains('?');
    let is_sub = |pair: &str| pair.starts_with("sub") && pair.as_bytes().get(4) == Some(&b'=');
    for pair in pairs.take_while(|pair| is_raw && !is_sub(pair)) {
        page.push('&');
        page.push_str(pair);
    }
    Some(page).filter(|page| !page.is_empty())
}

fn new_click(
    request: &RequestHead,
    tracker: &Tracker,
    network: &Network,
    route: &Route,
    subs: [Option<String>; 5],
) -> NewClick {
    let now = clock::now();
    let ip = client_ip(request, &tracker.trusted_proxies);
    if let Some(proxy) = untrusted_proxy(request, &tracker.trusted_proxies) {
        tracker.watch.came_through_untrusted(proxy);
    }
    let user_agent = request
        .headers
        .get(USER_AGENT)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let facts = Facts {
        ip,
        country: country(request, tracker),
        user_agent: user_agent.as_deref(),
        is_prefetch: is_prefetch(request),
    };
    let key = ClickIds::fresh_key(route.link_id, now);
    let destination = route.promotion.destination_of(route.landing_page_id, key);
    NewClick {
        key,
        clicked_at: now,
        link_id: route.link_id,
        campaign_id: route.campaign().id,
        affiliate_id: route.affiliate_id,
        landing_page_id: destination.and_then(|chosen| chosen.landing_page_id),
        subs,
        ip_prefix: ip.and_then(network_part),
        referrer: header(request, REFERER, 1024),
        visitor: tracker.visits.classify(facts, network, route, now),
    }
}

/// Country that a trusted proxy reports.
fn country(request: &RequestHead, tracker: &Tracker) -> Option<Country> {
    let name = tracker.country_header.as_deref()?;
    let is_trusted = is_from_proxy(request, &tracker.trusted_proxies)?;
    let country = request.headers.get(name).filter(|_| is_trusted)?;
    country.to_str().ok()?.parse().ok()
}

/// True for a HEAD request or a browser's prefetch (`Sec-Purpose`, and its predecessors `Purpose` and `X-Moz`).
fn is_prefetch(request: &RequestHead) -> bool {
    let announces = |name: &str| {
        let value = request
            .headers
            .get(name)
            .map(|value| value.as_bytes().to_ascii_lowercase());
        value.is_some_and(|value| value.starts_with(b"prefetch") || value.starts_with(b"preview"))
    };
    request.method == Method::HEAD || announces("sec-purpose") || announces("purpose") || announces("x-moz")
}

/// Stored part of a visitor's address: /24 of IPv4, /48 of IPv6.
fn network_part(ip: IpAddr) -> Option<IpNet> {
    let ip = ip.to_canonical();
    let bits = if ip.is_ipv4() { 24 } else { 48 };
    IpNet::new(ip, bits).ok().map(|net| net.trunc())
}

fn destination(
    click_ids: &ClickIds,
    network: &Network,
    route: &Route,
    click: &NewClick,
    query: &str,
) -> Result<String, DestinationError> {
    let sub = |index: usize| {
        click
            .subs
            .get(index)
            .and_then(Option::as_deref)
            .unwrap_or_default()
    };
    let id = ClickId {
        network_id: network.id,
        key: click.key,
    };
    let values = MacroValues {
        click_id: &click_ids.write(id, network.click_key),
        subs: [sub(0), sub(1), sub(2), sub(3), sub(4)],
        affiliate_id: &route.affiliate_id.to_string(),
        campaign_id: &route.campaign().id.to_string(),
        link_id: &route.link_id.to_string(),
        query,
    };
    let chosen = route
        .promotion
        .landing_page(click.landing_page_id)
        .map(|chosen| &chosen.destination)
        .ok_or(DestinationError::NotAUrl)?;
    let sending = &route.campaign().sending;
    let mut location = match read_page(query) {
        None => chosen.expand(&values),
        Some(page) => chosen.deep(&page, sending)?.expand(&values),
    };
    campaigns::pass(&mut location, query, &sending.passed_parameters);
    Ok(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_was_not_encoded_is_complete() {
        for (query, page) in [
            (
                "url=https%3A%2F%2Fs.example%2F%3Fa%3D1&b=2",
                Some("https://s.example/?a=1"),
            ),
            (
                "sub2=x&url=https://s.example/?a=1&b=2&sub1=y",
                Some("https://s.example/?a=1&b=2"),
            ),
            (
                "url=https://s.example/p&utm_source=x",
                Some("https://s.example/p"),
            ),
            ("url=&b=2", None),
            ("sub1=x", None),
        ] {
            assert_eq!(read_page(query).as_deref(), page, "{query}");
        }
    }

    #[test]
    fn the_first_of_each_sub_id_counts() {
        let subs = read_subs(
            "sub1=a&sub2=&sub1=b&sub5=e%20e&sub6=x&sub0=y&sub=z&utm_term=50%&%FF=1",
            None,
        );
        assert_eq!(subs, [Some("a".into()), None, None, None, Some("e e".into())]);
    }

    #[test]
    fn a_broken_sub_id_loses_no_visitor() {
        let subs = read_subs(
            "sub1=caf%E9&sub2=%E2%80&sub3=100%&sub4=%%CACHEBUSTER%%&amp;sub5=x",
            None,
        );
        let text = |index: usize| subs[index].as_deref().unwrap();
        assert_eq!((text(0), text(2)), ("caf\u{FFFD}", "100%"));
        assert_eq!((text(3), text(4)), ("%\u{FFFD}CHEBUSTER%%", "x"));
    }

    #[test]
    fn an_alias_is_found_without_the_punctuation_around_it() {
        for alias in ["sale.", "sale,", "sale)", "s%61le", "sale%20", "sale!\""] {
            assert_eq!(cleaned(alias).as_deref(), Some("sale"), "{alias}");
        }
        assert_eq!(cleaned("sale"), None);
        assert_eq!(cleaned("..."), None);
    }

    #[test]
    fn presets_of_a_link_replace_missing_sub_ids() {
        let presets = [Some("p1".to_owned()), Some("p2".to_owned()), None, None, None];
        let subs = read_subs("sub1=a&sub2=", Some(&presets));
        assert_eq!(subs, [Some("a".into()), Some("p2".into()), None, None, None]);
    }

    #[test]
    fn the_page_of_a_deep_link_is_read() {
        assert_eq!(
            read_page("sub1=a&url=https%3A%2F%2Fs.example%2Fp%3Fa%3D1"),
            Some("https://s.example/p?a=1".into())
        );
        assert_eq!(read_page("url="), None);
        assert_eq!(read_page("my_url=x"), None);
    }

    #[test]
    fn only_the_network_part_of_an_address_is_kept() {
        let kept = |ip: &str| network_part(ip.parse().unwrap()).unwrap().to_string();
        assert_eq!(kept("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(kept("::ffff:203.0.113.77"), "203.0.113.0/24");
        assert_eq!(kept("2001:db8:1:2:3::4"), "2001:db8:1::/48");
    }
}
