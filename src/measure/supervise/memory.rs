//! Cells that memory did not suffice for, and what follows for others.

use crate::{
    measure::outcome::{Failure, Outcome, Skip, Verdict},
    plan::{Cell, Work},
};

/// Kinds of failures that most likely were for want of memory.
const FOR_WANT_OF_MEMORY: [&str; 2] = ["sigkill", "out_of_memory"];

/// Why `cell` is not to be tried after what became of `others` of its model.
pub(super) fn too_large<'a>(
    cell: &Cell,
    others: impl Iterator<Item = (&'a Cell, &'a Outcome)>,
) -> Option<Skip> {
    let mut too_large = others.filter(|(other, outcome)| {
        let Verdict::Failed(Failure { kind, .. }) = &outcome.verdict else { return false };
        FOR_WANT_OF_MEMORY.contains(&kind.as_str()) && is_no_smaller(cell, other)
    });
    let (other, _) = too_large.next()?;
    let reason = format!(
        "it needs no less memory than {}, which most likely failed for want of it",
        name(other)
    );
    Some(Skip { kind: "predicted_out_of_memory".to_owned(), reason })
}

/// Whether `cell` keeps at least as many tokens as `other`, in the same form, as far as that is known before a tokenizer
/// is.
fn is_no_smaller(cell: &Cell, other: &Cell) -> bool {
    let (conditions, others) = (&cell.conditions, &other.conditions);
    let is_alike = conditions.kv == others.kv
        && conditions.depth >= others.depth
        && conditions.prefill_chunk >= others.prefill_chunk;
    is_alike
        && match (&cell.work, &other.work) {
            (
                Work::Throughput { prompt_tokens, generation_tokens },
                Work::Throughput { prompt_tokens: prompt, generation_tokens: generation },
            ) => prompt_tokens >= prompt && generation_tokens >= generation,
            (
                Work::Chat { prompt, max_tokens },
                Work::Chat { prompt: other_prompt, max_tokens: other_tokens },
            ) => prompt == other_prompt && max_tokens >= other_tokens,
            (Work::Throughput { .. } | Work::Chat { .. } | Work::Stop { .. }, _) => false,
        }
}

fn name(cell: &Cell) -> String {
    let depth = match cell.conditions.depth {
        0 => String::new(),
        depth => format!(" after {depth}"),
    };
    match &cell.work {
        Work::Throughput { prompt_tokens, generation_tokens } => {
            format!("throughput of {prompt_tokens} tokens in and {generation_tokens} out{depth}")
        }
        Work::Chat { max_tokens, .. } => format!("a chat of at most {max_tokens} tokens out"),
        Work::Stop { max_tokens, .. } => format!("answers of at most {max_tokens} tokens"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        measure::outcome::Stage,
        plan::{Conditions, KvPacking},
    };

    fn cell(prompt_tokens: u32, generation_tokens: u32) -> Cell {
        Cell::throughput([prompt_tokens, generation_tokens], 1, 1)
    }

    fn failed(kind: &str) -> Outcome {
        let failure = Failure::new(Stage::Decode, kind, "it failed");
        Outcome::unbegun(Verdict::Failed(failure), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn only_what_is_no_smaller_in_any_way_is_too_large() {
        let is_skipped = |next: &Cell, kind: &str| {
            let (other, outcome) = (cell(512, 128), failed(kind));
            too_large(next, std::iter::once((&other, &outcome))).is_some()
        };
        assert!(is_skipped(&cell(512, 128), "sigkill"));
        assert!(is_skipped(&cell(2048, 128), "sigkill"));
        assert!(!is_skipped(&cell(2048, 127), "sigkill"));
        assert!(!is_skipped(&cell(128, 512), "sigkill"));
        assert!(!is_skipped(&cell(2048, 128), "sigabrt"));
        let work = Work::Chat { prompt: "Cats?".to_owned(), max_tokens: 4096 };
        assert!(!is_skipped(&Cell { work, ..cell(1, 1) }, "sigkill"));
        let under = |conditions| Cell { conditions, ..cell(512, 128) };
        let deep = Conditions { depth: 1024, ..Conditions::default() };
        assert!(is_skipped(&under(deep), "sigkill"));
        let kv = Some(KvPacking { bits: 4, group_size: 64, start: 0 });
        let packed = Conditions { kv, ..Conditions::default() };
        assert!(!is_skipped(&under(packed), "sigkill"));
        let small = Conditions { prefill_chunk: 64, ..Conditions::default() };
        assert!(!is_skipped(&under(small), "sigkill"));
    }
}
