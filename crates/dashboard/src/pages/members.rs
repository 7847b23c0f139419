//! The network's people: who they are, who is invited, and what they may do.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Utc};
use schema::{InvitationId, MembershipId, clock};
use tenancy::invitations;
use tenancy::memberships::{self, Member, MemberFilter, STAFF};
use tenancy::networks::{self, Network};
use tenancy::{
    Access, ChangeError, Delivery, FieldErrors, OneTimeToken, Permission, Role, RoleKind, Scope, advertisers,
    affiliates, mail_templates, needs,
};

use super::id;
use crate::Dashboard;
use crate::auth::{Allowed, fresh_secret};
use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm};
use crate::shell::{PageResult, Shell, TimeCell, page_with, see_other, set_cookie, show_secret};

const HOME: &str = "/members";
/// Most people the page shows.
const MEMBERS: i64 = 1_000;

/// `GET /members`
pub(super) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeMembers>,
) -> PageResult {
    let fresh = fresh_secret(&request).map(|token| {
        mail_templates::invitation_link(&dashboard.dashboard_url, &OneTimeToken::from_link(&token))
    });
    let mut response = render(&request, &dashboard, &actor, fresh, InviteForm::default()).await?;
    set_cookie(&mut response, &dashboard.cookies.end_flash(HOME));
    Ok(response)
}

async fn render<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    fresh_link: Option<String>,
    form: InviteForm,
) -> PageResult {
    let now = clock::now();
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let members = memberships::list(&mut conn, &MemberFilter::default(), MEMBERS).await?;
    let invited = invitations::list(&mut conn, Scope::default(), now).await?;
    let seats = memberships::seats_taken(&mut conn, now).await?;
    let advertisers = advertisers::active(&mut conn).await?;
    let affiliates = affiliates::active(&mut conn).await?;
    conn.commit().await?;
    let roles = RoleKind::ALL.iter().filter(|kind| actor.may_grant(**kind));
    let status = forms::status(&form.errors);
    page_with(
        status,
        &List {
            shell: Shell::new(dashboard, request, actor, &network, "People", "People"),
            seats: format!("{seats} of {} seats are taken.", network.limits.max_seats),
            fresh_link,
            members: members
                .into_iter()
                .map(|member| MemberRow::new(member, actor, &network, now))
                .collect(),
            invited: invited
                .into_iter()
                .map(|it| InvitedRow {
                    withdraw: actor
                        .may_grant(it.role.kind())
                        .then(|| format!("{HOME}/invitations/{}/withdraw", it.id)),
                    email: it.email,
                    role: it.role.kind().label(),
                    party: it.party.unwrap_or_default(),
                    until: TimeCell::new(it.expires_at, now, &network),
                })
                .collect(),
            may_invite: actor.may(Permission::InviteParties),
            roles: Choice::list(roles.map(|kind| (kind.as_str(), kind.label())), &form.role),
            advertisers: parties(
                advertisers.into_iter().map(|it| (it.id.to_string(), it.name)),
                &form.advertiser,
            ),
            affiliates: parties(
                affiliates.into_iter().map(|it| (it.id.to_string(), it.name)),
                &form.affiliate,
            ),
            form,
        },
    )
}

/// A choice of parties that may also be none.
fn parties(all: impl Iterator<Item = (String, String)>, chosen: &str) -> Vec<Choice> {
    Choice::list(
        std::iter::once((String::new(), "—".to_owned())).chain(all),
        chosen,
    )
}

/// `POST /members/invite`
pub(super) async fn invite(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::InviteParties>,
    posted: PostedForm,
) -> PageResult {
    let form = InviteForm::read(&posted);
    let now = clock::now();
    let mut conn = actor.network(&dashboard.db).await?;
    let invited = match form.role() {
        Ok(role) => invitations::create(&mut conn, &actor, &form.email, role, now).await,
        Err(error) => Err(error),
    };
    let (_, token) = match invited {
        Ok(invited) => invited,
        Err(ChangeError::Fields(errors)) => {
            drop(conn);
            let form = InviteForm { errors, ..form };
            return render(&request, &dashboard, &actor, None, form).await;
        }
        Err(error) => return Err(error.into()),
    };
    let network = networks::current(&mut conn).await?;
    let made = invitations::by_token(&mut conn, &token, now).await?;
    conn.commit().await?;
    let made = made.ok_or(PageError::NotFound)?;
    let (url, kind) = (&dashboard.dashboard_url, made.role.kind());
    let mail = mail_templates::invitation(
        url,
        &network.name,
        kind,
        made.party.as_deref(),
        &made.email,
        &token,
    );
    match dashboard.mailer.send(&mail).await {
        Delivery::Sent => see_other(HOME),
        // Where no mail goes out, whoever invites hands the link on.
        _ => show_secret(&dashboard, HOME, token.as_str()),
    }
}

/// `POST /members/{id}/role`
pub(super) async fn change_role(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageMembers>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let member: MembershipId = id(&path)?;
    let kind = form
        .get("role")
        .parse::<RoleKind>()
        .map_err(PageError::BadRequest)?;
    let mut conn = actor.network(&dashboard.db).await?;
    memberships::change_role(&mut conn, &actor, member, kind, clock::now()).await?;
    conn.commit().await?;
    see_other(HOME)
}

/// `POST /members/{id}/remove`
pub(super) async fn remove(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::InviteParties>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let member: MembershipId = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    memberships::remove(&mut conn, &actor, member, clock::now()).await?;
    conn.commit().await?;
    see_other(HOME)
}

/// `POST /members/invitations/{id}/withdraw`
pub(super) async fn withdraw(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::InviteParties>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let invitation: InvitationId = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    invitations::withdraw(&mut conn, &actor, invitation, clock::now()).await?;
    conn.commit().await?;
    see_other(HOME)
}

/// An invitation as typed, and what is wrong with it.
struct InviteForm {
    email: String,
    role: String,
    advertiser: String,
    affiliate: String,
    errors: FieldErrors,
}

impl Default for InviteForm {
    /// Proposes the least powerful of the network's own roles.
    fn default() -> Self {
        Self {
            email: String::new(),
            role: RoleKind::Analyst.to_string(),
            advertiser: String::new(),
            affiliate: String::new(),
            errors: FieldErrors::default(),
        }
    }
}

impl InviteForm {
    fn read(form: &PostedForm) -> Self {
        Self {
            email: form.get("email").to_owned(),
            role: form.get("role").to_owned(),
            advertiser: form.get("advertiser").to_owned(),
            affiliate: form.get("affiliate").to_owned(),
            errors: FieldErrors::default(),
        }
    }

    fn role(&self) -> Result<Role, ChangeError> {
        let kind = self.role.parse::<RoleKind>();
        let kind = kind.map_err(|_| ChangeError::field("role", "Choose a role."))?;
        Role::of(
            kind,
            chosen("advertiser", "Choose one of your advertisers.", &self.advertiser)?,
            chosen("affiliate", "Choose one of your affiliates.", &self.affiliate)?,
        )
    }
}

/// A party that was chosen, or none.
fn chosen<T: std::str::FromStr>(
    field: &'static str,
    advice: &'static str,
    text: &str,
) -> Result<Option<T>, ChangeError> {
    match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| ChangeError::field(field, advice)),
    }
}

struct MemberRow {
    name: String,
    email: String,
    role: &'static str,
    sentence: &'static str,
    party: String,
    second_factor: bool,
    since: TimeCell,
    /// Where another role is chosen, and which ones.
    change: Option<(String, Vec<Choice>)>,
    remove: Option<String>,
}

impl MemberRow {
    fn new<P>(member: Member, actor: &Access<P>, network: &Network, now: DateTime<Utc>) -> Self {
        let kind = member.role.kind();
        let granted = actor.may_grant(kind);
        let staff = STAFF.into_iter().filter(|kind| actor.may_grant(*kind));
        Self {
            change: (granted && kind.is_staff()).then(|| {
                let choices = staff.map(|kind| (kind.as_str(), kind.label()));
                (
                    format!("{HOME}/{}/role", member.id),
                    Choice::list(choices, kind.as_str()),
                )
            }),
            remove: granted.then(|| format!("{HOME}/{}/remove", member.id)),
            name: member.person_name,
            email: member.email,
            role: kind.label(),
            sentence: kind.sentence(),
            party: member.party.unwrap_or_default(),
            second_factor: member.has_second_factor,
            since: TimeCell::new(member.since, now, network),
        }
    }
}

struct InvitedRow {
    email: String,
    role: &'static str,
    party: String,
    until: TimeCell,
    withdraw: Option<String>,
}

#[derive(Template)]
#[template(path = "members/list.html")]
struct List {
    shell: Shell,
    seats: String,
    fresh_link: Option<String>,
    members: Vec<MemberRow>,
    invited: Vec<InvitedRow>,
    may_invite: bool,
    roles: Vec<Choice>,
    advertisers: Vec<Choice>,
    affiliates: Vec<Choice>,
    form: InviteForm,
}
