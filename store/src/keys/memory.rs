//! How much memory a derivation may take: asked beforehand, since an allocation that fails ends the
//! process.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// What the rest of the process may need meanwhile, in bytes (16 MiB).
const SLACK: u64 = 16 << 20;

/// How many bytes this process can still have: within its limits, its control groups' and what the
/// machine has left, swap included. Where the system does not say, there is no limit.
pub(crate) fn available() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let limit = |resource, used: &str| {
        let limit = getrlimit(resource).current?;
        Some(limit.saturating_sub(field(&status, used)? + SLACK))
    };
    let free = || Some(field(&machine, "MemAvailable")? + field(&machine, "SwapFree")?);
    let bounds = [
        limit(Resource::As, "VmSize"),
        limit(Resource::Data, "VmData"),
        free(),
        control_groups(),
    ];
    bounds.into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// A line such as `VmSize:   1234 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number = line.strip_prefix(':')?.trim().strip_suffix("kB")?;
    number.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The smallest limit of the control groups (v2) that the process is in. What they use is not
/// subtracted: most of it is cache, which gives way.
fn control_groups() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut least = None;
    loop {
        let path = format!("/sys/fs/cgroup/{group}/memory.max");
        let limit = fs::read_to_string(path).unwrap_or_default();
        if let Ok(limit) = limit.trim().parse::<u64>() {
            least = Some(limit.min(least.unwrap_or(limit)));
        }
        if group.is_empty() {
            return least;
        }
        group = group.rsplit_once('/').map_or("", |(above, _)| above);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_bytes() {
        let text = "VmPeak:\t 9 kB\nVmSize:\t    1234 kB\nThreads:\t1\n";
        assert_eq!(field(text, "VmSize"), Some(1234 << 10));
        assert_eq!(field(text, "Threads"), None);
        assert_eq!(field(text, "VmData"), None);
    }

    #[test]
    fn this_machine_has_some() {
        assert!(available() > 1 << 20);
    }
}
