//! What `check` and `report` take for 1 GiB of lines: megabytes per second of processor time, and memory at its most.
//!
//! `cargo bench --bench reports [-- BYTES]` makes the file, of lines of ours and of mlx-knife as they are written, some
//! 400,000 of them, and runs both. It fails above 64 MiB or below 200 MB/s. It needs Linux, whose `/proc` tells both.

#![expect(clippy::print_stdout, reason = "a bench is a program of its own")]

use std::{
    error::Error,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

const THEIRS: [&str; 2] = [
    include_str!("../tests/fixtures/reports/rendered/2026-02-11-v2.0.4-wet.jsonl"),
    include_str!("../tests/fixtures/reports/valid/as-mlx-knife-writes.jsonl"),
];

/// Bytes of the file, and of a line in the mean.
const BYTES: u64 = 1 << 30;
const MEAN: u64 = 2_700;

/// Memory that either may take, and bytes a second that it must reach.
const MOST_KIB: u64 = 64 << 10;
const LEAST: f64 = 200e6;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let bytes = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let bytes = bytes.unwrap_or(BYTES);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lines.jsonl");
    let lines = write(&path, bytes)?;
    println!("{lines} lines, {} MiB", bytes >> 20);
    let mut is_good = true;
    for command in ["check", "report"] {
        let Cost { seconds, most_kib } = run(command, &path)?;
        let rate = bytes as f64 / seconds;
        is_good &= rate >= LEAST && most_kib < MOST_KIB;
        println!(
            "{command:<8} {seconds:>6.2} s {:>6.0} MB/s {:>6} MiB",
            rate / 1e6,
            most_kib >> 10
        );
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The lines of `reports/`.
fn ours() -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/reports"))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            lines.extend(fs::read_to_string(path)?.lines().map(str::to_owned));
        }
    }
    Ok(lines)
}

/// Writes lines until there are `bytes` of them, each with another run or another test; tells how many.
fn write(path: &Path, bytes: u64) -> Result<u64, Box<dyn Error>> {
    let ours = ours()?;
    let mut ours = ours.iter().map(String::as_str).cycle();
    let mut theirs = THEIRS.into_iter().flat_map(str::lines).cycle();
    let mut file = BufWriter::new(File::create(path)?);
    let [mut lines, mut written] = [0; 2];
    while written < bytes {
        let line = if written <= lines * MEAN {
            let run = format!("\"run\":\"{lines:x}");
            ours.next().unwrap_or_default().replacen("\"run\":\"", &run, 1)
        } else {
            let test = format!("::t{}_", lines % 1000);
            theirs.next().unwrap_or_default().replacen("::", &test, 1)
        };
        writeln!(file, "{line}")?;
        lines += 1;
        written += line.len() as u64 + 1;
    }
    file.flush()?;
    Ok(lines)
}

/// What a run took.
struct Cost {
    /// Of processor time.
    seconds: f64,
    most_kib: u64,
}

fn run(command: &str, path: &Path) -> Result<Cost, Box<dyn Error>> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .arg(command)
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let folder = format!("/proc/{}", child.id());
    let mut most_kib = 0;
    // A process that ended is a zombie until it is waited for, and tells its time, but no memory.
    let seconds = loop {
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        let fields: Vec<_> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        if fields.first() == Some(&"Z") {
            let ticks: Result<Vec<f64>, _> =
                fields.iter().skip(11).take(2).map(|ticks| ticks.parse()).collect();
            // Linux counts in hundredths of a second.
            break ticks?.iter().sum::<f64>() / 100.0;
        }
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|most| most.trim().trim_end_matches(" kB").parse().ok());
        most_kib = most.unwrap_or(most_kib);
        thread::sleep(Duration::from_millis(5));
    };
    child.wait()?;
    Ok(Cost { seconds, most_kib })
}
