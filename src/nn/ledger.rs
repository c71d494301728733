//! What a forward pass asks of the machine: noted by layers while its graph is built, and only where somebody asks.
//!
//! Most of what a model holds is read once a pass. Told apart is what is not: tables, of which a pass reads rows, and
//! experts, of which it reads some; and the rows of keys and values, which grow.

use std::cell::RefCell;

use mlx_rs::{Array, Dtype};

use crate::checkpoint::Quantization;

/// How a matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As numbers of this type.
    Dense(Dtype),
    /// Packed, with scales of this type.
    Packed(Quantization, Dtype),
}

/// Matrices of one shape, stored alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrices {
    /// How their numbers are stored.
    pub format: Format,
    /// Rows of each, as stored: usually outputs.
    pub rows: i32,
    /// Numbers of a row.
    pub columns: i32,
    /// Bytes of all of them; of experts, those of chosen ones.
    pub bytes: u64,
}

/// Keys and values that one layer looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsRead {
    /// Rows that it looks at at the most; none where there is no such bound.
    pub limit: Option<u64>,
    /// Bytes of a row, keys and values together.
    pub bytes: u64,
    /// Floating-point operations that a query spends on a row.
    pub flops: u64,
}

/// What one forward pass asks of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Keys and values, an entry for each layer that looks at some.
    pub rows: Vec<RowsRead>,
    /// Floating-point operations of matrix products, those of [`Self::head_flops`] left out.
    pub flops: u64,
    /// The same of scores of tokens.
    pub head_flops: u64,
    /// Matrices that were multiplied, an entry for each shape and format.
    pub matrices: Vec<Matrices>,
    /// Bytes of experts that were not chosen.
    unchosen_bytes: u64,
    tables: Vec<Table>,
    is_at_head: bool,
}

/// A table of token vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Table {
    /// Where it lies in this process.
    place: usize,
    bytes: u64,
    rows_bytes: u64,
    is_head: bool,
}

impl Ledger {
    /// Bytes that a pass reads of a model that holds `bytes`.
    pub fn weight_bytes(&self, bytes: u64) -> u64 {
        let looked_into = self.tables.iter().filter(|table| !table.is_head);
        let unread: u64 = looked_into.map(|table| table.bytes).sum();
        let rows: u64 = self.tables.iter().map(|table| table.rows_bytes).sum();
        bytes.saturating_sub(unread + self.unchosen_bytes) + rows
    }

    /// Enters `change` at the table that lies at `place`.
    fn at_table(&mut self, place: usize, bytes: u64, change: impl FnOnce(&mut Table)) {
        if let Some(known) = self.tables.iter_mut().find(|table| table.place == place) {
            return change(known);
        }
        let mut table = Table { place, bytes, ..Table::default() };
        change(&mut table);
        self.tables.push(table);
    }
}

thread_local! {
    static OPEN: RefCell<Option<Ledger>> = const { RefCell::new(None) };
}

/// Does `work` and tells what it asked of the machine; what it does on other threads is not seen.
pub fn recorded<T>(work: impl FnOnce() -> T) -> (T, Ledger) {
    let outer = OPEN.replace(Some(Ledger::default()));
    let answer = work();
    (answer, OPEN.replace(outer).unwrap_or_default())
}

/// Notes that what follows makes scores of tokens.
pub fn note_head() {
    note(|ledger| ledger.is_at_head = true);
}

/// Notes that a layer looks at rows of `keys` and `values`, of which `arrays` are `tokens` new ones.
pub fn note_rows<'a>(limit: Option<u64>, tokens: i32, arrays: impl Iterator<Item = &'a Array>) {
    note(|ledger| {
        let bytes: u64 = arrays.map(|array| array.nbytes() as u64).sum();
        let bytes = bytes / u64::from(tokens.unsigned_abs()).max(1);
        ledger.rows.push(RowsRead { limit, bytes, flops: 0 });
    });
}

/// Notes that `heads` heads multiply queries with the rows that a layer looked at last: `dims` numbers a row.
pub fn note_attention(heads: i32, dims: i32) {
    note(|ledger| {
        if let Some(rows) = ledger.rows.last_mut() {
            rows.flops += 2 * product(&[heads, dims]);
        }
    });
}

/// Notes a product of `rows` rows of `inputs` numbers, from which `outputs` are made of each, with `matrices`.
pub(super) fn note_product(
    (inputs, rows): (i32, u64),
    outputs: i32,
    matrices: impl FnOnce() -> Matrices,
) {
    note(|ledger| {
        let flops = 2 * rows * product(&[inputs, outputs]);
        let sum = if ledger.is_at_head { &mut ledger.head_flops } else { &mut ledger.flops };
        *sum += flops;
        let more = matrices();
        let alike = |known: &&mut Matrices| {
            (known.format, known.rows, known.columns) == (more.format, more.rows, more.columns)
        };
        match ledger.matrices.iter_mut().find(alike) {
            Some(known) => known.bytes += more.bytes,
            None => ledger.matrices.push(more),
        }
    });
}

/// Notes that of `count` experts, `bytes` all together, at the most `pairs` are read.
pub(super) fn note_choice(bytes: impl FnOnce() -> u64, count: u64, pairs: u64) {
    note(|ledger| {
        let bytes = bytes();
        ledger.unchosen_bytes += bytes - chosen(bytes, count, pairs);
    });
}

/// Bytes of `pairs` experts of `count`, which are `bytes` all together.
pub(super) fn chosen(bytes: u64, count: u64, pairs: u64) -> u64 {
    bytes / count.max(1) * pairs.min(count)
}

/// Notes that `ids` rows of the table at `place` are read, which has `rows` rows.
pub(super) fn note_lookup(place: usize, bytes: impl FnOnce() -> u64, (rows, ids): (u64, u64)) {
    note(|ledger| {
        let bytes = bytes();
        ledger.at_table(place, bytes, |table| table.rows_bytes += bytes / rows.max(1) * ids);
    });
}

/// Notes that the table at `place` is read from end to end.
pub(super) fn note_table(place: usize, bytes: impl FnOnce() -> u64) {
    note(|ledger| ledger.at_table(place, bytes(), |table| table.is_head = true));
}

fn note(entry: impl FnOnce(&mut Ledger)) {
    OPEN.with_borrow_mut(|open| {
        if let Some(ledger) = open {
            entry(ledger);
        }
    });
}

fn product(factors: &[i32]) -> u64 {
    factors.iter().map(|factor| u64::from(factor.unsigned_abs())).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_also_the_head_is_read_once_and_its_rows_besides() {
        let pass = |is_tied: bool| {
            let ((), ledger) = recorded(|| {
                note_lookup(1, || 1000, (10, 2));
                if is_tied {
                    note_table(1, || 1000);
                }
            });
            ledger.weight_bytes(5000)
        };
        assert_eq!(pass(false), 4000 + 200);
        assert_eq!(pass(true), 5000 + 200);
    }

    #[test]
    fn nothing_is_noted_where_nobody_asks() {
        note_head();
        let ((), outer) = recorded(|| {
            note_choice(|| 80, 8, 3);
            let ((), inner) = recorded(|| note_choice(|| 80, 8, 9));
            assert_eq!(inner.weight_bytes(100), 100);
        });
        assert_eq!(outer.weight_bytes(100), 50);
    }
}
