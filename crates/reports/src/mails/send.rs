//! Regular sending of due mails, one at a time on each node.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schema::{Db, DbError, MembershipId, NetworkId, clock};
use tenancy::memberships::{self, Member};
use tenancy::networks::{self, Network};
use tenancy::work::{Work, Works};
use tenancy::{Actor, Delivery, Mailer, Permission, Secret, Via, unscoped};

use super::due;
use super::stop::StopToken;
use super::store::ReportMail;
use super::text::{Letter, notice};
use crate::saved::{self, View};
use crate::{Engine, Report, ReportQuery, in_background, sentences};

/// Interval of the look-ups of due mails.
const SEND_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum number of mails of one network in a round, so that the others have their turn.
const MAX_OF_ROUND: usize = 20;

/// Means of preparing reports in the background and of mailing them. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    /// Pool; not that of the tracking paths.
    pub db: Db,
    /// Engine of the reports.
    pub reports: Engine,
    /// Mail server.
    pub mailer: Mailer,
    /// Base URL of the dashboard.
    pub dashboard_url: String,
    /// Secret of the installation, for the links that stop a mail.
    pub secret: Secret,
    /// Background work of this process.
    pub works: Works,
}

/// Sends due mails of every active network each minute. Any number of nodes may do so.
pub async fn keep_sending(sender: Sender) {
    let mut interval = tokio::time::interval(SEND_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let send = |network_id| {
            let sender = sender.clone();
            async move { send_due(&sender, network_id, clock::now()).await }
        };
        sender.works.run_everywhere(Work::Mails, &sender.db, send).await;
    }
}

/// Sends the due mails of a network, one after the other, and returns their number. A mail is sent once per recipient and
/// due time: a node claims it, and records each recipient when the mail server has accepted. If a node stops in the middle,
/// another one resumes when the claim is over; only the mail in flight may be sent twice.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(network = %network_id))]
pub async fn send_due(sender: &Sender, network_id: NetworkId, now: DateTime<Utc>) -> Result<u64, DbError> {
    let mut sent = 0;
    for _ in 0..MAX_OF_ROUND {
        let mut conn = sender.db.network(network_id).await?;
        let claimed = due::claim(&mut conn, now).await?;
        let Some(mail) = claimed else {
            return Ok(sent);
        };
        let network = networks::current(&mut conn).await?;
        conn.commit().await?;
        let zone = network.time_zone();
        let round = Round {
            sender,
            due: mail.schedule().last_until(mail.next_at, now, zone),
            network: &network,
            mail: &mail,
        };
        let outcome = round.send().await?;
        let mut conn = sender.db.network(network_id).await?;
        match outcome {
            Outcome::Sent => {
                due::record_sent(&mut conn, &mail, zone, now).await?;
                sent += 1;
            }
            Outcome::Failed(reason) => {
                sender.works.failed(Work::Mails, &reason);
                due::record_failure(&mut conn, &mail, &reason, false, zone, now).await?;
            }
            Outcome::Impossible(reason) => {
                due::record_failure(&mut conn, &mail, &reason, true, zone, now).await?;
            }
            Outcome::TakenOver => {}
        }
        conn.commit().await?;
    }
    Ok(sent)
}

/// Outcome of an attempt to send a mail to all its recipients.
enum Outcome {
    Sent,
    /// The mail server failed; a later attempt may succeed.
    Failed(String),
    /// A later attempt at the same due time would fail too.
    Impossible(String),
    /// Another node has claimed the mail.
    TakenOver,
}

/// Report of a recipient, or the reason to skip the recipient.
type Prepared = Result<(ReportQuery, Actor, Report), String>;

/// One attempt to send a mail.
struct Round<'a> {
    sender: &'a Sender,
    network: &'a Network,
    mail: &'a ReportMail,
    /// Due time, on which the period depends.
    due: DateTime<Utc>,
}

impl Round<'_> {
    async fn send(&self) -> Result<Outcome, DbError> {
        let Some((owner, view)) = self.owner_and_view().await? else {
            let reason = "Its owner is no longer a member who sees the view.";
            return Ok(Outcome::Impossible(reason.to_owned()));
        };
        let mut conn = self.sender.db.network(self.network.id).await?;
        let waiting = due::waiting(&mut conn, self.mail, self.due).await?;
        conn.commit().await?;
        let mut skipped = Vec::new();
        for (recipient, skipped_before) in waiting {
            let mut conn = self.sender.db.network(self.network.id).await?;
            if !due::holds(&mut conn, self.mail).await? {
                return Ok(Outcome::TakenOver);
            }
            let member = memberships::find(&mut conn, recipient).await?;
            conn.commit().await?;
            let name = member
                .as_ref()
                .map_or("A former member", |member| &member.person_name)
                .to_owned();
            let reason = match member {
                None => Some("is no longer a member.".to_owned()),
                Some(member) => match self.prepare(recipient, &view).await? {
                    Err(reason) => Some(reason),
                    Ok(prepared) => match self.deliver(&member, &owner, &view, prepared).await {
                        Delivery::Sent => None,
                        Delivery::NotConfigured => {
                            return Ok(Outcome::Impossible("No mail server is configured.".to_owned()));
                        }
                        Delivery::Failed(reason) => return Ok(Outcome::Failed(reason)),
                    },
                },
            };
            let mut conn = self.sender.db.network(self.network.id).await?;
            due::record_handled(&mut conn, self.mail, recipient, self.due, reason.as_deref()).await?;
            conn.commit().await?;
            if let Some(reason) = reason.filter(|reason| skipped_before.as_ref() != Some(reason)) {
                skipped.push((name, reason));
            }
        }
        if !skipped.is_empty() {
            self.notify_owner(&view, &skipped).await?;
        }
        Ok(Outcome::Sent)
    }

    /// The owner and the view, if the owner still sees it.
    async fn owner_and_view(&self) -> Result<Option<(Actor, View)>, DbError> {
        let Some(owner) = self.actor(self.mail.owner_id).await? else {
            return Ok(None);
        };
        if !owner.may(Permission::SaveReports) {
            return Ok(None);
        }
        let mut conn = self.sender.db.network(self.network.id).await?;
        let view = saved::find(&mut conn, &owner, self.mail.saved_report_id).await?;
        conn.commit().await?;
        Ok(view.map(|view| (owner, view)))
    }

    async fn actor(&self, id: MembershipId) -> Result<Option<Actor>, DbError> {
        unscoped::actor(&self.sender.db, self.network.id, id, Via::System, None).await
    }

    /// Runs the report as a recipient may see it.
    async fn prepare(&self, recipient: MembershipId, view: &View) -> Result<Prepared, DbError> {
        let Some(actor) = self.actor(recipient).await? else {
            return Ok(Err("is no longer a member.".to_owned()));
        };
        if !actor.may(Permission::SeeReports) {
            return Ok(Err("may not see reports.".to_owned()));
        }
        if actor.lacks_second_factor {
            return Ok(Err("has not set up two-factor authentication.".to_owned()));
        }
        let query = view.report.stored().at(self.due, self.network.time_zone());
        let query = match query.and_then(|query| query.check(&actor).map(|()| query)) {
            Ok(query) => query,
            Err(problems) => {
                // The sentences address the recipient; the owner reads them.
                let problems = sentences(&problems).replace("Your role", "The role");
                return Ok(Err(format!("sees no such report. {problems}")));
            }
        };
        let mut conn = self.sender.db.network(self.network.id).await?;
        let scope = actor.scope();
        let engine = &self.sender.reports;
        let report = engine
            .run(&mut conn, self.network, scope, &query, usize::MAX)
            .await;
        Ok(match report {
            Ok(report) => {
                conn.commit().await?;
                Ok((query, actor, report))
            }
            Err(error) => Err(error.into_problem()?.message),
        })
    }

    async fn deliver(
        &self,
        member: &Member,
        owner: &Actor,
        view: &View,
        (query, actor, report): (ReportQuery, Actor, Report),
    ) -> Delivery {
        let token = StopToken {
            network_id: self.network.id,
            mail: self.mail.id,
            recipient: member.id,
        };
        let letter = Letter {
            metrics: query.metrics(&actor),
            zone: query.zone.unwrap_or(self.network.time_zone()).name(),
            query,
            report,
            view: view.report.name.clone(),
            network: self.network.name.clone(),
            owner: owner.person_name.clone(),
            format: self.mail.format,
            email: member.email.clone(),
            dashboard_url: self.sender.dashboard_url.clone(),
            stop_url: format!(
                "{}/report-mails/{}/stop",
                self.sender.dashboard_url,
                token.to_text(&self.sender.secret)
            ),
        };
        match in_background(move || letter.to_mail()).await {
            Ok(mail) => self.sender.mailer.send(&mail).await,
            Err(error) => Delivery::Failed(error.to_string()),
        }
    }

    /// Mails the owner about recipients who were skipped for a new reason. A notice that fails is not retried: the page
    /// has the reasons too.
    async fn notify_owner(&self, view: &View, skipped: &[(String, String)]) -> Result<(), DbError> {
        let mut conn = self.sender.db.network(self.network.id).await?;
        let owner = memberships::find(&mut conn, self.mail.owner_id).await?;
        conn.commit().await?;
        if let Some(owner) = owner {
            let url = &self.sender.dashboard_url;
            let mail = notice(&owner.email, &self.network.name, &view.report.name, url, skipped);
            let delivery = self.sender.mailer.send(&mail).await;
            if delivery != Delivery::Sent {
                tracing::warn!(mail = %self.mail.id, "notice about skipped recipients not sent");
            }
        }
        Ok(())
    }
}
