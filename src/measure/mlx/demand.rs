//! What a model asks of the machine, from the arrays that it holds and the graph of a step.

use std::collections::BTreeMap;

use crate::{
    checkpoint::Parameters,
    measure::roofline::{Demand, PackedRows, PerRow},
    models::{self, Model, PROMPT, Unpackable},
    nn::{Format, Ledger, RowsRead},
    plan::KvPacking,
};

/// What a model asks, and in which format it holds most of what it multiplies.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Bytes and operations.
    pub demand: Demand,
    /// The format of most bytes; none of a model without matrices.
    pub format: Option<Format>,
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
    let rows = |ledger: &Ledger| by_limit(&ledger.rows, |rows| rows.bytes);
    let packed = kv.zip(passes.packed.as_ref());
    Ok(Asked {
        demand: Demand {
            weight_bytes: passes.token.weight_bytes(parameters.bytes()),
            state_bytes: passes.state_bytes,
            rows: rows(&passes.token),
            packed: packed
                .map(|(kv, ledger)| PackedRows { start: u64::from(kv.start), rows: rows(ledger) }),
            token_flops: passes.prompt.flops / u64::from(PROMPT),
            row_flops: by_limit(&passes.prompt.rows, |rows| rows.flops),
            head_flops: passes.token.head_flops,
        },
        format: passes.token.format(),
    })
}

/// Layers with the same bound as one.
fn by_limit(rows: &[RowsRead], amount: impl Fn(&RowsRead) -> u64) -> Vec<PerRow> {
    let mut sums: BTreeMap<Option<u64>, u64> = BTreeMap::new();
    for layer in rows {
        *sums.entry(layer.limit).or_default() += amount(layer);
    }
    sums.into_iter().map(|(limit, amount)| PerRow { limit, amount }).collect()
}
