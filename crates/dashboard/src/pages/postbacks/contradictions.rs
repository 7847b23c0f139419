//! Postbacks whose decision after a restore differs from the verdict that their sender received.

use actix_web::web;
use postbacks::contradictions::{self, Contradiction};
use schema::PostbackId;
use tenancy::{Permission, needs};

use crate::error::PageError;
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, done};
use crate::{format, urls};

/// Most differences that the list of postbacks shows.
const SHOWN: i64 = 20;

/// Open difference as the pages show it.
pub(super) struct Difference {
    pub(super) url: String,
    pub(super) short_id: String,
    /// Reason code that the sender received.
    pub(super) answered: String,
    pub(super) answered_url: String,
    /// Reason code of the verdict now.
    pub(super) decided: String,
}

impl From<Contradiction> for Difference {
    fn from(found: Contradiction) -> Self {
        Self {
            url: urls::postback(found.postback_id),
            short_id: format::short_id(&found.postback_id.to_string()),
            answered_url: urls::reason(&found.answered_reason),
            answered: found.answered_reason,
            decided: found.decided_reason,
        }
    }
}

/// Open differences of the network, the oldest first, and the number of all. Empty for a user who may not settle them.
pub(super) async fn open(page: &mut Page<needs::SeePostbacks>) -> Result<(Vec<Difference>, i64), PageError> {
    if !page.actor.may(Permission::DecideConversions) {
        return Ok((Vec::new(), 0));
    }
    let found = contradictions::open(&mut page.conn, SHOWN).await?;
    let total = found.first().map_or(0, |first| first.total);
    Ok((found.into_iter().map(Difference::from).collect(), total))
}

/// `POST /postbacks/{id}/settle`: accepts the present verdict.
pub(super) async fn settle(
    Submitted(mut page, _): Submitted<needs::DecideConversions>,
    path: web::Path<String>,
) -> PageResult {
    let postback_id: PostbackId = id(&path)?;
    let found = postbacks::find(&mut page.conn, page.actor.scope(), postback_id).await?;
    found.ok_or(PageError::NotFound)?;
    contradictions::settle(&mut page.conn, &page.actor.author(), postback_id, page.now).await?;
    page.commit().await?;
    done(&urls::postback(postback_id), "The difference is settled.")
}
