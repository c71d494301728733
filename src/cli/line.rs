//! The way to the hub during one command: once nobody answers, the models that follow are only looked for in the cache.

use crate::hub::{HubError, Network};

/// The way to the hub.
#[derive(Debug)]
pub(super) struct Line {
    network: Network,
    dead: Option<Dead>,
}

/// What did not answer, and why.
#[derive(Clone, Debug)]
struct Dead {
    host: String,
    reason: String,
}

impl Line {
    /// A way that may still be there.
    pub(super) fn new(network: Network) -> Self {
        Self { network, dead: None }
    }

    /// Lets `ask` go the way, or has it do without once nobody answered; a model that is not here then is unreachable.
    pub(super) fn ask<T>(
        &mut self,
        ask: impl FnOnce(Network) -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        if let Some(Dead { host, reason }) = self.dead.clone() {
            let dead = HubError::Unreachable { host, reason };
            let is_missing = |error: &HubError| matches!(error, HubError::NotCached { .. });
            return ask(Network::Forbidden)
                .map_err(|error| if is_missing(&error) { dead } else { error });
        }
        ask(self.network).inspect_err(|error| {
            if let HubError::Unreachable { host, reason } = error {
                self.dead = Some(Dead { host: host.clone(), reason: reason.clone() });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_again_once_nobody_answered() {
        let mut line = Line::new(Network::Allowed);
        let mut asked = Vec::new();
        for _ in 0..2 {
            let answer: Result<(), _> = line.ask(|network| {
                asked.push(network);
                Err(match network {
                    Network::Allowed => {
                        HubError::Unreachable { host: "h".to_owned(), reason: "r".to_owned() }
                    }
                    Network::Forbidden => {
                        HubError::NotCached { model: "m".to_owned(), near: Vec::new() }
                    }
                })
            });
            assert_eq!(answer.unwrap_err().to_string(), "cannot reach `h`: r");
        }
        assert_eq!(asked, [Network::Allowed, Network::Forbidden]);
        assert!(line.ask(|_| Ok(())).is_ok(), "what is in the cache is still found");
    }
}
