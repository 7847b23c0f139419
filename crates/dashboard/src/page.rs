//! Extractors of the pages: request, actor with a checked permission, open transaction on the network's rows, network, and
//! time.
//!
//! A handler names its permission as a type in its signature. [`Page`] is for pages that are only read; [`Submitted`]
//! adds the posted form; [`Caller`] leaves it to the handler to open the transaction, for handlers that first hash a
//! password or wait for something else. All three refuse a request without the permission before they read anything.
//!
//! actix runs the extractors of a handler concurrently. A transaction opened beside the extractor of a form would stay
//! open for as long as a slow client takes to send the form, so [`Submitted`] does both, one after the other.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::USER_AGENT;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use campaigns::ClickId;
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use schema::{ClickKey, NetworkConn, clock};
use tenancy::networks::{self, Network};
use tenancy::people::Person;
use tenancy::unscoped::Visit;
use tenancy::{Access, Author, Need, OneTimeToken, Permission, Via, mail_templates};
use tracking::intake::client_ip;

use crate::error::PageError;
use crate::forms::PostedForm;
use crate::shell::{PageResult, Shell, TimeCell, see_other, set_cookie};
use crate::{Dashboard, auth, urls};

/// HTTP request for a page, with the dashboard that serves it.
pub(crate) struct PageRequest {
    pub(crate) http: HttpRequest,
    pub(crate) dashboard: web::Data<Dashboard>,
}

impl PageRequest {
    /// Colour scheme chosen in this browser: `light`, `dark` or `system`.
    pub(crate) fn theme(&self) -> &'static str {
        match self.http.cookie("theme").as_ref().map(|cookie| cookie.value()) {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "system",
        }
    }

    /// True if the rail of this browser shows icons only.
    pub(crate) fn has_narrow_rail(&self) -> bool {
        self.http
            .cookie("rail")
            .is_some_and(|cookie| cookie.value() == "narrow")
    }

    /// Height of the rows of reports in this browser: `compact`, `standard` or `comfortable`.
    pub(crate) fn density(&self) -> &'static str {
        match self.http.cookie("density").as_ref().map(|cookie| cookie.value()) {
            Some("compact") => "compact",
            Some("comfortable") => "comfortable",
            _ => "standard",
        }
    }

    /// True if the signed-in person is an operator who acts under their own name.
    pub(crate) fn is_operator(&self) -> bool {
        let extensions = self.http.extensions();
        extensions.get::<Visit>().is_some_and(Visit::is_operator)
    }

    /// Fresh token for the forms of a page.
    pub(crate) fn form_token(&self) -> String {
        self.dashboard.form_tokens.issue(&self.dashboard, &self.http)
    }

    /// Address of the client. None if the connection has none.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        client_ip(self.http.head(), &self.dashboard.trusted_proxies)
    }

    /// `User-Agent` header; empty if absent.
    pub(crate) fn user_agent(&self) -> String {
        let value = self.http.headers().get(USER_AGENT);
        value.map_or_else(String::new, |value| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        })
    }

    /// Fresh secret that the page before handed over in a cookie, to be shown once.
    pub(crate) fn fresh_secret(&self) -> Option<String> {
        auth::fresh_secret(&self.http)
    }

    /// Fresh invitation link, to be shown once, from the token in the flash cookie.
    pub(crate) fn fresh_invitation(&self) -> Option<String> {
        let token = OneTimeToken::from_link(&self.fresh_secret()?);
        Some(mail_templates::invitation_link(
            &self.dashboard.dashboard_url,
            &token,
        ))
    }

    /// Redirects to a page that shows this secret once.
    pub(crate) fn show_secret(&self, path: &str, secret: &str) -> PageResult {
        let mut response = see_other(path)?;
        set_cookie(&mut response, &self.dashboard.cookies.flash(path, secret));
        Ok(response)
    }

    /// Author of changes made by this person, for the logs.
    pub(crate) fn author(&self, person: &Person) -> Author {
        Author {
            person_id: Some(person.id),
            name: person.name.clone(),
            via: Via::Page,
            address: self.address().map(Into::into),
            scope: tenancy::Scope::default(),
        }
    }

    /// Request as a value, for other extractors.
    pub(crate) fn of(http: &HttpRequest) -> Result<Self, PageError> {
        let dashboard = http.app_data::<web::Data<Dashboard>>().cloned();
        Ok(Self {
            http: http.clone(),
            dashboard: dashboard.ok_or(PageError::NotFound)?,
        })
    }
}

impl FromRequest for PageRequest {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(http: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(http))
    }
}

/// Request of an actor that has the permission `P`, without a transaction. Only pages behind
/// [`require_member`](crate::auth::require_member) can take it.
pub(crate) struct Caller<P> {
    pub(crate) actor: Access<P>,
    pub(crate) request: PageRequest,
}

impl<P: Need> Caller<P> {
    fn of(http: &HttpRequest) -> Result<Self, PageError> {
        let actor = http
            .extensions()
            .get::<Visit>()
            .and_then(|visit| visit.actor.clone());
        Ok(Self {
            actor: actor.ok_or(PageError::NotFound)?.access::<P>()?,
            request: PageRequest::of(http)?,
        })
    }
}

impl<P> Caller<P> {
    /// Opens a transaction on the rows of the actor's network.
    pub(crate) async fn open(self) -> Result<Page<P>, PageError> {
        let mut conn = self.actor.network(&self.request.dashboard.db).await?;
        let network = networks::current(&mut conn).await?;
        Ok(Page {
            actor: self.actor,
            conn,
            network,
            now: clock::now(),
            request: self.request,
        })
    }
}

impl<P: Need> FromRequest for Caller<P> {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(http: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(http))
    }
}

/// Page of a network, with an open transaction on the network's rows.
pub(crate) struct Page<P> {
    /// Actor with the permission `P`.
    pub(crate) actor: Access<P>,
    /// Transaction, rolled back unless [`Page::commit`] is called.
    pub(crate) conn: NetworkConn,
    /// Network as of the begin of the transaction.
    pub(crate) network: Network,
    /// Time of the request.
    pub(crate) now: DateTime<Utc>,
    pub(crate) request: PageRequest,
}

impl<P> Page<P> {
    /// Commits the transaction; what remains shows the page.
    pub(crate) async fn commit(self) -> Result<Frame<P>, PageError> {
        self.conn.commit().await?;
        Ok(Frame {
            actor: self.actor,
            network: self.network,
            now: self.now,
            request: self.request,
        })
    }

    /// Base URL of the network's tracking host: its first host, or its part of the shared one.
    pub(crate) async fn tracking_url(&mut self) -> Result<String, PageError> {
        let dashboard = &self.request.dashboard;
        Ok(networks::tracking_url(&mut self.conn, &dashboard.tracking_url, dashboard.served_hosts).await?)
    }

    /// Click ID in a text, if its signature is valid for this network.
    pub(crate) fn click_id(&self, text: &str) -> Option<ClickId> {
        let click_ids = &self.request.dashboard.click_ids;
        click_ids.read(text, self.network.id, self.network.click_key).ok()
    }

    /// Rolls back and opens another transaction: for showing a form again after a refused change.
    pub(crate) async fn reopen(self) -> Result<Self, PageError> {
        drop(self.conn);
        let caller = Caller {
            actor: self.actor,
            request: self.request,
        };
        caller.open().await
    }
}

impl<P: Need + 'static> FromRequest for Page<P> {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(http: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = Caller::<P>::of(http);
        async move { caller?.open().await }.boxed_local()
    }
}

/// Page of a network with its posted form. The form is read whole before the transaction is opened.
pub(crate) struct Submitted<P>(pub(crate) Page<P>, pub(crate) PostedForm);

impl<P: Need + 'static> FromRequest for Submitted<P> {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(http: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::<P>::of(http);
        let form = PostedForm::from_request(http, payload);
        async move {
            let caller = caller?;
            let form = form.await?;
            Ok(Self(caller.open().await?, form))
        }
        .boxed_local()
    }
}

/// Page of a network after its transaction was committed: everything that is needed to show it.
pub(crate) struct Frame<P> {
    pub(crate) actor: Access<P>,
    pub(crate) network: Network,
    pub(crate) now: DateTime<Utc>,
    pub(crate) request: PageRequest,
}

impl<P> Frame<P> {
    /// Navigation and header of the page. `section` is the current entry of the navigation.
    pub(crate) fn shell(&self, section: &str, title: &str) -> Shell {
        Shell::new(&self.request, &self.actor, &self.network, section, title)
    }

    /// Time for a table cell.
    pub(crate) fn time(&self, at: DateTime<Utc>) -> TimeCell {
        TimeCell::new(at, self.now, &self.network)
    }

    /// URL of a click's page. None for those who do not see clicks.
    pub(crate) fn click_url(&self, key: ClickKey) -> Option<String> {
        let id = ClickId {
            network_id: self.network.id,
            key,
        };
        let click_ids = &self.request.dashboard.click_ids;
        let sees_clicks = self.actor.may(Permission::SeeClicks);
        sees_clicks.then(|| urls::click(&click_ids.write(id, self.network.click_key)))
    }

    /// Opens another transaction, for a page that is shown after work outside of one.
    pub(crate) async fn reopen(self) -> Result<Page<P>, PageError> {
        let caller = Caller {
            actor: self.actor,
            request: self.request,
        };
        caller.open().await
    }
}
