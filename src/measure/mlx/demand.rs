//! What a model asks of the machine, from the arrays that it holds and the graph of a step.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    checkpoint::Parameters,
    measure::roofline::{Demand, PackedRows, PerRow},
    models::{self, Model, PROMPT, Unpackable},
    nn::{Ledger, Matrices, RowsRead},
    plan::KvPacking,
};

/// What a model asks, and which matrices it multiplies.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Bytes and operations.
    pub demand: Demand,
    /// Matrices that a token meets, an entry for each shape and format, those of most bytes first.
    pub matrices: Vec<Matrices>,
}

/// What `model` asks of the machine, which holds `parameters`, with keys and values packed as `kv` says.
///
/// Nothing is evaluated, so that zeros in the shape of a model serve as well as the model.
///
/// # Errors
///
/// When its keys and values cannot be packed, or MLX refuses an operation.
pub fn asked(
    model: &dyn Model,
    parameters: &Parameters,
    kv: Option<KvPacking>,
) -> Result<Asked, Unpackable> {
    let passes = models::passes(model, kv.map(Into::into))?;
    let rows = bytes_of_rows;
    let mut matrices = passes.token.matrices.clone();
    matrices.sort_by_key(|alike| Reverse(alike.bytes));
    Ok(Asked {
        demand: Demand {
            weight_bytes: passes.token.weight_bytes(parameters.bytes()),
            state_bytes: passes.state_bytes,
            rows: rows(&passes.token),
            packed: kv.and_then(|kv| packed_rows(kv, passes.packed.as_ref())),
            depth: 0,
            token_flops: passes.prompt.flops / u64::from(PROMPT),
            row_flops: by_limit(&passes.prompt.rows, |rows| rows.flops),
            head_flops: passes.token.head_flops,
        },
        matrices,
    })
}

/// What a step of `model` reads of keys and values once they are packed as `kv` says; none where that is not known.
pub(super) fn packed(model: &dyn Model, kv: KvPacking) -> Option<PackedRows> {
    packed_rows(kv, models::passes(model, Some(kv.into())).ok()?.packed.as_ref())
}

fn packed_rows(kv: KvPacking, ledger: Option<&Ledger>) -> Option<PackedRows> {
    ledger.map(|ledger| PackedRows { start: u64::from(kv.start), rows: bytes_of_rows(ledger) })
}

fn bytes_of_rows(ledger: &Ledger) -> Vec<PerRow> {
    by_limit(&ledger.rows, |rows| rows.bytes)
}

/// Layers with the same bound as one.
fn by_limit(rows: &[RowsRead], amount: impl Fn(&RowsRead) -> u64) -> Vec<PerRow> {
    let mut sums: BTreeMap<Option<u64>, u64> = BTreeMap::new();
    for layer in rows {
        *sums.entry(layer.limit).or_default() += amount(layer);
    }
    sums.into_iter().map(|(limit, amount)| PerRow { limit, amount }).collect()
}
