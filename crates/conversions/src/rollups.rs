//! Rollups of conversions, which reports read. They are moved in the transaction that stores the conversions, so that
//! they are exact and instant. (`tracking` keeps those of clicks.)

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use schema::batch::Row;
use schema::{AffiliateId, CampaignId, Currency, GoalId, LinkId, NetworkId, WideNumber, clock};

use crate::conversion::{Conversion, ConversionStatus};

schema::row! {
    /// Amount by which a row of the rollup moves.
    #[derive(Debug)]
    pub(crate) struct RollupMove(bind) {
        network_id: NetworkId,
        quarter_hour: DateTime<Utc>,
        campaign_id: CampaignId,
        affiliate_id: AffiliateId,
        link_id: LinkId,
        goal_id: GoalId,
        currency: Currency,
        status: ConversionStatus,
        conversions: i64,
        paid: i64,
        amount_micros: WideNumber,
        commission_micros: WideNumber,
        revenue_micros: WideNumber,
    }
}

/// One upsert for all moves of a batch, which also counts the changes of their spans of six hours.
pub(crate) static UPSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH moved AS ({} ON CONFLICT (network_id, quarter_hour, campaign_id, affiliate_id, link_id, goal_id, currency, status)
         DO UPDATE
         SET conversions = conversion_rollups.conversions + EXCLUDED.conversions,
             paid = conversion_rollups.paid + EXCLUDED.paid,
             amount_micros = conversion_rollups.amount_micros + EXCLUDED.amount_micros,
             commission_micros = conversion_rollups.commission_micros + EXCLUDED.commission_micros,
             revenue_micros = conversion_rollups.revenue_micros + EXCLUDED.revenue_micros
         RETURNING network_id, quarter_hour AS at)
         {}",
        RollupMove::insert_into("conversion_rollups"),
        count_changes("moved")
    )
});

/// Statement that counts a change of each span of six hours that contains a time `at` of these rows. Ordered, so that two
/// nodes lock the spans in the same order.
pub(crate) fn count_changes(rows: &str) -> String {
    format!(
        "INSERT INTO conversion_spans (network_id, span, slot, version)
         SELECT DISTINCT network_id, floor(extract(epoch FROM at) / 21600)::integer, pg_backend_pid() % 64, 1
         FROM {rows} ORDER BY 1, 2
         ON CONFLICT (network_id, span, slot) DO UPDATE SET version = conversion_spans.version + 1"
    )
}

type Key = (
    NetworkId,
    DateTime<Utc>,
    CampaignId,
    AffiliateId,
    LinkId,
    GoalId,
    Currency,
    ConversionStatus,
);

/// Moves of a batch by the key of their row. Sorted, so that two nodes lock the rows in the same order and cannot
/// deadlock.
#[derive(Debug, Default)]
pub(crate) struct RollupMoves {
    /// Conversions, paid ones, and amount, commission and revenue in micro-units.
    sums: BTreeMap<Key, (i64, i64, [i128; 3])>,
}

impl RollupMoves {
    /// Adds a conversion, or takes it away (`sign` −1).
    pub(crate) fn add(&mut self, conversion: &Conversion, sign: i64) {
        let key = (
            conversion.network_id,
            clock::quarter_hour(conversion.converted_at),
            conversion.campaign_id,
            conversion.affiliate_id,
            conversion.link_id,
            conversion.goal_id,
            conversion.currency,
            conversion.status,
        );
        let (conversions, paid, [amount, commission, revenue]) = self.sums.entry(key).or_default();
        *conversions += sign;
        *paid += sign * i64::from(conversion.is_paid());
        let signed = |micros: i64| i128::from(sign) * i128::from(micros);
        *amount += signed(conversion.amount_micros.unwrap_or(0));
        *commission += signed(conversion.commission_micros);
        *revenue += signed(conversion.revenue_micros);
    }

    pub(crate) fn rows(&self) -> Vec<RollupMove> {
        let row = |(key, sums): (&Key, &(i64, i64, [i128; 3]))| {
            let (network_id, quarter_hour, campaign_id, affiliate_id, link_id, goal_id, currency, status) =
                *key;
            let (conversions, paid, money) = *sums;
            let [amount_micros, commission_micros, revenue_micros] = money.map(WideNumber);
            RollupMove {
                network_id,
                quarter_hour,
                campaign_id,
                affiliate_id,
                link_id,
                goal_id,
                currency,
                status,
                conversions,
                paid,
                amount_micros,
                commission_micros,
                revenue_micros,
            }
        };
        self.sums.iter().map(row).collect()
    }
}
