//! Connections to Postgres: TLS with certificates, and PgBouncer.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at the first unexpected result"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use testkit::{TestApp, TestDatabase, TestOptions, TestPostgres};

/// Password of the login `app`.
const PASSWORD: &str = "p/w@ 1";
/// The password in a URL.
const ENCODED: &str = "p%2Fw%40%201";

/// Runs openssl in a folder.
fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl")
        .current_dir(folder)
        .args(arguments.split_whitespace())
        .output();
    let made = made.expect("openssl is missing; install the package openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Creates an authority: `{name}.pem` and `{name}.key`.
fn authority(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} \
             -addext basicConstraints=critical,CA:TRUE -keyout {name}.key -out {name}.pem"
        ),
    );
}

/// Creates a certificate that the authority signs: `{name}.pem` and `{name}.key`.
fn certificate(folder: &Path, authority: &str, name: &str, extension: &str) {
    openssl(
        folder,
        &format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ),
    );
    fs::write(folder.join(format!("{name}.ext")), extension).unwrap();
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 -sha384 \
             -extfile {name}.ext -out {name}.pem"
        ),
    );
}

/// Postgres that accepts the login `app` over TLS only, and `certified` with a client certificate.
struct SecurePostgres(TestPostgres);

impl SecurePostgres {
    async fn start() -> Self {
        let server = TestPostgres::start(|folder| {
            authority(folder, "authority");
            authority(folder, "stranger");
            certificate(
                folder,
                "authority",
                "server",
                "subjectAltName=DNS:localhost,DNS:db.example\nbasicConstraints=critical,CA:FALSE\n",
            );
            let client = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n";
            certificate(folder, "authority", "certified", client);
            certificate(folder, "stranger", "forged", client);
            let rules = "local all all trust\n\
                         hostssl all app,owner 127.0.0.1/32 scram-sha-256\n\
                         hostssl all certified 127.0.0.1/32 cert\n";
            fs::write(folder.join("hba.conf"), rules).unwrap();
            let key = folder.join("server.key");
            fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
            let file = |option: &str, name: &str| format!("{option}={}", folder.join(name).display());
            vec![
                "ssl=on".to_owned(),
                file("ssl_cert_file", "server.pem"),
                file("ssl_key_file", "server.key"),
                file("ssl_ca_file", "authority.pem"),
                file("hba_file", "hba.conf"),
            ]
        })
        .await;
        let secure = Self(server);
        let roles = format!(
            "CREATE ROLE app LOGIN PASSWORD '{PASSWORD}' IN ROLE clickledger_web, clickledger_ingest;
             CREATE ROLE owner LOGIN CREATEROLE PASSWORD '{PASSWORD}';
             CREATE ROLE certified LOGIN;"
        );
        secure.database("").operate(&roles).await;
        secure
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.folder.path().join(name)
    }

    /// Database with the address of `app`.
    fn database(&self, options: &str) -> TestDatabase {
        self.0.database(self.url("localhost", options))
    }

    /// Address of `app`.
    fn url(&self, host: &str, options: &str) -> String {
        let port = self.0.port;
        format!("postgres://app:{ENCODED}@{host}:{port}/clickledger?{options}")
    }

    /// Options of full verification.
    fn verified(&self) -> String {
        self.trusting("authority.pem")
    }

    fn trusting(&self, authority: &str) -> String {
        format!(
            "sslmode=verify-full&sslrootcert={}",
            self.file(authority).display()
        )
    }

    /// Address of a login that shows a client certificate.
    fn certified(&self, certificate: &str) -> String {
        format!(
            "postgres://certified@localhost:{}/clickledger?{}&sslcert={}&sslkey={}",
            self.0.port,
            self.verified(),
            self.file(&format!("{certificate}.pem")).display(),
            self.file(&format!("{certificate}.key")).display()
        )
    }
}

async fn refusal(url: &str) -> String {
    match schema::connect(url).await {
        Ok(_) => panic!("connected to {url}"),
        Err(error) => error.to_string(),
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

async fn text(url: &str, query: &str) -> String {
    let mut conn = schema::connect(url).await.unwrap();
    let line: Line = diesel::sql_query(query).get_result(&mut conn).await.unwrap();
    line.text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_of_a_server_is_encrypted() {
    let postgres = SecurePostgres::start().await;
    // The password is bound to the certificate, which a server in between does not have.
    let options = format!("{}&channel_binding=require", postgres.verified());
    let app = TestApp::spawn_with(TestOptions {
        database: Some(postgres.database(&options)),
        ..TestOptions::default()
    })
    .await;
    let click = app.visitor().click("").await;
    app.advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "10")])
        .await;
    let sessions = app
        .text(
            "SELECT count(*) FILTER (WHERE ssl) || ' of ' || count(*) || ', listening ' || bool_or(query LIKE 'LISTEN%' OR \
             query = '')
             FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = 'app'",
        )
        .await;
    let (encrypted, all) = sessions.split_once(',').unwrap().0.split_once(" of ").unwrap();
    assert_eq!(encrypted, all);
    assert!(all.parse::<u32>().unwrap() > 5, "{sessions}");
    assert!(sessions.ends_with("listening true"), "{sessions}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_trusted_is_refused_with_the_remedy() {
    let postgres = SecurePostgres::start().await;
    let wrong_host = refusal(&postgres.url("127.0.0.1", &postgres.verified())).await;
    assert!(
        wrong_host.starts_with(
            "TLS with 127.0.0.1: the server's certificate is for localhost, db.example, not for 127.0.0.1. Write one of \
             these names in the address"
        ),
        "{wrong_host}"
    );
    for options in [
        postgres.trusting("stranger.pem"),
        "sslmode=verify-full".to_owned(),
    ] {
        let stranger = refusal(&postgres.url("localhost", &options)).await;
        assert!(
            stranger.contains("signed by an authority that is not trusted")
                && stranger.contains("sslrootcert="),
            "{stranger}"
        );
    }
    let missing = refusal(&postgres.url("localhost", &postgres.trusting("nowhere.pem"))).await;
    assert!(
        missing.starts_with("sslrootcert=/") && missing.contains("nowhere.pem: "),
        "{missing}"
    );
    let unencrypted = refusal(&postgres.url("localhost", "sslmode=disable")).await;
    assert!(unencrypted.contains("no encryption"), "{unencrypted}");
    let (client, _driver) = schema::connect_client(&postgres.url("localhost", &postgres.verified()))
        .await
        .unwrap();
    drop(client);
    assert!(
        schema::connect_client(&postgres.url("127.0.0.1", &postgres.verified()))
            .await
            .is_err()
    );

    let authority = postgres.file("authority.pem");
    for weaker in [
        "sslmode=require".to_owned(),
        "sslmode=prefer".to_owned(),
        String::new(),
        format!("sslmode=verify-ca&sslrootcert={}", authority.display()),
    ] {
        let encrypted = text(
            &postgres.url("127.0.0.1", &weaker),
            "SELECT ssl::text AS text FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        )
        .await;
        assert_eq!(encrypted, "true", "{weaker}");
    }
    let other_authority = format!(
        "sslmode=verify-ca&sslrootcert={}",
        postgres.file("stranger.pem").display()
    );
    assert!(
        refusal(&postgres.url("127.0.0.1", &other_authority))
            .await
            .contains("not trusted")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_a_login() {
    let postgres = SecurePostgres::start().await;
    let user = text(
        &postgres.certified("certified"),
        "SELECT session_user::text AS text",
    )
    .await;
    assert_eq!(user, "certified");
    let forged = refusal(&postgres.certified("forged")).await;
    assert!(
        forged.contains("the server refuses the client certificate") && forged.contains("ssl_ca_file"),
        "{forged}"
    );
    let without = format!(
        "postgres://certified@localhost:{}/clickledger?{}",
        postgres.0.port,
        postgres.verified()
    );
    let without = refusal(&without).await;
    assert!(without.contains("client certificate"), "{without}");
    let key = format!("{}&sslkey=/nowhere.key", postgres.certified("certified"));
    assert!(refusal(&key).await.starts_with("sslkey=/nowhere.key: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_use_tls_and_passwords_of_files_for_both_logins() {
    let postgres = SecurePostgres::start().await;
    let operating = postgres.database("");
    operating.operate("CREATE DATABASE fresh OWNER owner").await;
    // Roles of the cluster exist already; their creator grants them.
    operating
        .operate("GRANT clickledger_web, clickledger_ingest TO owner WITH ADMIN OPTION")
        .await;
    let data_dir = tempfile::tempdir().unwrap();
    let password = data_dir.path().join("password");
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let url = |login: &str| {
        format!(
            "postgres://{login}@localhost:{}/fresh?{}",
            postgres.0.port,
            postgres.verified()
        )
    };
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_clickledger"));
        command
            .args(arguments)
            .env("CLICKLEDGER_DATA_DIR", data_dir.path())
            .env("DATABASE_URL", url("app"))
            .env("CLICKLEDGER_DATABASE_PASSWORD_FILE", &password)
            .env("OWNER_DATABASE_URL", url("owner"))
            .env("CLICKLEDGER_OWNER_DATABASE_PASSWORD_FILE", &password);
        let output = command.output().await.unwrap();
        let output = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
            + &output.status.to_string();
        assert!(
            !output.contains(PASSWORD) && !output.contains(ENCODED),
            "{output}"
        );
        output
    };
    let migrated = run(&["migrate"]).await;
    assert!(migrated.contains("The database is up to date."), "{migrated}");
    let checked = run(&["check-config", "--dashboard-url", "https://app.example.com"]).await;
    for line in [
        "over TLS with a verified server",
        "the login app owns nothing",
        "the login of the owner is accepted",
        "secret              belongs to the database",
        "exit status: 0",
    ] {
        assert!(checked.contains(line), "{line} is missing in\n{checked}");
    }
}

/// PgBouncer that is killed when dropped.
struct Bouncer {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Bouncer {
    /// Starts PgBouncer in front of a test's cluster.
    fn start(database: &TestDatabase, mode: &str) -> Self {
        let program = [
            "/usr/sbin/pgbouncer",
            "/usr/bin/pgbouncer",
            "/usr/local/bin/pgbouncer",
        ]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists())
        .expect("pgbouncer is missing; install the package pgbouncer");
        let (_, socket) = database.operator_url.split_once("host=").unwrap();
        let socket = percent_encoding::percent_decode_str(socket)
            .decode_utf8()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let port = testkit::free_port();
        let users = folder.path().join("users");
        fs::write(&users, "\"test_commands\" \"\"\n\"clickledger\" \"\"\n").unwrap();
        let settings = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={socket} port=5432\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 40\n\
             max_client_conn = 200\n",
            users.display()
        );
        fs::write(&settings, text).unwrap();
        let mut command = Command::new(program);
        command.arg("--quiet").arg(&settings);
        if nix::unistd::geteuid().is_root() {
            // As root it changes to this user, who may enter the folder of the socket.
            let owner = fs::metadata(&*socket).unwrap().uid();
            let user = nix::unistd::User::from_uid(owner.into()).unwrap().unwrap();
            command.args(["--user", &user.name]);
        }
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    async fn url(&self, login: &str, database: &TestDatabase) -> String {
        let url = format!("postgres://{login}@127.0.0.1:{}/{}", self.port, database.name);
        for _ in 0..200 {
            if schema::connect_client(&url).await.is_ok() {
                return url;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("pgbouncer does not answer: {}", refusal(&url).await);
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_works_behind_pgbouncer_in_session_mode() {
    let mut database = TestDatabase::create().await;
    database.login().await;
    let bouncer = Bouncer::start(&database, "session");
    // The lock of migrations, and roles that are granted, belong to a session.
    let owner = bouncer.url("clickledger", &database).await;
    assert_eq!(schema::migrate(&owner).await.unwrap(), Vec::<String>::new());
    database.url = bouncer.url("test_commands", &database).await;
    let app = TestApp::spawn_with(TestOptions {
        database: Some(database),
        ..TestOptions::default()
    })
    .await;
    for order in ["1", "2", "3"] {
        let click = app.visitor().click("").await;
        let answer = app
            .advertiser()
            .postback(&[("click_id", &click.id), ("order_id", order), ("amount", "10")])
            .await;
        assert_eq!(answer.reason(), "accepted");
    }
    let sessions = app
        .text("SELECT count(*)::text FROM pg_stat_activity WHERE usename = 'test_commands'")
        .await;
    assert!(sessions.parse::<u32>().unwrap() < 40, "{sessions}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_mixes_sessions_is_refused() {
    let database = TestDatabase::create().await;
    database.login().await;
    assert!(!schema::are_sessions_shared(&database.url).await.unwrap());
    for (mode, are_shared) in [("session", false), ("statement", true)] {
        let bouncer = Bouncer::start(&database, mode);
        let url = bouncer.url("test_commands", &database).await;
        assert_eq!(
            schema::are_sessions_shared(&url).await.unwrap(),
            are_shared,
            "{mode}"
        );
    }
    for turns in ["0", "1"] {
        let bouncer = Bouncer::start(&database, &format!("transaction\nserver_round_robin = {turns}"));
        let url = bouncer.url("test_commands", &database).await;
        assert!(
            schema::are_sessions_shared(&url).await.unwrap(),
            "server_round_robin = {turns}"
        );
    }
    let bouncer = Bouncer::start(&database, "transaction");
    let url = bouncer.url("test_commands", &database).await;
    let data_dir = tempfile::tempdir().unwrap();
    for command in ["serve", "check-config"] {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_clickledger"))
            .arg(command)
            .args([
                "--dashboard-listen",
                "127.0.0.1:0",
                "--tracking-listen",
                "127.0.0.1:0",
            ])
            .env("CLICKLEDGER_DATA_DIR", data_dir.path())
            .env("DATABASE_URL", &url)
            .env_remove("OWNER_DATABASE_URL")
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_secs(30), output)
            .await
            .unwrap()
            .unwrap();
        let output = [output.stdout, output.stderr].concat();
        let output = String::from_utf8_lossy(&output);
        assert!(output.contains("pool_mode = session"), "{output}");
    }
}
