//! The scene: two networks with their advertisers, affiliates and links, set by SQL, and how requests to it look.

use tokio_postgres::Client;

use crate::Outcome;
use crate::driver;
use crate::events::{Click, Kind, Run};
use crate::oracle::{AckedClick, Call};

/// Per cent of an order that the affiliate earns, and that the advertiser owes.
pub(crate) const COMMISSION: i64 = 10;
/// See [`COMMISSION`].
pub(crate) const REVENUE: i64 = 15;

/// Networks by name, with a zone whose hours begin with ours and one whose hours do not.
const NETWORKS: [(&str, &str); 2] = [("conserve-a", "Europe/Warsaw"), ("conserve-b", "Asia/Kolkata")];
/// Ordinary links of each network.
const LINKS: usize = 3;

/// Ordinary links in all.
pub(crate) const ALL_LINKS: usize = NETWORKS.len() * LINKS;

/// A tracking link and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// The host it is on.
    pub(crate) host: String,
    /// Its path.
    pub(crate) alias: String,
    /// The postback token of its advertiser.
    pub(crate) token: String,
    /// The tenant.
    pub(crate) network: i32,
    /// The link's id.
    pub(crate) id: i32,
    /// Who earns.
    pub(crate) affiliate: i32,
    /// Who owes.
    pub(crate) advertiser: i32,
}

/// The links that are clicked; the last is for probes alone.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// See the type.
    pub(crate) links: Vec<Link>,
}

impl Scene {
    /// Inserts it, as a superuser, whom row-level security lets through.
    pub(crate) async fn set(client: &Client) -> Outcome<Self> {
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
        Ok(Self { links })
    }

    /// The link of a click.
    pub(crate) fn link(&self, click: &Click) -> Option<&Link> {
        self.links.get(click.link)
    }

    /// The request of a click.
    pub(crate) fn click_request(&self, click: &Click, n: u64) -> String {
        let Some(link) = self.link(click) else {
            return String::new();
        };
        // As behind a proxy, so that visitors differ: addresses of 198.18.0.0/15, which belong to nobody.
        let [.., b, c, d] = n.to_be_bytes();
        let address = format!("198.{}.{c}.{d}", 18 + (b & 1));
        driver::click_request(&link.host, &link.alias, &address, &click.subs)
    }

    /// The request of a call.
    pub(crate) fn postback_request(&self, run: &Run, number: u64, call: Call, click: &AckedClick) -> String {
        let Some(link) = self.link(&run.click(click.n)) else {
            return String::new();
        };
        let order = run.order(call.order);
        let amount = if call.conflicting {
            order.other_amount
        } else {
            order.amount
        };
        let parameters = [
            ("click_id", click.id.clone()),
            ("goal", "sale".to_owned()),
            ("amount", order.write(amount)),
            ("currency", order.currency.to_owned()),
            ("token", link.token.clone()),
            ("call", run.name(Kind::Call, number)),
            ("order_id", order.id),
        ];
        driver::postback_request(&link.host, number, &parameters)
    }
}

/// A network with a slug and the host `{name}.test`.
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

/// A link with a campaign, an advertiser and an affiliate of its own.
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
