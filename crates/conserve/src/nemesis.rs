//! Faults, the requirements of each, and a seeded order in which they strike.

use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;
use nix::unistd::geteuid;
use rand::Rng;
use rand::seq::SliceRandom;

use crate::Outcome;
use crate::ground::can_mount_images;
use crate::world::PostgresKind;

/// Fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Fault {
    /// kill -9 of the server, started again at once.
    Kill9Server,
    /// kill -9 of the server while a transaction of its applier waits for a table.
    Kill9Applying,
    /// kill -9 of Postgres with all its processes, started again after a while.
    Kill9Postgres,
    /// kill -9 of the server and of Postgres; the server is started first, and Postgres after a while.
    DatabaseAwayAtStart,
    /// Postgres suspended (SIGSTOP) for 10 s.
    FreezePostgres,
    /// Full disk of the journal, with free space again later.
    FullJournal,
    /// Unacknowledged records that reached the journal in part, or garbage after them, following a kill -9.
    TornTail,
    /// SIGTERM under load, started again.
    TermRestart,
    /// Power failure of the journal's disk while Postgres is suspended.
    PowerCut,
    /// Occasional failures of the journal's syncs.
    Eio,
    /// Jumps of the wall clock: an hour back, an hour forth, nine years back.
    ClockJump,
    /// Full disk of Postgres' write-ahead log.
    DatabaseDiskFull,
    /// Termination of the server's connections to Postgres, five times a second.
    TerminateBackends,
    /// Hand-over of the listeners to another process under load, and back: to --other-server, or to the same binary.
    HandOver,
    /// kill -9 of the server's private Postgres with all its processes, left to the server.
    PrivatePostgresKilled,
    /// kill -9 of the server and its private Postgres, loss of the data directory, and a restore from the continuous
    /// backup.
    Restore,
}

impl Fault {
    /// Returns the name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// Returns true if only Postgres is hurt, so that clicks must not notice.
    pub(crate) fn spares_the_server(self) -> bool {
        matches!(
            self,
            Self::Kill9Postgres
                | Self::FreezePostgres
                | Self::DatabaseDiskFull
                | Self::TerminateBackends
                | Self::PrivatePostgresKilled
        )
    }

    /// Returns the Postgres of the server that the fault hurts.
    pub(crate) fn postgres(self) -> PostgresKind {
        match self {
            Self::PrivatePostgresKilled | Self::Restore => PostgresKind::Private,
            _ => PostgresKind::Separate,
        }
    }

    fn needs_root(self) -> bool {
        matches!(
            self,
            Self::FullJournal | Self::PowerCut | Self::DatabaseDiskFull | Self::Eio
        )
    }

    /// Returns the requirement that this machine lacks, and the remedy.
    fn lacks(self) -> Option<&'static str> {
        match self {
            Self::PowerCut if !can_mount_images() => Some("a loop device (losetup -f finds none)"),
            Self::Eio if Command::new("strace").arg("-V").output().is_err() => Some("strace; install it"),
            Self::ClockJump if faketime().is_none() => Some("libfaketime; install the package faketime"),
            _ => None,
        }
    }
}

/// Returns the library that fakes the wall clock.
pub(crate) fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    folders
        .flat_map(|folder| [folder.path().join("faketime"), folder.path()])
        .map(|folder| folder.join("libfaketimeMT.so.1"))
        .find(|library| library.exists())
}

/// Faults of the short profile, with the strikes of each.
pub(crate) const SHORT: [(Fault, usize); 11] = [
    (Fault::Kill9Server, 3),
    (Fault::Kill9Applying, 2),
    (Fault::Kill9Postgres, 2),
    (Fault::DatabaseAwayAtStart, 1),
    (Fault::FreezePostgres, 1),
    (Fault::FullJournal, 1),
    (Fault::TornTail, 3),
    (Fault::TermRestart, 1),
    (Fault::HandOver, 1),
    (Fault::PrivatePostgresKilled, 1),
    (Fault::Restore, 1),
];

/// Faults of the long profile: a hundred strikes.
pub(crate) const LONG: [(Fault, usize); 16] = [
    (Fault::Kill9Server, 19),
    (Fault::Kill9Applying, 10),
    (Fault::Kill9Postgres, 10),
    (Fault::DatabaseAwayAtStart, 4),
    (Fault::FreezePostgres, 3),
    (Fault::FullJournal, 3),
    (Fault::TornTail, 12),
    (Fault::TermRestart, 3),
    (Fault::PowerCut, 10),
    (Fault::Eio, 4),
    (Fault::ClockJump, 3),
    (Fault::DatabaseDiskFull, 2),
    (Fault::TerminateBackends, 4),
    (Fault::HandOver, 5),
    (Fault::PrivatePostgresKilled, 4),
    (Fault::Restore, 4),
];

/// Returns the order in which faults strike: those of the profile, or each chosen fault `cycles` times (by default as
/// often as in the profile, or once).
///
/// Without root, faults that need root are left out and named. Any other missing requirement is an error.
pub(crate) fn schedule(
    profile: &[(Fault, usize)],
    chosen: &[Fault],
    cycles: Option<usize>,
    dice: &mut impl Rng,
) -> Outcome<Vec<Fault>> {
    let mut plan: Vec<_> = profile.to_vec();
    if !chosen.is_empty() {
        plan.retain(|(fault, _)| chosen.contains(fault));
        let missing = chosen
            .iter()
            .filter(|fault| !profile.iter().any(|(planned, _)| planned == *fault));
        plan.extend(missing.map(|fault| (*fault, 1)));
    }
    if !geteuid().is_root() {
        let (left_out, kept) = plan.into_iter().partition(|(fault, _)| fault.needs_root());
        plan = kept;
        for (fault, _) in left_out as Vec<(Fault, usize)> {
            eprintln!("conserve: {} is left out: it needs root", fault.name());
        }
    }
    for (fault, _) in &plan {
        if let Some(lack) = fault.lacks() {
            let alternative = "or choose other faults with --faults";
            return Err(format!("{} needs {lack}, {alternative}", fault.name()).into());
        }
    }
    let times = |(fault, times): (Fault, usize)| std::iter::repeat_n(fault, cycles.unwrap_or(times));
    let mut order: Vec<_> = plan.into_iter().flat_map(times).collect();
    order.shuffle(dice);
    Ok(order)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_seed_replays_its_schedule() {
        let of = |seed| {
            let mut dice = StdRng::seed_from_u64(seed);
            schedule(
                &SHORT,
                &[Fault::Kill9Server, Fault::TornTail, Fault::TermRestart],
                None,
                &mut dice,
            )
            .unwrap()
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(of(1).len(), 7);
    }

    #[test]
    fn the_long_profile_has_a_hundred_cycles_of_every_fault() {
        assert_eq!(LONG.iter().map(|(_, times)| times).sum::<usize>(), 100);
        for fault in Fault::value_variants() {
            assert!(
                LONG.iter().any(|(planned, _)| planned == fault),
                "{}",
                fault.name()
            );
        }
    }
}
