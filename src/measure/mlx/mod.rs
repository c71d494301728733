//! The engine that runs a model on MLX, and the child process around it.

mod asking;
mod canary;
mod ceilings;
mod demand;
mod engine;
mod greedy;
mod opened;
mod prompts;
mod roofline;

pub use ceilings::{BEYOND_CACHES, Plan as CeilingsPlan, Shape, ceilings};
pub use demand::{Asked, asked};
pub use greedy::{Question, answer_greedily};
pub use opened::{OpenError, Opened, check_packing, open};
pub use roofline::roofline;

use std::{env, io};

use mlx_rs::memory::clear_cache;

use self::{engine::MlxEngine, prompts::Throughput};
use super::{
    clock::SystemClock,
    engine::Engine,
    message::{Job, Runtime},
    outcome::{Failure, Stage},
    schedule::Task,
    worker::{self, Loader, Loading},
};
use crate::{
    checkpoint::{Description, Location},
    ffi,
    footprint::Footprint,
    host,
    plan::{Device, Need, Settings},
    stops::Token,
    text::stops::Audit,
};

/// The version of the `mlx-rs` crate that this is built with.
pub const MLX_RS_VERSION: &str = "0.33.0";

/// Gets this process ready to run MLX; to be called before any thread is started.
///
/// On a CPU, MLX loads code that it compiled into the temporary folder, so that has to be this user's alone.
pub fn prepare_process() {
    if cfg!(target_os = "macos") {
        return;
    }
    if let Some(folder) = host::temporary_folder() {
        ffi::use_temporary_folder(&folder);
    }
}

/// Whether MLX cannot fuse operations on this CPU: it compiles them with `g++`, and runs them one by one without.
fn lacks_compiler(runtime: &Runtime) -> bool {
    let has_compiler = || {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).any(|folder| folder.join("g++").is_file())
    };
    runtime.device == "cpu" && !cfg!(target_os = "macos") && !has_compiler()
}

/// Works as a child for `model`, a path or hub id: a job comes in on standard input, messages go out on standard output.
///
/// # Errors
///
/// When the parent cannot be understood, or does not listen any more.
pub fn work(model: &str) -> io::Result<()> {
    let clock = SystemClock::new();
    worker::work(&mut MlxLoader::new(model), &clock)
}

/// An engine that runs `opened` as `settings` want it, with prompts that are not of a file.
pub fn engine(opened: Opened, settings: &Settings) -> Box<dyn Engine> {
    let (prompts, _) = Throughput::new(&opened, &settings.prompts, None);
    Box::new(MlxEngine::new(opened, prompts, settings.nll_tokens))
}

/// Tells on standard output which MLX this process runs on.
///
/// # Errors
///
/// When standard output cannot be written.
pub fn describe() -> io::Result<()> {
    worker::describe(&mut MlxLoader::new(""))
}

/// Makes `device` the default, and tells what MLX says of it.
///
/// # Errors
///
/// When MLX does not have it.
pub fn use_device(device: Device) -> Result<Runtime, Failure> {
    let has_gpu = ffi::has_gpu();
    let on_gpu = match device {
        Device::Auto => has_gpu,
        Device::Cpu => false,
        Device::Gpu if has_gpu => true,
        Device::Gpu => {
            let mut failure = Failure::new(Stage::Load, "no_gpu", "this MLX has no GPU to run on");
            failure.hint = Some("use `--device cpu`".to_owned());
            return Err(failure);
        }
    };
    let device = if on_gpu { mlx_rs::Device::gpu() } else { mlx_rs::Device::cpu() };
    mlx_rs::Device::set_default(&device);
    let info = ffi::device_info();
    Ok(Runtime {
        mlx_version: ffi::mlx_version().unwrap_or_else(|| "unknown".to_owned()),
        mlx_rs_version: MLX_RS_VERSION.to_owned(),
        device: if on_gpu { "gpu" } else { "cpu" }.to_owned(),
        device_name: info.name,
        working_set_bytes: info.working_set_bytes,
    })
}

/// Loads the model that the child was started for.
struct MlxLoader {
    model: String,
    warnings: Vec<String>,
}

impl MlxLoader {
    fn new(model: &str) -> Self {
        Self { model: model.to_owned(), warnings: Vec::new() }
    }
}

impl Loader for MlxLoader {
    fn runtime(&mut self, settings: &Settings) -> Result<Runtime, Failure> {
        let runtime = use_device(settings.device)?;
        if lacks_compiler(&runtime) {
            let text =
                "no `g++` on the path: MLX runs fused operations one by one, which is slower";
            self.warnings.push(text.to_owned());
        }
        Ok(runtime)
    }

    fn need(&mut self, job: &Job) -> Option<Need> {
        if !job.settings.keeps_weights() {
            return None;
        }
        // What cannot be read is told by the load.
        let location = Location::find(&self.model, job.revision.as_deref()).ok()?;
        let description = Description::read(location).ok()?;
        // Told once for all cells, so only where they keep alike what they read.
        let conditions =
            |task: &Task| (task.cell.conditions.kv, task.cell.conditions.prefill_chunk);
        let (kv, prefill_chunk) = job.cells.first().map(conditions)?;
        if job.cells.iter().any(|task| conditions(task) != (kv, prefill_chunk)) {
            return None;
        }
        Footprint::of(&description, kv).ok()?.need(prefill_chunk.into())
    }

    fn stop_tokens(&mut self, job: &Job) -> Option<Vec<Token>> {
        let location = Location::find(&self.model, job.revision.as_deref()).ok()?;
        Some(Audit::of(&Description::read(location).ok()?).ok()?.in_force)
    }

    fn load(&mut self, job: &Job) -> Result<Loading, Failure> {
        let cold = job.cold.then(|| opened::evict(&self.model, job.revision.as_deref())).flatten();
        let mut opened = open(&self.model, job.revision.as_deref(), &job.settings)?;
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(cold);
        warnings.append(&mut opened.warnings);
        match roofline(&opened) {
            Ok(roofline) => opened.loaded.roofline = roofline,
            Err(error) => {
                warnings.push(format!("the ceilings of this machine are unknown: {error}"));
            }
        }
        let loaded = opened.loaded.clone();
        let source = &job.settings.prompts;
        let (prompts, lacking) = Throughput::new(&opened, source, job.passages.clone());
        warnings.extend(lacking);
        let engine = Box::new(MlxEngine::new(opened, prompts, job.settings.nll_tokens));
        Ok(Loading { engine, loaded, warnings })
    }

    fn release(&mut self, engine: Box<dyn Engine>) {
        drop(engine);
        // Whatever is still held goes with the process; there is nobody to tell.
        let _ = clear_cache();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_version_is_the_locked_one() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"mlx-rs\"\nversion = \"{MLX_RS_VERSION}\"")));
    }
}
