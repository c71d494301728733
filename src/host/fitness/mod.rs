//! Whether a machine is fit for timing: a grade, and everything that speaks against a better one.

mod rules;

use std::fmt;

use serde::Serialize;

use self::rules::RULES;
use super::{Health, Host, Probe};

/// How far figures that a machine gives can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Grade {
    /// Nothing that is known speaks against them.
    A,
    /// They may be off by a little.
    B,
    /// They tell large differences only.
    C,
    /// They tell nothing of the machine.
    D,
}

impl fmt::Display for Grade {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// A judgement of a machine at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fitness {
    /// The worst that a rule gives.
    pub grade: Grade,
    /// Everything that speaks against an A, the worst first.
    pub reasons: Vec<Reason>,
    /// Rules whose figures nobody knows here, so that a good grade does not speak of them.
    pub not_judged: Vec<&'static str>,
}

/// One thing that speaks against an A.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// The best grade that it leaves.
    pub grade: Grade,
    /// The rule.
    pub rule: &'static str,
    /// What was found, as a clause.
    pub text: String,
}

/// Judges a machine by what it is, how it is doing and what was tried on it.
pub fn fitness(host: &Host, health: &Health, probe: &Probe) -> Fitness {
    let mut fitness = Fitness { grade: Grade::A, reasons: Vec::new(), not_judged: Vec::new() };
    for rule in &RULES {
        let Some(figure) = (rule.figure)(host, health, probe) else {
            fitness.not_judged.push(rule.name);
            continue;
        };
        let grade = rule.scale.grade(figure);
        if grade > Grade::A {
            let text = (rule.text)(figure);
            fitness.reasons.push(Reason { grade, rule: rule.name, text });
        }
    }
    fitness.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.grade));
    fitness.grade = fitness.reasons.first().map_or(Grade::A, |worst| worst.grade);
    fitness
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Jitter, Power};

    /// A machine that nothing speaks against, and of which everything is known.
    fn sound() -> (Host, Health, Probe) {
        let host = Host {
            logical_cores: Some(8),
            gpu: Some("Apple M2 Max".to_owned()),
            virtual_machine: Some(false),
            translated: Some(false),
            ..Host::default()
        };
        let health = Health {
            free_bytes: Some(20 << 30),
            swap_used_bytes: Some(0),
            zombies: Some(0),
            mlx_zombies: Some(0),
            load_average: Some(0.5),
            memory_pressure: Some(1),
            thermal_level: Some(0),
            speed_limit_percent: Some(100),
            power: Some(Power::Ac),
            low_power_mode: Some(false),
            gpu_busy_percent: Some(0),
            ..Health::default()
        };
        let probe = Probe {
            debug_build: Some(false),
            clock_resolution_ns: Some(42),
            jitter: Some(jitter(300, 900)),
            busy_cores: Some(0.1),
        };
        (host, health, probe)
    }

    /// Changes one thing of a machine that nothing speaks against, and expects this of one rule and nothing of others.
    #[track_caller]
    fn judged(change: fn(&mut Host, &mut Health, &mut Probe), rule: &str, expected: Grade) {
        let (mut host, mut health, mut probe) = sound();
        change(&mut host, &mut health, &mut probe);
        let fitness = fitness(&host, &health, &probe);
        let found: Vec<_> =
            fitness.reasons.iter().map(|reason| (reason.rule, reason.grade)).collect();
        let wanted: Vec<_> =
            (expected > Grade::A).then_some((rule, expected)).into_iter().collect();
        assert_eq!(found, wanted);
        assert_eq!(fitness.grade, expected);
    }

    fn jitter(p99_us: u64, worst_us: u64) -> Jitter {
        Jitter { steps: 2000, p99_us, worst_us }
    }

    #[test]
    fn a_machine_that_nothing_speaks_against_is_an_a() {
        let (host, health, probe) = sound();
        let expected = Fitness { grade: Grade::A, reasons: Vec::new(), not_judged: Vec::new() };
        assert_eq!(fitness(&host, &health, &probe), expected);
    }

    #[test]
    fn a_fact_leaves_its_grade_at_best() {
        judged(|_, _, probe| probe.debug_build = Some(true), "debug_build", Grade::D);
        judged(|host, _, _| host.translated = Some(true), "rosetta", Grade::D);
        judged(|host, _, _| host.virtual_machine = Some(true), "virtual_machine", Grade::C);
        let paravirtual = |host: &mut Host, _: &mut Health, _: &mut Probe| {
            host.gpu = Some("Apple Paravirtual device".to_owned());
        };
        judged(paravirtual, "paravirtual_gpu", Grade::D);
        judged(|_, health, _| health.power = Some(Power::Battery), "battery", Grade::C);
        judged(|_, health, _| health.power = Some(Power::Ups), "battery", Grade::C);
        judged(|_, health, _| health.low_power_mode = Some(true), "low_power_mode", Grade::D);
    }

    #[test]
    fn heat_and_a_slower_clock_hold_a_machine_back() {
        judged(|_, health, _| health.thermal_level = Some(1), "thermal_level", Grade::C);
        judged(|_, health, _| health.thermal_level = Some(2), "thermal_level", Grade::D);
        judged(|_, health, _| health.speed_limit_percent = Some(99), "speed_limit", Grade::B);
        judged(|_, health, _| health.speed_limit_percent = Some(94), "speed_limit", Grade::C);
        judged(|_, health, _| health.speed_limit_percent = Some(79), "speed_limit", Grade::D);
    }

    #[test]
    fn the_load_is_judged_by_the_core() {
        judged(|_, health, _| health.load_average = Some(1.99), "load_per_core", Grade::A);
        judged(|_, health, _| health.load_average = Some(2.0), "load_per_core", Grade::B);
        judged(|_, health, _| health.load_average = Some(4.0), "load_per_core", Grade::C);
        judged(|_, health, _| health.load_average = Some(8.0), "load_per_core", Grade::D);
    }

    #[test]
    fn a_neighbour_in_a_busy_loop_lowers_the_grade() {
        // One of 32 cores, one of 8 and one of two; the load of the last minute has not risen yet.
        let grade = |cores| {
            let (host, health, probe) = sound();
            let host = Host { logical_cores: Some(cores), ..host };
            let health = Health { load_average: Some(0.0), ..health };
            let before = fitness(&host, &health, &probe).grade;
            let after = fitness(&host, &health, &Probe { busy_cores: Some(1.1), ..probe }).grade;
            (before, after)
        };
        assert_eq!(grade(32), (Grade::A, Grade::B));
        assert_eq!(grade(8), (Grade::A, Grade::B));
        assert_eq!(grade(2), (Grade::A, Grade::D));
    }

    #[test]
    fn others_on_the_gpu_and_dead_processes_count() {
        judged(|_, health, _| health.gpu_busy_percent = Some(4), "gpu_busy", Grade::A);
        judged(|_, health, _| health.gpu_busy_percent = Some(5), "gpu_busy", Grade::B);
        judged(|_, health, _| health.gpu_busy_percent = Some(20), "gpu_busy", Grade::C);
        judged(|_, health, _| health.gpu_busy_percent = Some(50), "gpu_busy", Grade::D);
        judged(|_, health, _| health.zombies = Some(1), "zombies", Grade::B);
        judged(|_, health, _| health.zombies = Some(10), "zombies", Grade::C);
    }

    #[test]
    fn memory_counts_by_swap_by_what_is_free_and_by_pressure() {
        judged(
            |_, health, _| health.swap_used_bytes = Some((100 << 20) - 1),
            "swap_used",
            Grade::A,
        );
        judged(|_, health, _| health.swap_used_bytes = Some(100 << 20), "swap_used", Grade::B);
        judged(|_, health, _| health.swap_used_bytes = Some(55 << 30), "swap_used", Grade::B);
        judged(|_, health, _| health.free_bytes = Some(5 << 30), "free_memory", Grade::A);
        judged(|_, health, _| health.free_bytes = Some((5 << 30) - 1), "free_memory", Grade::B);
        judged(|_, health, _| health.free_bytes = Some((1 << 30) - 1), "free_memory", Grade::C);
        judged(|_, health, _| health.memory_pressure = Some(2), "memory_pressure", Grade::C);
        judged(|_, health, _| health.memory_pressure = Some(4), "memory_pressure", Grade::D);
    }

    #[test]
    fn time_must_be_told_finely_and_kept() {
        let step = "clock_resolution";
        judged(|_, _, probe| probe.clock_resolution_ns = Some(1_000), step, Grade::A);
        judged(|_, _, probe| probe.clock_resolution_ns = Some(1_001), step, Grade::B);
        judged(|_, _, probe| probe.clock_resolution_ns = Some(10_000), step, Grade::C);
        judged(|_, _, probe| probe.clock_resolution_ns = Some(1_000_000), step, Grade::D);
        judged(|_, _, probe| probe.jitter = Some(jitter(1_999, 9_999)), "jitter", Grade::A);
        judged(|_, _, probe| probe.jitter = Some(jitter(2_000, 9_999)), "jitter", Grade::B);
        judged(|_, _, probe| probe.jitter = Some(jitter(5_000, 9_999)), "jitter", Grade::C);
        judged(|_, _, probe| probe.jitter = Some(jitter(300, 10_000)), "worst_jitter", Grade::B);
        judged(|_, _, probe| probe.jitter = Some(jitter(300, 50_000)), "worst_jitter", Grade::C);
        judged(|_, _, probe| probe.jitter = Some(jitter(300, 200_000)), "worst_jitter", Grade::D);
    }

    #[test]
    fn what_is_not_known_is_said_not_to_be_judged() {
        let nothing = fitness(&Host::default(), &Health::default(), &Probe::default());
        assert_eq!(nothing.grade, Grade::A);
        assert_eq!(nothing.not_judged, RULES.each_ref().map(|rule| rule.name));
        let (host, health, probe) = sound();
        let brief = Probe { jitter: None, busy_cores: None, ..probe };
        let not_judged = fitness(&host, &health, &brief).not_judged;
        assert_eq!(not_judged, ["busy_cores", "busy_share", "jitter", "worst_jitter"]);
    }

    #[test]
    fn the_worst_reason_is_the_grade_and_comes_first() {
        let (host, health, probe) = sound();
        let health = Health { zombies: Some(3), power: Some(Power::Battery), ..health };
        let fitness = fitness(&host, &health, &probe);
        assert_eq!(fitness.grade, Grade::C);
        let reasons: Vec<_> = fitness.reasons.iter().map(|reason| reason.text.as_str()).collect();
        let expected =
            ["the power comes from a battery", "processes that ended and were not collected: 3"];
        assert_eq!(reasons, expected);
    }
}
