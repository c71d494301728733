//! What describing a step to MLX takes, without computing it: `cargo bench --bench graph -- FOLDER PROMPT STEPS`.
//!
//! Prints microseconds of the middle step. `cargo xtask versus` sets it beside mlx-lm's.

#![expect(clippy::print_stdout, reason = "a bench is a program of its own")]

use std::{collections::BTreeSet, error::Error};

use mlxk_harness::{
    generate::{Request, Scores, describe},
    measure::{mlx, statistics::median},
    plan::{Choices, Conditions, DecodeMode},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [folder, prompt, steps] = arguments.as_slice() else {
        println!("what to describe: FOLDER PROMPT STEPS");
        return Ok(());
    };
    let settings = Choices::default().settings();
    let opened = mlx::open(folder, None, &settings)?;
    let length = prompt.parse()?;
    let prompt: Vec<u32> = (1..=length).map(|id| id % opened.model.vocabulary()).collect();
    let request = Request {
        prompt: &prompt,
        max_tokens: 1,
        stop: &BTreeSet::new(),
        sampling: &settings.sampling,
        prefill_chunk: Conditions::default().prefill_chunk,
        kv: None,
        decode: DecodeMode::Pipelined,
        scores: Scores::Unwanted,
    };
    let took = describe(opened.model.as_ref(), &request, steps.parse()?)?;
    let took: Vec<f64> = took.iter().map(|took| took.as_secs_f64() * 1e6).collect();
    println!("{:.1}", median(&took).ok_or("no steps")?);
    Ok(())
}
