//! [`Machine`]: samples of what this process uses, and of the state of the machine, from `/proc` and `/sys`.
//!
//! | value | read from |
//! |---|---|
//! | process-cpu | `/proc/self/stat`: `utime` and `stime` since the last sample, over the time passed |
//! | system-cpu | `/proc/stat`, first line: all but `idle`, `iowait` and `steal`, in the same way |
//! | rss | `/proc/self/status`, `VmRSS` (kB, whatever the page size) |
//! | temperature | a processor's zone in `/sys/class/thermal`, else a processor's sensor in `/sys/class/hwmon` |
//! | cpu-frequency | highest `scaling_cur_freq` (kHz) in `/sys/devices/system/cpu/cpufreq` |
//! | throttled | `get_throttled` of a Raspberry Pi's firmware: hexadecimal, without `0x` |
//!
//! A value is absent where the machine does not provide it. Files are located once, at the start; a sample reads a
//! handful.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Shortest time between two samples. A tick of the kernel's accounting must be small beside it.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);
/// `USER_HZ`, which is 100 on every architecture that Linux runs on today.
const TICKS_A_SECOND: f64 = 100.0;
/// Zones of `/sys/class/thermal` that measure a processor, best first. The first is a Raspberry Pi's.
const ZONES: [&str; 6] = [
    "cpu-thermal",
    "cpu_thermal",
    "x86_pkg_temp",
    "soc-thermal",
    "soc_thermal",
    "cpu",
];
/// Drivers of `/sys/class/hwmon` that measure a processor.
const SENSORS: [&str; 4] = ["cpu_thermal", "coretemp", "k10temp", "zenpower"];

/// One sample of process and machine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MachineSample {
    /// Processors that this process kept busy since the last sample; 1 = one processor.
    pub process_cpu: Option<f64>,
    /// Processors that all processes together kept busy.
    pub system_cpu: Option<f64>,
    /// Resident memory of this process in bytes.
    pub rss: Option<u64>,
    /// Temperature of the processor in degrees Celsius.
    pub temperature: Option<f64>,
    /// Current clock of the fastest processor in Hz.
    pub cpu_frequency: Option<u64>,
    /// Flags from a Raspberry Pi's firmware, see [`Throttled`].
    pub throttled: Option<u32>,
}

/// Flags of `throttled`: the current state, and 16 bits higher the same since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled(pub u32);

impl Throttled {
    const BITS: [&str; 4] = [
        "the voltage is too low",
        "the clock is capped",
        "it is throttled",
        "the soft limit of temperature is reached",
    ];

    /// Returns the current state in words.
    pub fn now(self) -> Vec<&'static str> {
        Self::words(self.0)
    }

    /// Returns in words what happened at any time since boot.
    pub fn since_start(self) -> Vec<&'static str> {
        Self::words(self.0 >> 16)
    }

    fn words(bits: u32) -> Vec<&'static str> {
        let all = Self::BITS.iter().enumerate();
        let set = all.filter(|(bit, _)| bits >> bit & 1 == 1);
        set.map(|(_, words)| *words).collect()
    }
}

/// Busy time so far, in ticks of `/proc`.
#[derive(Debug, Clone, Copy, Default)]
struct Ticks {
    process: Option<u64>,
    system: Option<u64>,
}

/// Takes samples.
#[derive(Debug)]
pub struct Machine {
    proc: PathBuf,
    /// File with a temperature in thousandths of a degree.
    temperature: Option<PathBuf>,
    frequencies: Vec<PathBuf>,
    throttled: Option<PathBuf>,
    ticks: Ticks,
    sampled: Duration,
    last: MachineSample,
}

impl Machine {
    /// Locates the files below `root`, which is `/` except in tests, and starts counting processor time at `now`.
    pub fn new(root: &Path, now: Duration) -> Self {
        let proc = root.join("proc");
        Self {
            temperature: zone(root).or_else(|| sensor(root)),
            frequencies: below(&root.join("sys/devices/system/cpu/cpufreq"), "policy")
                .map(|policy| policy.join("scaling_cur_freq"))
                .filter(|file| file.exists())
                .collect(),
            throttled: firmware(root),
            ticks: Ticks::read(&proc),
            sampled: now,
            last: MachineSample::default(),
            proc,
        }
    }

    /// Returns the current state. Within a quarter of a second it returns the last sample again.
    pub fn sample(&mut self, now: Duration) -> MachineSample {
        let passed = now.saturating_sub(self.sampled);
        if passed < SHORTEST_INTERVAL {
            return self.last;
        }
        let ticks = Ticks::read(&self.proc);
        let busy = |before: Option<u64>, after: Option<u64>| {
            let ticks = after?.saturating_sub(before?);
            Some(ticks as f64 / TICKS_A_SECOND / passed.as_secs_f64())
        };
        self.last = MachineSample {
            process_cpu: busy(self.ticks.process, ticks.process),
            system_cpu: busy(self.ticks.system, ticks.system),
            rss: rss(&self.proc),
            temperature: self.temperature.as_deref().and_then(degrees),
            cpu_frequency: self.frequencies.iter().filter_map(|f| hertz(f)).max(),
            throttled: self.throttled.as_deref().and_then(bits),
        };
        self.ticks = ticks;
        self.sampled = now;
        self.last
    }
}

impl Ticks {
    fn read(proc: &Path) -> Self {
        let read = |file: &str| fs::read_to_string(proc.join(file)).ok();
        Self {
            process: read("self/stat").and_then(|text| process_ticks(&text)),
            system: read("stat").and_then(|text| system_ticks(&text)),
        }
    }
}

/// Reads `utime` and `stime`, fields 14 and 15.
///
/// The second field is the program's name in parentheses, which may hold anything. So fields are counted from its end.
fn process_ticks(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// Reads `cpu user nice system idle iowait irq softirq steal ...`. Time of guests is already part of `user`.
fn system_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
    let numbers = numbers.collect::<Result<Vec<_>, _>>().ok()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = numbers[..] else {
        return None;
    };
    Some(user + nice + system + irq + softirq)
}

fn rss(proc: &Path) -> Option<u64> {
    let status = fs::read_to_string(proc.join("self/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Reads a file that holds one number.
fn number(file: &Path) -> Option<i64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Reads a temperature. A sensor that is off yields an impossible value, which is ignored.
fn degrees(file: &Path) -> Option<f64> {
    let degrees = number(file)? as f64 / 1000.0;
    (-55.0..=150.0).contains(&degrees).then_some(degrees)
}

fn hertz(file: &Path) -> Option<u64> {
    let kilohertz = u64::try_from(number(file)?).ok()?;
    kilohertz.checked_mul(1000).filter(|hertz| *hertz > 0)
}

fn bits(file: &Path) -> Option<u32> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim();
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

/// Returns the entries of `folder` that begin with `begin`, sorted by name.
fn below(folder: &Path, begin: &str) -> std::vec::IntoIter<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|e| e.file_name().to_string_lossy().starts_with(begin));
    let mut paths: Vec<_> = named.map(|e| e.path()).collect();
    paths.sort();
    paths.into_iter()
}

fn zone(root: &Path) -> Option<PathBuf> {
    let zones = below(&root.join("sys/class/thermal"), "thermal_zone");
    let ranked = zones.filter_map(|zone| {
        let kind = fs::read_to_string(zone.join("type")).ok()?;
        let rank = ZONES.iter().position(|name| kind.starts_with(name))?;
        let file = zone.join("temp");
        degrees(&file).map(|_| (rank, file))
    });
    // `min_by_key` returns the first of equal zones.
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, file)| file)
}

fn sensor(root: &Path) -> Option<PathBuf> {
    let mut drivers = below(&root.join("sys/class/hwmon"), "hwmon");
    drivers.find_map(|driver| {
        let name = fs::read_to_string(driver.join("name")).ok()?;
        let file = driver.join("temp1_input");
        (SENSORS.contains(&name.trim()) && degrees(&file).is_some()).then_some(file)
    })
}

/// Finds the firmware: `/sys/devices/platform/soc/soc:firmware` on a Raspberry Pi 4, on another bus on a Pi 5.
fn firmware(root: &Path) -> Option<PathBuf> {
    let usual = root.join("sys/devices/platform/soc/soc:firmware");
    let devices = below(&root.join("sys/bus/platform/devices"), "");
    let firmware = devices.filter(|d| d.to_string_lossy().ends_with(":firmware"));
    let files = std::iter::once(usual).chain(firmware);
    let mut files = files.map(|folder| folder.join("get_throttled"));
    files.find(|file| bits(file).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A machine made of files.
    struct Fake(PathBuf);

    impl Fake {
        fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("gstdetect-machine-{}-{number}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn file(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            let folder = path.parent().expect("a file below the root");
            fs::create_dir_all(folder).expect("a writable folder");
            fs::write(path, text).expect("a writable folder");
        }

        fn busy(&self, process: u64, system: u64) {
            let name = "de) tect (x";
            let zeros = "0 ".repeat(10);
            self.file(
                "proc/self/stat",
                &format!("7 ({name}) S {zeros}{process} 5 0 0 20 0\n"),
            );
            self.file(
                "proc/stat",
                &format!("cpu  {system} 0 10 9999 88 1 2 777 5 0\ncpu0 1 2 3\n"),
            );
        }

        fn machine(&self) -> Machine {
            Machine::new(&self.0, Duration::ZERO)
        }

        fn sample(&self) -> MachineSample {
            self.machine().sample(Duration::from_secs(1))
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_machine_that_tells_nothing_leaves_everything_out() {
        assert_eq!(Fake::new().sample(), MachineSample::default());
    }

    #[test]
    fn processor_times_are_of_the_time_between_two_samples() {
        let fake = Fake::new();
        fake.busy(1000, 5000);
        let mut machine = fake.machine();
        fake.busy(1150, 5380);
        let sample = machine.sample(Duration::from_secs(2));
        assert_eq!(sample.process_cpu, Some(0.75), "150 ticks in 2 s");
        assert_eq!(sample.system_cpu, Some(1.9));
        fake.busy(1250, 5480);
        assert_eq!(machine.sample(Duration::from_millis(2100)), sample);
        let sample = machine.sample(Duration::from_secs(3));
        assert_eq!(
            (sample.process_cpu, sample.system_cpu),
            (Some(1.0), Some(1.0))
        );
    }

    #[test]
    fn a_raspberry_pi_tells_everything() {
        let fake = Fake::new();
        fake.busy(1, 2);
        fake.file(
            "proc/self/status",
            "Name:\tx\nVmHWM:\t 9000 kB\nVmRSS:\t   81920 kB\n",
        );
        fake.file("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
        fake.file("sys/class/thermal/thermal_zone0/temp", "61835\n");
        let cpufreq = "sys/devices/system/cpu/cpufreq";
        fake.file(&format!("{cpufreq}/policy0/scaling_cur_freq"), "1500000\n");
        fake.file(&format!("{cpufreq}/policy4/scaling_cur_freq"), "1800000\n");
        fake.file(
            "sys/devices/platform/soc/soc:firmware/get_throttled",
            "50005\n",
        );
        let sample = fake.sample();
        assert_eq!(sample.rss, Some(80 << 20));
        assert_eq!(sample.temperature, Some(61.835));
        assert_eq!(sample.cpu_frequency, Some(1_800_000_000));
        assert_eq!(sample.throttled, Some(0x50005));
    }

    #[test]
    fn the_firmware_of_another_bus_is_found() {
        let fake = Fake::new();
        let devices = "sys/bus/platform/devices";
        fake.file(&format!("{devices}/alarmtimer/uevent"), "\n");
        fake.file(
            &format!("{devices}/soc@107c000000:firmware/get_throttled"),
            "0\n",
        );
        assert_eq!(fake.sample().throttled, Some(0));
    }

    #[test]
    fn the_zone_of_the_processor_is_taken() {
        let fake = Fake::new();
        for (zone, kind, temp) in [
            (0, "acpitz", "27800"),
            (1, "x86_pkg_temp", "48000"),
            (2, "cpu-thermal", "-274000"),
            (3, "iwlwifi_1", "39000"),
        ] {
            fake.file(&format!("sys/class/thermal/thermal_zone{zone}/type"), kind);
            fake.file(&format!("sys/class/thermal/thermal_zone{zone}/temp"), temp);
        }
        assert_eq!(
            fake.sample().temperature,
            Some(48.0),
            "a dead sensor does not count"
        );
    }

    #[test]
    fn where_no_zone_is_the_processors_a_sensor_may_be() {
        let fake = Fake::new();
        fake.file("sys/class/hwmon/hwmon0/name", "nvme\n");
        fake.file("sys/class/hwmon/hwmon0/temp1_input", "30000\n");
        fake.file("sys/class/hwmon/hwmon1/name", "k10temp\n");
        fake.file("sys/class/hwmon/hwmon1/temp1_input", "52250\n");
        assert_eq!(fake.sample().temperature, Some(52.25));
    }

    #[test]
    fn files_of_nonsense_are_as_none() {
        let fake = Fake::new();
        fake.file("proc/self/stat", "7 (x) S 1 2");
        fake.file("proc/stat", "cpu  1 2 -3 4 5 6 7\n");
        fake.file("proc/self/status", "VmRSS:\t many kB\n");
        fake.file("sys/class/thermal/thermal_zone0/type", "cpu-thermal");
        fake.file("sys/class/thermal/thermal_zone0/temp", "hot");
        fake.file(
            "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
            "<unknown>",
        );
        fake.file("sys/devices/platform/soc/soc:firmware/get_throttled", "yes");
        assert_eq!(fake.sample(), MachineSample::default());
    }

    #[test]
    fn the_bits_of_the_firmware_are_told_in_words() {
        let throttled = Throttled(0x5_0005);
        assert_eq!(
            throttled.now(),
            ["the voltage is too low", "it is throttled"]
        );
        assert_eq!(throttled.now(), throttled.since_start());
        assert_eq!(Throttled(0x8_0000).now(), [""; 0]);
        assert_eq!(
            Throttled(0x8_0000).since_start(),
            ["the soft limit of temperature is reached"]
        );
    }

    #[test]
    fn this_machine_tells_what_every_linux_does() {
        let mut machine = Machine::new(Path::new("/"), Duration::ZERO);
        let sample = machine.sample(Duration::from_secs(1));
        assert!(sample.process_cpu.is_some() && sample.system_cpu.is_some());
        assert!(sample.rss.is_some_and(|rss| rss > 1 << 20));
    }
}
