//! Clicks in the tables before the measurements: thirty days of them, with their rollups.

use std::time::Instant;

use tokio_postgres::Client;

use super::traffic::Preloaded;
use crate::Outcome;
use crate::scene::Link;

/// Days over which the clicks are spread.
const DAYS: u64 = 30;
/// Clicks added in one statement.
const STEP: u64 = 2_000_000;

/// Clicks as the server writes them, except for values that cannot be known: see [`Preloaded`] for their keys.
const ADD: &str = "
    INSERT INTO clicks (network_id, id, clicked_at, link_id, campaign_id, affiliate_id, is_unique, flag, visitor, device,
                        os, browser, sub1, sub2, ip_prefix, referrer)
    SELECT network_id,
           (lpad(to_hex(ms), 12, '0') || lpad(to_hex(link_id), 8, '0') || lpad(to_hex(n), 12, '0'))::uuid,
           to_timestamp(ms / 1000.0), link_id, campaign_id, affiliate_id, n % 3 > 0,
           CASE WHEN n % 20 = 0 THEN 'bot' END, hashint8extended(n, 7), 'desktop', 'Windows', 'Chrome',
           lpad(to_hex(n * 2654435761 & 4294967295), 8, '0'), lpad(to_hex(n * 2246822519 & 4294967295), 8, '0'),
           '198.18.0.0/24'::inet + (n % 500) * 256, 'https://reviews.example/best-running-shoes'
    FROM (SELECT n, $1::bigint + n * $2::bigint / $3::bigint AS ms
          FROM generate_series($4::bigint, $5::bigint) AS n) AS visits
    JOIN bench_links ON number = n % $6::bigint";

/// Adds this number of clicks through these links.
pub(super) async fn clicks(client: &Client, links: Vec<Link>, count: u64) -> Outcome<Preloaded> {
    let began = Instant::now();
    let span_ms = DAYS * 24 * 3600 * 1000;
    let row = client
        .query_one("SELECT (extract(epoch FROM now()) * 1000)::bigint", &[])
        .await?;
    let now_ms = row.get::<_, i64>(0).unsigned_abs();
    let preloaded = Preloaded {
        count,
        // The last click was a minute ago.
        from_ms: now_ms - span_ms - 60_000,
        span_ms,
        links,
    };
    prepare(client, &preloaded).await?;
    let mut done = 0;
    while done < count {
        let end = (done + STEP).min(count);
        add(client, &preloaded, done, end).await?;
        done = end;
        eprintln!(
            "conserve: {done} of {count} clicks preloaded, {:.0?}",
            began.elapsed()
        );
    }
    client
        .batch_execute(
            "INSERT INTO click_rollups
             SELECT network_id, date_bin('15 minutes', clicked_at, 'epoch'), campaign_id, affiliate_id, link_id, count(*),
                    count(*) FILTER (WHERE is_unique), count(flag)
             FROM clicks GROUP BY 1, 2, 3, 4, 5",
        )
        .await?;
    // No maintenance is left that would disturb the measurements.
    client.batch_execute("VACUUM (ANALYZE)").await?;
    client.batch_execute("CHECKPOINT").await?;
    Ok(preloaded)
}

/// Creates the months of the clicks, and numbers their links.
async fn prepare(client: &Client, preloaded: &Preloaded) -> Outcome {
    client
        .batch_execute(
            "SELECT make_click_month(at) FROM generate_series(now() - interval '31 days', now(), interval '1 day') AS at",
        )
        .await?;
    let links: Vec<i32> = preloaded.links.iter().map(|link| link.id).collect();
    client
        .batch_execute("CREATE UNLOGGED TABLE bench_links (number bigint, network_id int, link_id int, campaign_id int, affiliate_id int)")
        .await?;
    client
        .execute(
            "INSERT INTO bench_links
             SELECT number - 1, network_id, id, campaign_id, affiliate_id
             FROM unnest($1::int[]) WITH ORDINALITY AS given (id, number) JOIN tracking_links USING (id)",
            &[&links],
        )
        .await?;
    Ok(())
}

async fn add(client: &Client, preloaded: &Preloaded, from: u64, to: u64) -> Outcome {
    let links = u64::try_from(preloaded.links.len())?;
    let numbers = [
        preloaded.from_ms,
        preloaded.span_ms,
        preloaded.count,
        from,
        to - 1,
        links,
    ];
    let [start, span, count, from, last, links] =
        numbers.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    client
        .execute(ADD, &[&start, &span, &count, &from, &last, &links])
        .await?;
    Ok(())
}
