//! Settings of a scheduled mail, checked.

use schema::{MembershipId, SavedReportId, Words, text_enum};
use tenancy::{Draft, check_number};

use super::schedule::{Rhythm, Schedule};

/// Maximum number of recipients: a node sends to all of them within the time of its claim.
const MAX_RECIPIENTS: usize = 20;

text_enum! {
    /// Format of the attached file.
    pub enum FileFormat {
        /// Comma-separated values.
        Csv = "csv",
        /// Excel workbook.
        Xlsx = "xlsx",
    }
}

/// Settings of a scheduled mail, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// View to mail.
    pub view: SavedReportId,
    /// Days and hour.
    pub schedule: Schedule,
    /// Format of the attached file.
    pub format: FileFormat,
    /// Members to mail; empty for the one who schedules it.
    pub recipients: Vec<MembershipId>,
}

impl MailSettings {
    /// Fields of the [`Draft`] of a scheduled mail.
    pub const FIELDS: [&'static str; 6] = ["view", "rhythm", "on_day", "at_hour", "format", "recipients"];

    /// Checks a draft and returns the settings, or `None` with the errors in the draft.
    pub fn check(draft: &mut Draft) -> Option<Self> {
        let view = draft.take("view", |text| text.parse().map_err(|_| UNKNOWN_VIEW));
        let rhythm: Option<Rhythm> = draft.take("rhythm", str::parse);
        let on_day = rhythm.and_then(|rhythm| {
            draft.take("on_day", |text| match rhythm {
                Rhythm::Daily if text.is_empty() => Ok(None),
                Rhythm::Daily => Err("Leave the day empty for a daily mail.".to_owned()),
                Rhythm::Weekly => check_number(text, None, 1..=7).map(Some),
                Rhythm::Monthly => check_number(text, None, 1..=28).map(Some),
            })
        });
        let at_hour = draft.take("at_hour", |text| check_number(text, None, 0..=23));
        let format = draft.take("format", |text| match text {
            "" => Ok(FileFormat::Csv),
            text => text.parse(),
        });
        let recipients = draft.take("recipients", check_recipients);
        Some(Self {
            view: view?,
            schedule: Schedule {
                rhythm: rhythm?,
                on_day: on_day?,
                at_hour: at_hour?,
            },
            format: format?,
            recipients: recipients?,
        })
    }
}

pub(super) const UNKNOWN_VIEW: &str = "Unknown view.";
pub(super) const UNKNOWN_MEMBER: &str = "Unknown member, or one who sees no reports.";

fn check_recipients(text: &str) -> Result<Vec<MembershipId>, String> {
    let words = Words::typed(text).0;
    if words.len() > MAX_RECIPIENTS {
        return Err(format!("Choose at most {MAX_RECIPIENTS} recipients."));
    }
    let ids = words.iter().map(|word| word.parse());
    ids.collect::<Result<_, _>>()
        .map_err(|_| UNKNOWN_MEMBER.to_owned())
}
