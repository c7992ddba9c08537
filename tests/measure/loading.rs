//! GStreamer loads every plugin of a machine now and then: ours must load fast.

use crate::kept_in_one_of;
use crate::support::Folder;
use crate::support::plugin::{output, plugin_folder, scanning, text};
use std::process::Command;
use std::time::Duration;

/// Longest time for loading, everything included that the dynamic linker does.
const LOAD_BUDGET: Duration = Duration::from_millis(50);
const TRIES: u32 = 5;

#[test]
fn loading_takes_less_than_50_ms() {
    kept_in_one_of(TRIES, || {
        let time = load_time();
        println!("loading the plugin takes {time:?}");
        match time < LOAD_BUDGET {
            true => Ok(()),
            false => Err(format!("{time:?}, at most {LOAD_BUDGET:?}")),
        }
    });
}

/// Between the two lines that GStreamer's log has of it, in a process of its own.
fn load_time() -> Duration {
    let (plugins, registry) = (plugin_folder(), Folder::new());
    let mut command = Command::new("gst-inspect-1.0");
    command
        .arg("detect")
        .env("GST_DEBUG", "GST_PLUGIN_LOADING:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .env_remove("GST_DEBUG_FILE");
    let output = output(scanning(&mut command, plugins.path(), &registry));
    let log = text(&output.stderr);
    let time_of = |what: &str| {
        let line = log
            .lines()
            .find(|line| line.contains(what) && line.contains("libgstdetect.so"));
        let line = line.unwrap_or_else(|| panic!("no \"{what}\" in {log}"));
        clock_time(line).unwrap_or_else(|| panic!("no time in {line}"))
    };
    time_of("\" loaded").saturating_sub(time_of("attempt to load plugin"))
}

/// `0:00:00.004870121` at the begin of a line.
fn clock_time(line: &str) -> Option<Duration> {
    let mut parts = line.split_whitespace().next()?.split(':');
    let (hours, minutes) = (
        parts.next()?.parse::<u64>().ok()?,
        parts.next()?.parse::<u64>().ok()?,
    );
    let seconds: f64 = parts.next()?.parse().ok()?;
    Some(Duration::from_secs(hours * 3600 + minutes * 60) + Duration::from_secs_f64(seconds))
}
