//! Work that waits for a user: failing integrations, decisions, held postbacks, applications, failing deliveries.

use campaigns::promoters;
use conversions::Undecided;
use delivery::destinations;
use monitoring::alerts::Alert;
use postbacks::{PostbackFilter, PostbackStatus};
use tenancy::Permission;
use tenancy::applications::{self, ApplicationStatus};

use crate::error::PageError;
use crate::format;
use crate::listing;
use crate::page::{Frame, Page};
use crate::pages::postbacks::alerts;

/// Number of rows that are counted; more are shown as `50+`.
const MAX_COUNTED: usize = 50;

/// Entry of the list.
pub(super) struct Item {
    /// Icon of the sprite.
    pub(super) icon: &'static str,
    pub(super) count: String,
    pub(super) sentence: &'static str,
    pub(super) detail: String,
    /// URL of the rows.
    pub(super) url: &'static str,
}

/// Alerts and entries, before they are shown.
pub(super) struct Attention {
    alerts: Vec<(Alert, String)>,
    items: Vec<Item>,
}

/// Alerts and entries as shown.
pub(super) struct Shown {
    pub(super) alerts: Vec<alerts::Notice>,
    pub(super) items: Vec<Item>,
    /// True if the actor is a user of the network, who decides.
    pub(super) is_staff: bool,
}

impl Attention {
    pub(super) fn shown<P>(self, frame: &Frame<P>) -> Shown {
        Shown {
            alerts: alerts::Notice::list(self.alerts, frame),
            items: self.items,
            is_staff: frame.actor.scope().is_staff(),
        }
    }

    pub(super) async fn load<P>(page: &mut Page<P>) -> Result<Self, PageError> {
        let scope = page.actor.scope();
        let alerts = alerts::unacknowledged(page, scope).await?;
        let mut items = Vec::new();
        if scope.is_staff() {
            decisions(page, &mut items).await?;
        }
        if page.actor.may(Permission::SeePostbacks) {
            let filter = PostbackFilter {
                scope,
                status: Some(PostbackStatus::Held),
                ..PostbackFilter::default()
            };
            let held = postbacks::list(&mut page.conn, &filter, listing::QUERIED).await?;
            items.extend(entry(
                "hourglass",
                held.len(),
                ("postback is held", "postbacks are held"),
                "/postbacks?status=held",
            ));
        }
        if page.actor.may(Permission::SeeParties) {
            applied(page, &mut items).await?;
        }
        if page.actor.may(Permission::SeeDeliveries) {
            let conn = &mut page.conn;
            let all = destinations::list(conn, scope, None, None, 1_000).await?;
            let failing: Vec<_> = all
                .into_iter()
                .filter(|listed| listed.destination.failing_since.is_some())
                .map(|listed| listed.destination.name)
                .collect();
            let words = ("destination fails", "destinations fail");
            items.extend(
                entry("transfer-out", failing.len(), words, "/destinations").map(|item| Item {
                    detail: failing.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
                    ..item
                }),
            );
        }
        Ok(Self { alerts, items })
    }
}

/// Pending conversions with their commission, those in review, and corrections that wait for a second user.
async fn decisions<P>(page: &mut Page<P>, items: &mut Vec<Item>) -> Result<(), PageError> {
    let scope = page.actor.scope();
    let undecided = conversions::undecided(&mut page.conn, scope).await?;
    let sum = |number: fn(&Undecided) -> i64| undecided.iter().map(number).sum::<i64>();
    let money: Vec<_> = undecided
        .iter()
        .filter(|one| one.commission_micros != 0)
        .map(|one| format::wide_money(one.commission_micros, one.currency))
        .collect();
    let pending = sum(|one| one.conversions);
    if pending > 0 {
        items.push(Item {
            icon: "coins",
            count: format::count(pending),
            sentence: if pending == 1 {
                "conversion awaits a decision"
            } else {
                "conversions await a decision"
            },
            detail: match money.as_slice() {
                [] => String::new(),
                sums => format!("{} commission", sums.join(", ")),
            },
            url: "/conversions?status=pending",
        });
    }
    let in_review = sum(|one| one.in_review);
    if in_review > 0 {
        items.push(Item {
            icon: "alert-triangle",
            count: format::count(in_review),
            sentence: if in_review == 1 {
                "conversion needs a manual review"
            } else {
                "conversions need a manual review"
            },
            detail: String::new(),
            url: "/conversions?review=yes",
        });
    }
    if page.actor.may(Permission::DecideConversions) {
        let waiting = conversions::waiting(&mut page.conn, scope, None, listing::QUERIED).await?;
        let words = (
            "correction waits for a second user",
            "corrections wait for a second user",
        );
        items.extend(entry("users", waiting.len(), words, "/conversions/corrections"));
    }
    Ok(())
}

/// Applications to the network and to its campaigns.
async fn applied<P>(page: &mut Page<P>, items: &mut Vec<Item>) -> Result<(), PageError> {
    let status = Some(ApplicationStatus::Pending);
    let applied = applications::list(&mut page.conn, status, None, listing::QUERIED).await?;
    items.extend(entry(
        "user-plus",
        applied.len(),
        ("affiliate has applied", "affiliates have applied"),
        "/applications?status=pending",
    ));
    let promoters: i64 = promoters::waiting(&mut page.conn).await?.values().sum();
    items.extend(entry(
        "speakerphone",
        usize::try_from(promoters).unwrap_or(0),
        ("application to a campaign", "applications to campaigns"),
        "/campaigns",
    ));
    Ok(())
}

/// Entry about a number of rows, with the words for one and for several. None for no rows.
fn entry(
    icon: &'static str,
    number: usize,
    (one, several): (&'static str, &'static str),
    url: &'static str,
) -> Option<Item> {
    let count = match number {
        0 => return None,
        number if number > MAX_COUNTED => format!("{MAX_COUNTED}+"),
        number => number.to_string(),
    };
    Some(Item {
        icon,
        count,
        sentence: if number == 1 { one } else { several },
        detail: String::new(),
        url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_counts_to_fifty() {
        let words = ("row", "rows");
        let shown = |number| entry("x", number, words, "/").map(|item| (item.count, item.sentence));
        assert_eq!(shown(0), None);
        assert_eq!(shown(1), Some(("1".to_owned(), "row")));
        assert_eq!(shown(50), Some(("50".to_owned(), "rows")));
        assert_eq!(shown(51), Some(("50+".to_owned(), "rows")));
    }
}
