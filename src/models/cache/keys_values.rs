//! Keys and values of one layer, growing in steps or turning in a ring.
//!
//! Reference: `mlx_lm.models.cache`, `KVCache` and `RotatingKVCache`. Growth and ring order show in the last bits of
//! what attention sums, so both are the reference's.

use mlx_rs::{
    Array,
    ops::{
        concatenate,
        indexing::{TryIndexMutOp, TryIndexOp},
        zeros_dtype,
    },
};

use super::{kept::Lent, packed::Packed};
use crate::{
    models::recipe::Reach,
    nn::{self, Mask, MlxError, RowPacking, attention, causal_mask, chunk_mask, note_rows},
};

/// Rows that a cache grows by.
pub(super) const STEP: i32 = 256;

/// Keys and values, each `[batch, kv_heads, rows, dim]`.
type Rows = (Array, Array);

/// Those of new tokens.
type New<'a> = (&'a Array, &'a Array);

/// Keys and values of one layer.
pub(in crate::models) struct KeysValues {
    reach: Reach,
    rows: Option<Rows>,
    /// The same, in the place of `rows`, from when it was packed.
    packed: Option<Packed>,
    lent: Lent,
    /// Tokens read so far.
    offset: i32,
    /// Tokens that were dropped from the front of a growing cache.
    dropped: i32,
    /// Where the next row is written; of a growing cache behind all that it holds.
    next: i32,
}

impl KeysValues {
    pub(super) fn new(reach: Reach) -> Self {
        Self {
            reach,
            rows: None,
            packed: None,
            lent: Lent::Nothing,
            offset: 0,
            dropped: 0,
            next: 0,
        }
    }

    pub(super) fn arrays(&self) -> impl Iterator<Item = &Array> {
        let packed = self.packed.iter().flat_map(Packed::arrays);
        let rows = self.rows.iter().flat_map(|(keys, values)| [keys, values]);
        rows.chain(packed)
    }

    /// Packs what it holds and all that will come, where it has read `start` tokens; tells whether it is packed now.
    pub(super) fn pack(&mut self, packing: RowPacking, start: i32) -> nn::Result<bool> {
        match self.reach {
            _ if self.packed.is_some() => Ok(true),
            _ if self.offset < start => Ok(false),
            Reach::Full | Reach::Masked(_) => {
                self.packed = Some(Packed::of(self.rows.take(), packing)?);
                Ok(true)
            }
            // The reference passes over these, and fails with those.
            Reach::Chunk(_) => Ok(false),
            Reach::Window(_) => Err(MlxError::new("keys and values in a ring cannot be packed")),
        }
    }

    /// Forgets all but the first `length` tokens; whether it still has these.
    pub(super) fn cut(&mut self, length: i32) -> bool {
        let has_all = matches!(self.reach, Reach::Full | Reach::Masked(_));
        if has_all {
            self.offset = self.offset.min(length);
            self.next = self.offset;
        }
        has_all
    }

    /// Adds the keys and values of new tokens and attends to all that may be looked at.
    pub(in crate::models) fn attend(
        &mut self,
        q: &Array,
        new: New<'_>,
        scale: f32,
        mask: &Mask,
    ) -> nn::Result<Array> {
        let Some(packed) = &mut self.packed else {
            let (keys, values) = self.add(new)?;
            return attention(q, &keys, &values, scale, mask);
        };
        let mixed = packed.attend(q, new, self.offset, scale, mask)?;
        self.offset += new.0.dim(2);
        Ok(mixed)
    }

    /// Tokens read so far.
    pub(in crate::models) fn offset(&self) -> i32 {
        self.offset
    }

    pub(super) fn lent(&self) -> Lent {
        self.lent
    }

    /// How far back its queries see.
    pub(in crate::models) fn reach(&self) -> Reach {
        self.reach
    }

    /// Which keys the next `n` queries may see.
    pub(in crate::models) fn mask(&self, n: i32) -> nn::Result<Mask> {
        match self.reach {
            Reach::Chunk(chunk) => {
                let oldest = self.dropped.max(self.offset - chunk);
                chunk_mask(n, self.offset, oldest, chunk).map(Mask::Allowed)
            }
            Reach::Masked(window) => causal_mask(n, self.offset, window).map(Mask::Allowed),
            _ if n == 1 => Ok(Mask::All),
            Reach::Full => Ok(Mask::Causal),
            Reach::Window(window) => {
                let kept = self.offset.min(window - 1);
                if kept + n > window {
                    causal_mask(n, kept, window).map(Mask::Allowed)
                } else {
                    Ok(Mask::Causal)
                }
            }
        }
    }

    /// Adds the keys and values of new tokens and returns all that attention may look at.
    pub(in crate::models) fn update(&mut self, keys: &Array, values: &Array) -> nn::Result<Rows> {
        if self.packed.is_some() {
            return Err(MlxError::new("packed keys serve only the plain attention"));
        }
        self.lent = Lent::Rows;
        self.add((keys, values))
    }

    /// The same for short vectors that keys and values are grown from, and for the rotated part of the keys.
    pub(in crate::models) fn update_latent(
        &mut self,
        latent: &Array,
        rotated: &Array,
    ) -> nn::Result<Rows> {
        let all = self.update(latent, rotated)?;
        self.lent = Lent::Latent;
        Ok(all)
    }

    fn add(&mut self, new: New<'_>) -> nn::Result<Rows> {
        note_rows(self.limit(), new.0.dim(2), [new.0, new.1].into_iter());
        match self.reach {
            Reach::Full | Reach::Masked(_) => self.grow_and_write(new),
            Reach::Chunk(chunk) => {
                self.drop_all_but(chunk)?;
                self.grow_and_write(new)
            }
            Reach::Window(window) if new.0.dim(2) == 1 => self.turn_and_write(new, window),
            Reach::Window(window) => self.append_in_order(new, window),
        }
    }

    /// Rows that one new query is shown at the most; a chunk keeps its length of older ones.
    pub(super) fn limit(&self) -> Option<u64> {
        match self.reach {
            Reach::Full | Reach::Masked(_) => None,
            Reach::Window(window) => Some(u64::from(window.unsigned_abs())),
            Reach::Chunk(chunk) => Some(u64::from(chunk.unsigned_abs()) + 1),
        }
    }

    /// Rows of a growing cache that were written.
    fn written(&self) -> i32 {
        self.offset - self.dropped
    }

    /// Keeps the newest rows of a growing cache.
    fn drop_all_but(&mut self, newest: i32) -> nn::Result<()> {
        let surplus = self.written() - newest;
        if surplus > 0
            && let Some(rows) = self.rows.take()
        {
            self.rows = Some(from(&first(&rows, self.written())?, surplus)?);
            self.dropped += surplus;
        }
        Ok(())
    }

    fn grow_and_write(&mut self, new: New<'_>) -> nn::Result<Rows> {
        let (written, n) = (self.written(), new.0.dim(2));
        let rows = match self.rows.take() {
            Some(rows) if written + n <= rows.0.dim(2) => rows,
            held => {
                let added = (STEP + n - 1) / STEP * STEP;
                // A partly filled step is cut first, so that the buffer grows by whole steps from here.
                let held = match held {
                    Some(held) if written % STEP != 0 => Some(first(&held, written)?),
                    held => held,
                };
                extended(held, new, added)?
            }
        };
        self.write(rows, new, written)
    }

    /// Writes one row into the ring, which grows in steps until it is as long as the window.
    fn turn_and_write(&mut self, new: New<'_>, window: i32) -> nn::Result<Rows> {
        let mut rows = match self.rows.take() {
            Some(rows) if self.offset < rows.0.dim(2) || rows.0.dim(2) >= window => rows,
            held => {
                self.next = self.offset;
                extended(held, new, STEP.min(window - self.offset))?
            }
        };
        let surplus = rows.0.dim(2) - window;
        if surplus > 0 {
            rows = from(&rows, surplus)?;
            self.next = window;
        }
        if self.next == window {
            self.next = 0;
        }
        self.write(rows, new, self.next)
    }

    /// Puts the ring in order, drops what no new query sees, and appends.
    fn append_in_order(&mut self, new: New<'_>, window: i32) -> nn::Result<Rows> {
        let rows = match self.rows.take() {
            None => (new.0.clone(), new.1.clone()),
            Some(rows) => {
                let rows = self.in_order(rows)?;
                let surplus = rows.0.dim(2) - window + 1;
                let rows = if surplus > 0 { from(&rows, surplus)? } else { rows };
                joined(&rows, new)?
            }
        };
        self.offset += new.0.dim(2);
        self.next = rows.0.dim(2);
        Ok(self.rows.insert(rows).clone())
    }

    /// The rows of a ring, oldest first, without those never written.
    fn in_order(&self, rows: Rows) -> nn::Result<Rows> {
        if self.next == rows.0.dim(2) {
            return Ok(rows);
        }
        let newest = first(&rows, self.next)?;
        if self.next >= self.offset {
            return Ok(newest);
        }
        joined(&from(&rows, self.next)?, (&newest.0, &newest.1))
    }

    /// Writes new rows from `at` on into `rows`, and returns all that were written.
    fn write(&mut self, (mut k, mut v): Rows, new: New<'_>, at: i32) -> nn::Result<Rows> {
        let end = at + new.0.dim(2);
        k.try_index_mut((.., .., at..end, ..), new.0)?;
        v.try_index_mut((.., .., at..end, ..), new.1)?;
        self.offset += end - at;
        self.next = end;
        self.rows = Some((k, v));
        self.shown()
    }

    /// The rows that were written, for a layer that borrows them.
    pub(in crate::models) fn visible(&self) -> nn::Result<Rows> {
        let rows = self.shown()?;
        note_rows(self.limit(), rows.0.dim(2), [&rows.0, &rows.1].into_iter());
        Ok(rows)
    }

    fn shown(&self) -> nn::Result<Rows> {
        match &self.rows {
            Some(rows) if self.written() < rows.0.dim(2) => first(rows, self.written()),
            Some(rows) => Ok(rows.clone()),
            None => Err(MlxError::new("the cache holds nothing")),
        }
    }
}

/// `held` with `added` zero rows behind it, shaped like `new`.
fn extended(held: Option<Rows>, new: New<'_>, added: i32) -> nn::Result<Rows> {
    let zeros =
        |like: &Array| zeros_dtype(&[like.dim(0), like.dim(1), added, like.dim(3)], like.dtype());
    let (k, v) = (zeros(new.0)?, zeros(new.1)?);
    match held {
        None => Ok((k, v)),
        Some(held) => joined(&held, (&k, &v)),
    }
}

fn joined(rows: &Rows, behind: New<'_>) -> nn::Result<Rows> {
    Ok((concatenate(&[&rows.0, behind.0], 2)?, concatenate(&[&rows.1, behind.1], 2)?))
}

fn first(rows: &Rows, n: i32) -> nn::Result<Rows> {
    let part = || (.., .., ..n, ..);
    Ok((rows.0.try_index(part())?, rows.1.try_index(part())?))
}

fn from(rows: &Rows, n: i32) -> nn::Result<Rows> {
    let part = || (.., .., n.., ..);
    Ok((rows.0.try_index(part())?, rows.1.try_index(part())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of `n` tokens from `start`, each filled with its position.
    fn tokens(start: u8, n: u8) -> Array {
        let values: Vec<f32> = (0..n).map(|i| f32::from(start) + f32::from(i)).collect();
        Array::from_slice(&values, &[1, 1, i32::from(n), 1])
    }

    fn seen(cache: &mut KeysValues, start: u8, n: u8) -> Vec<f32> {
        let new = tokens(start, n);
        let (keys, values) = cache.update(&new, &new).unwrap();
        assert!(keys.eq_exact(&values).unwrap());
        keys.contiguous().unwrap().try_as_slice::<f32>().unwrap().to_vec()
    }

    #[test]
    fn a_growing_cache_shows_what_was_written() {
        let mut cache = KeysValues::new(Reach::Full);
        assert_eq!(seen(&mut cache, 0, 3), [0.0, 1.0, 2.0]);
        assert_eq!(seen(&mut cache, 3, 1), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(cache.rows.as_ref().unwrap().0.dim(2), 256);
        let all = seen(&mut cache, 4, 254);
        assert_eq!((all.len(), all[257]), (258, 257.0));
        // Cut to 4, and one more step of 256.
        assert_eq!(cache.rows.as_ref().unwrap().0.dim(2), 260);
    }

    #[test]
    fn a_ring_keeps_its_order_and_its_length() {
        let mut cache = KeysValues::new(Reach::Window(4));
        // A long first chunk is kept whole.
        assert_eq!(seen(&mut cache, 0, 6), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        // Then the oldest go, and the newest overwrites what is now the oldest.
        assert_eq!(seen(&mut cache, 6, 1), [6.0, 3.0, 4.0, 5.0]);
        assert_eq!(seen(&mut cache, 7, 1), [6.0, 7.0, 4.0, 5.0]);
        // Several tokens at once put it in order again: three old rows and the new ones.
        assert_eq!(seen(&mut cache, 8, 2), [5.0, 6.0, 7.0, 8.0, 9.0]);
    }

    #[test]
    fn a_short_ring_shows_no_empty_rows() {
        let mut cache = KeysValues::new(Reach::Window(4));
        assert_eq!(seen(&mut cache, 0, 1), [0.0]);
        assert_eq!(seen(&mut cache, 1, 2), [0.0, 1.0, 2.0]);
        assert_eq!(seen(&mut cache, 3, 1), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(seen(&mut cache, 4, 1), [4.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_chunked_cache_drops_what_no_chunk_needs() {
        let mut cache = KeysValues::new(Reach::Chunk(4));
        assert_eq!(seen(&mut cache, 0, 6), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let Mask::Allowed(allowed) = cache.mask(1).unwrap() else {
            panic!("a chunk hides keys even from one query");
        };
        // Query 6 of keys 2 to 6: its chunk begins at 4.
        let (t, f) = (true, false);
        assert_eq!(allowed.try_as_slice::<bool>().unwrap(), [f, f, t, t, t]);
        assert_eq!(seen(&mut cache, 6, 1), [2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(seen(&mut cache, 7, 2), [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    }

    #[test]
    fn masks_follow_the_window() {
        let mut cache = KeysValues::new(Reach::Window(4));
        assert!(matches!(cache.mask(4).unwrap(), Mask::Causal));
        assert!(matches!(cache.mask(5).unwrap(), Mask::Allowed(_)));
        seen(&mut cache, 0, 3);
        assert!(matches!(cache.mask(1).unwrap(), Mask::All));
        assert!(matches!(cache.mask(2).unwrap(), Mask::Allowed(_)));
    }

    #[test]
    fn a_masked_window_keeps_what_it_hides() {
        let mut cache = KeysValues::new(Reach::Masked(2));
        assert_eq!(seen(&mut cache, 0, 3), [0.0, 1.0, 2.0]);
        let Mask::Allowed(allowed) = cache.mask(1).unwrap() else {
            panic!("a window hides keys even from one query");
        };
        assert_eq!(allowed.try_as_slice::<bool>().unwrap(), [false, false, true, true]);
    }
}
