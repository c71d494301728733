//! `submit`: a report without anything personal, sealed, for a pull request. Nothing is uploaded.

use std::{
    env,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use sha2::{Digest, Sha256};

use super::{Exit, check, printer::Printer};
use crate::report::{
    Lines,
    submit::{Secrets, Submission, pull_request, seals},
};

/// Lines that cannot be submitted and are told one by one.
const TOLD: u64 = 3;

/// What is submitted.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// A report, one JSON object a line; it stays as it is
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A new folder for the bundle [default: the file's name with `-submission`]
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// A word that must not leave the machine, such as the user's name where the report was made
    #[arg(long, value_name = "WORD")]
    hide: Vec<String>,
    /// A word that may, although it is the name of this user or machine
    #[arg(long, value_name = "WORD")]
    keep: Vec<String>,
    /// Shows what would be written, and writes nothing
    #[arg(long)]
    dry_run: bool,
}

/// Makes the bundle, or says why there is none.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    let folder = arguments.output.clone().unwrap_or_else(|| beside(&arguments.file));
    if !arguments.dry_run && fs::symlink_metadata(&folder).is_ok() {
        let hint = "name a folder that is not there yet, or remove this one";
        printer.error(format!("`{}` is there already", folder.display()), Some(hint));
        return Exit::Usage;
    }
    let file = arguments.file.display();
    let secrets = secrets(arguments);
    let mut submission = Submission::new(secrets.clone());
    let read = match read(&arguments.file, &mut submission, &mut io::sink()) {
        Ok(read) => read,
        Err(error) => {
            printer.error(format!("cannot read `{file}`: {error}"), None);
            return Exit::Io;
        }
    };
    if read.count_unfit > 0 {
        return refuse(arguments, &read, printer);
    }
    if submission.summary().records == 0 {
        printer.error(format!("`{file}` has no record"), Some("measure something first"));
        return Exit::No;
    }
    let bundle = Bundle::of(&submission, read);
    tell(&submission, &bundle, printer);
    if arguments.dry_run {
        printer.note("nothing was written");
        return Exit::Ok;
    }
    write(arguments, &folder, &bundle, printer)
}

/// The folder that a bundle goes to unless another is named.
fn beside(file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!("{stem}-submission"))
}

fn secrets(arguments: &Arguments) -> Secrets {
    Secrets {
        names: check::names(),
        home: env::home_dir().and_then(|home| home.to_str().map(str::to_owned)),
        words: arguments.hide.clone(),
        kept: arguments.keep.clone(),
    }
}

/// What a file came to.
struct Read {
    /// SHA-256 of the clean lines.
    digest: String,
    bytes: u64,
    /// The first lines that cannot be submitted, and why.
    unfit: Vec<(u64, String)>,
    count_unfit: u64,
}

/// Reads the whole file, and gives its clean lines to `sink`.
fn read(path: &Path, submission: &mut Submission, sink: &mut impl Write) -> io::Result<Read> {
    let mut lines = Lines::new(BufReader::new(File::open(path)?));
    let mut hash = Sha256::new();
    let mut read = Read { digest: String::new(), bytes: 0, unfit: Vec::new(), count_unfit: 0 };
    while let Some(line) = lines.next_line()? {
        let clean = line.text.map_err(Into::into);
        match clean.and_then(|text| submission.line(line.number, text)) {
            Ok(mut clean) => {
                clean.push('\n');
                hash.update(&clean);
                read.bytes += clean.len() as u64;
                sink.write_all(clean.as_bytes())?;
            }
            Err(error) => {
                read.count_unfit += 1;
                if read.count_unfit <= TOLD {
                    read.unfit.push((line.number, error.to_string()));
                }
            }
        }
    }
    sink.flush()?;
    read.digest = hex(&hash.finalize());
    Ok(read)
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

fn refuse(arguments: &Arguments, read: &Read, printer: &Printer) -> Exit {
    let file = arguments.file.display();
    for (number, reason) in &read.unfit {
        printer.error(format!("{file}:{number}: {reason}"), None);
    }
    let lines = if read.count_unfit == 1 {
        "1 line".to_owned()
    } else {
        format!("{} lines", read.count_unfit)
    };
    let hint = "`mlxk-harness check` tells all that does not fit; `--keep WORD` leaves a word where it stands";
    printer.error(format!("{lines} of `{file}` cannot be submitted, so nothing is"), Some(hint));
    Exit::No
}

/// The files that will be sent: the lines, and those that go along.
struct Bundle {
    lines: Read,
    name: String,
    others: Vec<(&'static str, String)>,
}

impl Bundle {
    fn of(submission: &Submission, lines: Read) -> Self {
        let summary = submission.summary();
        let name = summary.file_name(&lines.digest);
        let replaced = submission.changes().values().map(|lines| lines.count).sum();
        let text = serde_json::to_string_pretty(summary).unwrap_or_default() + "\n";
        let request = pull_request(summary, &name, &lines.digest, replaced);
        let [of_text, of_request] = [&text, &request].map(|text| hex(&Sha256::digest(text)));
        let seals = seals(&[
            (&name, &lines.digest),
            ("PULL_REQUEST.md", &of_request),
            ("summary.json", &of_text),
        ]);
        let others =
            vec![("PULL_REQUEST.md", request), ("summary.json", text), ("SHA256SUMS", seals)];
        Self { lines, name, others }
    }
}

/// Shows what was replaced, and what would leave the machine.
fn tell(submission: &Submission, bundle: &Bundle, printer: &Printer) {
    let changes = submission.changes();
    if changes.is_empty() {
        printer.line("nothing personal was found");
    } else {
        printer.line("replaced:");
    }
    for (change, lines) in changes {
        let kinds: Vec<_> = change.kinds.iter().map(ToString::to_string).collect();
        let [place, left] = [&change.pointer, &change.left].map(|text| check::shown(text));
        printer.line(format!("  line {lines}: `{place}`: {}; left is `{left}`", kinds.join(", ")));
    }
    printer.line("would leave this machine:");
    printer.line(format!("  {:>8} bytes  {}", bundle.lines.bytes, bundle.name));
    for (name, text) in &bundle.others {
        printer.line(format!("  {:>8} bytes  {name}", text.len()));
    }
}

fn write(arguments: &Arguments, folder: &Path, bundle: &Bundle, printer: &Printer) -> Exit {
    if let Err(error) = fs::create_dir(folder) {
        printer.error(format!("cannot make `{}`: {error}", folder.display()), None);
        return Exit::Io;
    }
    let written = fill(arguments, folder, bundle);
    if let Err(error) = written {
        // It was made just now, and half of a bundle is none.
        let _ = fs::remove_dir_all(folder);
        printer.error(format!("cannot write `{}`: {error}", folder.display()), None);
        return Exit::Io;
    }
    let folder = folder.display();
    printer.note(format!("written to `{folder}`; nothing was sent. Look at it, then open a pull request with `{folder}/PULL_REQUEST.md`"));
    Exit::Ok
}

fn fill(arguments: &Arguments, folder: &Path, bundle: &Bundle) -> io::Result<()> {
    let mut again = Submission::new(secrets(arguments));
    let mut sink = BufWriter::new(File::create_new(folder.join(&bundle.name))?);
    let lines = read(&arguments.file, &mut again, &mut sink)?;
    if lines.digest != bundle.lines.digest {
        let changed = format!("`{}` changed meanwhile", arguments.file.display());
        return Err(io::Error::other(changed));
    }
    for (name, text) in &bundle.others {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
