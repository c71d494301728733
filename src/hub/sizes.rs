//! Bytes as people read them.

/// `bytes` in the largest unit of 1024 that leaves a number above 1.
pub fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.iter().find(|(_, power)| bytes >> power > 0);
    match unit {
        Some((name, power)) => {
            let whole = 1_u64 << power;
            format!("{:.2} {name}", bytes as f64 / whole as f64)
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_two() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.50 KiB");
        assert_eq!(size(3 << 29), "1.50 GiB");
        assert_eq!(size(1 << 40), "1024.00 GiB");
    }
}
