//! Conversions as this connection reads them.

use schema::{AdvertiserId, AffiliateId, CampaignId, ClickKey, ConversionId, GoalId, LinkId, PostbackId};
use tokio_postgres::Row;

use crate::conversions::Conversion;
use crate::ingest::ApplyError;

/// What [`read`] reads, in its order.
pub(super) const COLUMNS: &str = "c.network_id, c.id, c.converted_at, c.advertiser_id, c.campaign_id, c.goal_id, c.affiliate_id,
     c.link_id, c.click_id, c.attributed_by, c.parent_id, c.postback_id, c.unique_key, c.order_id, c.amount_micros, c.currency,
     c.commission_micros, c.revenue_micros, c.status, c.customer_id, c.coupon, c.country, c.unpaid_because, c.hold_until, c.terms,
     c.review_because";

/// A conversion and its network.
pub(super) fn read(row: &Row) -> Result<(i32, Conversion), ApplyError> {
    let word = |at: usize| row.get::<_, &str>(at);
    let broken = |error: &dyn std::fmt::Display| ApplyError::Poison(format!("a stored conversion: {error}"));
    let conversion = Conversion {
        id: ConversionId(row.get(1)),
        converted_at: row.get(2),
        advertiser_id: AdvertiserId(row.get(3)),
        campaign_id: CampaignId(row.get(4)),
        goal_id: GoalId(row.get(5)),
        affiliate_id: AffiliateId(row.get(6)),
        link_id: LinkId(row.get(7)),
        click_id: row.get::<_, Option<_>>(8).map(ClickKey),
        attributed_by: word(9).parse().map_err(|error| broken(&error))?,
        parent_id: row.get::<_, Option<_>>(10).map(ConversionId),
        postback_id: PostbackId(row.get(11)),
        unique_key: row.get(12),
        order_id: row.get(13),
        amount_micros: row.get(14),
        currency: word(15).parse().map_err(|error| broken(&error))?,
        commission_micros: row.get(16),
        revenue_micros: row.get(17),
        status: word(18).parse().map_err(|error| broken(&error))?,
        customer_id: row.get(19),
        coupon: row.get(20),
        country: row.get(21),
        unpaid_because: row.get(22),
        hold_until: row.get(23),
        terms: row.get(24),
        review_because: row
            .get::<_, Option<&str>>(25)
            .map(str::parse)
            .transpose()
            .map_err(|error| broken(&error))?,
    };
    Ok((row.get(0), conversion))
}
