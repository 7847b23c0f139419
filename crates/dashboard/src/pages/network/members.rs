//! Members of the network and invitations: roles, invitation, removal.

use actix_web::web;
use askama::Template;
use schema::{InvitationId, MembershipId};
use tenancy::invitations;
use tenancy::memberships::{self, Member, MemberFilter, STAFF};
use tenancy::{
    ChangeError, Delivery, FieldErrors, Permission, Role, RoleKind, Scope, advertisers, affiliates,
    mail_templates, needs,
};

use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm};
use crate::page::{Frame, Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, done, html_with, set_cookie};

const HOME: &str = "/members";
/// Maximum number of members on the page.
const MEMBERS: i64 = 1_000;

/// `GET /members`
pub(super) async fn list(page: Page<needs::SeeMembers>) -> PageResult {
    let end_flash = page.request.dashboard.cookies.end_flash(HOME);
    let fresh = page.request.fresh_invitation();
    let mut response = render(page, fresh, InviteForm::default()).await?;
    set_cookie(&mut response, &end_flash);
    Ok(response)
}

async fn render<P>(mut page: Page<P>, fresh_link: Option<String>, form: InviteForm) -> PageResult {
    let members = memberships::list(&mut page.conn, &MemberFilter::default(), MEMBERS).await?;
    let invited = invitations::list(&mut page.conn, Scope::default(), page.now).await?;
    let seats = memberships::seats_taken(&mut page.conn, page.now).await?;
    let advertisers = advertisers::active(&mut page.conn).await?;
    let affiliates = affiliates::active(&mut page.conn, tenancy::Scope::default()).await?;
    let frame = page.commit().await?;
    let roles = RoleKind::ALL.iter().filter(|kind| frame.actor.may_grant(**kind));
    let status = forms::status(&form.errors);
    html_with(
        status,
        &List {
            shell: frame.shell("People", "People"),
            seats: format!("{seats} of {} seats used.", frame.network.limits.max_seats),
            fresh_link,
            members: members
                .into_iter()
                .map(|member| MemberRow::new(member, &frame))
                .collect(),
            invited: invited
                .into_iter()
                .map(|invitation| InvitedRow {
                    withdraw: frame
                        .actor
                        .may_grant(invitation.role.kind())
                        .then(|| format!("{HOME}/invitations/{}/withdraw", invitation.id)),
                    email: invitation.email,
                    role: invitation.role.kind().label(),
                    party: invitation.party.unwrap_or_default(),
                    until: frame.time(invitation.expires_at),
                })
                .collect(),
            may_invite: frame.actor.may(Permission::InviteParties),
            roles: Choice::list(roles.map(|kind| (kind.as_str(), kind.label())), &form.role),
            advertisers: parties(
                advertisers
                    .into_iter()
                    .map(|advertiser| (advertiser.id.to_string(), advertiser.name)),
                &form.advertiser,
            ),
            affiliates: parties(
                affiliates
                    .into_iter()
                    .map(|affiliate| (affiliate.id.to_string(), affiliate.name)),
                &form.affiliate,
            ),
            form,
        },
    )
}

/// Options of advertisers or affiliates, with an empty one.
fn parties(all: impl Iterator<Item = (String, String)>, chosen: &str) -> Vec<Choice> {
    Choice::list(
        std::iter::once((String::new(), "—".to_owned())).chain(all),
        chosen,
    )
}

/// `POST /members/invite`
pub(super) async fn invite(Submitted(mut page, posted): Submitted<needs::InviteParties>) -> PageResult {
    let form = InviteForm::read(&posted);
    let invited = match form.role() {
        Ok(role) => invitations::create(&mut page.conn, &page.actor, &form.email, role, page.now).await,
        Err(error) => Err(error),
    };
    let (_, token) = match invited {
        Ok(invited) => invited,
        Err(ChangeError::Fields(errors)) => {
            let form = InviteForm { errors, ..form };
            return render(page.reopen().await?, None, form).await;
        }
        Err(error) => return Err(error.into()),
    };
    let invitation = invitations::by_token(&mut page.conn, &token, page.now).await?;
    let frame = page.commit().await?;
    let invitation = invitation.ok_or(PageError::NotFound)?;
    let (url, kind) = (&frame.request.dashboard.dashboard_url, invitation.role.kind());
    let mail = mail_templates::invitation(
        url,
        &frame.network.name,
        kind,
        invitation.party.as_deref(),
        &invitation.email,
        &token,
    );
    match frame.request.dashboard.mailer.send(&mail).await {
        Delivery::Sent => done(HOME, &format!("The invitation was sent to {}.", invitation.email)),
        // Without email, the inviting user sends the link.
        _ => frame.request.show_secret(HOME, token.as_str()),
    }
}

/// `POST /members/{id}/role`
pub(super) async fn change_role(
    Submitted(mut page, form): Submitted<needs::ManageMembers>,
    path: web::Path<String>,
) -> PageResult {
    let member: MembershipId = id(&path)?;
    let kind = form
        .get("role")
        .parse::<RoleKind>()
        .map_err(PageError::BadRequest)?;
    memberships::change_role(&mut page.conn, &page.actor, member, kind, page.now).await?;
    page.commit().await?;
    done(HOME, &format!("The role is now {}.", kind.label()))
}

/// `POST /members/{id}/remove`
pub(super) async fn remove(
    Submitted(mut page, _): Submitted<needs::InviteParties>,
    path: web::Path<String>,
) -> PageResult {
    let member: MembershipId = id(&path)?;
    memberships::remove(&mut page.conn, &page.actor, member, page.now).await?;
    page.commit().await?;
    done(
        HOME,
        "The person was removed. Their API keys and sessions are revoked.",
    )
}

/// `POST /members/invitations/{id}/withdraw`
pub(super) async fn withdraw(
    Submitted(mut page, _): Submitted<needs::InviteParties>,
    path: web::Path<String>,
) -> PageResult {
    let invitation: InvitationId = id(&path)?;
    invitations::withdraw(&mut page.conn, &page.actor, invitation, page.now).await?;
    page.commit().await?;
    done(HOME, "The invitation was withdrawn. Its link no longer works.")
}

/// Input of the invitation form, with its errors.
struct InviteForm {
    email: String,
    role: String,
    advertiser: String,
    affiliate: String,
    errors: FieldErrors,
}

impl Default for InviteForm {
    /// Preselects the role of the network with the fewest permissions.
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

/// Selected advertiser or affiliate. None if the field is empty.
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
    /// URL that changes the role, and the roles. None if the actor may not change it.
    change: Option<(String, Vec<Choice>)>,
    remove: Option<String>,
}

impl MemberRow {
    fn new<P>(member: Member, frame: &Frame<P>) -> Self {
        let actor = &frame.actor;
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
            since: frame.time(member.since),
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
#[template(path = "network/members/list.html")]
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
