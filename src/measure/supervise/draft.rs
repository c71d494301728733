//! A cell that has no outcome yet: what all children said of it until now.

use std::time::{Duration, SystemTime};

use crate::{
    measure::{
        findings::Findings,
        message::{Loaded, Runtime},
        outcome::{Outcome, Verdict},
        schedule::{Measured, Task},
        stop_answers::StopAnswer,
        trial::Trial,
    },
    plan::Need,
    stops::Token,
};

/// A cell that has no outcome yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// When it was prepared first.
    pub(super) started: Option<SystemTime>,
    pub(super) spent: Duration,
    /// The MLX that ran it last.
    pub(super) runtime: Option<Runtime>,
    /// What the headers of the model's files say that it needs.
    pub(super) need: Option<Need>,
    /// The stop tokens that its files name, where it could not be loaded.
    pub(super) configured: Option<Vec<Token>>,
    /// The model as it was loaded last.
    pub(super) loaded: Option<Loaded>,
    pub(super) random_ids: bool,
    pub(super) findings: Findings,
    pub(super) warmups: Vec<Trial>,
    pub(super) trials: Vec<Trial>,
    pub(super) answers: Vec<StopAnswer>,
    pub(super) warnings: Vec<String>,
}

impl Draft {
    /// Whether nothing of it was run.
    pub(super) fn is_blank(&self) -> bool {
        self.warmups.is_empty() && self.trials.is_empty() && self.answers.is_empty()
    }

    /// `task` as another child is to go on with it.
    pub(super) fn rest_of(&self, task: &Task) -> Task {
        let mut rest = task.clone();
        rest.known.extend(self.trials.iter().map(Measured::of));
        rest
    }

    /// The outcome of a cell that ended so, at `now`; it began then if it never did before.
    pub(super) fn end(mut self, verdict: Verdict, now: SystemTime) -> Outcome {
        self.warnings.extend(several_children(&self.trials));
        Outcome {
            verdict,
            started: self.started.unwrap_or(now),
            ended: now,
            spent: self.spent,
            runtime: self.runtime,
            need: self.need,
            configured: self.configured,
            loaded: self.loaded,
            warmups: self.warmups,
            trials: self.trials,
            answers: self.answers,
            random_ids: self.random_ids,
            findings: self.findings,
            cleanup_us: None,
            warnings: self.warnings,
        }
        .believed()
    }
}

/// What is said where one child measured a part and another the rest.
fn several_children(trials: &[Trial]) -> Option<String> {
    let child = |trial: &Trial| trial.order.map(|order| order.child_since_ms);
    let first = child(trials.first()?);
    let others = trials.iter().filter(|trial| child(trial) != first).count();
    (others > 0).then(|| {
        let all = trials.len();
        format!("{others} of {all} repetitions were measured by another child, after one had ended")
    })
}
