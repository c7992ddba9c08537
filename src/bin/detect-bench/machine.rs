//! [`MachineInfo`]: the machine that was measured on. [`Cores`]: how busy each processor was.

use serde::Serialize;
use std::fs;

/// Facts that a reader needs to judge the figures of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MachineInfo {
    /// Name of the board or of its maker's product; empty where the system does not know it.
    pub model: String,
    pub processor: String,
    /// Processors that this program may use: `taskset` and containers can leave it fewer than there are.
    pub processors: usize,
    /// Processors that the machine has online.
    pub processors_online: usize,
    pub memory_bytes: u64,
    pub system: String,
    pub kernel: String,
    pub architecture: &'static str,
    pub gstreamer: String,
    /// Governor of the first processor's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governor: Option<String>,
    /// "release" or "debug". A debug build runs without optimisation, and its figures say little.
    pub build: &'static str,
}

impl MachineInfo {
    pub fn read() -> Self {
        let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| field(&cpuinfo, name);
        let board =
            read("/proc/device-tree/model").or_else(|| read("/sys/class/dmi/id/product_name"));
        let memory = read("/proc/meminfo").and_then(|text| self::field(&text, "MemTotal"));
        let kilobytes =
            memory.and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok());
        let system = read("/etc/os-release").and_then(|text| {
            let name = text
                .lines()
                .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
            Some(name.trim_matches('"').to_owned())
        });
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            model: board.unwrap_or_default(),
            processor: field("model name")
                .or_else(|| field("Hardware"))
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            processors,
            processors_online: Cores::now().count().max(processors),
            memory_bytes: kilobytes.unwrap_or_default() * 1024,
            system: system.unwrap_or_default(),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_default(),
            architecture: std::env::consts::ARCH,
            gstreamer: gst::version_string().to_string(),
            governor: read("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor"),
            build: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
        }
    }

    /// Describes the processors that this program may use: "2 processors", or "1 processor of 2".
    pub fn usable_processors(&self) -> String {
        let noun = if self.processors == 1 {
            "processor"
        } else {
            "processors"
        };
        match self.processors_online {
            online if online > self.processors => format!("{} {noun} of {online}", self.processors),
            _ => format!("{} {noun}", self.processors),
        }
    }
}

/// Reads a file as text, without the NUL that ends the texts of a device tree.
fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim_end_matches(['\0', '\n']).to_owned())
}

/// Returns the value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// Busy ticks and all ticks of every processor since the machine was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cores(Vec<(u64, u64)>);

impl Cores {
    pub fn now() -> Self {
        Self::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// Reads lines `cpu0 user nice system idle iowait irq softirq steal ...`.
    fn parse(stat: &str) -> Self {
        let cores = stat.lines().filter_map(|line| {
            let numbered = line
                .strip_prefix("cpu")
                .filter(|rest| !rest.starts_with(' '))?;
            let ticks = numbered.split_ascii_whitespace().skip(1).take(8);
            let ticks: Vec<u64> = ticks.map_while(|t| t.parse().ok()).collect();
            let idle = ticks.get(3)? + ticks.get(4)?;
            let all: u64 = ticks.iter().sum();
            Some((all - idle, all))
        });
        Self(cores.collect())
    }

    /// Returns how many processors there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the share of the time since `before` that each processor was busy.
    pub fn busy_since(&self, before: &Self) -> Vec<f64> {
        let pairs = self.0.iter().zip(&before.0);
        pairs
            .map(|((busy, all), (busy_before, all_before))| {
                let passed = all.saturating_sub(*all_before).max(1);
                busy.saturating_sub(*busy_before) as f64 / passed as f64
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_processor_has_its_share() {
        let before = Cores::parse(
            "cpu  9 9 9 9 9\ncpu0 0 0 0 100 0 0 0 0\ncpu1 50 0 0 50 0 0 0 0\nintr 5\n",
        );
        let after = Cores::parse(
            "cpu  9 9 9 9 9\ncpu0 75 0 0 125 0 0 0 0\ncpu1 50 0 0 140 10 0 0 0\nintr 5\n",
        );
        assert_eq!(after.busy_since(&before), [0.75, 0.0]);
    }

    #[test]
    fn this_machine_has_processors_and_memory() {
        gst::init().expect("GStreamer starts");
        let info = MachineInfo::read();
        assert!(info.processors > 0 && info.memory_bytes > 1 << 20);
        assert!(info.processors_online >= info.processors);
        assert!(info.gstreamer.contains("GStreamer"));
    }

    #[test]
    fn processors_are_those_that_the_program_may_use() {
        let words = |processors, processors_online| {
            let info = MachineInfo {
                processors,
                processors_online,
                ..MachineInfo::default()
            };
            info.usable_processors()
        };
        assert_eq!(words(2, 2), "2 processors");
        assert_eq!(words(1, 2), "1 processor of 2");
    }
}
