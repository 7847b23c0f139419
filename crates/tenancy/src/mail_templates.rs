//! Mail templates: one function per mail, plain text.

use crate::mail::Mail;
use crate::one_time::OneTimeToken;
use crate::roles::RoleKind;

/// Invitation to a role.
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
                "{network} invites you to connect the server of {party} to its tracking. The link opens a page with the \
                 postback URL, setup instructions and a live view of incoming postbacks. You need no password."
            ),
        ),
        (_, Some(party)) => (
            format!("Invitation to {network} for {party}"),
            format!(
                "{network} invites you to join with access to {party} (role: {}).",
                role.label()
            ),
        ),
        (_, None) => (
            format!("Invitation to {network}"),
            format!("{network} invites you to join (role: {}).", role.label()),
        ),
    };
    Mail {
        to: email.to_owned(),
        subject,
        text: format!(
            "{what}\n\n{link}\n\nThe link works once and expires in seven days. If you did not expect this invitation, \
             ignore this mail.\n"
        ),
        ..Mail::default()
    }
}

/// URL of the page that accepts an invitation.
#[must_use]
pub fn invitation_link(dashboard_url: &str, token: &OneTimeToken) -> String {
    format!("{dashboard_url}/invitations/{}", token.as_str())
}

/// Decision on an application: with the invitation if approved, with the reason if declined.
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
                "{network} has approved your application. Choose a password and create your tracking links here:\n\n\
                 {}\n\nThe link works once and expires in seven days.\n",
                invitation_link(dashboard_url, token)
            ),
        ),
        None => (
            format!("Your application to {network}"),
            format!(
                "{network} has declined your application.\n\n{}\n\nYou can apply again: {dashboard_url}/join/{slug}\n",
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
        ..Mail::default()
    }
}

/// Start or end of an alert on an integration.
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
            "{advertiser} ({network}): {headline}.\n\n{sentence}\n\nReview the postbacks and their verdicts:\n\n\
             {dashboard_url}{path}\n\nYou receive this mail because you manage this network or this integration.\n"
        ),
        ..Mail::default()
    }
}

/// Loss of a tracking host to another network that has proven it.
#[must_use]
pub fn lost_host(dashboard_url: &str, network: &str, host: &str, email: &str) -> Mail {
    Mail {
        to: email.to_owned(),
        subject: format!("{network} no longer has the tracking host {host}"),
        text: format!(
            "{network} had entered {host} as a tracking host. Another network of this installation has proven by a TXT \
             record that it controls the host, and has it from now on. Links of {network} with \
             this host no longer work; generated links use its other hosts or the shared host.\n\nReview the tracking \
             hosts:\n\n{dashboard_url}/settings#hosts\n\nYou receive this mail because you manage this network.\n"
        ),
        ..Mail::default()
    }
}

/// Failures of a destination of deliveries.
#[must_use]
pub fn delivery_failing(
    dashboard_url: &str,
    network: &str,
    name: &str,
    failures: i32,
    is_paused: bool,
    path: &str,
    email: &str,
) -> Mail {
    let state = if is_paused {
        "It is paused. Its events are queued, and are sent when you resume it."
    } else {
        "It is retried for three days. Events that are given up can be sent again."
    };
    Mail {
        to: email.to_owned(),
        subject: format!("{name}: {failures} deliveries failed in a row"),
        text: format!(
            "{failures} deliveries in a row to {name} ({network}) have failed.\n\n{state}\n\nReview the answers:\n\n\
             {dashboard_url}{path}\n\nYou receive this mail because you manage this destination.\n"
        ),
        ..Mail::default()
    }
}

/// Password reset link.
#[must_use]
pub fn reset(dashboard_url: &str, email: &str, token: &OneTimeToken) -> Mail {
    Mail {
        to: email.to_owned(),
        subject: "Reset your Clickledger password".to_owned(),
        text: format!(
            "A password reset was requested for your Clickledger account. Choose a new password here:\n\n\
             {dashboard_url}/reset/{}\n\nThe link works once and expires in one hour. If you did not request it, \
             ignore this mail: your password has not changed.\n",
            token.as_str()
        ),
        ..Mail::default()
    }
}

/// Sign-in link for people without a password.
#[must_use]
pub fn sign_in_link(dashboard_url: &str, email: &str, token: &OneTimeToken) -> Mail {
    Mail {
        to: email.to_owned(),
        subject: "Your Clickledger sign-in link".to_owned(),
        text: format!(
            "Sign in to Clickledger with this link:\n\n{dashboard_url}/sign-in/link/{}\n\nThe link works once and \
             expires in one hour. If you did not request it, ignore this mail.\n",
            token.as_str()
        ),
        ..Mail::default()
    }
}

/// Notice of a sign-up with the address of an existing account.
#[must_use]
pub fn existing_account(dashboard_url: &str, email: &str) -> Mail {
    Mail {
        to: email.to_owned(),
        subject: "You already have a Clickledger account".to_owned(),
        text: format!(
            "A sign-up at Clickledger was attempted with this address, which already has an account. Sign in \
             here:\n\n{dashboard_url}/sign-in\n\nOnce signed in, you can create another network. If you forgot your \
             password, reset it here:\n\n{dashboard_url}/forgot\n"
        ),
        ..Mail::default()
    }
}
