//! Uniqueness, repeats and rates, with the error bounds of `Recent` measured.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use visitors::{Recent, VisitorHash};

const TODAY: i32 = 20_778;
const NOW: i64 = 1_795_219_200_000;

/// Visitors as an HMAC yields them: spread over all 64 bits.
fn visitor(number: u64) -> VisitorHash {
    let mut x = number
        .wrapping_add(0x5851_f42d_4c95_7f2d)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    VisitorHash(x ^ (x >> 32))
}

#[test]
fn a_visitor_is_unique_once_per_scope_and_day() {
    let recent = Recent::new();
    for day in [TODAY, TODAY + 1, TODAY - 1] {
        for scope in [1, 2, 3] {
            assert!(recent.is_unique(scope, visitor(7), day));
            assert!(!recent.is_unique(scope, visitor(7), day));
        }
    }
    assert!(
        !recent.is_unique(1, visitor(7), TODAY),
        "three days are stored at once"
    );
    assert!(recent.is_unique(1, visitor(8), TODAY));
}

#[test]
fn a_new_day_replaces_only_the_one_three_days_before() {
    let recent = Recent::new();
    for day in TODAY..TODAY + 30 {
        assert!(recent.is_unique(1, visitor(7), day), "{day}");
        for known in (day - 2).max(TODAY)..=day {
            assert!(!recent.is_unique(1, visitor(7), known));
        }
        assert!(
            !recent.is_unique(1, visitor(9), day - 3),
            "on a past day nothing is unique"
        );
        assert!(
            !recent.is_unique(1, visitor(7), day),
            "and a query for it changes no other day"
        );
    }
    assert!(
        Recent::new().is_unique(1, visitor(7), -1),
        "days before 1970 are days"
    );
}

#[test]
fn a_learnt_visit_is_not_unique() {
    let recent = Recent::new();
    recent.learn(1, visitor(7), TODAY);
    assert!(!recent.is_unique(1, visitor(7), TODAY));
    assert!(recent.is_unique(1, visitor(7), TODAY + 1));
}

#[test]
fn first_visits_are_missed_no_more_often_than_documented() {
    let recent = Recent::new();
    let mut missed = 0;
    let mut seen = 0;
    for (visitors, most) in [(1_000_000, 0.005), (2_000_000, 0.02), (5_000_000, 0.15)] {
        while seen < visitors {
            missed += u64::from(!recent.is_unique(seen % 50, visitor(seen), TODAY));
            seen += 1;
        }
        let share = missed as f64 / visitors as f64;
        println!(
            "of {visitors} first visits {:.3} % are called repeated",
            share * 100.0
        );
        assert!(share <= most, "{share}");
        // A bound that is never approached would hide a filter that has grown.
        assert!(share > most / 20.0, "{share}");
    }
    assert!(
        (0..seen).all(|number| !recent.is_unique(number % 50, visitor(number), TODAY)),
        "never vice versa"
    );
}

#[test]
fn exactly_one_of_many_concurrent_threads_gets_unique() {
    let recent = Recent::new();
    let together = Barrier::new(4);
    let unique = AtomicU32::new(0);
    let repeats = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..2000 {
                    together.wait();
                    // A new day every hundred rounds, so that the filters are replaced in the same race.
                    let first = recent.is_unique(1, visitor(round), TODAY + (round / 100) as i32);
                    unique.fetch_add(u32::from(first), Ordering::Relaxed);
                    let repeat = recent.is_repeat(1, visitor(round), NOW);
                    repeats.fetch_add(u32::from(repeat), Ordering::Relaxed);
                    recent.rate(visitor(0), NOW);
                }
            });
        }
    });
    assert_eq!(unique.into_inner(), 2000);
    assert_eq!(repeats.into_inner(), 3 * 2000);
    assert_eq!(recent.rate(visitor(0), NOW), 8001, "no click is lost");
}

#[test]
fn a_repeat_is_the_same_visitor_and_link_within_two_seconds() {
    let recent = Recent::new();
    assert!(!recent.is_repeat(1, visitor(7), NOW));
    assert!(!recent.is_repeat(2, visitor(7), NOW));
    assert!(!recent.is_repeat(1, visitor(8), NOW));
    assert!(recent.is_repeat(1, visitor(7), NOW + 2000));
    assert!(
        recent.is_repeat(1, visitor(7), NOW + 4000),
        "each visit restarts the window"
    );
    assert!(!recent.is_repeat(1, visitor(7), NOW + 6001));
    assert!(
        recent.is_repeat(1, visitor(7), NOW + 5990),
        "clocks of threads differ slightly"
    );
    assert!(!recent.is_repeat(1, visitor(7), NOW + 86_400_000));
    assert!(!recent.is_repeat(1, visitor(7), 0));
}

#[test]
fn repeats_are_missed_no_more_often_than_documented() {
    for (others, most) in [(1_000_u64, 1.0 / 150.0), (60_000, 0.27)] {
        let recent = Recent::new();
        let (mut missed, mut wrong) = (0, 0);
        let firsts = 5_000;
        for number in 0..firsts {
            wrong += u64::from(recent.is_repeat(1, visitor(number), NOW));
        }
        for number in 0..others {
            wrong += u64::from(recent.is_repeat(2, visitor(number), NOW + 500));
        }
        for number in 0..firsts {
            missed += u64::from(!recent.is_repeat(1, visitor(number), NOW + 1000));
        }
        let share = missed as f64 / firsts as f64;
        // The 5,000 visits also take each other's slots, unlike a single double click.
        assert!(share <= most + 0.0254, "{share} with {others} clicks in between");
        assert_eq!(wrong, 0);
    }
}

#[test]
fn the_rate_counts_within_a_minute() {
    let recent = Recent::new();
    let minute = NOW - NOW.rem_euclid(60_000);
    for count in 1..=50 {
        assert_eq!(recent.rate(visitor(7), minute + i64::from(count)), count);
    }
    assert_eq!(recent.rate(visitor(7), minute + 59_999), 51);
    assert_eq!(recent.rate(visitor(7), minute + 60_000), 1);
    assert_eq!(
        recent.rate(visitor(7), minute + 59_999),
        2,
        "a late click counts in the current minute"
    );
    for later in [2, 3, 1440, 32_768, 40_000, 65_530] {
        let recent = Recent::new();
        recent.rate(visitor(7), minute);
        assert_eq!(
            recent.rate(visitor(7), minute + later * 60_000),
            1,
            "after {later} minutes"
        );
    }
    for _ in 0..70_000 {
        recent.rate(visitor(9), minute);
    }
    assert_eq!(recent.rate(visitor(9), minute), 65_535);
}

#[test]
fn the_rate_exceeds_the_truth_no_more_than_documented() {
    let recent = Recent::new();
    let visitors = 600_000_u64;
    let clicks = 2 * visitors;
    for number in 0..clicks {
        recent.rate(visitor(number % visitors), NOW);
    }
    let sample = 20_000;
    let bound = (clicks / 48_000) as u32;
    let excess: Vec<_> = (0..sample)
        .map(|number| recent.rate(visitor(number), NOW).checked_sub(3))
        .collect();
    assert!(excess.iter().all(Option::is_some), "never too few");
    let over = excess.iter().flatten().filter(|excess| **excess > bound).count();
    println!("{over} of {sample} exceed the truth by more than {bound}");
    assert!(over as u64 <= sample / 50, "{over}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_numbers_are_accepted(scope: u64, hash: u64, day: i32, now: i64) {
        let recent = Recent::new();
        recent.learn(scope, VisitorHash(hash), day);
        prop_assert!(!recent.is_unique(scope, VisitorHash(hash), day));
        recent.is_repeat(scope, VisitorHash(hash), now);
        prop_assert!(recent.is_repeat(scope, VisitorHash(hash), now));
        recent.rate(VisitorHash(hash), now);
        prop_assert_eq!(recent.rate(VisitorHash(hash), now), 2);
    }
}
