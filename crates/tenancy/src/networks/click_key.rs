//! Signing key of a network's click IDs, and its rotation.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{NetworkConn, networks};

use super::network::{ClickKeyInUse, current};
use crate::audit::{self, Change};
use crate::author::Author;
use crate::error::ChangeError;

/// Highest key number: click IDs have seven bits for it.
const LAST_KEY: i16 = 127;
/// Delay before a new key signs. By then every node has loaded it, including nodes without notifications, which poll
/// every second.
const ACTIVATION_DELAY: TimeDelta = TimeDelta::seconds(5);

/// Replaces the signing key of the network's click IDs with the next one, effective a few seconds after `now`. Click
/// IDs issued before stay valid; IDs forged with an earlier key for a later time are rejected.
///
/// # Errors
/// [`ChangeError::Conflict`] if the last key is in use, or another request replaced the key at the same time.
pub async fn replace_click_key(
    conn: &mut NetworkConn,
    author: &Author,
    now: DateTime<Utc>,
) -> Result<ClickKeyInUse, ChangeError> {
    let network = current(conn).await?;
    let old = network.click_key;
    if old.number >= LAST_KEY {
        let message =
            format!("The network has used all of its {LAST_KEY} keys. The current key stays in use.");
        return Err(ChangeError::Conflict(message));
    }
    let new = ClickKeyInUse {
        number: old.number + 1,
        since: now + ACTIVATION_DELAY,
    };
    // Checked again in the update: of two concurrent replacements, only the first succeeds.
    let changed = diesel::update(networks::table.find(network.id))
        .filter(networks::click_key_number.eq(old.number))
        .set((
            networks::click_key_number.eq(new.number),
            networks::click_key_since.eq(new.since),
        ))
        .execute(&mut **conn)
        .await?;
    if changed != 1 {
        let message = "The key was replaced by another user just now. Reload the page.";
        return Err(ChangeError::Conflict(message.to_owned()));
    }
    let (before, after) = (old.to_json(), new.to_json());
    let change = Change::between(
        "network.replace_click_key",
        network.id,
        &network.name,
        before,
        after,
    );
    audit::record(conn, author, change, now).await?;
    Ok(new)
}
