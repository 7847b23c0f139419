//! Which key signs a network's click ids, and how it is replaced.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{NetworkConn, networks};
use serde_json::{Value, json};

use super::current;
use crate::actor::Author;
use crate::audit::{self, Change};
use crate::error::ChangeError;

/// The highest number of a key: it has seven bits in a click id.
const LAST: i16 = 127;
/// How long after it was made a key begins to sign: until then every node has heard of it, also one that hears nothing
/// and asks again every second.
const NOTICE: TimeDelta = TimeDelta::seconds(5);

/// Which of the network's keys signs its click ids. The keys themselves come from the installation's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery)]
#[diesel(table_name = networks)]
pub struct ClickKeyInUse {
    /// Its number, from 1 to 127.
    #[diesel(column_name = click_key_number)]
    pub number: i16,
    /// Since when it signs: ids under an earlier key are good only from before.
    #[diesel(column_name = click_key_since)]
    pub since: DateTime<Utc>,
}

impl ClickKeyInUse {
    fn to_json(self) -> Value {
        json!({ "number": self.number, "since": self.since })
    }
}

/// Replaces the key that signs the network's click ids by the next one, a few seconds after `now`. Ids that were given out
/// before then go on working; ids that somebody makes up with an earlier key for a later time do not.
///
/// # Errors
/// [`ChangeError::Conflict`] when the last key is in use, or somebody else replaced the key at this moment.
pub async fn replace_click_key(
    conn: &mut NetworkConn,
    author: &Author,
    now: DateTime<Utc>,
) -> Result<ClickKeyInUse, ChangeError> {
    let network = current(conn).await?;
    let old = network.click_key;
    if old.number >= LAST {
        let sentence = format!("The network has used all of its {LAST} keys; the present one stays.");
        return Err(ChangeError::Conflict(sentence));
    }
    let new = ClickKeyInUse {
        number: old.number + 1,
        since: now + NOTICE,
    };
    // The old number once more: of two who replace it at once, one did not see what they replaced.
    let changed = diesel::update(networks::table.find(network.id))
        .filter(networks::click_key_number.eq(old.number))
        .set((
            networks::click_key_number.eq(new.number),
            networks::click_key_since.eq(new.since),
        ))
        .execute(&mut **conn)
        .await?;
    if changed != 1 {
        let sentence = "Somebody else replaced the key just now.";
        return Err(ChangeError::Conflict(sentence.to_owned()));
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
