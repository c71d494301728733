//! The page for browsers, as far as it can be judged without one; `cargo xtask page` opens the same pages in a browser.

mod synthetic;

use std::{collections::BTreeSet, fs, path::Path};

use mlxk_harness::cli::Exit;

use super::{super::harness::Harness, REAL};
use synthetic::synthetic;

/// The page of `harness`, after its arguments for it; a copy of it and of its files goes to the folder that
/// `MLXK_PAGES` names.
#[track_caller]
fn page(harness: Harness, name: &str) -> String {
    let output = format!("{name}.html");
    let harness = harness.more(&["--format", "html", "--output", &output]);
    let answer = harness.answer();
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let page = harness.read(&output);
    if let Some(folder) = std::env::var_os("MLXK_PAGES") {
        fs::create_dir_all(&folder).unwrap();
        fs::write(Path::new(&folder).join(output), &page).unwrap();
    }
    page
}

fn twelve_models() -> String {
    let synthetic = synthetic();
    let harness = Harness::new()
        .file("new.jsonl", synthetic.report)
        .file("old.jsonl", synthetic.older)
        .file("new.memory.jsonl", synthetic.memory)
        .args(["report", "old.jsonl", "new.jsonl", "--memory", "new.memory.jsonl"]);
    page(harness, "synthetic")
}

/// The values of `attribute` in a page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    page.split(&begin).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[track_caller]
fn is_sound(page: &str) {
    for foreign in
        ["http:", "https:", "//", "url(", "@import", "src=", "<iframe", "<link", "<object"]
    {
        // The script comments nothing, and names of models are escaped.
        let bare = page.replace("&lt;img src=x", "");
        assert!(!bare.contains(foreign), "`{foreign}`");
    }
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("<img") && !page.contains('\u{1b}'));
    let ids = values(page, "id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    let targets = values(page, "href");
    assert!(
        targets.iter().all(|target| ids.contains(&target.trim_start_matches('#'))),
        "{targets:?}"
    );
    let regions = page.matches("role=\"region\"").count();
    assert_eq!(page.matches("role=\"region\" aria-label=\"").count(), regions);
    // Each chart has a name and the same in words.
    let charts = page.matches("<svg").count();
    assert_eq!(page.matches("<svg role=\"img\" aria-label=\"").count(), charts);
    let figures: Vec<_> = page.split("<figure>").skip(1).collect();
    assert_eq!(figures.len(), charts);
    for figure in figures {
        let (figure, _) = figure.split_once("</figure>").unwrap();
        let (_, words) = figure.split_once("<summary>In words</summary>").unwrap();
        assert!(words.contains("<li>"), "{figure}");
    }
    let events = ["onclick", "onerror", "onload"].map(|event| values(page, event).len());
    assert_eq!(events, [0; 3]);
}

/// The part of a page under a heading.
#[track_caller]
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<h2>{title}</h2>")).expect(title);
    rest.split("</section>").next().unwrap()
}

#[test]
fn a_page_of_twelve_models_is_sound_and_whole() {
    let page = twelve_models();
    is_sound(&page);
    assert!(page.contains("168 passed, 1 failed, 1 skipped"));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
    let records = section(&page, "Records");
    for heading in [
        "load s",
        "TTFT ms",
        "prompt tok/s",
        "decode tok/s",
        "peak GiB",
        "MBU %",
        "NLL",
        "stop tokens",
        "flags",
    ] {
        let button = format!("<button type=\"button\">{heading}</button>");
        assert!(records.contains(&button), "{heading}");
    }
    assert!(
        section(&page, "Failures").contains("decode, signal: the child was killed by signal 9")
    );
    assert!(section(&page, "Failures").contains("&lt;script&gt;alert(2)&lt;/script&gt;"));
    assert!(section(&page, "Skipped").contains("needs 44.4 GB, and 41.2 GB are allowed"));
    // 12 models: prompts of three lengths at no depth; four depths of one prompt.
    let curves = |title: &str| section(&page, title).matches("<polyline").count();
    assert_eq!(curves("TTFT by prompt length"), 12 * 2);
    assert_eq!(curves("Decode rate by depth"), 12 * 2);
    assert_eq!(curves("Prompt rate by depth"), 12 * 2);
    assert!(section(&page, "Over time").contains("2026-04-29 00:00"));
}

#[test]
fn an_hour_of_looks_is_thinned_and_the_page_says_so() {
    let page = twelve_models();
    let timeline = section(&page, "Timeline");
    assert!(
        timeline.contains("18000 looks at the machine in 60.0 min, one every 200 ms on average.")
    );
    assert!(
        timeline.contains("Not every look is drawn: lines are the means of 480 stretches of 7.5 s")
    );
    for told in [
        "memory, free",
        "memory, process",
        "memory, swap",
        "CPU, in all",
        "GPU, device",
        "memory pressure: warning",
    ] {
        assert!(timeline.contains(&format!("<li>{told}")), "{told}");
    }
    for lane in ["<li>load: 12 times, ", "<li>prefill: 588 times, ", "<li>decode: 588 times, "] {
        assert!(timeline.contains(lane), "{lane}");
    }
    // No line has more points than stretches, and all of it stays a page that opens at once.
    for points in values(timeline, "points") {
        assert!(points.split(' ').count() <= 2 * 480);
    }
    assert!(
        timeline.len() < 400_000 && page.len() < 1_500_000,
        "{} of {}",
        timeline.len(),
        page.len()
    );
}

#[test]
fn mlx_knifes_files_have_bands_by_their_tests() {
    let look = |at: u32| {
        let ts = 1_790_000_000.0 + f64::from(at);
        let free = 40 - at;
        format!(
            "{{\"ts\": {ts}, \"elapsed_s\": {at}, \"ram_free_gb\": {free}, \"swap_used_mb\": 0}}\n"
        )
    };
    let looks: Vec<_> = (0..30).map(look).collect();
    let test = r#"{"timestamp": "2026-09-21T14:13:40+00:00", "duration": 10, "test": "a::b[text_00]", "outcome": "passed", "model": {"id": "org/known"}}"#;
    let harness = Harness::new()
        .file("r.jsonl", test)
        .file("m.jsonl", looks.concat())
        .args(["report", "r.jsonl", "--memory", "m.jsonl"]);
    let page = page(harness, "memmon");
    is_sound(&page);
    let timeline = section(&page, "Timeline");
    // 14:13:20 is when the looks begin: the test began 10 s later, and its end is what its line tells.
    assert!(timeline.contains("<li>org/known from 10.0 s on, for 10.0 s</li>"), "{timeline}");
    assert!(timeline.contains("<title>org/known b text_00 (passed)</title>"), "{timeline}");
    assert!(timeline.contains("<li>memory, free: 11.00 to 40.00 GiB</li>"), "{timeline}");
}

#[test]
fn real_files_and_no_lines_make_sound_pages() {
    is_sound(&page(Harness::new().file("r.jsonl", REAL).args(["report", "r.jsonl"]), "real"));
    is_sound(&page(Harness::new().file("r.jsonl", "").args(["report", "r.jsonl"]), "empty"));
}

#[test]
fn a_file_without_looks_is_told_of() {
    let harness = Harness::new().file("r.jsonl", REAL).file("m.jsonl", "").args([
        "report", "r.jsonl", "--format", "html", "--memory", "m.jsonl", "--output", "p.html",
    ]);
    harness.stderr("warning: `m.jsonl` tells nothing of the machine\n").exit(Exit::Ok);
}
