//! What macOS tells about the machine: the answers of its own small programs.
//!
//! Everything here is compiled on every system, so that the readers are tested on every system.

use super::{Health, Host, command::ask};

pub(super) fn survey() -> Host {
    let facts = ask("sysctl", &SYSCTL).unwrap_or_default();
    let system = ask("sw_vers", &[]).unwrap_or_default();
    let displays = ask("system_profiler", &["SPDisplaysDataType"]).unwrap_or_default();
    let accelerator = accelerator().unwrap_or_default();
    let cores = Cores::of(&facts);
    Host {
        platform: Some("macOS".to_owned()),
        platform_version: platform_version(&system),
        architecture: Some(architecture(std::env::consts::ARCH).to_owned()),
        model: text(&facts, "hw.model"),
        chip: text(&facts, "machdep.cpu.brand_string"),
        physical_cores: number(&facts, "hw.physicalcpu"),
        logical_cores: number(&facts, "hw.logicalcpu"),
        performance_cores: cores.performance,
        efficiency_cores: cores.efficiency,
        gpu_cores: gpu_cores(&accelerator).or_else(|| number(&displays, "Total Number of Cores")),
        metal: text(&displays, "Metal Support"),
        memory_bytes: number(&facts, "hw.memsize"),
    }
}

pub(super) fn health() -> Health {
    let facts = ask("sysctl", &["vm.swapusage", "kern.memorystatus_vm_pressure_level"]);
    let facts = facts.unwrap_or_default();
    Health {
        free_bytes: ask("vm_stat", &[]).and_then(|pages| free_bytes(&pages)),
        swap_used_bytes: swap_used(&facts),
        zombies: ask("ps", &["-A", "-o", "stat="]).and_then(|states| zombies(&states)),
        memory_pressure: number(&facts, "kern.memorystatus_vm_pressure_level"),
        gpu_busy_percent: accelerator().and_then(|entry| gpu_busy(&entry)),
        ..Health::default()
    }
}

const SYSCTL: [&str; 9] = [
    "hw.model",
    "hw.memsize",
    "hw.physicalcpu",
    "hw.logicalcpu",
    "machdep.cpu.brand_string",
    "hw.perflevel0.name",
    "hw.perflevel0.physicalcpu",
    "hw.perflevel1.name",
    "hw.perflevel1.physicalcpu",
];

fn accelerator() -> Option<String> {
    ask("ioreg", &["-r", "-c", "AGXAccelerator", "-d", "1", "-w", "0"])
}

/// The value of the first line `key: value`; a key may be indented.
fn text(lines: &str, key: &str) -> Option<String> {
    let mut lines = lines.lines();
    let value = lines.find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(':'))?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn number<T: std::str::FromStr>(lines: &str, key: &str) -> Option<T> {
    text(lines, key)?.parse().ok()
}

/// `macOS 26.2`, from `sw_vers`.
fn platform_version(system: &str) -> Option<String> {
    let version = text(system, "ProductVersion")?;
    let name = text(system, "ProductName").unwrap_or_else(|| "macOS".to_owned());
    Some(format!("{name} {version}"))
}

/// As Apple calls it.
fn architecture(name: &str) -> &str {
    match name {
        "aarch64" => "arm64",
        other => other,
    }
}

/// Cores by kind.
#[derive(Debug, Default, PartialEq)]
struct Cores {
    performance: Option<u32>,
    efficiency: Option<u32>,
}

impl Cores {
    /// The fastest level comes first. The second is slow only where it is not called otherwise.
    fn of(facts: &str) -> Self {
        let fast: Option<u32> = number(facts, "hw.perflevel0.physicalcpu");
        let second: Option<u32> = number(facts, "hw.perflevel1.physicalcpu");
        let name = text(facts, "hw.perflevel1.name");
        match name.as_deref() {
            None | Some("Efficiency") => Self { performance: fast, efficiency: second },
            Some(_) => Self {
                performance: fast.zip(second).and_then(|(fast, second)| fast.checked_add(second)),
                efficiency: None,
            },
        }
    }
}

/// Free pages in bytes, from `vm_stat`; unknown where the page size is.
fn free_bytes(pages: &str) -> Option<u64> {
    let (_, header) = pages.lines().next()?.split_once("page size of ")?;
    let size: u64 = header.split(' ').next()?.parse().ok()?;
    let free: u64 = text(pages, "Pages free")?.trim_end_matches('.').parse().ok()?;
    free.checked_mul(size)
}

/// Bytes after `used = ` of `vm.swapusage`.
fn swap_used(facts: &str) -> Option<u64> {
    let usage = text(facts, "vm.swapusage")?;
    let (_, used) = usage.split_once("used = ")?;
    let used = used.split_whitespace().next()?;
    let unit = match used.chars().last()? {
        'K' => 1_024.0,
        'M' => 1_048_576.0,
        'G' => 1_073_741_824.0,
        _ => return None,
    };
    let amount: f64 = used.get(..used.len() - 1)?.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an amount of swap is no negative number, and no disk holds 2^64 bytes"
    )]
    Some((amount * unit).round() as u64)
}

/// Processes whose state begins with `Z`, from `ps -o stat=`; none at all means that `ps` failed.
fn zombies(states: &str) -> Option<u32> {
    let mut states = states.split_whitespace().peekable();
    states.peek()?;
    states.filter(|state| state.starts_with('Z')).count().try_into().ok()
}

/// `"gpu-core-count" = 38`, from `ioreg`.
fn gpu_cores(accelerator: &str) -> Option<u32> {
    values(accelerator, "gpu-core-count").next()
}

/// The busiest of the GPUs; statistics can lie a little above 100.
fn gpu_busy(accelerator: &str) -> Option<u32> {
    let busiest = values(accelerator, "Device Utilization %").max();
    busiest.map(|percent| percent.min(100))
}

/// The numbers after `"key"=` or `"key" = `.
fn values<'a>(entry: &'a str, key: &str) -> impl Iterator<Item = u32> + 'a {
    let quoted = format!("\"{key}\"");
    let ends: Vec<_> = entry.match_indices(&quoted).map(|(at, found)| at + found.len()).collect();
    ends.into_iter().filter_map(move |end| {
        let value =
            entry.get(end..)?.trim_start_matches(' ').strip_prefix('=')?.trim_start_matches(' ');
        let digits = value.find(|next: char| !next.is_ascii_digit()).unwrap_or(value.len());
        value.get(..digits)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSCTL_M2: &str = "\
hw.model: Mac14,13
hw.memsize: 68719476736
hw.physicalcpu: 12
hw.logicalcpu: 12
machdep.cpu.brand_string: Apple M2 Max
hw.perflevel0.name: Performance
hw.perflevel0.physicalcpu: 8
hw.perflevel1.name: Efficiency
hw.perflevel1.physicalcpu: 4
";

    const DISPLAYS: &str = "\
Graphics/Displays:

    Apple M2 Max:

      Chipset Model: Apple M2 Max
      Type: GPU
      Bus: Built-In
      Total Number of Cores: 38
      Vendor: Apple (0x106b)
      Metal Support: Metal 4
";

    const PAGES: &str = "\
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                              1310720.
Pages active:                             631665.
Pages speculative:                         65536.
\"Translation faults\":                 1246341712.
";

    #[test]
    fn facts_are_read_from_sysctl() {
        assert_eq!(text(SYSCTL_M2, "hw.model").as_deref(), Some("Mac14,13"));
        assert_eq!(number(SYSCTL_M2, "hw.memsize"), Some(68_719_476_736_u64));
        assert_eq!(number(SYSCTL_M2, "hw.physicalcpu"), Some(12_u32));
        let cores = Cores { performance: Some(8), efficiency: Some(4) };
        assert_eq!(Cores::of(SYSCTL_M2), cores);
    }

    #[test]
    fn names_that_sysctl_does_not_know_are_absent() {
        let intel = "hw.model: iMac20,1\nhw.physicalcpu: 8\nhw.logicalcpu: 16\n";
        assert_eq!(Cores::of(intel), Cores::default());
        assert_eq!(number::<u64>(intel, "hw.memsize"), None);
    }

    #[test]
    fn a_second_level_that_is_fast_too_counts_as_fast() {
        let facts = "hw.perflevel0.name: Super\nhw.perflevel0.physicalcpu: 6\n\
                     hw.perflevel1.name: Performance\nhw.perflevel1.physicalcpu: 12\n";
        assert_eq!(Cores::of(facts), Cores { performance: Some(18), efficiency: None });
    }

    #[test]
    fn the_gpu_is_read_from_either_source() {
        assert_eq!(number(DISPLAYS, "Total Number of Cores"), Some(38_u32));
        assert_eq!(text(DISPLAYS, "Metal Support").as_deref(), Some("Metal 4"));
        assert_eq!(gpu_cores("    \"gpu-core-count\" = 38\n"), Some(38));
        assert_eq!(gpu_cores(""), None);
    }

    #[test]
    fn free_memory_is_free_pages_only() {
        // 1310720 pages of 16 KiB are 20 GiB; the speculative ones do not count.
        assert_eq!(free_bytes(PAGES), Some(21_474_836_480));
        assert_eq!(free_bytes(&PAGES.replace("16384", "4096")), Some(5_368_709_120));
    }

    #[test]
    fn without_a_page_size_free_memory_is_unknown() {
        let (_, headless) = PAGES.split_once('\n').unwrap();
        assert_eq!(free_bytes(headless), None);
        assert_eq!(free_bytes(""), None);
    }

    #[track_caller]
    fn swap(line: &str, expected: Option<u64>) {
        assert_eq!(swap_used(&format!("vm.swapusage: {line}\n")), expected);
    }

    #[test]
    fn swap_is_read_in_any_unit() {
        let used = "total = 2048.00M  used = 1524.25M  free = 523.75M  (encrypted)";
        swap(used, Some(1_598_291_968));
        swap("total = 0.00M  used = 0.00M  free = 0.00M  (encrypted)", Some(0));
        swap("total = 4.00G  used = 1.50G  free = 2.50G", Some(1_610_612_736));
        swap("total = 4.00G  used = 512.00K  free = 3.99G", Some(524_288));
        swap("total = 4.00G  free = 4.00G", None);
        swap("total = 4.00G  used = someG", None);
    }

    #[test]
    fn zombies_are_told_by_their_state() {
        assert_eq!(zombies("Ss\nS+\nZ\nR\nZ+\n"), Some(2));
        assert_eq!(zombies("Ss\nS\n"), Some(0));
        assert_eq!(zombies(""), None);
    }

    #[test]
    fn the_busiest_gpu_counts_and_none_is_busier_than_all() {
        let one = r#""PerformanceStatistics" = {"In use system memory"=2363801600,"Tiler Utilization %"=10,"Device Utilization %"=16}"#;
        assert_eq!(gpu_busy(one), Some(16));
        let two = format!("{one}\n\"PerformanceStatistics\" = {{\"Device Utilization %\" = 41}}");
        assert_eq!(gpu_busy(&two), Some(41));
        assert_eq!(gpu_busy(r#"{"Device Utilization %"=103}"#), Some(100));
        assert_eq!(gpu_busy(r#"{"Device Utilization %"=,"recoveryCount"=0}"#), None);
        assert_eq!(gpu_busy("sysctl: unknown oid"), None);
    }

    #[test]
    fn the_system_is_told_by_name_and_version() {
        let system = "ProductName:\t\tmacOS\nProductVersion:\t\t26.2\nBuildVersion:\t\t25C56\n";
        assert_eq!(platform_version(system).as_deref(), Some("macOS 26.2"));
        assert_eq!(platform_version("BuildVersion:\t\t25C56\n"), None);
        assert_eq!(architecture("aarch64"), "arm64");
    }
}
