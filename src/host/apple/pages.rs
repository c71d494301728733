//! Memory by page, as `vm_stat` prints it.

use super::lines::text;

/// Free pages in bytes, as mlx-knife counts them: neither inactive nor speculative nor purgeable ones, although the
/// system could take those back. Unknown where the page size is.
pub(super) fn free_bytes(pages: &str) -> Option<u64> {
    bytes(pages, "Pages free")
}

/// Pages that were read ahead of need, in bytes.
pub(super) fn speculative_bytes(pages: &str) -> Option<u64> {
    bytes(pages, "Pages speculative")
}

/// Pages that are had back only when their owners let go of them, in bytes. The compressor holds anonymous ones too,
/// which are not counted among those any more.
pub(super) fn taken_bytes(pages: &str) -> Option<u64> {
    let kinds = ["Pages wired down", "Anonymous pages", "Pages occupied by compressor"];
    kinds.iter().try_fold(0_u64, |sum, kind| sum.checked_add(bytes(pages, kind)?))
}

fn bytes(pages: &str, kind: &str) -> Option<u64> {
    let (_, header) = pages.lines().next()?.split_once("page size of ")?;
    let size: u64 = header.split(' ').next()?.parse().ok()?;
    let count: u64 = text(pages, kind)?.trim_end_matches('.').parse().ok()?;
    count.checked_mul(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: &str = "\
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                              1310720.
Pages active:                             631665.
Pages speculative:                         65536.
\"Translation faults\":                 1246341712.
";

    #[test]
    fn free_memory_is_free_pages_only() {
        // 1310720 pages of 16 KiB are 20 GiB; the speculative ones do not count.
        assert_eq!(free_bytes(PAGES), Some(21_474_836_480));
        assert_eq!(free_bytes(&PAGES.replace("16384", "4096")), Some(5_368_709_120));
    }

    #[test]
    fn what_is_taken_is_wired_anonymous_or_compressed() {
        assert_eq!(speculative_bytes(PAGES), Some(1 << 30));
        assert_eq!(taken_bytes(PAGES), None, "unknown where a part is");
        let more =
            "Pages wired down: 10.\nAnonymous pages: 20.\nPages occupied by compressor: 3.\n";
        assert_eq!(taken_bytes(&format!("{PAGES}{more}")), Some(33 * 16_384));
    }

    #[test]
    fn without_a_page_size_free_memory_is_unknown() {
        let (_, headless) = PAGES.split_once('\n').unwrap();
        assert_eq!(free_bytes(headless), None);
        assert_eq!(free_bytes(""), None);
    }
}
