//! Lines of a table in columns: as wide as they need to be, and no wider than a terminal where that can be helped.

/// Characters that a line may have.
pub(super) const WIDEST: usize = 100;

pub(super) const COLUMNS: usize = 11;

pub(super) type Line = [String; COLUMNS];

/// How lines are laid out, so that all of them are alike.
pub(super) struct Layout {
    widths: [usize; COLUMNS],
    /// Spaces between two columns.
    gap: usize,
}

impl Layout {
    /// As `lines` need it: two spaces between columns, one where they would be too wide.
    pub(super) fn of<'a>(lines: impl Iterator<Item = &'a Line>) -> Self {
        let mut widths = [0; COLUMNS];
        for line in lines {
            for (width, text) in widths.iter_mut().zip(line) {
                *width = text.chars().count().max(*width);
            }
        }
        let wide = Self { widths, gap: 2 };
        if wide.width() <= WIDEST { wide } else { Self { gap: 1, ..wide } }
    }

    pub(super) fn width(&self) -> usize {
        self.widths.iter().sum::<usize>() + self.gap * (COLUMNS - 1)
    }
}

/// A line in columns: words begin and numbers end at the same place.
pub(super) fn aligned(line: &Line, Layout { widths, gap }: &Layout) -> String {
    let mut text = String::new();
    for (index, (column, width)) in line.iter().zip(widths).enumerate() {
        let padding = " ".repeat(width.saturating_sub(column.chars().count()));
        let is_words = index == 0 || index + 1 == line.len();
        let (before, after) =
            if is_words { ("", padding.as_str()) } else { (padding.as_str(), "") };
        let gap = " ".repeat(if index == 0 { 0 } else { *gap });
        text.extend([gap.as_str(), before, column, after]);
    }
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::table::{
            Row, table,
            tests::{failed, likelihood, row},
        },
        measure::{outcome::Verdict, trial::Trial},
        plan::{KvPacking, Scenario, Work},
    };

    #[test]
    fn the_widest_figures_fit_into_a_hundred_columns() {
        let mut wide = row("org/tiny", Scenario::Throughput, Verdict::Measured);
        wide.cell.work = Work::Throughput { prompt_tokens: 131_072, generation_tokens: 33 };
        wide.outcome.trials = (0..8)
            .map(|at| {
                // 12 s until the first token; then 700 tokens a second, and fewer.
                let stamps = (0..33).map(|token| 12_345_678 + token * (1_400 + at * 30 + token));
                let mut trial = Trial::with_stamps(stamps.collect());
                trial.prompt_tokens = 131_072;
                trial.memory.peak_bytes = Some(400 << 30);
                trial
            })
            .collect();
        wide.outcome.findings.likelihood = Some(likelihood(11.93));
        let table = table(&[wide]);
        assert!(table.lines().all(|line| line.chars().count() <= WIDEST), "{table}");
    }

    #[test]
    fn names_of_a_sweep_give_way_where_figures_are_wide() {
        let slow = |depth, bits: Option<u32>| {
            let mut row = row("org/tiny", Scenario::Throughput, Verdict::Measured);
            row.cell.work = Work::Throughput { prompt_tokens: 131_072, generation_tokens: 1024 };
            row.cell.conditions.depth = depth;
            row.cell.conditions.kv = bits.map(|bits| KvPacking { bits, group_size: 64, start: 0 });
            row.outcome.trials = (0..8)
                .map(|at| {
                    let stamps = (0..33).map(|token| 12_345_678 + token * (1_400 + at * 30));
                    let mut trial = Trial::with_stamps(stamps.collect());
                    trial.prompt_tokens = 131_072;
                    trial.memory.peak_bytes = Some(400 << 30);
                    trial
                })
                .collect();
            row.outcome.findings.likelihood = Some(likelihood(11.93));
            row
        };
        let rows = [slow(0, None), slow(32_768, None), slow(0, Some(8)), slow(32_768, Some(8))];
        let text = table(&rows);
        assert!(text.lines().all(|line| line.chars().count() <= WIDEST), "{text}");
        assert!(text.contains("\n  d32768 kv-dense 131072 "), "{text}");
        let narrow =
            rows.map(|wide| Row { cell: wide.cell, ..row("m", Scenario::Throughput, failed("x")) });
        assert!(table(&narrow).contains("\n  throughput d32768 kv-dense  131072 "));
    }
}
