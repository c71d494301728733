//! The page, section by section.

use super::{
    super::text::{markdown, plain},
    Page, Statistics, compare,
    gpu::Gpu,
    models::{Model, category},
};

/// Version of the layout.
const TEMPLATE: &str = "1.1";
const RULE: &str = "\n---\n\n";

pub(super) fn page(page: &Page<'_>) -> String {
    let new = page.primary.1;
    let models = models(page) + "\n" + &categories(new);
    let mut sections =
        vec![header(page), summary(page), tests_and_health(new), models, tests(page)];
    let [gpu, old] = page.memory;
    let gpu = gpu.and_then(|memory| Gpu::of(&new.timed, memory));
    let old = page.comparison.zip(old).and_then(|((_, old), memory)| Gpu::of(&old.timed, memory));
    sections.extend(gpu.as_ref().map(|gpu| gpu.section(old.as_ref())));
    sections.extend(failures(new));
    sections.push(files(page, gpu.as_ref()));
    sections.join(RULE)
}

fn header(page: &Page<'_>) -> String {
    let (file, statistics) = page.primary;
    let unknown = || "unknown".to_owned();
    let plain_or = |text: &Option<String>| text.as_deref().map_or_else(unknown, plain);
    let stem = file.rsplit('/').next().unwrap_or(file);
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let date = stem.split("-v").next().unwrap_or(stem);
    let mut text = format!(
        "# Benchmark Report v{TEMPLATE}: {}\n\n**Date:** {date}\n**Generated:** {}\n\
         **Generator:** mlxk-harness {} v{TEMPLATE}\n**Hardware:** {}, {} cores\n{RULE}\
         ## Input Files\n\n- **Primary:** `{}`\n- **Schema:** v{}\n",
        plain_or(&statistics.version),
        page.now.strftime("%Y-%m-%dT%H:%M:%S UTC"),
        env!("CARGO_PKG_VERSION"),
        plain_or(&statistics.machine),
        statistics.cores.as_deref().unwrap_or("?"),
        path(file),
        plain_or(&statistics.schema),
    );
    if let Some((file, _)) = page.comparison {
        text.extend([format!("- **Comparison:** `{}`\n", path(file))]);
    }
    text
}

/// A path between backticks.
fn path(file: &str) -> String {
    plain(file.strip_prefix("./").unwrap_or(file)).replace('`', "'")
}

fn minutes(seconds: f64) -> String {
    format!("{seconds:.1}s ({:.1} min)", seconds / 60.0)
}

fn summary(page: &Page<'_>) -> String {
    let (_, new) = page.primary;
    let failed = match new.failed.len() {
        0 => String::new(),
        failed => format!("{failed} failed, "),
    };
    let clean = new.clean_percent();
    let mut text = format!(
        "## Executive Summary\n\n**Tests:** {} total ({} passed, {failed}{} skipped)\n\
         **Duration:** {}\n**Quality:** {clean:.1}% clean ({}/{})\n**Models:** {} tested\n\n",
        new.total,
        new.passed,
        new.skipped,
        minutes(new.duration),
        new.clean,
        new.judged,
        new.models.len(),
    );
    if let Some((file, old)) = page.comparison {
        let name = path(file.rsplit('/').next().unwrap_or(file));
        text.push_str(&compare::summary(new, old, &name));
    }
    if new.judged > 0 && new.clean == new.judged {
        text.push_str("✅ **System Health:** All tests clean (RAM >5 GB free, 0 zombies)\n");
    } else {
        text.extend([format!(
            "⚠️ **System Health:** {} degraded (RAM <5 GB free), {} degraded (zombies)\n",
            new.little_ram, new.with_zombies
        )]);
    }
    text
}

fn tests_and_health(new: &Statistics) -> String {
    let failed = match new.failed.len() {
        0 => String::new(),
        failed => format!("Failed:            {failed}\n"),
    };
    let tests = format!(
        "## Test Summary\n\n```\nTotal tests:       {}\nPassed:            {}\n  With model:      {}\n  \
         Infrastructure:  {}\n{failed}Skipped:           {}\nDuration:          {}\n```\n",
        new.total,
        new.passed,
        new.with_model,
        new.passed - new.with_model,
        new.skipped,
        minutes(new.duration),
    );
    let health = format!(
        "## System Health\n\n```\nSwap (MB):         min={}, max={}, avg={:.1}\n\
         RAM free (GB):     min={:.1}, max={:.1}, avg={:.1}\nZombies:           min={}, max={}\n\n\
         Quality Flags (Thresholds: RAM <5 GB free, zombies >0):\n  Clean:           {}/{} ({:.1}%)\n  \
         Degraded (RAM):  {}\n  Degraded (zombies): {}\n```\n",
        new.swap.low,
        new.swap.high,
        new.swap.mean(),
        new.ram.low,
        new.ram.high,
        new.ram.mean(),
        new.zombies.low,
        new.zombies.high,
        new.clean,
        new.judged,
        new.clean_percent(),
        new.little_ram,
        new.with_zombies,
    );
    format!("{tests}{RULE}{health}")
}

/// Models in the order of their ids, as a table.
fn models(page: &Page<'_>) -> String {
    let mut text = "## Per-Model Statistics\n\n".to_owned();
    text.push_str(if page.comparison.is_some() {
        "| Model | Size | Mode | Tests | Time | Old | Δ | Change | RAM (GB) |\n\
         |-------|-----:|:----:|------:|-----:|----:|--:|-------:|---------:|\n"
    } else {
        "| Model | Size | Mode | Tests | Time | RAM (GB) |\n\
         |-------|-----:|:----:|------:|-----:|---------:|\n"
    });
    for model in sorted(page.primary.1) {
        for (mode, part, range) in model.rows() {
            let change = page.comparison.map(|(_, old)| {
                let old = old.model(&model.id).and_then(|old| old.part(mode));
                compare::model(part.time, old.map(|old| old.time)) + " | "
            });
            text.extend([format!(
                "| {} | {:.1} GB | {mode} | {} | {:.1}s | {}{range} |\n",
                model.short(),
                model.size,
                part.count,
                part.time,
                change.unwrap_or_default(),
            )]);
        }
    }
    text
}

fn sorted(statistics: &Statistics) -> Vec<&Model> {
    let mut models: Vec<_> = statistics.models.iter().collect();
    models.sort_by_key(|model| model.id.to_lowercase());
    models
}

fn categories(new: &Statistics) -> String {
    let all = sorted(new);
    let of = |from: f64, to: f64| -> Vec<&Model> {
        all.iter().copied().filter(|model| (from..to).contains(&model.size)).collect()
    };
    let large = of(20.0, f64::INFINITY);
    let medium = of(10.0, 20.0);
    let small = of(f64::NEG_INFINITY, 10.0);
    let mut text = "### Model Categories\n\n".to_owned();
    if !all.is_empty() {
        text.push_str("```\n");
        for (title, models) in
            [("LARGE MODELS (≥20 GB)", large), ("MEDIUM MODELS (10-20 GB)", medium)]
        {
            if !models.is_empty() {
                text.push_str(&(category(title, &models) + "\n"));
            }
        }
        if !small.is_empty() {
            text.push_str(&category("SMALL MODELS (<10 GB)", &small));
        }
        text.push_str("```\n");
    }
    text
}

fn tests(page: &Page<'_>) -> String {
    let mut text =
        "## Per-Test Statistics\n\nShows performance range across models for each test.\n\n"
            .to_owned();
    text.push_str(if page.comparison.is_some() {
        "| Test Name | Mode | Models | Fastest | Slowest | Med | Old | Δ Med |\n\
         |-----------|:----:|-------:|---------|---------|----:|----:|------:|\n"
    } else {
        "| Test Name | Mode | Models | Fastest | Slowest | Med Time |\n\
         |-----------|:----:|-------:|---------|---------|--------:|\n"
    });
    let mut tests: Vec<_> = page.primary.1.tests.iter().collect();
    tests.sort_by_key(|test| test.name.to_lowercase());
    for test in tests {
        let median = test.median();
        let change = page.comparison.map(|(_, old)| {
            let old = old.test(&test.name, &test.modality);
            format!(" {} |", compare::test(median, old.map(super::tests_table::Test::median)))
        });
        let change = change.unwrap_or_default();
        text.extend([format!("| {} | {median:.1}s |{change}\n", test.cells().join(" | "))]);
    }
    text.push('\n');
    text
}

/// What failed; mlx-knife's layout has no such section, and there is none where nothing failed.
fn failures(new: &Statistics) -> Option<String> {
    let failed: Vec<_> = new.failed.iter().map(|test| format!("- {}\n", markdown(test))).collect();
    (!failed.is_empty()).then(|| format!("## Failures\n\n{}", failed.concat()))
}

fn files(page: &Page<'_>, gpu: Option<&Gpu<'_>>) -> String {
    let (file, new) = page.primary;
    let schema = match new.schema.as_deref() {
        Some("0.1.0") => "0.1",
        Some("0.2.0") => "0.2",
        _ => "0.2.2",
    };
    let mut text = format!(
        "## Files\n\n- **Benchmark report:** `{}`\n\
         - **Schema:** `benchmarks/schemas/report-v{schema}.schema.json`\n",
        path(file)
    );
    let mut corrections: Vec<_> = new.corrections.iter().copied().collect();
    if let Some(gpu) = gpu {
        text.push_str("- **Memory data:** correlated\n");
        corrections.extend(gpu.corrections());
    }
    if new.schema.as_deref().is_some_and(|named| named != "0.2.2") {
        corrections.push("The schema's file is named as it is called.");
    }
    if !corrections.is_empty() {
        text.push_str(
            "\n## Corrections\n\nWhat mlx-knife's own report would have said otherwise:\n\n",
        );
        text.extend(corrections.iter().map(|correction| format!("- {correction}\n")));
    }
    text
}
