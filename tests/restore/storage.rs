//! Backups in S3-compatible storage: a small server that speaks the used part of the protocol, and refuses every request
//! whose signature (AWS Signature Version 4) it does not compute itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix_web::http::Method;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::installation::{Server, Traffic, folder, run, text};

const KEY: &str = "backup-key";
const SECRET: &str = "backup secret/with+signs";
const REGION: &str = "eu-central-1";
/// Objects in a page of a listing, so few that listings have several.
const PAGE: usize = 4;

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    /// Number of uploads in parts that were completed.
    completed: usize,
}

type Storage = Data<Mutex<Bucket>>;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

/// Pairs of a query, as they were sent.
fn query(request: &HttpRequest) -> Vec<(String, String)> {
    let pairs = request.query_string().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// True if the request has the signature of our secret, and the body that was signed.
fn is_signed(request: &HttpRequest, body: &[u8]) -> Option<bool> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let credentials = header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let fields: BTreeMap<&str, &str> = credentials
        .split(',')
        .filter_map(|field| field.trim().split_once('='))
        .collect();
    let (key, scope) = fields.get("Credential")?.split_once('/')?;
    let (day, _) = scope.split_once('/')?;
    let payload = header("x-amz-content-sha256")?;
    let names: Vec<&str> = fields.get("SignedHeaders")?.split(';').collect();
    let headers: Option<String> = names
        .iter()
        .map(|name| Some(format!("{name}:{}\n", header(name)?.trim())))
        .collect();
    let mut pairs = query(request);
    pairs.sort();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{}\n{}\n{payload}",
        request.method(),
        request.uri().path(),
        pairs.join("&"),
        headers?,
        names.join(";")
    );
    let canonical = hex(&Sha256::digest(canonical));
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{canonical}",
        header("x-amz-date")?
    );
    let mut derived = mac(format!("AWS4{SECRET}").as_bytes(), day);
    for part in [REGION, "s3", "aws4_request"] {
        derived = mac(&derived, part);
    }
    let is_body = payload == hex(&Sha256::digest(body));
    let covers = ["host", "x-amz-content-sha256", "x-amz-date"]
        .iter()
        .all(|name| names.contains(name));
    let signature = hex(&mac(&derived, &text));
    Some(key == KEY && is_body && covers && *fields.get("Signature")? == signature)
}

async fn answer(request: HttpRequest, body: Bytes, storage: Storage) -> HttpResponse {
    if is_signed(&request, &body) != Some(true) {
        return HttpResponse::Forbidden().body("<Error><Code>SignatureDoesNotMatch</Code></Error>");
    }
    let path = decoded(request.uri().path());
    let Some(rest) = path.strip_prefix("/bucket") else {
        return HttpResponse::NotFound().body("<Error><Code>NoSuchBucket</Code></Error>");
    };
    let key = rest.trim_start_matches('/').to_owned();
    let pairs: BTreeMap<String, String> = query(&request)
        .into_iter()
        .map(|(name, value)| (name, decoded(&value)))
        .collect();
    let mut bucket = storage.lock().unwrap();
    let etag = ("ETag", format!("\"{}\"", &hex(&Sha256::digest(&body))[..32]));
    match *request.method() {
        Method::GET if key.is_empty() => list(&bucket, &pairs),
        Method::GET | Method::HEAD => match bucket.objects.get(&key) {
            Some(object) => HttpResponse::Ok()
                .insert_header(("ETag", "\"object\""))
                .insert_header(("Last-Modified", "Thu, 24 Dec 2026 18:00:00 GMT"))
                .body(object.clone()),
            None => HttpResponse::NotFound().body("<Error><Code>NoSuchKey</Code></Error>"),
        },
        Method::PUT => {
            match (pairs.get("uploadId"), pairs.get("partNumber")) {
                (Some(upload), Some(number)) => {
                    let parts = bucket.uploads.get_mut(upload).unwrap();
                    parts.insert(number.parse().unwrap(), body.to_vec());
                }
                _ => {
                    bucket.objects.insert(key, body.to_vec());
                }
            }
            HttpResponse::Ok().insert_header(etag).finish()
        }
        Method::POST if pairs.contains_key("uploads") => {
            let upload = format!("upload-{}", bucket.uploads.len());
            bucket.uploads.insert(upload.clone(), BTreeMap::new());
            HttpResponse::Ok().body(format!(
                "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            ))
        }
        Method::POST => {
            let parts = bucket.uploads[&pairs["uploadId"]]
                .values()
                .flatten()
                .copied()
                .collect();
            bucket.objects.insert(key, parts);
            bucket.completed += 1;
            HttpResponse::Ok().body(
                "<CompleteMultipartUploadResult><ETag>\"object\"</ETag></CompleteMultipartUploadResult>",
            )
        }
        Method::DELETE => {
            bucket.objects.remove(&key);
            HttpResponse::NoContent().finish()
        }
        _ => HttpResponse::MethodNotAllowed().finish(),
    }
}

fn list(bucket: &Bucket, pairs: &BTreeMap<String, String>) -> HttpResponse {
    let empty = String::new();
    let prefix = pairs.get("prefix").unwrap_or(&empty);
    let after = pairs.get("continuation-token").unwrap_or(&empty);
    let found: Vec<_> = bucket
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(prefix) && *key > after)
        .collect();
    let mut xml = String::from("<ListBucketResult>");
    for (key, object) in found.iter().take(PAGE) {
        xml += &format!(
            "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>2026-12-24T18:00:00.000Z</LastModified>\
             <ETag>\"object\"</ETag></Contents>",
            object.len()
        );
    }
    let is_truncated = found.len() > PAGE;
    xml += &format!("<IsTruncated>{is_truncated}</IsTruncated>");
    if is_truncated {
        xml += &format!(
            "<NextContinuationToken>{}</NextContinuationToken>",
            found[PAGE - 1].0
        );
    }
    xml += "</ListBucketResult>";
    HttpResponse::Ok().content_type("application/xml").body(xml)
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_stored_in_a_bucket_with_signed_requests() {
    let storage: Storage = Data::new(Mutex::default());
    let shared = storage.clone();
    let app = move || {
        App::new()
            .app_data(shared.clone())
            .app_data(web::PayloadConfig::new(64 * 1024 * 1024))
            .default_service(web::to(answer))
    };
    let http = HttpServer::new(app)
        .workers(2)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
    let endpoint = format!("http://{}", http.addrs()[0]);
    tokio::spawn(http.run());

    let (one, two) = (folder(), folder());
    let data_dir = one.path().join("data");
    let server = Server::start(&data_dir, &[]).await;
    let traffic = Arc::new(Traffic::of(&server).await);
    let order = traffic.order("sale", "first").await.unwrap();
    // So large that it is sent in parts.
    let filler = "CREATE TABLE filler AS SELECT md5(random()::text) FROM generate_series(1, 700000)";
    server.operate(filler).await;
    let options = |secret: &'static str| {
        let access = [
            "--s3-region",
            REGION,
            "--s3-access-key-id",
            KEY,
            "--s3-secret-access-key",
            secret,
        ];
        [&["--s3-endpoint", endpoint.as_str()][..], &access].concat()
    };
    let place = ["backup", "--to", "s3://bucket/one/two"];
    let (ok, output) = run(&[&place[..], &options("wrong")].concat(), &data_dir);
    assert!(!ok && output.contains("SignatureDoesNotMatch"), "{output}");
    for _ in 0..2 {
        let (ok, output) = run(
            &[&place[..], &options(SECRET), &["--keep", "1"]].concat(),
            &data_dir,
        );
        assert!(ok && output.contains("is complete"), "{output}");
    }
    {
        let bucket = storage.lock().unwrap();
        assert!(bucket.completed >= 2, "no upload in parts");
        assert!(bucket.objects.keys().all(|key| key.starts_with("one/two/")));
        let manifests = bucket.objects.keys().filter(|key| key.ends_with("manifest.json"));
        assert_eq!(manifests.count(), 1, "the older one was removed");
    }
    server.destroy();
    let restored = two.path().join("restored");
    let restore = ["restore", "--from", "s3://bucket/one/two"];
    let (ok, output) = run(&[&restore[..], &options(SECRET)].concat(), &restored);
    assert!(ok, "{output}");
    let server = Server::start(&restored, &[]).await;
    traffic.all_stand(&server, &[order]).await;
    assert_eq!(text(&restored), text(&server.data_dir));
    server.stop();
}
