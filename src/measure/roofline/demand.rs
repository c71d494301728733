//! What a model asks of the machine: bytes for every token it writes, operations for every token it reads.

use serde::{Deserialize, Serialize};

/// What a model asks of the machine.
///
/// Bytes are those of the tensors in memory, scales and biases of packing included; of experts only chosen ones, of
/// tables that are looked into only rows. Operations are those of matrix products and attention, an addition and a
/// multiplication counted as two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// Bytes of weights that a step reads which makes one token.
    pub weight_bytes: u64,
    /// Bytes of states that it reads, which do not grow.
    pub state_bytes: u64,
    /// Bytes of keys and values that it reads.
    pub rows: Vec<PerRow>,
    /// The same once they are packed, where they will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<PackedRows>,
    /// Tokens that are in the cache before the prompt.
    #[serde(default)]
    pub depth: u64,
    /// Operations that each token of a prompt takes, whatever stands before it.
    pub token_flops: u64,
    /// Operations that each token of a prompt spends on keys and values.
    pub row_flops: Vec<PerRow>,
    /// Operations of the scores of one token; of a prompt only the last token has scores.
    pub head_flops: u64,
}

/// An amount for every row of keys and values that a token looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerRow {
    /// Rows that are looked at at the most; none where there is no such bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The amount for one row, of all layers with this bound together.
    pub amount: u64,
}

/// Packed keys and values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedRows {
    /// Tokens from which on they are packed.
    pub start: u64,
    /// Bytes of them that a step reads.
    pub rows: Vec<PerRow>,
}

impl Demand {
    /// Bytes that a step reads whose token is the `context`th: those before it and itself are looked at.
    pub fn step_bytes(&self, context: u64) -> u64 {
        // Packing follows the step that reaches its start.
        let packed = self.packed.as_ref().filter(|packed| context > packed.start.max(1));
        let rows = packed.map_or(&self.rows, |packed| &packed.rows);
        let rows: u64 = rows.iter().map(|rows| rows.at(context)).sum();
        self.weight_bytes + self.state_bytes + rows
    }

    /// Bytes that a step reads in the mean of those that make the second to the `tokens`th token after a prompt of
    /// `prompt` tokens; none where there is no second.
    pub fn decode_bytes(&self, prompt: u64, tokens: u64) -> Option<f64> {
        let steps = tokens.checked_sub(1).filter(|steps| *steps > 0)?;
        let before = self.depth + prompt;
        let bytes: f64 = (1..=steps).map(|step| self.step_bytes(before + step) as f64).sum();
        Some(bytes / steps as f64)
    }

    /// Operations that reading a prompt of `prompt` tokens takes, the scores of its last token included.
    pub fn prompt_flops(&self, prompt: u64) -> f64 {
        let (first, last) = (self.depth, self.depth + prompt);
        let rows = self.row_flops.iter().map(|rows| rows.up_to(last) - rows.up_to(first));
        prompt as f64 * self.token_flops as f64 + rows.sum::<f64>() + self.head_flops as f64
    }
}

impl PerRow {
    /// The amount of a token that `rows` rows are there for.
    fn at(self, rows: u64) -> u64 {
        self.amount * self.limit.map_or(rows, |limit| limit.min(rows))
    }

    /// The amount of all tokens from the first, which looks at itself, to the `last`th.
    fn up_to(self, last: u64) -> f64 {
        let growing = self.limit.map_or(last, |limit| limit.min(last)) as f64;
        let beyond = last as f64 - growing;
        self.amount as f64 * (growing * (growing + 1.0) / 2.0 + beyond * growing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand() -> Demand {
        Demand {
            weight_bytes: 1000,
            state_bytes: 5,
            rows: vec![PerRow { limit: None, amount: 10 }, PerRow { limit: Some(4), amount: 100 }],
            packed: None,
            depth: 0,
            token_flops: 7,
            row_flops: vec![
                PerRow { limit: None, amount: 1 },
                PerRow { limit: Some(2), amount: 100 },
            ],
            head_flops: 50,
        }
    }

    #[test]
    fn a_step_reads_rows_up_to_a_window() {
        assert_eq!(demand().step_bytes(3), 1000 + 5 + 30 + 300);
        assert_eq!(demand().step_bytes(9), 1000 + 5 + 90 + 400);
    }

    #[test]
    fn the_first_token_belongs_to_the_prompt() {
        // Two steps after a prompt of two: the third and the fourth token are read.
        assert_eq!(demand().decode_bytes(2, 3), Some(f64::from(1005 * 2 + 70 + 700) / 2.0));
        assert_eq!(demand().decode_bytes(2, 1), None);
        assert_eq!(demand().decode_bytes(2, 0), None);
    }

    #[test]
    fn rows_are_packed_after_the_step_that_reaches_the_start() {
        let rows = vec![PerRow { limit: None, amount: 3 }];
        let packed = Demand { packed: Some(PackedRows { start: 2, rows }), ..demand() };
        assert_eq!(packed.step_bytes(2), 1005 + 20 + 200);
        assert_eq!(packed.step_bytes(3), 1005 + 9);
    }

    #[test]
    fn a_prompt_token_looks_at_itself_and_all_before_it() {
        // 3 × 7, then 1 + 2 + 3 rows, then 1 + 2 + 2 rows of 100, then scores once.
        let flops = demand().prompt_flops(3);
        assert!((flops - f64::from(21 + 6 + 500 + 50)).abs() < 1e-9, "{flops}");
        // After one token: 2 × 7, 2 + 3 rows, 2 + 2 rows of 100, and scores.
        let flops = Demand { depth: 1, ..demand() }.prompt_flops(2);
        assert!((flops - f64::from(14 + 5 + 400 + 50)).abs() < 1e-9, "{flops}");
        let deep = Demand { depth: 1, ..demand() };
        assert_eq!(deep.decode_bytes(1, 3), demand().decode_bytes(2, 3));
    }
}
