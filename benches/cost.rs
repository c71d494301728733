//! What the harness itself costs a token, as a share of one that takes 2.5 ms.
//!
//! `cargo bench --bench cost` prints it in some seconds, and fails at half a percent. What a part costs in a second process
//! or thread counts as if it held up the token. The bench is written by hand: criterion would bring some
//! forty crates to tell nanoseconds apart where microseconds are asked for.

#![expect(clippy::print_stdout, reason = "a bench is a program of its own")]
#![expect(clippy::expect_used, reason = "where it cannot measure there is nothing to say")]

use std::{
    error::Error,
    io::{BufRead, BufReader, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use mlxk_harness::{
    host::sampler::Sampler,
    measure::{
        clock::SystemClock, engine::Ask, message::Message, outcome::Stage, recorder::record,
        scripted::Script, statistics::median, trial::Trial,
    },
    plan::{Cell, Conditions, Sampling, Work},
};

/// A token of a fast model, in nanoseconds.
const TOKEN_NS: f64 = 2_500_000.0;

/// The share of it that the harness may take.
const LIMIT: f64 = 0.005;

/// Tokens of a request here.
const TOKENS: u32 = 20_000;

/// How often each part is measured.
const TIMES: usize = 15;

/// Lines of a part.
const LINES: usize = 2_000;

/// News come every half second and so do signs of life, looks at the machine every 200 ms.
const NEWS_NS: f64 = 500_000_000.0;
const LOOK_NS: f64 = 200_000_000.0;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let look = look_ns()?;
    let parts = [
        ("stamps of one token, by a script for a model", stamps_ns()?),
        ("news and a sign of life every 500 ms, through a pipe", news_ns()? * TOKEN_NS / NEWS_NS),
        ("its part of the line of a repetition", trial_line_ns()?),
        ("a look at the machine every 200 ms (--sample)", look * TOKEN_NS / LOOK_NS),
    ];
    for (what, nanoseconds) in parts {
        println!("{}  {what}", share_of_token(nanoseconds));
    }
    let all: f64 = parts.iter().map(|(_, nanoseconds)| nanoseconds).sum();
    println!("{}  together, of a token of 2.5 ms", share_of_token(all));
    if all / TOKEN_NS < LIMIT {
        return Ok(ExitCode::SUCCESS);
    }
    println!("that is more than {:.1} %", LIMIT * 100.0);
    Ok(ExitCode::FAILURE)
}

fn share_of_token(nanoseconds: f64) -> String {
    format!("{nanoseconds:>8.0} ns {:>7.4} %", nanoseconds / TOKEN_NS * 100.0)
}

/// The middle of what `part` takes for each of `count`, in nanoseconds.
fn each_ns<T>(
    count: f64,
    mut part: impl FnMut() -> Result<T, Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let mut samples = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = Instant::now();
        part()?;
        samples.push(began.elapsed().as_nanos() as f64 / count);
    }
    Ok(median(&samples).ok_or("no samples")?)
}

/// Measures one request of a script in which nothing takes time: all that is left is the harness.
fn request() -> Result<Trial, Box<dyn Error>> {
    let work = Work::Throughput { prompt_tokens: 2, generation_tokens: TOKENS };
    let cell = Cell { work, conditions: Conditions::default(), warmup: 0, repetitions: 1 };
    let ask = Ask { cell: &cell, prompt: 0, sampling: &Sampling::default() };
    Ok(record(&mut Script::new(), ask, &SystemClock::new(), &mut |_| {})?)
}

fn stamps_ns() -> Result<f64, Box<dyn Error>> {
    each_ns(f64::from(TOKENS), request)
}

/// News and a sign of life as a child writes them, with a parent that reads them.
fn news_ns() -> Result<f64, Box<dyn Error>> {
    let (read, mut write) = std::io::pipe()?;
    let parent = thread::spawn(move || {
        let lines = BufReader::new(read).lines();
        lines.filter_map(|line| serde_json::from_str::<Message>(&line.ok()?).ok()).count()
    });
    let said =
        [Message::Decoded { cell: 0, tokens: 12_345 }, Message::Alive { stage: Stage::Decode }];
    let took = each_ns(LINES as f64, || {
        for _ in 0..LINES {
            for message in &said {
                write.write_all(&line(message)?)?;
            }
        }
        Ok(())
    })?;
    drop(write);
    let heard = parent.join().expect("the parent does not panic");
    if heard == said.len() * LINES * TIMES { Ok(took) } else { Err("news were lost".into()) }
}

fn trial_line_ns() -> Result<f64, Box<dyn Error>> {
    let trial = Message::Trial { cell: 0, warmup: false, trial: Box::new(request()?) };
    each_ns(f64::from(TOKENS), || line(&trial))
}

fn line(message: &Message) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// What the thread that looks at the machine takes for a look, writing included.
fn look_ns() -> Result<f64, Box<dyn Error>> {
    let file = std::fs::File::options().write(true).open("/dev/null")?;
    let sampler = Sampler::begin(Some(file), Duration::from_millis(10))?;
    thread::sleep(Duration::from_secs(2));
    let summary = sampler.end(None).summary;
    Ok(summary.sampler_cpu_s * 1e9 / summary.samples.max(1) as f64)
}
