//! Scene: two networks with their advertisers, affiliates and links, inserted by SQL, and the requests to them.

use tokio_postgres::Client;

use crate::Outcome;
use crate::driver;
use crate::events::{Click, Kind, Run};
use crate::oracle::{AckedClick, Call};

/// Per cent of an order that the affiliate earns.
pub(crate) const COMMISSION: i64 = 10;
/// Per cent of an order that the advertiser owes.
pub(crate) const REVENUE: i64 = 15;

/// Most visitors, each with a separate address.
pub(crate) const MOST_VISITORS: u64 = 1 << 17;
/// Networks with their time zones: hours in one begin with ours, hours in the other do not.
const NETWORKS: [(&str, &str); 2] = [("conserve-a", "Europe/Warsaw"), ("conserve-b", "Asia/Kolkata")];
/// Ordinary links of each network.
const LINKS: usize = 3;

/// Ordinary links of all networks.
pub(crate) const ALL_LINKS: usize = NETWORKS.len() * LINKS;

/// Tracking link with its parties.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Tracking host of the network.
    pub(crate) host: String,
    /// Alias.
    pub(crate) alias: String,
    /// Postback token of the advertiser.
    pub(crate) token: String,
    /// Network.
    pub(crate) network: i32,
    /// Id of the link.
    pub(crate) id: i32,
    /// Affiliate, who earns.
    pub(crate) affiliate: i32,
    /// Advertiser, who owes.
    pub(crate) advertiser: i32,
}

/// Networks with their links.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// Links to click; the last is for probes alone.
    pub(crate) links: Vec<Link>,
    /// Number of visitors, who click in turn.
    pub(crate) visitors: u64,
}

impl Scene {
    /// Inserts the scene as a superuser, whom row-level security does not restrict.
    pub(crate) async fn set(client: &Client, visitors: u64) -> Outcome<Self> {
        let mut links = Vec::new();
        for (name, zone) in NETWORKS {
            let network = set_network(client, name, zone).await?;
            for number in 0..LINKS {
                links.push(set_link(client, network, name, number).await?);
            }
        }
        if let (Some(network), [(name, _), ..]) = (links.first().map(|link| link.network), NETWORKS) {
            links.push(set_link(client, network, name, LINKS).await?);
        }
        Ok(Self { links, visitors })
    }

    /// Returns the link of a click.
    pub(crate) fn link(&self, click: &Click) -> Option<&Link> {
        self.links.get(click.link)
    }

    /// Returns the request of a click.
    pub(crate) fn click_request(&self, click: &Click, n: u64) -> String {
        let Some(link) = self.link(click) else {
            return String::new();
        };
        // As behind a proxy, so that visitors differ: addresses of 198.18.0.0/15 are reserved for benchmarks.
        let [.., b, c, d] = (n % self.visitors).to_be_bytes();
        let address = format!("198.{}.{c}.{d}", 18 + (b & 1));
        driver::click_request(&link.host, &link.alias, &address, &click.subs)
    }

    /// Returns the request of a call.
    pub(crate) fn postback_request(&self, run: &Run, number: u64, call: Call, click: &AckedClick) -> String {
        let Some(link) = self.link(&run.click(click.n)) else {
            return String::new();
        };
        let order = run.order(call.order);
        let mut parameters = match call.change() {
            Some(n) => run.change(n, &order).parameters(&order),
            None => Vec::new(),
        };
        parameters.extend(
            call.reported(&order)
                .map(|amount| ("amount", order.write(amount))),
        );
        parameters.extend([
            ("click_id", click.id.clone()),
            ("goal", "sale".to_owned()),
            ("currency", order.currency.to_owned()),
            ("token", link.token.clone()),
            ("call", run.name(Kind::Call, number)),
            ("order_id", order.id),
        ]);
        driver::postback_request(&link.host, number, &parameters)
    }
}

/// Inserts a network with a slug and the host `{name}.test`.
pub(crate) async fn set_network(client: &Client, name: &str, zone: &str) -> Outcome<i32> {
    let row = client
        .query_one(
            "INSERT INTO networks (name, time_zone, currency, created_at, status, status_reason, \
                max_postbacks_per_second, max_seats, max_links, require_two_factor, require_tests, join_open, join_greeting, \
                join_questions, auto_approve, auto_approve_domains) \
             VALUES ($1, $2, 'EUR', now(), 'active', '', 1000000, 10, 1000, false, false, false, '', '{}', 'none', '{}') \
             RETURNING id",
            &[&name, &zone],
        )
        .await?;
    let network: i32 = row.get(0);
    client
        .execute(
            "INSERT INTO network_slugs (slug, network_id) VALUES ($1, $2)",
            &[&name, &network],
        )
        .await?;
    let host = format!("{name}.test");
    client
        .execute(
            "INSERT INTO tracking_hosts (host, network_id) VALUES ($1, $2)",
            &[&host, &network],
        )
        .await?;
    Ok(network)
}

/// Inserts a link with a separate campaign, advertiser and affiliate.
pub(crate) async fn set_link(client: &Client, network: i32, name: &str, number: usize) -> Outcome<Link> {
    let (alias, token) = (format!("link-{number}"), format!("token-of-{name}-{number}"));
    let hint = format!("ad-{number}");
    let row = client
        .query_one(
            "WITH advertiser AS (
                 INSERT INTO advertisers (network_id, name, created_at, status, notes, tags, version)
                 VALUES ($1, $2, now(), 'active', '', '{}', 1) RETURNING id),
             affiliate AS (
                 INSERT INTO affiliates (network_id, name, created_at, status, notes, tags, version)
                 VALUES ($1, $2, now(), 'active', '', '{}', 1) RETURNING id),
             integration AS (
                 INSERT INTO integrations (network_id, advertiser_id, token_hash, token_hint, created_at)
                 SELECT $1, id, sha256(convert_to($3, 'UTF8')), $4, now() FROM advertiser),
             campaign AS (
                 INSERT INTO campaigns (network_id, advertiser_id, name, status, destination, currency,
                                        attribution_days, created_at)
                 SELECT $1, id, $2, 'live', 'https://shop.example/?click_id={click_id}&s={sub1}', 'EUR', 3650, now()
                 FROM advertiser RETURNING id),
             goal AS (
                 INSERT INTO goals (network_id, campaign_id, code, name, unique_by, auto_approve,
                                    commission_fixed_micros, commission_rate_ppm, revenue_fixed_micros,
                                    revenue_rate_ppm, created_at, changed_at)
                 SELECT $1, id, 'sale', 'Sale', 'order', false, 0, $5, 0, $6, now(), now() FROM campaign),
             link AS (
                 INSERT INTO tracking_links (network_id, alias, affiliate_id, campaign_id, created_at)
                 SELECT $1, $2, affiliate.id, campaign.id, now() FROM affiliate, campaign RETURNING id)
             SELECT link.id, affiliate.id, advertiser.id FROM link, affiliate, advertiser",
            &[&network, &alias, &token, &hint, &ppm(COMMISSION), &ppm(REVENUE)],
        )
        .await?;
    Ok(Link {
        host: format!("{name}.test"),
        alias,
        token,
        network,
        id: row.get(0),
        affiliate: row.get(1),
        advertiser: row.get(2),
    })
}

fn ppm(percent: i64) -> i32 {
    i32::try_from(percent * 10_000).unwrap_or(0)
}
