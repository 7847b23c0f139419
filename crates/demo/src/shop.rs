//! Demo shop: a separate web server that plays the advertiser. Its landing page stores the click id in a first-party
//! cookie; its checkout sends the postback from its server, as any shop would.

use std::collections::{HashMap, VecDeque};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::header::LOCATION;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use askama::Template;
use schema::{BASE32, clock};
use tracing::{Instrument as _, info_span};

use crate::receivers;

/// Integration of the shop with its network.
#[derive(Debug, Clone)]
pub struct ShopSettings {
    /// URL of the postback endpoint.
    pub postback_url: String,
    /// Token of the shop.
    pub token: String,
    /// Code of the goal of a sale.
    pub goal: String,
    /// URL of the dashboard, which shows the result.
    pub dashboard_url: String,
}

/// Running shop.
pub struct RunningShop {
    handle: ServerHandle,
}

impl RunningShop {
    /// Lets requests in flight end and returns.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}

/// Most orders whose pages can be shown; older orders are dropped.
const MAX_ORDERS: usize = 1_000;
/// Most attempts to send a postback.
const MAX_ATTEMPTS: u32 = 4;
/// Time between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait for the response to a postback.
const POSTBACK_TIMEOUT: Duration = Duration::from_secs(10);
/// Cookie that carries the click id from the landing page to the checkout.
const COOKIE: &str = "click_id";

struct Shop {
    settings: ShopSettings,
    http: reqwest::Client,
    orders: Mutex<VecDeque<Order>>,
}

#[derive(Clone)]
struct Order {
    id: String,
    product: &'static Product,
    sent: Option<Sent>,
}

/// Postback as sent, with its response.
#[derive(Clone)]
struct Sent {
    request: String,
    answer: String,
}

struct Product {
    slug: &'static str,
    name: &'static str,
    line: &'static str,
    price: &'static str,
}

const PRODUCTS: [Product; 3] = [
    Product {
        slug: "lamp",
        name: "Halo desk lamp",
        line: "Warm light, one hinge, no glare.",
        price: "89.00",
    },
    Product {
        slug: "stand",
        name: "Ledge laptop stand",
        line: "Bent from one sheet of steel.",
        price: "49.90",
    },
    Product {
        slug: "chair",
        name: "Perch chair",
        line: "Sits well all day, folds flat at night.",
        price: "219.00",
    },
];

/// Starts the shop on a bound listener.
///
/// # Errors
/// Returns an error if the listener cannot be used.
pub fn start(listener: TcpListener, settings: ShopSettings) -> std::io::Result<RunningShop> {
    let http = reqwest::Client::builder()
        .timeout(POSTBACK_TIMEOUT)
        .no_proxy()
        .build()
        .map_err(std::io::Error::other)?;
    let shop = web::Data::from(Arc::new(Shop {
        settings,
        http,
        orders: Mutex::default(),
    }));
    let refused = web::Data::new(receivers::Refused::default());
    let app = move || {
        App::new()
            .app_data(shop.clone())
            .wrap(from_fn(in_span))
            .route("/", web::get().to(landing))
            .route("/checkout", web::post().to(checkout))
            .route("/orders/{id}", web::get().to(order))
            .route("/shop.css", web::get().to(style))
            .app_data(refused.clone())
            .configure(receivers::configure)
            .default_service(web::to(|| async { HttpResponse::NotFound().body("Not found\n") }))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(RunningShop { handle })
}

/// Runs a request in a span with its path, so that log lines name it.
async fn in_span(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let span = info_span!("shop_request", method = %request.method(), path = request.path());
    next.call(request).instrument(span).await
}

fn page(template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(html) => HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header((
                "Content-Security-Policy",
                "default-src 'none'; style-src 'self'; form-action 'self'",
            ))
            .insert_header(("Cache-Control", "no-store"))
            .body(html),
        Err(error) => {
            tracing::error!(%error, "shop page failed");
            HttpResponse::InternalServerError().finish()
        }
    }
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .body(include_str!("../../../static/shop.css"))
}

/// Shows the landing page. A click id in the URL replaces the one in the cookie: the most recent click wins.
async fn landing(request: HttpRequest, query: web::Query<HashMap<String, String>>) -> HttpResponse {
    let arrived = query
        .get("click_id")
        .map(String::as_str)
        .filter(|id| is_plausible(id));
    let stored = request.cookie(COOKIE).map(|cookie| cookie.value().to_owned());
    let click_id = arrived.map(str::to_owned).or(stored);
    let mut response = page(&Landing {
        products: &PRODUCTS,
        click_id,
    });
    if let Some(id) = arrived {
        let cookie = Cookie::build(COOKIE, id.to_owned())
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .max_age(time::Duration::days(30))
            .finish();
        if let Err(error) = response.add_cookie(&cookie) {
            tracing::error!(%error, "cookie not set");
        }
    }
    response
}

/// Creates an order, sends its postback, and shows the order.
async fn checkout(
    request: HttpRequest,
    shop: web::Data<Shop>,
    form: web::Form<HashMap<String, String>>,
) -> HttpResponse {
    let slug = form.get("product").map(String::as_str).unwrap_or_default();
    let Some(product) = PRODUCTS.iter().find(|product| product.slug == slug) else {
        return HttpResponse::BadRequest().body("Unknown product\n");
    };
    let serial = clock::now().timestamp_millis().to_be_bytes();
    let random: [u8; 2] = rand::random();
    let bytes: Vec<u8> = serial.iter().skip(3).chain(&random).copied().collect();
    let id = format!("NS-{}", BASE32.encode(&bytes));
    let sent = match request.cookie(COOKIE) {
        Some(cookie) => Some(shop.report(cookie.value(), &id, product).await),
        None => None,
    };
    let address = format!("/orders/{id}");
    if let Ok(mut orders) = shop.orders.lock() {
        orders.push_front(Order { id, product, sent });
        orders.truncate(MAX_ORDERS);
    }
    HttpResponse::SeeOther()
        .insert_header((LOCATION, address))
        .finish()
}

async fn order(shop: web::Data<Shop>, path: web::Path<String>) -> HttpResponse {
    let found = shop
        .orders
        .lock()
        .ok()
        .and_then(|orders| orders.iter().find(|order| order.id == *path).cloned());
    match found {
        Some(order) => page(&OrderPage {
            order,
            dashboard: &shop.settings.dashboard_url,
        }),
        None => HttpResponse::NotFound()
            .body("The shop no longer has this order; its conversion is still recorded.\n"),
    }
}

impl Shop {
    /// Sends the postback of an order from this server, and retries while the network is unavailable.
    async fn report(&self, click_id: &str, order_id: &str, product: &Product) -> Sent {
        let call = form_urlencoded::Serializer::new(String::new())
            .append_pair("click_id", click_id)
            .append_pair("goal", &self.settings.goal)
            .append_pair("order_id", order_id)
            .append_pair("amount", product.price)
            .append_pair("currency", "EUR")
            .append_pair("product", product.slug)
            .append_pair("token", &self.settings.token)
            .finish();
        let url = format!("{}?{call}", self.settings.postback_url);
        let hidden = url.replace(&self.settings.token, "…");
        let mut answer = String::new();
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            match self.http.get(&url).send().await {
                Ok(response) => {
                    let status = response.status();
                    answer = format!("{status}\n{}", response.text().await.unwrap_or_default());
                    if status != reqwest::StatusCode::SERVICE_UNAVAILABLE {
                        break;
                    }
                }
                Err(error) => answer = format!("no answer: {}", error.without_url()),
            }
        }
        Sent {
            request: format!("GET {hidden}"),
            answer,
        }
    }
}

/// Returns true if a text could be a click id; the shop stores nothing else in its cookie.
fn is_plausible(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[derive(Template)]
#[template(path = "shop/landing.html")]
struct Landing {
    products: &'static [Product],
    click_id: Option<String>,
}

#[derive(Template)]
#[template(path = "shop/order.html")]
struct OrderPage<'a> {
    order: Order,
    dashboard: &'a str,
}
