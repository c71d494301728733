//! What goes along with the lines: the seals, and the words of a pull request.

use std::collections::BTreeMap;

use super::Summary;

/// `sha256sum`'s file for `files`, each a name and its digest in hexadecimal digits.
pub fn seals(files: &[(&str, &str)]) -> String {
    let lines: Vec<_> = files.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    lines.concat()
}

/// The text of a pull request that adds `file`, in Markdown; `replaced` counts what was taken out.
pub fn pull_request(summary: &Summary, file: &str, digest: &str, replaced: u64) -> String {
    let machine = summary.machines.keys().next().map_or("an unnamed machine", String::as_str);
    let outcomes = summary.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}"));
    let span = match (summary.first, summary.last) {
        (Some(first), Some(last)) => {
            let [first, last] = [first, last].map(|at| at.strftime("%Y-%m-%d %H:%M UTC"));
            format!(" from {first} to {last}")
        }
        _ => String::new(),
    };
    let mut text = format!(
        "# Add benchmark records of {}\n\n{} records{span}: {}.\n",
        plain(machine),
        summary.records,
        outcomes.collect::<Vec<_>>().join(", ")
    );
    for (title, known) in [
        ("Machine", &summary.machines),
        ("System", &summary.systems),
        ("MLX", &summary.mlx),
        ("Measured by", &summary.programs),
        ("Format", &summary.schemas),
        ("Models", &summary.models),
    ] {
        text.push_str(&list(title, known));
    }
    text.extend([format!(
        "\n## For the reviewer\n\n\
         - Put `{file}` into `reports/`; the other files stay out.\n\
         - Its SHA-256 is `{digest}`; `sha256sum --check SHA256SUMS` compares.\n\
         - `mlxk-harness check --strict {file}` tells what readers stumble over.\n\
         - {replaced} personal texts were replaced before the lines left the machine.\n"
    )]);
    text
}

fn list(title: &str, known: &BTreeMap<String, u64>) -> String {
    let items = known.iter().map(|(name, count)| format!("- {}: {count}\n", plain(name)));
    let items: Vec<_> = items.collect();
    if items.is_empty() { String::new() } else { format!("\n## {title}\n\n{}", items.concat()) }
}

/// A stranger's text as Markdown shows it.
fn plain(text: &str) -> String {
    super::super::view::markdown_text(text)
}
