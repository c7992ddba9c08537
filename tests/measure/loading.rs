//! GStreamer loads every plugin of a machine now and then: ours must load fast. So must a model, which is measured the first
//! time.

use crate::kept_in_one_of;
use crate::support::plugin::{output, plugin_folder, scanning, text};
use crate::support::{Folder, skipped};
use std::path::Path;
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

/// Longest times for loading yolov8n at 320x320: what is remembered saves the measuring.
const FIRST_BUDGET: Duration = Duration::from_millis(600);
const REMEMBERED_BUDGET: Duration = Duration::from_millis(300);

#[test]
fn a_model_loads_in_time_before_and_after_its_algorithms_are_remembered() {
    let Some(shared) = std::env::var_os("DETECT_SHARED").map(std::path::PathBuf::from) else {
        return skipped("DETECT_SHARED does not name the folder of shared models");
    };
    let model = shared.join("models/yolov8n_320_random.onnx");
    kept_in_one_of(TRIES, || {
        let cache = Folder::new();
        let [first, again] = [FIRST_BUDGET, REMEMBERED_BUDGET].map(|budget| {
            let time = model_load_time(&model, cache.path());
            println!("loading the model takes {time:?}, at most {budget:?}");
            (time, budget)
        });
        let slow = [first, again]
            .into_iter()
            .find(|(time, budget)| time > budget);
        slow.map_or(Ok(()), |(time, budget)| {
            Err(format!("{time:?}, at most {budget:?}"))
        })
    });
}

/// What `detect-model` says, in a process of its own with this folder for what is remembered.
fn model_load_time(model: &Path, cache: &Path) -> Duration {
    let (plugins, registry) = (plugin_folder(), Folder::new());
    let mut command = Command::new("gst-launch-1.0");
    command
        .args(["-m", "videotestsrc", "num-buffers=1", "!", "detect"])
        .arg(format!("model={}", model.display()))
        .args(["threads=1", "!", "fakesink"])
        .env("GST_PLUGIN_PATH", plugins.path())
        .env("GST_REGISTRY", registry.path().join("registry"))
        .env("XDG_CACHE_HOME", cache);
    let output = output(&mut command);
    let log = text(&output.stdout);
    let field = log.split("load-time=(guint64)").nth(1);
    let digits = field.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let nanoseconds = digits.and_then(|digits| digits.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_else(|| panic!("no load-time in {log}")))
}
