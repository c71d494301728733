//! Keys and values of one layer, packed as they come; they grow in steps.
//!
//! Reference: `mlx_lm.models.cache.QuantizedKVCache`.

use mlx_rs::{
    Array,
    ops::{concatenate, indexing::TryIndexMutOp, indexing::TryIndexOp, zeros_dtype},
};

use super::keys_values::STEP;
use crate::nn::{self, Mask, PackedRows, RowPacking, note_rows, packed_attention};

/// Keys and values, each packed for itself.
pub(super) struct Packed {
    packing: RowPacking,
    rows: Option<[PackedRows; 2]>,
}

impl Packed {
    /// Packs what a dense cache holds, unwritten rows included.
    pub(super) fn of(rows: Option<(Array, Array)>, packing: RowPacking) -> nn::Result<Self> {
        let rows = match rows {
            None => None,
            Some((keys, values)) => {
                Some([PackedRows::pack(&keys, packing)?, PackedRows::pack(&values, packing)?])
            }
        };
        Ok(Self { packing, rows })
    }

    pub(super) fn arrays(&self) -> impl Iterator<Item = &Array> {
        let rows = self.rows.iter().flatten();
        rows.flat_map(|packed| &packed.parts)
    }

    /// Adds the keys and values of tokens from `offset` on and attends to all up to them.
    pub(super) fn attend(
        &mut self,
        q: &Array,
        (keys, values): (&Array, &Array),
        offset: i32,
        scale: f32,
        mask: &Mask,
    ) -> nn::Result<Array> {
        let end = offset + keys.dim(2);
        let new = [PackedRows::pack(keys, self.packing)?, PackedRows::pack(values, self.packing)?];
        note_rows(None, keys.dim(2), new.iter().flat_map(|rows| &rows.parts));
        let [old_keys, old_values] = match self.rows.take() {
            Some([keys, values]) => [Some(keys), Some(values)],
            None => [None, None],
        };
        let rows =
            [written(old_keys, &new[0], offset, end)?, written(old_values, &new[1], offset, end)?];
        let seen = |rows: &PackedRows| rows.map(|part| Ok(part.try_index((.., .., ..end, ..))?));
        let (keys, values) = (seen(&rows[0])?, seen(&rows[1])?);
        self.rows = Some(rows);
        packed_attention(q, (&keys, &values), self.packing, scale, mask)
    }
}

/// `held`, grown where it is too short, with `new` at `offset..end`.
fn written(
    held: Option<PackedRows>,
    new: &PackedRows,
    offset: i32,
    end: i32,
) -> nn::Result<PackedRows> {
    let added = (STEP + end - offset - 1) / STEP * STEP;
    let zeros = |like: &Array| {
        let shape = [like.dim(0), like.dim(1), added, like.dim(3)];
        zeros_dtype(&shape, like.dtype())
    };
    let rows = match held {
        Some(held) if end <= held.parts[0].dim(2) => held,
        Some(held) => held.map(|part| {
            // As of dense rows, a partly filled step is cut first.
            let part = if offset % STEP == 0 {
                part.clone()
            } else {
                part.try_index((.., .., ..offset, ..))?
            };
            Ok(concatenate(&[&part, &zeros(&part)?], 2)?)
        })?,
        None => new.map(|part| Ok(zeros(part)?))?,
    };
    let mut parts = rows.parts;
    for (part, new) in parts.iter_mut().zip(&new.parts) {
        part.try_index_mut((.., .., offset..end, ..), new)?;
    }
    Ok(PackedRows { parts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{cache::KeysValues, recipe::Reach};

    /// `n` rows a head, of numbers between -2 and 2 that repeat late.
    fn rows(seed: u32, heads: i32, n: i32) -> Array {
        let count = u32::try_from(heads * n * 64).unwrap();
        let values: Vec<f32> = (seed..seed + count)
            .map(|i| (f32::from(u16::try_from(i * 7919 % 1000).unwrap()) - 500.0) / 250.0)
            .collect();
        Array::from_slice(&values, &[1, heads, n, 64])
    }

    /// The first number of the first head, the last of the last, and the sum, after steps of 5, 1, 3, 250 and 1
    /// tokens; packed after the first, grown in the fourth.
    fn attended(bits: i32) -> Vec<[f32; 3]> {
        let mut cache = KeysValues::new(Reach::Full);
        let packing = RowPacking { group_size: 64, bits };
        let steps = [(1, 5), (2, 1), (3, 3), (4, 250), (5, 1)];
        let read = |(seed, n): (u32, i32)| {
            let (keys, values) = (rows(seed + 10, 2, n), rows(seed + 20, 2, n));
            let mask = cache.mask(n).unwrap();
            let q = rows(seed, 4, n);
            let mixed = cache.attend(&q, (&keys, &values), 0.125, &mask).unwrap();
            cache.pack(packing, 0).unwrap();
            let sum = mixed.sum(None).unwrap().try_item_exact::<f32>().unwrap();
            let mixed = mixed.contiguous().unwrap();
            let all = mixed.try_as_slice::<f32>().unwrap();
            [all[0], *all.last().unwrap(), sum]
        };
        steps.into_iter().map(read).collect()
    }

    #[track_caller]
    fn case(bits: i32, expected: [[f32; 3]; 5]) {
        for (ours, theirs) in attended(bits).into_iter().zip(expected) {
            for (ours, theirs) in ours.into_iter().zip(theirs) {
                assert!((ours - theirs).abs() < 1e-3, "{ours} and {theirs}");
            }
        }
    }

    #[test]
    fn packed_attention_equals_the_reference() {
        // `mlx_lm.models.cache.KVCache`, `to_quantized` after the first step, mlx-lm 0.32.2.
        case(
            4,
            [
                [-0.804, 0.159_997, -7.094_815],
                [-0.497_867, -0.975_137, 3.413_28],
                [1.712_355, 1.638_268, 3.221_937],
                [1.601_866, 1.581_597, -109.871_67],
                [1.163_527, -1.494_541, -2.913_193],
            ],
        );
        case(
            8,
            [
                [-0.804, 0.159_997, -7.094_815],
                [-0.690_092, -0.871_456, 2.608_537],
                [1.727_195, 1.578_738, 1.181_244],
                [1.658_048, 1.595_712, -112.431_3],
                [1.151_956, -1.513_313, -2.554_061],
            ],
        );
    }

    #[test]
    fn a_ring_is_refused_and_a_chunk_passed_over() {
        let packing = RowPacking { group_size: 64, bits: 8 };
        let packed = |reach| KeysValues::new(reach).pack(packing, 0);
        assert!(packed(Reach::Window(8)).is_err());
        assert!(!packed(Reach::Chunk(8)).unwrap());
        assert!(packed(Reach::Full).unwrap());
    }

    #[test]
    fn packing_waits_for_its_start() {
        let packing = RowPacking { group_size: 64, bits: 8 };
        let mut cache = KeysValues::new(Reach::Full);
        let read = |cache: &mut KeysValues, n| {
            let (keys, mask) = (rows(1, 2, n), cache.mask(n).unwrap());
            cache.attend(&keys, (&keys, &keys), 1.0, &mask).unwrap();
        };
        read(&mut cache, 4);
        assert!(!cache.pack(packing, 5).unwrap());
        read(&mut cache, 1);
        assert!(cache.pack(packing, 5).unwrap());
    }
}
