//! The block `metadata.mlxk_harness`.

use super::{Context, figures::counted, prompts, roofline};
use crate::{
    host::Health,
    measure::{
        message::{Loaded, ModelFacts},
        outcome::{Failure, Outcome, Skip, Verdict},
        rates,
        steadiness::flags,
        trial::Trial,
    },
    plan::{Cell, Settings, Work},
    report::{
        identity::sha256,
        memory::MemoryDetail,
        provenance::{
            CellFacts, CleanupDetail, Definitions, DownloadDetail, Figures, HealthDetail,
            HostDetail, LoadDetail, ModelDetail, PhaseDetail, Provenance, Sample,
        },
        redact::redact,
        statistics::Statistics,
    },
};

/// The definitions that the figures of a record follow.
const DEFINITIONS: Definitions = Definitions {
    tokens_per_sec: rates::DECODE_RATE.id,
    time_to_first_token_s: rates::TIME_TO_FIRST_TOKEN.id,
    prompt_tokens_per_sec: rates::PROMPT_RATE.id,
    peak_ram_gb: "memory.mlx_peak_of_request",
    stable_ram_gb: "memory.mlx_active_after_load",
    timeline: "timeline.stages_end_to_end",
    repetitions: "median, of peaks the maximum",
};

pub(super) fn provenance(
    context: &Context,
    cell: &Cell,
    settings: &Settings,
    outcome: &Outcome,
) -> Provenance {
    let loaded = outcome.loaded.as_ref();
    let runtime = outcome.runtime.as_ref();
    let revision = loaded.and_then(|loaded| loaded.model.revision.clone());
    let is_measured = outcome.verdict == Verdict::Measured;
    Provenance {
        version: env!("CARGO_PKG_VERSION"),
        run: context.mark.as_ref().map(|mark| mark.run.clone()),
        configuration_sha256: context.mark.as_ref().map(|mark| mark.configuration.clone()),
        mlx_version: runtime.map(|runtime| runtime.mlx_version.clone()),
        mlx_rs_version: runtime.map(|runtime| runtime.mlx_rs_version.clone()),
        device: runtime.map(|runtime| runtime.device.clone()),
        revision: revision.or_else(|| context.model.revision.clone()),
        cell: cell_facts(cell),
        settings: settings.clone(),
        random_ids: outcome.random_ids,
        prompts: prompts::detail(cell, settings, outcome),
        answers_agree: prompts::agree(&outcome.trials),
        likelihood: outcome.findings.likelihood.clone(),
        reference: outcome.findings.compared.clone(),
        prompt_tokens_per_sec: rates::PROMPT_RATE.over(counted(outcome)),
        first_request_time_to_first_token_s: first_request(outcome),
        statistics: Statistics::of(counted(outcome)),
        flags: flags(counted(outcome), cell.conditions.depth),
        definitions: is_measured.then_some(DEFINITIONS),
        figures: Figures::of(counted(outcome)),
        model: loaded.map(|loaded| model_detail(&loaded.model)),
        download: context.model.fetched.map(|fetched| DownloadDetail {
            bytes: fetched.bytes,
            seconds: fetched.time.as_secs_f64(),
        }),
        load: loaded.map(load_detail),
        memory: MemoryDetail::of(cell, outcome, context.host.platform.as_deref()),
        cleanup: outcome.cleanup_us.map(|released_us| CleanupDetail {
            released_us,
            memory_back_us: context.memory_back.map(|back| back.us),
            within_bytes: context.memory_back.map(|back| back.within_bytes),
        }),
        health: health_detail(context),
        roofline: roofline::detail(context, cell, outcome),
        host: host_detail(context, outcome),
        warnings: outcome.warnings.iter().map(|text| redact(text)).collect(),
        failure: failure(&outcome.verdict),
        skip: skip(&outcome.verdict),
        warmups: outcome.warmups.iter().map(sample).collect(),
        stop_answers: outcome.answers.clone(),
        samples: outcome.trials.iter().map(sample).collect(),
    }
}

fn cell_facts(cell: &Cell) -> CellFacts {
    let facts = CellFacts {
        scenario: cell.work.scenario(),
        prompt_tokens: None,
        generation_tokens: None,
        prompt_sha256: None,
        prompt_set: None,
        max_tokens: None,
        conditions: cell.conditions.clone(),
        warmup: cell.warmup,
        repetitions: cell.repetitions,
    };
    match &cell.work {
        Work::Throughput { prompt_tokens, generation_tokens } => CellFacts {
            prompt_tokens: Some(*prompt_tokens),
            generation_tokens: Some(*generation_tokens),
            ..facts
        },
        Work::Chat { prompt, max_tokens } => CellFacts {
            prompt_sha256: Some(sha256(prompt.as_bytes())),
            max_tokens: Some(*max_tokens),
            ..facts
        },
        Work::Stop { set, max_tokens } => {
            CellFacts { prompt_set: Some(*set), max_tokens: Some(*max_tokens), ..facts }
        }
    }
}

/// The first request of a cell pays for kernels and caches that later ones find ready.
fn first_request(outcome: &Outcome) -> Option<f64> {
    let first = outcome.warmups.first().or(outcome.trials.first())?;
    rates::time_to_first_token(first)
}

fn model_detail(facts: &ModelFacts) -> ModelDetail {
    ModelDetail {
        model_type: facts.model_type.clone(),
        parameters: facts.parameters,
        parameter_bytes: facts.parameter_bytes,
        size_bytes: facts.size_bytes,
        quantization: facts.quantization.clone(),
        stored_quantization: facts.stored_quantization.clone(),
        dtype: facts.dtype.clone(),
        format: facts.format.clone(),
        vocabulary: facts.vocabulary,
        context_length: facts.context_length,
    }
}

fn load_detail(loaded: &Loaded) -> LoadDetail {
    LoadDetail {
        load_us: loaded.load_us(),
        phases: loaded
            .phases
            .iter()
            .map(|&phase| PhaseDetail { phase, gigabytes_per_s: phase.gigabytes_per_s() })
            .collect(),
        resident_before: loaded.resident_before,
        memory: loaded.memory,
    }
}

fn health_detail(context: &Context) -> Option<HealthDetail> {
    let Context { host, health, health_after, .. } = context;
    let is_known = |health: &Health| *health != Health::default();
    let after = health_after.clone().filter(is_known);
    (is_known(health) || after.is_some()).then(|| HealthDetail {
        free_counts: match host.platform.as_deref() {
            Some("macOS") => Some("free pages"),
            Some("Linux") => Some("MemAvailable"),
            Some(_) | None => None,
        },
        before: health.clone(),
        after,
    })
}

fn host_detail(context: &Context, outcome: &Outcome) -> Option<HostDetail> {
    let Context { host, health, .. } = context;
    let runtime = outcome.runtime.as_ref();
    let detail = HostDetail {
        architecture: host.architecture.clone(),
        device_name: runtime.and_then(|runtime| runtime.device_name.clone()),
        working_set_bytes: runtime.and_then(|runtime| runtime.working_set_bytes),
        virtual_machine: host.virtual_machine,
        translated: host.translated,
        load_average: health.load_average,
        memory_pressure: health.memory_pressure,
        thermal_level: health.thermal_level,
        speed_limit_percent: health.speed_limit_percent,
        power: health.power,
        low_power_mode: health.low_power_mode,
        gpu_busy_percent: health.gpu_busy_percent,
        mlx_zombies: health.mlx_zombies,
        fitness: host.fitness.clone(),
    };
    (detail != HostDetail::default()).then_some(detail)
}

fn failure(verdict: &Verdict) -> Option<Failure> {
    let Verdict::Failed(failure) = verdict else {
        return None;
    };
    Some(Failure {
        stage: failure.stage,
        kind: failure.kind.clone(),
        message: redact(&failure.message),
        hint: failure.hint.as_deref().map(redact),
        stderr: failure.stderr.iter().map(|line| redact(line)).collect(),
    })
}

fn skip(verdict: &Verdict) -> Option<Skip> {
    let Verdict::Skipped(skip) = verdict else {
        return None;
    };
    Some(Skip { kind: skip.kind.clone(), reason: redact(&skip.reason) })
}

fn sample(trial: &Trial) -> Sample {
    Sample {
        prompt: trial.prompt,
        prompt_tokens: trial.prompt_tokens,
        prompt_sha256: trial.prompt_sha256.clone(),
        ids_sha256: trial.ids_sha256.clone(),
        prompt_ready_us: trial.prompt_ready_us,
        submitted_us: trial.submitted_us.clone(),
        visible_us: trial.visible_us.clone(),
        answer_from: trial.answer_from,
        ended_us: trial.ended_us,
        finish: trial.finish.clone(),
        memory: trial.memory,
        order: trial.order,
        canary: trial.canary,
    }
}
