//! [`available`] and [`address_space_left`]: how much memory this process can still take.

use std::fs::read_to_string;

/// Returns the bytes that can be had without swapping, or those that the limit of the process leaves if they are fewer.
/// `None` where the kernel tells neither.
pub fn available() -> Option<u64> {
    let read = |path: &str| read_to_string(path).ok();
    let free = read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemAvailable:"));
    free.into_iter().chain(address_space_left()).min()
}

/// Returns the bytes of address space that the limit of the process leaves; `None` if there is no limit.
pub fn address_space_left() -> Option<u64> {
    let limit = address_space(&read_to_string("/proc/self/limits").ok()?)?;
    let status = read_to_string("/proc/self/status").ok()?;
    Some(limit.saturating_sub(kilobytes(&status, "VmSize:")?))
}

/// Returns the bytes of a line such as `MemAvailable:  123 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    number.checked_mul(1024)
}

/// Returns the soft limit of address space in bytes; `None` for "unlimited".
fn address_space(limits: &str) -> Option<u64> {
    let name = "Max address space";
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_lines_of_the_kernel() {
        let text = "MemFree:  1 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(kilobytes(text, "MemAvailable:"), Some(2 << 20));
        assert_eq!(kilobytes(text, "VmSize:"), None);
        assert_eq!(kilobytes("VmSize: many kB", "VmSize:"), None);
        let limits =
            |soft| format!("Limit  Soft\nMax address space   {soft}   unlimited   bytes\n");
        assert_eq!(address_space(&limits("3145728")), Some(3 << 20));
        assert_eq!(address_space(&limits("unlimited")), None);
        assert_eq!(address_space(""), None);
    }

    #[test]
    fn this_process_can_take_some() {
        assert!(available().is_none_or(|bytes| bytes > 0));
    }
}
