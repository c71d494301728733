//! Questions are asked again after a pause, where that can help.

use std::{
    thread,
    time::{Duration, Instant},
};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::{HubError, Watch};

/// How often a question is asked before its answer counts, unless bytes came in between.
const ATTEMPTS: u32 = 5;
/// The pause after the first attempt; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest that a hub may ask to be left alone.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Why one attempt failed.
pub(super) enum Setback {
    /// Asking again would not help.
    Final(HubError),
    /// It may work next time, at the earliest after a pause.
    Passing { error: HubError, pause: Option<Duration> },
}

/// Asks until there is an answer that counts.
pub(super) fn persist<T>(
    watch: &dyn Watch,
    mut attempt: impl FnMut() -> Result<T, Setback>,
) -> Result<T, HubError> {
    let mut failures = 0;
    loop {
        match attempt() {
            Ok(answer) => return Ok(answer),
            Err(setback) => {
                failures += 1;
                pause(setback, failures, watch)?;
            }
        }
    }
}

/// Waits before the next attempt, or gives the error where there is to be none.
pub(super) fn pause(setback: Setback, failures: u32, watch: &dyn Watch) -> Result<(), HubError> {
    let (error, asked) = match setback {
        Setback::Final(error) => return Err(error),
        Setback::Passing { error, pause } => (error, pause),
    };
    let own = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    let pause = asked.map_or(own, |asked| asked.max(own));
    if failures >= ATTEMPTS || pause > LONGEST_PAUSE {
        return Err(error);
    }
    watch.said(&format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
    let began = Instant::now();
    while let Some(left) = pause.checked_sub(began.elapsed()) {
        if watch.is_stopped() {
            return Err(HubError::Interrupted);
        }
        thread::sleep(left.min(Duration::from_millis(100)));
    }
    Ok(())
}

/// Seconds or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_hub_says_how_long_it_wants_to_be_left_alone() {
        let after = |text| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]))
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("soon"), None);
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), None, "that is over");
        let later = after("Sun, 21 Oct 2125 07:28:00 GMT").unwrap();
        assert!(later > Duration::from_hours(24));
    }
}
