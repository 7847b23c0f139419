//! CSV files: exports can be imported again, a dry run changes nothing, and errors are reported row by row.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{Answer, ApiClient, TestApp};

/// Texts that a spreadsheet evaluates as formulas, that contain separators, or that are escaped already.
const HARD: [&str; 15] = [
    "=1+1",
    "+48 22 100",
    "-5",
    "@SUM(A1)",
    "'=1",
    "''=1",
    "'",
    "O'Neill",
    "＝1",
    "a,b",
    "a;b",
    "\"quoted\"",
    "日本 🦊",
    "name",
    "null",
];

async fn import(program: &ApiClient, path: &str, csv: impl Into<String>) -> Answer {
    let headers = [("Content-Type", "text/csv")];
    program.call(Method::POST, path, &headers, csv.into()).await
}

fn counts(report: &Answer) -> [i64; 4] {
    ["created", "updated", "unchanged", "refused"].map(|field| {
        let count = report.json[field].as_i64();
        count.unwrap_or_else(|| panic!("{}", report.text))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn importing_an_export_changes_nothing() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let group = program
        .post("/affiliate-groups", &json!({ "name": "=Top, \"group\"" }))
        .await;
    for (list, prefix) in [("/affiliates", "f"), ("/advertisers", "v")] {
        for (number, text) in HARD.iter().enumerate() {
            let mut body = json!({
                "name": text, "notes": format!("{text}\n=2nd\tline"), "external_id": format!("{text}{prefix}{number}"),
                "tags": [text.replace([',', ';'], ""), "=tag"], "status": if number % 5 == 4 { "archived" } else { "active" },
            });
            if list == "/affiliates" && number % 2 == 0 {
                body["group"] = json!(group.get("id"));
            }
            let made = program.post(list, &body).await;
            assert_eq!(made.status, StatusCode::CREATED, "{text}: {}", made.text);
        }
        let list_all = async || program.get(&format!("{list}?archived=true&limit=200")).await.json;
        let before = list_all().await;
        let audited = app.count("SELECT count(*) FROM audit_log").await;
        let file = program.get(&format!("{list}/export?archived=true")).await;
        assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8");
        let disposition = file.headers["content-disposition"].to_str().unwrap();
        assert!(disposition.starts_with("attachment; filename="), "{disposition}");
        for record in csv::Reader::from_reader(file.text.as_bytes()).into_records() {
            for cell in &record.unwrap() {
                assert!(
                    !cell.trim_start().starts_with(['=', '+', '-', '@', '＝']),
                    "{cell}"
                );
            }
        }
        let report = import(&program, &format!("{list}/import"), file.text.clone()).await;
        let rows = i64::try_from(HARD.len() + 1).unwrap();
        assert_eq!(counts(&report), [0, 0, rows, 0], "{}\n{}", report.text, file.text);
        assert_eq!(report.json["ignored_columns"], json!([]));
        assert_eq!(list_all().await, before);
        assert_eq!(app.count("SELECT count(*) FROM audit_log").await, audited);
        let names: Vec<&str> = before["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap())
            .collect();
        assert!(HARD.iter().all(|text| names.contains(text)), "{names:?}");
    }
    // By default, archived rows are excluded.
    let file = program.get("/affiliates/export").await.text;
    assert!(!file.contains("archived") && file.lines().count() > 5);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_reports_what_an_import_does_and_changes_nothing() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    program
        .post(
            "/affiliates",
            &json!({ "name": "Known", "external_id": "1", "notes": "kept" }),
        )
        .await;
    program
        .post(
            "/affiliates",
            &json!({ "name": "Old", "external_id": "9", "notes": "kept" }),
        )
        .await;
    let file = "name,external_id,status,group,colour\n\
                Known,1,,,red\n\
                Renamed,9,paused,,red\n\
                New,2,,,red\n\
                ,3,,,red\n\
                Odd,4,sleeping,,red\n\
                Lost,5,,Nowhere,red\n\
                \"Two\nlines\",6,,,red\n\
                Short,7\n\
                Again,2,,,red\n";
    let rows = async || app.count("SELECT count(*) + sum(version) FROM affiliates").await;
    let audited = async || app.count("SELECT count(*) FROM audit_log").await;
    let before = (rows().await, audited().await);
    let preview = import(&program, "/affiliates/import?dry_run=true", file).await;
    assert_eq!((rows().await, audited().await), before);
    let made = import(&program, "/affiliates/import?dry_run=false", file).await;
    for report in [&preview, &made] {
        assert_eq!(counts(report), [1, 1, 1, 6], "{}", report.text);
        assert_eq!(report.json["ignored_columns"], json!(["colour"]));
        let outcomes: Vec<_> = report.json["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let problem = row["problem"].as_str().unwrap();
                assert_eq!(problem.is_empty(), row["outcome"] != "refused", "{row}");
                (row["line"].as_i64().unwrap(), row["outcome"].as_str().unwrap())
            })
            .collect();
        assert_eq!(
            outcomes,
            [
                (2, "unchanged"),
                (3, "update"),
                (4, "create"),
                (5, "refused"),
                (6, "refused"),
                (7, "refused"),
                (8, "refused"),
                (10, "refused"),
                (11, "refused"),
            ]
        );
    }
    assert_eq!(
        (&preview.json["dry_run"], &made.json["dry_run"]),
        (&Value::Bool(true), &Value::Bool(false))
    );
    assert_eq!(
        preview.json["rows"], made.json["rows"],
        "a dry run equals its import"
    );
    let now = program.get("/affiliates?search=Renamed").await.json["items"][0].clone();
    assert_eq!(
        (&now["status"], &now["notes"]),
        (&json!("paused"), &json!("kept"))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_is_refused_as_a_whole() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let before = app.count("SELECT count(*) FROM affiliates").await;
    let many: String = std::iter::once("name".to_owned())
        .chain((0..5_001).map(|n| format!("n{n}")))
        .collect::<Vec<_>>()
        .join("\n");
    for (what, file) in [
        ("empty", String::new()),
        ("no name", "colour,size\nred,1\n".to_owned()),
        ("too many", many),
    ] {
        let refused = import(&program, "/affiliates/import", file).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{what}: {}",
            refused.text
        );
        assert!(
            refused.json["fields"]["csv"].is_string(),
            "{what}: {}",
            refused.text
        );
    }
    for (content_type, body, status) in [
        (
            "text/csv",
            vec![b'x'; 2 * 1024 * 1024 + 1],
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            "text/plain",
            b"name\nOne\n".to_vec(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            "application/json",
            b"{}".to_vec(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
    ] {
        let refused = program
            .call(
                Method::POST,
                "/affiliates/import",
                &[("Content-Type", content_type)],
                body,
            )
            .await;
        assert_eq!(refused.status, status, "{content_type}: {}", refused.text);
    }
    // A file of a spreadsheet that writes Windows-1252, with tabs.
    let theirs = program
        .call(
            Method::POST,
            "/affiliates/import?dry_run=true",
            &[("Content-Type", "text/csv")],
            b"name\tnotes\r\nM\xfcller\tx\r\n".to_vec(),
        )
        .await;
    assert_eq!(theirs.json["rows"][0]["name"], "Müller", "{}", theirs.text);
    // A NUL in a cell makes the row or the file invalid; it is never a server error.
    let nul = import(&program, "/affiliates/import", "name,notes\na\0b,x\nfine,a\0b\n").await;
    assert!(
        nul.status.is_client_error() || counts(&nul) == [0, 0, 0, 2],
        "{}",
        nul.text
    );
    assert_eq!(app.count("SELECT count(*) FROM affiliates").await, before);
    // Files of spreadsheets are accepted: byte order mark, semicolons, carriage returns.
    let file = "\u{feff}Affiliate;Labels\r\nOne;\"a;b\"\r\nTwo;c\r\n";
    assert_eq!(
        counts(&import(&program, "/affiliates/import", file).await),
        [2, 0, 0, 0]
    );
    app.finish().await;
}
