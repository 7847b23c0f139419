//! Quarantined postbacks: stored safely, but Postgres refused to decide them. Their receipts answer all the same.

use campaigns::integrations;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{NetworkConn, PostbackId, quarantine};
use tenancy::Scope;

use crate::record::PostbackRecord;
use crate::stored::{PostbackStatus, StoredPostback};
use crate::trace::Trace;
use crate::verdict::Reason;

/// Quarantined postback with this receipt, if it is visible in this scope: to an advertiser, if its own token was sent.
pub(crate) async fn find(
    conn: &mut NetworkConn,
    scope: Scope,
    id: PostbackId,
) -> QueryResult<Option<StoredPostback>> {
    let network_id = conn.network_id();
    let record: Option<Vec<u8>> = quarantine::table
        .filter(quarantine::network_id.eq(network_id))
        .filter(quarantine::event_id.eq(id.0))
        .select(quarantine::record)
        .first(&mut **conn)
        .await
        .optional()?;
    let Some(record) = record.and_then(|record| PostbackRecord::read(&record).ok()) else {
        return Ok(None);
    };
    let owner = match record.token() {
        Some(token) => integrations::owner_of_token(conn, &token).await?,
        None => None,
    };
    let advertiser_id = owner.map(|owner| owner.holder.advertiser_id);
    let is_visible = scope.advertiser.is_none() || scope.advertiser == advertiser_id;
    Ok(is_visible.then(|| stored(record, advertiser_id)))
}

fn stored(record: PostbackRecord, advertiser_id: Option<schema::AdvertiserId>) -> StoredPostback {
    let reason = Reason::Quarantined;
    StoredPostback {
        id: record.id,
        received_at: record.received_at,
        body: record.body().unwrap_or_else(|error| {
            tracing::error!(postback = %record.id, %error, "body of a quarantined postback is unreadable");
            Vec::new()
        }),
        remote_ip: record
            .remote_ip
            .as_deref()
            .and_then(|address| address.parse().ok()),
        incomplete: None,
        status: PostbackStatus::of(reason.status()),
        reason: reason.code().to_owned(),
        http_status: reason.http_status().into(),
        message: reason.meaning().to_owned(),
        hint: Some(reason.fix().to_owned()),
        took_us: 0,
        advertiser_id,
        campaign_id: None,
        goal_id: None,
        click_id: None,
        conversion_id: None,
        order_id: record.postback.order_id.clone(),
        amount_micros: record.postback.amount.map(|amount| amount.micros),
        currency: record.postback.currency.clone(),
        extra: serde_json::json!({}),
        dialect: record.dialect.clone(),
        trace: Trace::default().to_text(),
        is_test: false,
        decided_at: None,
        method: record.method,
        target: record.target,
        content_type: record.content_type,
    }
}
