//! Parsing of real User-Agents by the table in `user_agents.txt`, and limits for any text.

use std::time::Duration;

use proptest::prelude::*;
use visitors::{Agent, Agents, Device};

fn written(agent: &Agent) -> String {
    let name = |name: &Option<std::sync::Arc<str>>| name.as_deref().unwrap_or("-").to_owned();
    let bot = if agent.bot { "yes" } else { "no" };
    format!(
        "{}|{}|{}|{bot}",
        agent.device.as_str(),
        name(&agent.browser),
        name(&agent.os)
    )
}

#[test]
fn real_user_agents_are_parsed_as_in_the_table() {
    let agents = Agents::new();
    let table = include_str!("user_agents.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    let mut rows = 0;
    let mut wrong = Vec::new();
    for line in table {
        let (expected, user_agent) = line
            .match_indices('|')
            .nth(3)
            .map(|(at, _)| (&line[..at], &line[at + 1..]))
            .unwrap();
        let found = written(&agents.read(Some(user_agent)));
        let again = written(&agents.read(Some(user_agent)));
        assert_eq!(found, again, "from the cache: {user_agent}");
        if found != expected {
            wrong.push(format!("{expected}  but  {found}  for  {user_agent}"));
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(rows >= 60, "{rows}");
}

#[test]
fn a_missing_user_agent_is_a_bot() {
    let agents = Agents::new();
    let bot = Agent {
        device: Device::Other,
        browser: None,
        os: None,
        bot: true,
    };
    for nothing in [None, Some(""), Some("  \t ")] {
        assert_eq!(agents.read(nothing), bot);
    }
}

#[test]
fn only_the_first_512_bytes_count() {
    let agents = Agents::new();
    let padded = |length: usize| format!("Mozilla/5.0 Gecko {}curl/8", "é".repeat(length / 2));
    assert!(agents.read(Some(&padded(480))).bot);
    assert!(!agents.read(Some(&padded(8192))).bot);
}

/// Samples of lists that `update-robots` does not read.
#[test]
fn robots_and_people_of_other_lists_are_known_apart() {
    let agents = Agents::new();
    let share_of_bots = |list: &'static str| {
        let lines: Vec<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
        let bots = lines.iter().filter(|line| agents.read(Some(line)).bot).count();
        bots as f64 / lines.len() as f64
    };
    let recognised = share_of_bots(include_str!("other_robots.txt"));
    assert!(recognised > 0.96, "{recognised} of the robots");
    let mistaken = share_of_bots(include_str!("other_people.txt"));
    assert!(mistaken < 0.005, "{mistaken} of the people");
}

#[test]
fn a_name_with_control_characters_is_none() {
    let agents = Agents::new();
    let agent = agents.read(Some(
        "Mozilla/5.0 (Windows NT 10.0; \u{1}\u{7f}\u{0}) Chrome/126.0.0.0",
    ));
    assert_eq!(agent.browser.as_deref(), Some("Chrome"));
    for name in [agents.read(Some("\u{1b}[31mEvil\u{1b}Bot/1.0")).browser]
        .into_iter()
        .flatten()
    {
        assert!(!name.contains(char::is_control), "{name:?}");
    }
}

/// Built of words that the rules search for, because random text reaches few rules.
fn hostile() -> impl Strategy<Value = String> {
    let words = [
        "Mozilla/5.0 ",
        "(Linux; Android 9; ",
        "AppleWebKit/537.36 ",
        "Mobile ",
        "iPhone",
        "; ",
        "Build/",
        "Chrome/1.2.3 ",
        "Safari/",
        "Version/",
        "bot",
        "DoCoMo",
        "Nokia",
        "Opera ",
        "HbbTV/1.1.1 (",
        "CFNetwork",
        "Darwin/1.",
        "MSIE 7.0",
        "\n",
        "\0",
        "Tizen",
        "Windows NT ",
        "_",
        "1234567890",
        "é",
        "😀",
        "CPU OS 1_2",
        "Silk/",
        "FBAN",
        "Yahoo",
        "/",
        ".",
        ")",
    ];
    prop_oneof![
        proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..200)
            .prop_map(|words| words.concat()),
        ".{0,600}",
        any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

#[test]
fn no_user_agent_causes_a_panic_or_takes_long() {
    let agents = Agents::new();
    // Detects hanging; benches/click.rs measures. The build may be a debug one on a busy machine.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 50 });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    runner
        .run(&hostile(), |user_agent| {
            let begun = std::time::Instant::now();
            let agent = agents.read(Some(&user_agent));
            prop_assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
            prop_assert_eq!(agents.read(Some(&user_agent)), agent);
            Ok(())
        })
        .unwrap();
    let garbage = "A-/; (".repeat(8192 / 6);
    let begun = std::time::Instant::now();
    agents.read(Some(&garbage));
    assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
}
