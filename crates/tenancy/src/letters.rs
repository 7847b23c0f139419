//! What people are written: one function per mail, plain text.

use crate::mail::Mail;
use crate::memberships::RoleKind;
use crate::one_time::OneTimeToken;

/// An invitation to a role.
#[must_use]
pub fn invitation(
    dashboard_url: &str,
    network: &str,
    role: RoleKind,
    party: Option<&str>,
    email: &str,
    token: &OneTimeToken,
) -> Mail {
    let link = invitation_link(dashboard_url, token);
    let (subject, what) = match (role, party) {
        (RoleKind::AdvertiserDeveloper, Some(party)) => (
            format!("Connect {party} to {network}"),
            format!(
                "{network} asks you to connect the server of {party} to its tracking. The link opens a page with the \
                 postback URL, what it needs, and what arrives, as it arrives. You need no password."
            ),
        ),
        (_, Some(party)) => (
            format!("{network} invites you to work for {party}"),
            format!(
                "{network} invites you as {} of {party}.",
                role.label().to_lowercase()
            ),
        ),
        (_, None) => (
            format!("{network} invites you"),
            format!("{network} invites you as {}.", role.label().to_lowercase()),
        ),
    };
    Mail {
        to: email.to_owned(),
        subject,
        text: format!(
            "{what}\n\n{link}\n\nThe link works once, within seven days. If you did not expect it, ignore this mail.\n"
        ),
    }
}

/// Where an invitation is accepted.
#[must_use]
pub fn invitation_link(dashboard_url: &str, token: &OneTimeToken) -> String {
    format!("{dashboard_url}/invitations/{}", token.as_str())
}

/// What became of an application: with an invitation if it was approved, with a reason if not.
#[must_use]
pub fn application_decided(
    dashboard_url: &str,
    network: &str,
    slug: &str,
    email: &str,
    approved: Option<&OneTimeToken>,
    reason: &str,
) -> Mail {
    let (subject, text) = match approved {
        Some(token) => (
            format!("Welcome to {network}"),
            format!(
                "{network} has approved your application. Choose a password and get your tracking links here:\n\n{}\n\n\
                 The link works once, within seven days.\n",
                invitation_link(dashboard_url, token)
            ),
        ),
        None => (
            format!("Your application to {network}"),
            format!(
                "{network} has declined your application.\n\n{}\n\nYou may apply again: {dashboard_url}/join/{slug}\n",
                if reason.is_empty() {
                    "No reason was given."
                } else {
                    reason
                }
            ),
        ),
    };
    Mail {
        to: email.to_owned(),
        subject,
        text,
    }
}

/// An integration that seems to have failed, or does so no longer: what of whom, and where to look.
#[must_use]
pub fn integration_alert(
    dashboard_url: &str,
    network: &str,
    advertiser: &str,
    headline: &str,
    sentence: &str,
    path: &str,
    email: &str,
) -> Mail {
    Mail {
        to: email.to_owned(),
        subject: format!("{advertiser}: {headline}"),
        text: format!(
            "{advertiser} ({network}): {headline}.\n\n{sentence}\n\nWhat came, and why it was answered as it was:\n\n\
             {dashboard_url}{path}\n\nYou are written to because you look after this network or this integration.\n"
        ),
    }
}

/// A link to choose a new password with.
#[must_use]
pub fn reset(dashboard_url: &str, email: &str, token: &OneTimeToken) -> Mail {
    Mail {
        to: email.to_owned(),
        subject: "Choose a new password".to_owned(),
        text: format!(
            "Somebody, most likely you, asked for a new password at Clickledger. Choose it here:\n\n\
             {dashboard_url}/reset/{}\n\nThe link works once, within an hour. If it was not you, ignore this mail: \
             nothing has changed.\n",
            token.as_str()
        ),
    }
}

/// A link to sign in with, for people without a password.
#[must_use]
pub fn sign_in_link(dashboard_url: &str, email: &str, token: &OneTimeToken) -> Mail {
    Mail {
        to: email.to_owned(),
        subject: "Your link to sign in".to_owned(),
        text: format!(
            "Sign in to Clickledger with this link:\n\n{dashboard_url}/sign-in/link/{}\n\nIt works once, within an \
             hour. If you did not ask for it, ignore this mail.\n",
            token.as_str()
        ),
    }
}

/// Tells the owner of an address that somebody tried to sign up with it, who has an account already.
#[must_use]
pub fn already_known(dashboard_url: &str, email: &str) -> Mail {
    Mail {
        to: email.to_owned(),
        subject: "You have an account already".to_owned(),
        text: format!(
            "Somebody, most likely you, tried to sign up at Clickledger with this address, which has an account. Sign \
             in here: {dashboard_url}/sign-in\nYou can make another network when you are signed in, and choose a new \
             password here if you lost yours: {dashboard_url}/forgot\n"
        ),
    }
}
