//! Configuration file: TOML whose keys are the long options of `serve`. Its values become defaults of the command line, so
//! that a flag or a variable of the environment has precedence.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::error::ContextKind;
use clap::{Arg, ArgAction, Command, CommandFactory as _, FromArgMatches as _};
use toml::de::{DeTable, DeValue};

use super::Cli;

/// Least similarity of a known key that an error proposes, as clap has it for options.
const LEAST_SIMILARITY: f64 = 0.7;

/// Reason why the configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// Command line or environment, or a request for help.
    Arguments(clap::Error),
    /// Problems of the configuration file, one a line.
    File(Vec<String>),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(error) => error.fmt(f),
            Self::File(problems) => f.write_str(&problems.join("\n")),
        }
    }
}

impl std::error::Error for ConfigError {}

impl From<clap::Error> for ConfigError {
    fn from(error: clap::Error) -> Self {
        Self::Arguments(error)
    }
}

impl Cli {
    /// Parses a command line (with the name of the program), the environment, and the configuration file that one of them
    /// names.
    ///
    /// # Errors
    /// [`ConfigError`], with all problems of the file.
    pub fn load(arguments: &[OsString], credentials: Option<&Path>) -> Result<Self, ConfigError> {
        let command = Self::command();
        // Errors of the command line are reported when it is parsed again; help needs no file.
        let named = command
            .clone()
            .ignore_errors(true)
            .try_get_matches_from(arguments)?;
        let options = options(&command);
        let mut settings = match named.get_one::<PathBuf>("config") {
            Some(path) => read(path, &options).map_err(ConfigError::File)?,
            None => Vec::new(),
        };
        settings.extend(from_credentials(credentials, &options, &settings));
        let mut matches = apply(command, &settings).try_get_matches_from(arguments)?;
        Ok(Self::from_arg_matches_mut(&mut matches)?)
    }
}

/// Options that the file may set: those of `serve` and of all commands, each with its variable of the environment.
fn options(command: &Command) -> Vec<Arg> {
    let serve = command.find_subcommand("serve");
    command
        .get_arguments()
        .chain(serve.into_iter().flat_map(Command::get_arguments))
        .filter(|option| option.get_env().is_some() && option.get_id() != "config")
        .cloned()
        .collect()
}

/// Value of an option, as texts for its parser.
struct Setting {
    option: Arg,
    values: Vec<String>,
}

/// Makes the settings the defaults of their options, in every command that has them. The variable of the environment tells
/// options of equal names apart, such as the data directories of `serve` and `demo`.
fn apply(command: Command, settings: &[Setting]) -> Command {
    let with_default = |option: Arg| {
        let setting = settings.iter().find(|setting| {
            setting.option.get_long() == option.get_long() && setting.option.get_env() == option.get_env()
        });
        let Some(setting) = setting else { return option };
        let is_secret = option.is_hide_env_values_set();
        option
            .default_values(setting.values.clone())
            .hide_default_value(is_secret)
    };
    command
        .mut_args(with_default)
        .mut_subcommands(|subcommand| apply(subcommand, settings))
}

/// Files with secrets that the service manager hands over (`$CREDENTIALS_DIRECTORY` of systemd): the credential
/// `database-password` is the default of `--database-password-file`, and so on.
fn from_credentials(credentials: Option<&Path>, options: &[Arg], settings: &[Setting]) -> Vec<Setting> {
    let Some(folder) = credentials else {
        return Vec::new();
    };
    let unset = options.iter().filter(|option| {
        !settings
            .iter()
            .any(|setting| setting.option.get_id() == option.get_id())
    });
    unset
        .filter_map(|option| {
            let path = folder.join(option.get_long()?.strip_suffix("-file")?);
            path.is_file().then(|| Setting {
                option: option.clone(),
                values: vec![path.to_string_lossy().into_owned()],
            })
        })
        .collect()
}

/// Reads the file; returns all problems, each with its line.
fn read(path: &Path, options: &[Arg]) -> Result<Vec<Setting>, Vec<String>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| vec![format!("{shown}: {error}")])?;
    let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    let table = DeTable::parse(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        vec![format!("{shown}:{}: {}", line(at), error.message())]
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut settings = Vec::new();
    let mut problems = Vec::new();
    for (key, value) in entries {
        match setting(key.get_ref(), value.get_ref(), options) {
            Ok(setting) => settings.push(setting),
            Err(problem) => problems.push(format!("{shown}:{}: {problem}", line(key.span().start))),
        }
    }
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems)
    }
}

fn setting(key: &str, value: &DeValue<'_>, options: &[Arg]) -> Result<Setting, String> {
    let named = options.iter().find(|option| option.get_long() == Some(key));
    let option = named.ok_or_else(|| unknown(key, options))?;
    let values = values(option, value).map_err(|problem| format!("{key} {problem}"))?;
    check(option, &values).map_err(|problem| format!("{key}: {problem}"))?;
    Ok(Setting {
        option: option.clone(),
        values,
    })
}

/// Error of an unknown key, with the nearest known one.
fn unknown(key: &str, options: &[Arg]) -> String {
    let known = options.iter().filter_map(Arg::get_long);
    let nearest = known
        .map(|known| (strsim::jaro(key, known), known))
        .filter(|(similarity, _)| *similarity > LEAST_SIMILARITY)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((_, nearest)) => format!("the key {key} does not exist; did you mean {nearest}?"),
        None => format!(
            "the key {key} does not exist: keys are the long options of `clickledger help serve`, such as \
             dashboard-listen"
        ),
    }
}

/// Texts of a value of the type that the option takes.
fn values(option: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let kind = value.type_str();
    match (option.get_action(), value) {
        (ArgAction::SetTrue | ArgAction::SetFalse, DeValue::Boolean(on)) => Ok(vec![on.to_string()]),
        (ArgAction::SetTrue | ArgAction::SetFalse, _) => {
            Err(format!("must be true or false, and is of type {kind}"))
        }
        (ArgAction::Append, DeValue::Array(items)) => items
            .iter()
            .map(|item| {
                scalar(item.get_ref()).ok_or_else(|| {
                    format!(
                        "must contain texts, and has an item of type {}",
                        item.get_ref().type_str()
                    )
                })
            })
            .collect(),
        (ArgAction::Append, single) => scalar(single)
            .map(|text| vec![text])
            .ok_or_else(|| format!("must be a text or a list of texts, and is of type {kind}")),
        (_, single) => scalar(single)
            .map(|text| vec![text])
            .ok_or_else(|| format!("must be a text or a number, and is of type {kind}")),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Parses the values as the option's, so that an error has a line. The error does not contain the value.
fn check(option: &Arg, values: &[String]) -> Result<(), String> {
    let name = option.get_long().unwrap_or_default().to_owned();
    let mut alone = Arg::new(option.get_id().clone())
        .long(name.clone())
        .action(option.get_action().clone())
        .value_parser(option.get_value_parser().clone());
    if let Some(delimiter) = option.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    if !option.get_action().takes_values() {
        return Ok(());
    }
    let arguments = values.iter().map(|value| format!("--{name}={value}"));
    let parsed = Command::new("file")
        .no_binary_name(true)
        .arg(alone)
        .try_get_matches_from(arguments);
    let Err(error) = parsed else { return Ok(()) };
    Err(
        match (
            std::error::Error::source(&error),
            error.get(ContextKind::ValidValue),
        ) {
            (Some(source), _) => source.to_string(),
            (None, Some(valid)) => format!("must be one of {valid}"),
            (None, None) => "the value is empty or malformed".to_owned(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Command as Chosen, ServeOptions};

    fn load(file: &str, arguments: &[&str]) -> Result<Cli, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clickledger.toml");
        std::fs::write(&path, file).unwrap();
        let mut line = vec![OsString::from("clickledger")];
        line.extend(arguments.iter().map(OsString::from));
        line.extend(["--config".into(), path.into()]);
        Cli::load(&line, Some(folder.path()))
    }

    fn serve(file: &str, arguments: &[&str]) -> ServeOptions {
        let arguments = [&["serve"], arguments].concat();
        let cli = load(file, &arguments).unwrap_or_else(|error| panic!("{error}"));
        match cli.command {
            Chosen::Serve(options) => *options,
            other => panic!("{other:?}"),
        }
    }

    /// Problems of a file, without its path.
    fn problems(file: &str) -> Vec<String> {
        match load(file, &["serve"]) {
            Err(ConfigError::File(problems)) => problems
                .iter()
                .map(|problem| problem.split_once(".toml:").unwrap().1.to_owned())
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    const FILE: &str = r#"
        # Comment
        dashboard-listen = "0.0.0.0:80"
        tracking-listen = "0.0.0.0:81"
        trusted-proxy = ["10.0.0.0/8", "127.0.0.1"]
        places = "/one.mmdb"
        journal-quota-mib = 10_240
        keep-unattributed-days = "90"
        when-disk-fails = "refuse"
        allow-signup = true
        otlp-sample-ratio = 0.25
        log = "debug"
        log-format = "json"
    "#;

    #[test]
    fn values_of_every_type_become_options() {
        let options = serve(FILE, &[]);
        assert_eq!(options.listen.dashboard_listen.to_string(), "0.0.0.0:80");
        assert_eq!(options.proxies.trusted_proxies.len(), 2);
        assert_eq!(options.storage.places, [PathBuf::from("/one.mmdb")]);
        assert_eq!(options.storage.journal_quota_mib, 10_240);
        assert_eq!(options.storage.keep_unattributed_days, 90);
        assert_eq!(
            options.storage.when_disk_fails,
            crate::config::DiskFailure::Refuse
        );
        assert!(options.limits.allow_signup);
        assert!((options.traces.otlp_sample_ratio - 0.25).abs() < f64::EPSILON);
        let cli = load(FILE, &["serve"]).unwrap();
        assert_eq!(
            (cli.log.as_str(), cli.log_format),
            ("debug", crate::config::LogFormat::Json)
        );
    }

    #[test]
    fn flags_have_precedence() {
        let options = serve(
            FILE,
            &["--tracking-listen", "127.0.0.1:9", "--trusted-proxy", "192.0.2.1"],
        );
        assert_eq!(options.listen.tracking_listen.to_string(), "127.0.0.1:9");
        assert_eq!(options.listen.dashboard_listen.to_string(), "0.0.0.0:80");
        assert_eq!(options.proxies.trusted_proxies.len(), 1);
        assert_eq!(load(FILE, &["serve", "--log", "warn"]).unwrap().log, "warn");
    }

    #[test]
    fn other_commands_take_their_share_of_the_file() {
        let file = "data-dir = \"/data\"\npg-bin = \"/pg\"\ntracking-listen = \"127.0.0.1:81\"";
        match load(file, &["verify"]).unwrap().command {
            Chosen::Verify(options) => assert_eq!(options.store.data_dir(), Path::new("/data")),
            other => panic!("{other:?}"),
        }
        match load(file, &["health"]).unwrap().command {
            Chosen::Health(options) => assert_eq!(options.tracking_listen.port(), 81),
            other => panic!("{other:?}"),
        }
        match load(file, &["rates", "import", "x.csv"]).unwrap().command {
            Chosen::Rates(crate::config::RatesCommand::Import(options)) => {
                assert_eq!(options.store.data_dir(), Path::new("/data"));
            }
            other => panic!("{other:?}"),
        }
        match load(file, &["demo"]).unwrap().command {
            Chosen::Demo(options) => {
                assert_eq!(options.data_dir, None, "the demo has another data directory");
                assert_eq!(options.pg_bin, Some("/pg".into()));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_problems_are_named_with_their_line() {
        let found = problems(
            "dashbord-listen = \"0.0.0.0:80\"\n\
             tracking-listen = 81\n\
             allow-signup = \"yes\"\n\n\
             journal-segment-mib = 0\n\
             when-disk-fails = \"ignore\"\n\
             trusted-proxy = [\"10.0.0.0/8\", true]\n\
             data-dir = false\n\
             xyz = 1\n\
             config = \"other.toml\"\n\
             [database]\n\
             url = \"postgres://\"\n",
        );
        let expected = [
            "1: the key dashbord-listen does not exist; did you mean dashboard-listen?",
            "2: tracking-listen: invalid socket address syntax",
            "3: allow-signup must be true or false, and is of type string",
            "5: journal-segment-mib: 0 is not in 1..=1024",
            "6: when-disk-fails: must be one of redirect, refuse",
            "7: trusted-proxy must contain texts, and has an item of type boolean",
            "8: data-dir must be a text or a number, and is of type boolean",
            "9: the key xyz does not exist: keys are the long options of `clickledger help serve`, such as \
             dashboard-listen",
        ];
        assert_eq!(found[..8], expected);
        assert!(
            found[8].starts_with("10: the key config does not exist"),
            "{found:?}"
        );
        assert_eq!(
            found[9],
            "11: the key database does not exist; did you mean database-url?"
        );
        let broken = problems("log = \"info\"\ndata-dir = \n");
        assert!(broken[0].starts_with("2: "), "{broken:?}");
        let twice = problems("log = \"info\"\nlog = \"debug\"\n");
        assert!(twice[0].starts_with("2: duplicate key"), "{twice:?}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let arguments = ["clickledger", "--config", "/nowhere/c.toml", "serve"].map(OsString::from);
        let error = Cli::load(&arguments, None).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/c.toml: No such file"), "{error}");
    }

    #[test]
    fn credentials_are_the_default_of_files_with_secrets() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["database-password", "secret", "unrelated"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let line = |more: &[&str]| -> Vec<OsString> {
            ["clickledger", "serve"]
                .iter()
                .chain(more)
                .map(OsString::from)
                .collect()
        };
        let options = |more: &[&str]| match Cli::load(&line(more), Some(folder.path())).unwrap().command {
            Chosen::Serve(options) => options.store,
            other => panic!("{other:?}"),
        };
        let found = options(&[]);
        assert_eq!(
            found.database_password_file,
            Some(folder.path().join("database-password"))
        );
        assert_eq!(found.secret_file, Some(folder.path().join("secret")));
        assert_eq!(found.owner_database_password_file, None);
        let flagged = options(&["--database-password-file", "/other"]);
        assert_eq!(flagged.database_password_file, Some("/other".into()));
    }

    #[test]
    fn help_does_not_show_secrets_of_the_file() {
        let settings = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("c.toml");
            std::fs::write(&path, text).unwrap();
            read(&path, &options(&Cli::command())).unwrap()
        };
        let file = settings("database-url = \"postgres://app:hidden@db/click\"\ndata-dir = \"/shown\"");
        let mut command = apply(Cli::command(), &file);
        let help = command
            .find_subcommand_mut("serve")
            .unwrap()
            .render_long_help()
            .to_string();
        assert!(help.contains("/shown"), "{help}");
        assert!(!help.contains("hidden"), "{help}");
    }

    #[test]
    fn every_option_of_serve_can_be_in_the_file() {
        let command = Cli::command();
        let known = options(&command);
        for option in command.find_subcommand("serve").unwrap().get_arguments() {
            let name = option.get_long().unwrap();
            assert!(
                name == "help" || known.iter().any(|known| known.get_long() == Some(name)),
                "--{name} has no variable of the environment"
            );
        }
    }
}
