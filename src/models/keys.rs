//! Keys of a configuration: what they mean where they are absent, and the error for what no family can use.

use crate::checkpoint::LoadError;

/// Declares a struct that is read from a configuration, with what each key means where it is absent.
macro_rules! keys {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($of_key:vis $key:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Deserialize)]
        #[serde(default)]
        $visibility struct $name {
            $($of_key $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    };
}

pub(super) use keys;

/// What a flag that is set by default is where it is absent.
pub(super) fn yes() -> bool {
    true
}

/// What a number that is one by default is where it is absent.
pub(super) fn one<T: From<u8>>() -> T {
    T::from(1)
}

/// The error for what is asked of a family that cannot do it.
pub(super) fn unsupported(what: impl Into<String>) -> LoadError {
    LoadError::Unsupported { what: what.into() }
}
