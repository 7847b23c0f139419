//! Autonomous systems of hosting companies.

const LIST: &str = include_str!("../../data/data_centers.txt");

/// Sorted numbers of the autonomous systems.
pub(super) struct DataCenters(Box<[u32]>);

impl DataCenters {
    pub(super) fn new() -> Self {
        let mut numbers: Vec<u32> = lines().filter_map(|(number, _)| number.parse().ok()).collect();
        numbers.sort_unstable();
        Self(numbers.into())
    }

    pub(super) fn contains(&self, asn: u32) -> bool {
        self.0.binary_search(&asn).is_ok()
    }
}

/// Number and name of each line.
fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    LIST.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_counts_once() {
        let written = LIST.lines().filter(|line| !line.starts_with('#')).count();
        let mut numbers = DataCenters::new().0.into_vec();
        numbers.dedup();
        assert_eq!(numbers.len(), written);
        assert!(lines().all(|(_, name)| !name.trim().is_empty()));
    }
}
