//! What is in the cache before a request: nothing, or tokens that were read outside of its timing.

use super::{GenerateError, Phase, WiredLimit, check, read_chunk};
use crate::{
    ffi,
    models::{Cache, Model},
    nn::MlxError,
    plan::{Conditions, KvPacking},
};

/// Tokens that were read, and the cache that they are in.
#[derive(Default)]
pub struct Context {
    /// Holds the tokens, and what a request added; none before the first.
    cache: Option<Cache>,
    ids: Vec<u32>,
    prefill_chunk: u32,
    kv: Option<KvPacking>,
}

impl Context {
    /// Holds exactly `ids` from now on, read under `conditions`; `read` hears how many of them were.
    ///
    /// Where the same were held, and a request has only added to them, what it added is cut off. Otherwise the old cache
    /// is let go of first, so that never two are in memory, and the tokens are read again: chunked, windowed and
    /// recurrent layers cannot go back.
    ///
    /// # Errors
    ///
    /// When an id is unknown, or MLX refuses an operation.
    pub fn fill(
        &mut self,
        model: &dyn Model,
        ids: &[u32],
        conditions: &Conditions,
        read: &mut dyn FnMut(u32),
    ) -> Result<(), GenerateError> {
        let Conditions { prefill_chunk, kv, .. } = *conditions;
        let is_same = self.ids == ids && (self.prefill_chunk, self.kv) == (prefill_chunk, kv);
        if is_same && !ids.is_empty() && self.cut() {
            return Ok(());
        }
        *self = Self::default();
        if ids.is_empty() {
            return Ok(());
        }
        check(model, ids)?;
        let wired = WiredLimit::raise();
        let mut cache = model.new_cache();
        let mut done = 0u32;
        let mut all = || {
            for chunk in ids.chunks(prefill_chunk.max(1) as usize) {
                read_chunk(model, &mut cache, chunk, kv)?;
                done = done.saturating_add(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
                read(done);
            }
            ffi::synchronize().map_err(MlxError::from)
        };
        all().map_err(|source| GenerateError::Mlx { phase: Phase::Prefill, source })?;
        drop(wired);
        *self = Self { cache: Some(cache), ids: ids.to_vec(), prefill_chunk, kv };
        Ok(())
    }

    /// The tokens that it holds.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The cache that holds them; of none, an empty one.
    pub(super) fn cache(&mut self, model: &dyn Model) -> &mut Cache {
        self.cache.get_or_insert_with(|| model.new_cache())
    }

    /// Lets go of a cache that no other request wants.
    pub(super) fn rest(&mut self) {
        if self.ids.is_empty() {
            self.cache = None;
        }
    }

    /// Cuts off what a request added; whether that was possible.
    fn cut(&mut self) -> bool {
        let Ok(length) = i32::try_from(self.ids.len()) else {
            return false;
        };
        // What a request packed was not packed before it.
        let was_packed = self.kv.is_none_or(|kv| kv.start as usize <= self.ids.len());
        was_packed && self.cache.as_mut().is_some_and(|cache| cache.cut(length))
    }
}
