//! The GPU, as `ioreg` and `system_profiler` print it.

use serde_json::Value;

/// `"gpu-core-count" = 38`, from `ioreg`.
pub(super) fn cores(accelerators: &str) -> Option<u32> {
    values(accelerators, "gpu-core-count").next()
}

/// The busiest of the GPUs, in percent; statistics can lie a little above 100.
pub(super) fn busy(accelerators: &str) -> Option<u32> {
    let busiest = values(accelerators, "Device Utilization %").max();
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

/// A GPU as `system_profiler -json SPDisplaysDataType` lists it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Gpu {
    /// Such as `Apple M2 Max`.
    pub(super) name: Option<String>,
    /// Its cores, where it tells them.
    pub(super) cores: Option<u32>,
    /// Such as `Metal 4`.
    pub(super) metal: Option<String>,
}

impl Gpu {
    /// The first GPU of the list.
    pub(super) fn of(displays: &str) -> Self {
        let list: Value = serde_json::from_str(displays).unwrap_or_default();
        let fact = |key: &str| list.pointer(&format!("/SPDisplaysDataType/0/{key}"))?.as_str();
        Self {
            name: fact("sppci_model").map(str::to_owned),
            cores: fact("sppci_cores").and_then(|cores| cores.parse().ok()),
            metal: fact("spdisplays_mtlgpufamilysupport").and_then(metal),
        }
    }
}

/// `spdisplays_metal4` is `Metal 4`; older systems name a family of GPUs there, which is no version.
fn metal(support: &str) -> Option<String> {
    let version: u32 = support.strip_prefix("spdisplays_metal")?.parse().ok()?;
    Some(format!("Metal {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_counted_by_the_registry() {
        assert_eq!(cores("    \"gpu-core-count\" = 38\n"), Some(38));
        assert_eq!(cores("    \"gpu-core-count\" = <26>\n"), None);
        assert_eq!(cores(""), None);
    }

    #[test]
    fn the_busiest_gpu_counts_and_none_is_busier_than_all() {
        let one = r#""PerformanceStatistics" = {"In use system memory"=2363801600,"Tiler Utilization %"=10,"Device Utilization %"=16}"#;
        assert_eq!(busy(one), Some(16));
        let two = format!("{one}\n\"PerformanceStatistics\" = {{\"Device Utilization %\" = 41}}");
        assert_eq!(busy(&two), Some(41));
        assert_eq!(busy(r#"{"Device Utilization %"=103}"#), Some(100));
        assert_eq!(busy(r#"{"Device Utilization %"=,"recoveryCount"=0}"#), None);
        assert_eq!(busy("sysctl: unknown oid"), None);
    }

    #[test]
    fn metal_is_told_by_its_version_only() {
        assert_eq!(metal("spdisplays_metal3").as_deref(), Some("Metal 3"));
        assert_eq!(metal("spdisplays_mtlgpufamilyapple7"), None);
        assert_eq!(metal("spdisplays_supported"), None);
    }

    #[test]
    fn a_list_without_a_gpu_tells_nothing() {
        assert_eq!(Gpu::of(r#"{"SPDisplaysDataType": []}"#), Gpu::default());
        assert_eq!(Gpu::of("not JSON"), Gpu::default());
    }
}
