//! Hours of operation under a clock that runs fast: busy and quiet hours, and samples of everything that must stay flat.
//!
//! | module | content |
//! |---|---|
//! | `clock` | the fast clock, preloaded into the server |
//! | `sample` | what one simulated quarter of an hour needed |
//! | `flat` | the test for drift, and its tolerances |

mod clock;
mod flat;
mod sample;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep, sleep_until};

use crate::driver::{End, Rates};
use crate::report::{Check, Held, Report};
use crate::trial::{check, compare, conservation, examples};
use crate::world::{World, WorldSettings};
use crate::{Outcome, free_port, private};
use sample::{Observer, Sample};

/// Simulated time of a sample.
const SAMPLE_TIME: Duration = Duration::from_secs(15 * 60);
/// Samples of an hour.
const SAMPLES_OF_HOUR: usize = 4;
/// Samples of the warm-up, in which caches fill and the journals reach their retention.
const WARM_UP_SAMPLES: usize = 6;
/// Retention of the journals in hours: so short that they are as long at the end as after the warm-up.
const RETENTION_HOURS: u32 = 1;
/// Clicks and postbacks per real second, on average.
const MEAN_RATES: (f64, f64) = (200.0, 20.0);
/// Part of the average by which busy hours are above it and quiet hours below it.
const SWING: f64 = 0.6;
/// Visitors: so few that each has clicked in the warm-up, because the server recognises them for a day.
const VISITORS: u64 = 10_000;
/// Longest time until the tables have everything. Under a fast clock, a slow machine exceeds the server's timeouts for the
/// database again and again, although nothing is lost.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);
/// Connections for clicks at a time.
const CONNECTIONS: usize = 32;
/// Waves of busy and quiet hours: one in each quarter of the run, so that the quarters can be compared.
const WAVES: usize = 4;
/// Least part of the rounds of the continuous backup that must have run: each takes time itself, and without fast timers
/// a twentieth would run.
const LEAST_ROUNDS: f64 = 0.3;
/// Largest part of requests without an acknowledgement: under a fast clock, timeouts are as many times shorter, and a
/// pause of the machine exceeds them.
const MOST_FAILED: f64 = 0.001;
/// Alarms about the time that the machine needs, which a fast clock multiplies.
const ALARMS_OF_TIME: [&str; 2] = ["disk_slow", "journal_late"];
/// Largest deviation of the server's clock from its speed.
const MOST_DEVIATION: f64 = 0.02;

/// Options of the hours of operation.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Hours of operation")]
pub(crate) struct HoursOptions {
    /// Hours of simulated operation, after a warm-up of an hour and a half.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1000))]
    hours: u32,
    /// Speed of the server's clock and timers: 20 passes ten hours in half an hour, 1 in ten hours.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=60))]
    speed: u32,
}

/// Runs the hours on a new world with a fast clock, and reports.
pub(crate) async fn run(mut settings: WorldSettings, options: &HoursOptions) -> Outcome<Report> {
    let began = Instant::now();
    std::fs::create_dir_all(&settings.folder)?;
    settings
        .environment
        .extend(clock::environment(&settings.folder, options.speed)?);
    let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    settings.options = private::backup_options(&private::first_place(&settings.folder.canonicalize()?))?;
    settings.options.extend([
        "--journal-retention-hours".to_owned(),
        RETENTION_HOURS.to_string(),
        "--metrics-listen".to_owned(),
        metrics.to_string(),
    ]);
    settings.rates = rates(0, options);
    settings.visitors = VISITORS;
    let mut world = World::create(settings).await?;
    hurry_autovacuum(&world, options.speed).await?;
    let operation = operate(&mut world, metrics, options).await?;
    world.load_off().await;
    world.drain_within(DRAIN_TIMEOUT, DRAIN_TIMEOUT).await?;
    let findings = compare(&world).await?;
    let mut checks = conservation(&findings);
    checks.extend(flat::checks(&operation.samples));
    checks.extend(operation.checks(&world, options));
    Ok(Report {
        part: "Hours of operation under a fast clock",
        seed: world.oracle.run.seed,
        faults: Vec::new(),
        record: world.driver.record(),
        table: table(&operation.samples),
        checks,
        examples: examples(&world, &findings),
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Samples of the hours, and the server's clock.
struct Operation {
    samples: Vec<Sample>,
    /// Alarms raised at the time of a sample.
    alarms: Vec<String>,
    /// Seconds of the server's clock for each real second.
    speed: f64,
    /// Rounds of the continuous backup.
    rounds: u64,
}

/// Warms up, and takes a sample of each quarter of an hour.
async fn operate(world: &mut World, metrics: SocketAddr, options: &HoursOptions) -> Outcome<Operation> {
    let real = SAMPLE_TIME / options.speed;
    let mut observer = Observer::new(world, metrics).await?;
    let (mut samples, mut alarms) = (Vec::new(), Vec::new());
    let (mut clock, mut rounds) = (None, 0);
    let count = WARM_UP_SAMPLES + usize::try_from(options.hours)? * SAMPLES_OF_HOUR;
    let start = Instant::now();
    for number in 0..count {
        world.set_rates(rates(number, options));
        world.load_on();
        if number == WARM_UP_SAMPLES {
            // A click of the first sample, for its time by the server's clock.
            sleep(Duration::from_secs(1)).await;
            clock = world.oracle.newest_click_ms().map(|time| (time, Instant::now()));
            rounds = observer.look().await?.rounds;
        }
        sleep_until(start + real.saturating_mul(u32::try_from(number + 1)?)).await;
        let sample = observer.sample(world, real).await?;
        if !world.node.is_running() {
            return Err(format!("the server ended by itself after {:.2} hours", hour(number)).into());
        }
        if number >= WARM_UP_SAMPLES {
            alarms.extend(sample.seen.alarms.iter().cloned());
            samples.push(sample);
        }
        let done = hour(number + 1);
        if done >= 0.0 && done.fract() == 0.0 {
            eprintln!("{done:>6.0} hours of {}", options.hours);
        }
        world.load_off().await;
    }
    let speed = clock
        .zip(world.oracle.newest_click_ms())
        .map(|((then, since), now)| now.saturating_sub(then) as f64 / 1000.0 / since.elapsed().as_secs_f64());
    alarms.sort();
    alarms.dedup();
    Ok(Operation {
        rounds: observer.look().await?.rounds - rounds,
        samples,
        alarms,
        speed: speed.unwrap_or_default(),
    })
}

/// Returns the hour in which a sample begins; negative in the warm-up.
fn hour(number: usize) -> f64 {
    (number as f64 - WARM_UP_SAMPLES as f64) / SAMPLES_OF_HOUR as f64
}

/// Returns the rates of a sample: waves of busy and quiet hours, which begin quiet.
fn rates(number: usize, options: &HoursOptions) -> Rates {
    let of_wave = hour(number) / (f64::from(options.hours) / WAVES as f64);
    let factor = 1.0 - SWING * (of_wave * std::f64::consts::TAU).cos();
    Rates {
        clicks: MEAN_RATES.0 * factor,
        postbacks: MEAN_RATES.1 * factor,
        connections: CONNECTIONS,
        // A server whose clock is fast closes idle connections in a fraction of a second.
        keep_alive: false,
    }
}

/// Lets Postgres, whose clock is not fast, vacuum as often as it would in the simulated time.
async fn hurry_autovacuum(world: &World, speed: u32) -> Outcome {
    let client = world.cluster.client().await?;
    let pause = (60 / speed).max(1);
    client
        .batch_execute(&format!("ALTER SYSTEM SET autovacuum_naptime = {pause}"))
        .await?;
    client.batch_execute("SELECT pg_reload_conf()").await?;
    Ok(())
}

impl Operation {
    /// Returns the checks that the operation took place, and that nothing went wrong in it.
    fn checks(&self, world: &World, options: &HoursOptions) -> Vec<Check> {
        let record = world.driver.record();
        let (mut sent, mut failed) = (0, 0);
        for tally in record.clicks.values().chain(record.postbacks.values()) {
            sent += tally.ends.values().sum::<u64>();
            failed += tally.ends.values().sum::<u64>() - tally.count(End::Acked);
        }
        let share = failed as f64 / sent.max(1) as f64;
        let alarms: Vec<_> = self.alarms.iter().map(String::as_str).collect();
        let is_wrong = |alarm: &&str| !ALARMS_OF_TIME.contains(alarm);
        let speed = f64::from(options.speed);
        let expected = f64::from(options.hours) * 3600.0 / private::BACKUP_INTERVAL.as_secs_f64();
        let rejected = world.oracle.testimony().rejected.len();
        vec![
            check(
                "H",
                "speed of the server's clock",
                format!("{:.2}", self.speed),
                &format!("{speed} +- 2 %"),
                Held::when((self.speed / speed - 1.0).abs() <= MOST_DEVIATION),
            ),
            check(
                "H",
                "rounds of the continuous backup",
                self.rounds.to_string(),
                &format!(">= {:.0}", expected * LEAST_ROUNDS),
                Held::when(self.rounds as f64 >= expected * LEAST_ROUNDS),
            ),
            check(
                "H",
                "requests without an acknowledgement",
                format!("{failed} of {sent}"),
                "<= 0.1 %",
                Held::when(share <= MOST_FAILED),
            ),
            check(
                "H",
                "alarms",
                if alarms.is_empty() {
                    "none".to_owned()
                } else {
                    alarms.join(" ")
                },
                &format!("none but {}", ALARMS_OF_TIME.join(" ")),
                Held::when(!alarms.iter().any(is_wrong)),
            ),
            check(
                "D",
                "genuine postbacks rejected",
                rejected.to_string(),
                "0",
                Held::when(rejected == 0),
            ),
        ]
    }
}

/// Returns a table with the median of each figure in each hour.
fn table(samples: &[Sample]) -> Vec<String> {
    let row = |hour: String, rate: String, figures: &mut dyn Iterator<Item = String>| {
        let start = format!("{hour:>5}{rate:>10}");
        figures.fold(start, |line, figure| format!("{line}{figure:>13}"))
    };
    let headings = &mut flat::FIGURES.iter().map(|figure| figure.heading.to_owned());
    let mut lines = vec![row("hour".to_owned(), "clicks/s".to_owned(), headings)];
    for (hour, samples) in samples.chunks(SAMPLES_OF_HOUR).enumerate() {
        let median_of = |of: fn(&Sample) -> f64| {
            let values: Vec<_> = samples.iter().map(of).collect();
            format!("{:.1}", flat::median(&values))
        };
        let rate = median_of(|sample| sample.clicks_per_second);
        let figures = &mut flat::FIGURES.iter().map(|figure| median_of(figure.of));
        lines.push(row((hour + 1).to_string(), rate, figures));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quarter_of_the_run_has_the_same_load() {
        let options = HoursOptions { hours: 10, speed: 20 };
        let load = |quarter: usize| -> f64 {
            let first = WARM_UP_SAMPLES + quarter * 10;
            (first..first + 10)
                .map(|number| rates(number, &options).clicks)
                .sum()
        };
        assert!((load(0) - 2000.0).abs() < 1e-6);
        assert!((load(0) - load(3)).abs() < 1e-6);
        let busiest = (0..40)
            .map(|number| rates(number, &options).clicks)
            .fold(0.0, f64::max);
        assert!(busiest > 300.0);
    }
}
