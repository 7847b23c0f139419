//! Sums of blocks: the values of each row select its group. A pass per column keeps the loops small.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use columns::{Code, Codes, Column, Dictionary};

use super::LoadedBlock;
use crate::ReportError;
use crate::background::lower_priority;
use crate::click_groups::{ClickGroups, FoundClicks};
use crate::field::QUARTER;
use crate::groups::{Clicks, MAX_GROUPS};
use crate::keys::{GroupKey, Keys};
use crate::plan::{Plan, PlannedField};

/// Combinations of codes up to which the groups of a block are counted in an array.
const MAX_CELLS: usize = 1 << 16;

/// Part of a key that is not known yet. No key has so many bits.
const UNKNOWN: GroupKey = GroupKey::MAX;

/// Sums of a block for one question: values of its groups, and their clicks.
pub(crate) type Partial = Vec<(Vec<Arc<str>>, Clicks)>;

/// Sums blocks on as many threads as given; returns the groups of each block if `keeps_apart`, otherwise of all.
///
/// # Errors
/// [`ReportError::TooLarge`].
pub(crate) fn sum_blocks(
    blocks: &[LoadedBlock],
    plan: &Plan,
    keys: &Keys,
    threads: usize,
    keeps_apart: bool,
) -> Result<Vec<(Option<usize>, ClickGroups)>, ReportError> {
    let next = AtomicUsize::new(0);
    let work = || {
        lower_priority();
        let mut apart = Vec::new();
        let mut together = FoundClicks::default();
        while let Some((at, block)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            blocks.get(at).map(|block| (at, block))
        } {
            if keeps_apart {
                let mut found = FoundClicks::default();
                sum_block(block, plan, keys, &mut found)?;
                apart.push((Some(at), found.into_groups()));
            } else {
                sum_block(block, plan, keys, &mut together)?;
            }
        }
        Ok::<_, ReportError>((apart, together))
    };
    let threads = threads.min(blocks.len()).max(1);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let (mut all, mut together) = (Vec::new(), Vec::new());
        for thread in running {
            let (apart, found) = thread
                .join()
                .map_err(|_| ReportError::failed(std::io::Error::other("a thread of the report failed")))??;
            all.extend(apart);
            together.push(found);
        }
        if !keeps_apart {
            all.push((None, FoundClicks::together(together, threads, lower_priority)));
        }
        Ok(all)
    })
}

/// Field of the plan with its column in a block.
struct Planned<'a> {
    field: &'a PlannedField,
    column: &'a Column,
}

impl Planned<'_> {
    /// Number of codes, with that of no value.
    fn codes(&self) -> usize {
        self.column.dictionary.len() + 1
    }

    /// Calls `use_value` with the value of a code.
    fn with_value<R>(&self, code: usize, use_value: impl FnOnce(Option<&str>) -> R) -> R {
        let Some(at) = code.checked_sub(1) else {
            return use_value(None);
        };
        match &self.column.dictionary {
            Dictionary::Numbers(numbers) => {
                let text = numbers.get(at).map(ToString::to_string);
                use_value(text.as_deref())
            }
            Dictionary::Texts(texts) => use_value(texts.get(at)),
        }
    }

    /// True for each code whose value the filters let through.
    fn allowed(&self, plan: &Plan) -> Vec<bool> {
        let is_allowed = |code: usize| self.with_value(code, |value| plan.allows(self.field, value));
        (0..self.codes()).map(is_allowed).collect()
    }
}

/// True for each code of a quarter of an hour in the period.
fn in_period(quarters: &Column, plan: &Plan) -> Vec<bool> {
    let mut allowed = vec![false];
    if let Dictionary::Numbers(numbers) = &quarters.dictionary {
        allowed.extend(numbers.iter().map(|quarter| {
            let at = i64::from(*quarter) * QUARTER;
            plan.from.timestamp() <= at && at < plan.to.timestamp()
        }));
    }
    allowed
}

fn sum_block(
    block: &LoadedBlock,
    plan: &Plan,
    keys: &Keys,
    found: &mut FoundClicks,
) -> Result<(), ReportError> {
    let fields: Vec<_> = plan
        .click_fields()
        .zip(&block.columns)
        .map(|(field, column)| Planned { field, column })
        .collect();
    let mut kept: Option<Vec<bool>> = None;
    let filters = fields.iter().filter(|planned| planned.field.is_filter());
    let filters = filters.map(|planned| (planned.column, planned.allowed(plan)));
    let clipped = block
        .quarters
        .iter()
        .map(|quarters| (&**quarters, in_period(quarters, plan)));
    for (column, allowed) in filters.chain(clipped) {
        if !allowed.contains(&true) {
            return Ok(());
        }
        if allowed.contains(&false) {
            let kept = kept.get_or_insert_with(|| vec![true; column.codes.len()]);
            match &column.codes {
                Codes::Narrow(codes) => keep_allowed(kept, codes, &allowed),
                Codes::Medium(codes) => keep_allowed(kept, codes, &allowed),
                Codes::Wide(codes) => keep_allowed(kept, codes, &allowed),
            }
        }
    }
    let grouped: Vec<_> = fields
        .into_iter()
        .filter(|planned| planned.field.is_group())
        .collect();
    let bits = bits(&block.marks);
    let marks = Marks {
        codes: &block.marks.codes,
        bits: &bits,
        kept: kept.as_deref(),
    };
    let cells = grouped
        .iter()
        .try_fold(1_usize, |cells, planned| cells.checked_mul(planned.codes()));
    match cells.filter(|cells| *cells <= MAX_CELLS) {
        Some(cells) => sum_in_cells(&grouped, cells, &marks, plan, keys, found),
        None => sum_by_key(&grouped, &marks, plan, keys, found),
    }?;
    if found.groups.len() > MAX_GROUPS {
        return Err(ReportError::TooLarge);
    }
    Ok(())
}

fn keep_allowed<C: Code>(kept: &mut [bool], codes: &[C], allowed: &[bool]) {
    for (kept, code) in kept.iter_mut().zip(codes) {
        *kept &= allowed.get(code.index()).copied().unwrap_or_default();
    }
}

/// Marks of the rows of a block.
struct Marks<'a> {
    codes: &'a Codes,
    /// By code: bit 0 of unique clicks, bit 1 of flagged ones.
    bits: &'a [u8],
    /// Rows that the filters let through; `None` for all.
    kept: Option<&'a [bool]>,
}

impl Marks<'_> {
    /// Calls `add` with the number of every row that is kept, and its bits.
    fn each(&self, mut add: impl FnMut(usize, u8)) {
        match self.codes {
            Codes::Narrow(codes) => self.each_of(codes, &mut add),
            Codes::Medium(codes) => self.each_of(codes, &mut add),
            Codes::Wide(codes) => self.each_of(codes, &mut add),
        }
    }

    fn each_of<C: Code>(&self, codes: &[C], add: &mut impl FnMut(usize, u8)) {
        for (row, code) in codes.iter().enumerate() {
            if self
                .kept
                .is_none_or(|kept| kept.get(row).copied().unwrap_or_default())
            {
                add(row, self.bits.get(code.index()).copied().unwrap_or_default());
            }
        }
    }
}

fn bits(marks: &Column) -> Vec<u8> {
    let mut bits = vec![0];
    if let Dictionary::Numbers(numbers) = &marks.dictionary {
        bits.extend(numbers.iter().map(|marks| (marks & 3) as u8));
    }
    bits
}

/// Counts the combinations of codes in an array, and then finds the keys of those that occur.
fn sum_in_cells(
    grouped: &[Planned<'_>],
    cells: usize,
    marks: &Marks<'_>,
    plan: &Plan,
    keys: &Keys,
    found: &mut FoundClicks,
) -> Result<(), ReportError> {
    let mut cell_of_row = vec![0_u32; marks.codes.len()];
    let mut stride = 1;
    for planned in grouped {
        match &planned.column.codes {
            Codes::Narrow(codes) => add_codes(&mut cell_of_row, codes, stride),
            Codes::Medium(codes) => add_codes(&mut cell_of_row, codes, stride),
            Codes::Wide(codes) => add_codes(&mut cell_of_row, codes, stride),
        }
        stride *= planned.codes() as u32;
    }
    let mut sums = vec![[0_u32; 3]; cells];
    marks.each(|row, bits| {
        let cell = cell_of_row.get(row).copied().unwrap_or_default();
        if let Some([clicks, unique, invalid]) = sums.get_mut(cell as usize) {
            *clicks += 1;
            *unique += u32::from(bits & 1);
            *invalid += u32::from(bits >> 1);
        }
    });
    let mut parts: Vec<_> = grouped
        .iter()
        .map(|planned| vec![UNKNOWN; planned.codes()])
        .collect();
    for (cell, [clicks, unique, invalid]) in sums.into_iter().enumerate() {
        if clicks == 0 {
            continue;
        }
        let (mut key, mut rest) = (0, cell);
        for (planned, parts) in grouped.iter().zip(&mut parts) {
            let code = rest % planned.codes();
            rest /= planned.codes();
            key |= part(planned, code, parts, plan, keys)?;
        }
        let clicks = Clicks {
            clicks: i64::from(clicks),
            unique: i64::from(unique),
            invalid: i64::from(invalid),
        };
        found.groups.add(key, clicks);
    }
    Ok(())
}

fn add_codes<C: Code>(cells: &mut [u32], codes: &[C], stride: u32) {
    for (cell, code) in cells.iter_mut().zip(codes) {
        *cell += code.index() as u32 * stride;
    }
}

/// Finds the key of every row.
fn sum_by_key(
    grouped: &[Planned<'_>],
    marks: &Marks<'_>,
    plan: &Plan,
    keys: &Keys,
    found: &mut FoundClicks,
) -> Result<(), ReportError> {
    let mut key_of_row = vec![0; marks.codes.len()];
    for planned in grouped {
        match &planned.column.codes {
            Codes::Narrow(codes) => add_parts(&mut key_of_row, codes, planned, marks, plan, keys),
            Codes::Medium(codes) => add_parts(&mut key_of_row, codes, planned, marks, plan, keys),
            Codes::Wide(codes) => add_parts(&mut key_of_row, codes, planned, marks, plan, keys),
        }?;
    }
    marks.each(|row, bits| found.add_row(key_of_row.get(row).copied().unwrap_or_default(), bits));
    Ok(())
}

fn add_parts<C: Code>(
    key_of_row: &mut [GroupKey],
    codes: &[C],
    planned: &Planned<'_>,
    marks: &Marks<'_>,
    plan: &Plan,
    keys: &Keys,
) -> Result<(), ReportError> {
    let mut parts = vec![UNKNOWN; planned.codes()];
    for (row, (key, code)) in key_of_row.iter_mut().zip(codes).enumerate() {
        if marks
            .kept
            .is_none_or(|kept| kept.get(row).copied().unwrap_or_default())
        {
            *key |= part(planned, code.index(), &mut parts, plan, keys)?;
        }
    }
    Ok(())
}

/// Part of the key for a code, found once per block.
fn part(
    planned: &Planned<'_>,
    code: usize,
    parts: &mut [GroupKey],
    plan: &Plan,
    keys: &Keys,
) -> Result<GroupKey, ReportError> {
    let Some(known) = parts.get_mut(code) else {
        return Ok(0);
    };
    if *known == UNKNOWN {
        *known = planned.with_value(code, |value| plan.part(planned.field, value, keys))?;
    }
    Ok(*known)
}
