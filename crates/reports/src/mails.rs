//! Scheduled mails: a saved view at regular times for members of the network, each of whom gets the figures that the
//! member's role may see.

mod due;
mod schedule;
mod send;
mod settings;
mod stop;
mod store;
mod text;

pub use schedule::{Rhythm, Schedule};
pub use send::{Sender, keep_sending, send_due};
pub use settings::{FileFormat, MailSettings};
pub use stop::{StopToken, stop, stopped};
pub use store::{MailView, Recipient, ReportMail, candidates, create, find, list, remove, update};
