//! A library that panics at what a stranger wrote, kept from taking the program with it.

use std::{
    cell::Cell,
    error::Error,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use thiserror::Error;

/// What a library may say.
pub(super) type Cause = Box<dyn Error + Send + Sync>;

/// A library panicked.
#[derive(Debug, Error)]
#[error("the `tokenizers` library cannot bear it: {0}")]
struct Panicked(String);

thread_local! {
    /// Whether a panic of this thread is awaited, and nothing to print.
    static IS_AWAITED: Cell<bool> = const { Cell::new(false) };
}

/// What `task` gives; its panic is an error like any other, and nothing is printed of it.
pub(super) fn guarded<T>(task: impl FnOnce() -> Result<T, Cause>) -> Result<T, Cause> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_AWAITED.get() {
                usual(panic);
            }
        }));
    });
    let was_awaited = IS_AWAITED.replace(true);
    // Whatever `task` left half done is dropped with it, or belongs to a tokenizer that is not used again.
    let outcome = panic::catch_unwind(AssertUnwindSafe(task));
    IS_AWAITED.set(was_awaited);
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Panicked(text.unwrap_or_else(|| "it panicked".to_owned())).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_all_else_is_as_it_was() {
        assert_eq!(guarded(|| Ok(1)).unwrap(), 1);
        assert_eq!(guarded::<()>(|| Err("no".into())).unwrap_err().to_string(), "no");
        let error = guarded::<()>(|| panic!("a byte")).unwrap_err();
        assert_eq!(error.to_string(), "the `tokenizers` library cannot bear it: a byte");
        let index = std::hint::black_box(3);
        let error = guarded(|| Ok([0; 2][index])).unwrap_err();
        assert!(error.to_string().ends_with("the len is 2 but the index is 3"), "{error}");
        assert!(!IS_AWAITED.get());
    }
}
