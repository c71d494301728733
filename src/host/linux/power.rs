//! Power and heat, as `/sys` tells them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::read;
use crate::host::Power;

/// Where the power comes from; unknown on a machine that lists no supply, as most without a battery do.
pub(super) fn supply(root: &Path) -> Option<Power> {
    let supplies: Vec<_> =
        folders(root, "sys/class/power_supply").iter().filter_map(|at| Supply::at(at)).collect();
    let is = |kind: &str, state: &str| {
        supplies.iter().any(|supply| supply.kind == kind && supply.state == state)
    };
    if is("Mains", "1") || is("USB", "1") {
        Some(Power::Ac)
    } else if is("UPS", "Discharging") {
        Some(Power::Ups)
    } else if is("Battery", "Discharging") {
        Some(Power::Battery)
    } else if ["Charging", "Full", "Not charging"].iter().any(|state| is("Battery", state)) {
        Some(Power::Ac)
    } else {
        None
    }
}

/// Whether the firmware was asked to save power.
pub(super) fn is_low_power(root: &Path) -> Option<bool> {
    let profile = read(root, "sys/firmware/acpi/platform_profile")?;
    Some(profile.trim() == "low-power")
}

/// How far the processor that is held back most is held back; unknown where none can be.
pub(super) fn thermal_level(root: &Path) -> Option<u32> {
    let devices = folders(root, "sys/class/thermal");
    let states = devices.iter().filter_map(|device| {
        let is_processor = read(device, "type")?.trim() == "Processor";
        is_processor.then(|| read(device, "cur_state")?.trim().parse().ok()).flatten()
    });
    states.max()
}

/// One supply of power.
struct Supply {
    /// `Mains`, `Battery`, `USB` or `UPS`.
    kind: String,
    /// Whether it is `online`, else its `status`.
    state: String,
}

impl Supply {
    /// None for the battery of a mouse or a keyboard.
    fn at(folder: &Path) -> Option<Self> {
        let word = |name| Some(read(folder, name)?.trim().to_owned());
        if word("scope").is_some_and(|scope| scope == "Device") {
            return None;
        }
        let kind = word("type")?;
        let state = if kind == "Battery" || kind == "UPS" { "status" } else { "online" };
        Some(Self { kind, state: word(state)? })
    }
}

/// All that lies in `path`, in order.
fn folders(root: &Path, path: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join(path)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose files are these.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join("sys").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[track_caller]
    fn supplied(files: &[(&str, &str)], expected: Option<Power>) {
        assert_eq!(supply(machine(files).path()), expected);
    }

    #[test]
    fn a_plug_counts_before_a_battery() {
        let battery = ("class/power_supply/BAT0/type", "Battery\n");
        let discharging = ("class/power_supply/BAT0/status", "Discharging\n");
        let full = ("class/power_supply/BAT0/status", "Full\n");
        let plug = ("class/power_supply/AC/type", "Mains\n");
        let plugged = ("class/power_supply/AC/online", "1\n");
        let pulled = ("class/power_supply/AC/online", "0\n");
        supplied(&[battery, discharging, plug, plugged], Some(Power::Ac));
        supplied(&[battery, discharging, plug, pulled], Some(Power::Battery));
        supplied(&[battery, full], Some(Power::Ac));
        supplied(&[plug, pulled], None);
        supplied(&[], None);
    }

    #[test]
    fn the_battery_of_a_mouse_is_none_of_the_machine() {
        let mouse = [
            ("class/power_supply/hid/type", "Battery\n"),
            ("class/power_supply/hid/scope", "Device\n"),
            ("class/power_supply/hid/status", "Discharging\n"),
        ];
        supplied(&mouse, None);
    }

    #[test]
    fn the_profile_tells_whether_power_is_saved() {
        let profile = |name| machine(&[("firmware/acpi/platform_profile", name)]);
        assert_eq!(is_low_power(profile("low-power\n").path()), Some(true));
        assert_eq!(is_low_power(profile("balanced\n").path()), Some(false));
        assert_eq!(is_low_power(machine(&[]).path()), None);
    }

    #[test]
    fn the_processor_that_is_held_back_most_counts() {
        let files = [
            ("class/thermal/cooling_device0/type", "Processor\n"),
            ("class/thermal/cooling_device0/cur_state", "0\n"),
            ("class/thermal/cooling_device1/type", "Processor\n"),
            ("class/thermal/cooling_device1/cur_state", "2\n"),
            ("class/thermal/cooling_device2/type", "Fan\n"),
            ("class/thermal/cooling_device2/cur_state", "9\n"),
        ];
        assert_eq!(thermal_level(machine(&files).path()), Some(2));
        assert_eq!(thermal_level(machine(&files[4..]).path()), None);
    }
}
