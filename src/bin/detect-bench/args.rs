//! The command line: what clap makes help, errors and completions of.

use crate::settings::Settings;
use crate::source::Source;
use clap::{Args, Parser, Subcommand, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

const EXIT_CODES: &str = "\
Exit codes:
  0    done; what was verified holds
  1    verify: the engine gives something else
  2    the arguments make no sense
  3    the model, its engine or a setting cannot be used
  4    the source, a picture or the pipeline failed
  5    a result could not be written
  130  interrupted before there was anything to tell";

/// Measures object detection in live video: frames a second, the model's time, latency, and what it costs.
///
/// Runs the element `detect` of gst-plugin-detect in a pipeline, as its user would, and explains the figures.
/// The plugin on GST_PLUGIN_PATH is used where there is one, else the copy inside this program.
#[derive(Debug, Parser)]
#[command(name = "detect-bench", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measures one pipeline: frames a second and model time, then latency, drops, CPU, memory, temperature.
    Run(RunArgs),
    /// Measures models and settings in turns, against the first: time gained, and boxes lost.
    Compare(CompareArgs),
    /// Tells what a model is: what was recognised and guessed, its operators and sizes, what was rewritten.
    Inspect(InspectArgs),
    /// Finds objects in pictures: JSON in the form of a model's card, or copies with the boxes drawn.
    Detect(DetectArgs),
    /// Runs a model on inputs whose outputs are known, and says whether this engine gives the same.
    Verify(VerifyArgs),
    /// Prints a script that completes this program's arguments in a shell.
    Completions {
        /// The shell: put the script where it looks for completions.
        shell: clap_complete::Shell,
    },
}

/// Properties of `detect`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Properties of detect")]
pub struct Properties {
    /// What runs the model: tract, onnxruntime, openvino or auto.
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<String>,
    /// Threads for one inference; 0 = a good choice.
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
    /// Arithmetic where there is a choice: auto, f32 or f16.
    #[arg(long, value_name = "PRECISION")]
    pub precision: Option<String>,
    /// Size at which the model runs: auto, 416 or 640x384.
    #[arg(long, value_name = "SIZE")]
    pub input_size: Option<String>,
    /// Which frames leave: auto, newest, passthrough, every.
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Text file with a label a line.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub labels: Option<String>,
    /// A card (JSON) that says what the model is.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub model_config: Option<String>,
    /// Any property, as in gst-launch-1.0: --set workers=2. May be given several times.
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    pub set: Vec<String>,
}

impl Properties {
    /// In the order in which they are set; what `--set` says comes last.
    pub fn settings(&self) -> Result<Settings, crate::failure::Failure> {
        let named = [
            ("engine", &self.engine),
            ("threads", &self.threads),
            ("precision", &self.precision),
            ("input-size", &self.input_size),
            ("mode", &self.mode),
            ("labels", &self.labels),
            ("model-config", &self.model_config),
        ];
        let mut settings = Settings::default();
        for (name, value) in named {
            if let Some(value) = value {
                settings.set(name, value);
            }
        }
        self.set.iter().try_for_each(|s| settings.set_pair(s))?;
        Ok(settings)
    }
}

/// Where frames come from, for how long, and where they go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pipeline")]
pub struct Stream {
    /// camera (libcamera, then v4l2), test, a file, or any part of a pipeline as gst-launch-1.0 takes it.
    #[arg(short, long, default_value = "test")]
    pub source: Source,
    /// Width and height of the pictures of camera and test.
    #[arg(long, value_name = "WxH", default_value = "1280x720", value_parser = crate::source::parse_size)]
    pub size: (u32, u32),
    /// Frames a second of camera and test.
    #[arg(long, value_name = "FPS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
    /// What frames go to behind detect; by itself a sink that shows nothing, and keeps time where the source does.
    #[arg(long, value_name = "ELEMENTS")]
    pub sink: Option<String>,
    /// Seconds that are not counted at the begin; by itself 2 of a live source, 0 of a file.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub warm_up: Option<Duration>,
}

/// Where results go beside the table on standard output.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Results")]
pub struct Output {
    /// Writes everything as JSON (schema: README.md); "-" = standard output, instead of the table.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
    /// Writes one self-contained page with plots.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// No line and no bar while it runs.
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// An .onnx file; without it the built-in face detector.
    #[arg(short, long, value_hint = ValueHint::FilePath)]
    pub model: Option<PathBuf>,
    /// Seconds to measure; by itself 30 of a live source, and the whole of a file.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub time: Option<Duration>,
    #[command(flatten)]
    pub stream: Stream,
    #[command(flatten)]
    pub properties: Properties,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Models; every one is measured with every combination of the lists below.
    #[arg(value_hint = ValueHint::FilePath, value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// Engines, with commas: tract,onnxruntime
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub engines: Vec<String>,
    /// Numbers of threads: 1,2,4
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub threads: Vec<String>,
    /// Precisions: f32,f16
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub precisions: Vec<String>,
    /// Input sizes: auto,320,416x256
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub input_sizes: Vec<String>,
    /// One more row: a model, and properties behind it: --row "x.onnx input-size=320 threads=2". May be given several
    /// times.
    #[arg(long, value_name = "MODEL PROPERTY=VALUE...")]
    pub row: Vec<String>,
    /// Any property, for all rows: --set workers=2. May be given several times.
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    pub set: Vec<String>,
    /// How often every row has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Seconds to measure in each turn.
    #[arg(short, long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub time: Duration,
    /// Seconds of rest between two turns.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub cool_down: Duration,
    /// Frames on which the boxes of the rows are compared; 0 = not compared.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub frames: u32,
    #[command(flatten)]
    pub stream: Stream,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// An .onnx file; without it the built-in face detector.
    #[arg(value_hint = ValueHint::FilePath)]
    pub model: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub properties: Properties,
}

#[derive(Debug, Args)]
pub struct DetectArgs {
    /// Pictures, in any format that GStreamer decodes.
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// An .onnx file; without it the built-in face detector.
    #[arg(short, long, value_hint = ValueHint::FilePath)]
    pub model: Option<PathBuf>,
    /// Writes copies with the boxes drawn into this folder, as PNG.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub draw: Option<PathBuf>,
    #[command(flatten)]
    pub properties: Properties,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// An .onnx file, or a folder with model.onnx and test_data_set_0, test_data_set_1 ... in it.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub model: PathBuf,
    /// What is known: folders test_data_set_N with input_0.pb and output_0.pb, .npz files with arrays named as inputs
    /// and outputs are, or cards (.json) with expected boxes. By itself, of a folder those in it.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub data: Vec<PathBuf>,
    /// Where the pictures that a card names are; by itself the card's folder and those above it.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub pictures: Option<PathBuf>,
    /// A number may differ by this share of the expected one ...
    #[arg(long, value_name = "SHARE", default_value_t = 1e-3)]
    pub relative: f32,
    /// ... and by this share of the largest of its tensor.
    #[arg(long, value_name = "SHARE", default_value_t = 1e-4)]
    pub absolute: f32,
    /// A box is found if one of its label has at least this IoU with it (decoders of JPEG move boxes) ...
    #[arg(long, value_name = "IOU", default_value_t = 0.75)]
    pub iou: f32,
    /// ... and a score that differs by this at the most.
    #[arg(long, value_name = "DIFFERENCE", default_value_t = 0.1)]
    pub score: f32,
    #[command(flatten)]
    pub properties: Properties,
}

/// A positive number of seconds, at most a week.
fn seconds(text: &str) -> Result<Duration, String> {
    const WEEK: f64 = 7.0 * 24.0 * 3600.0;
    let number: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| "expected a number of seconds, as 10 or 2.5".to_owned())?;
    match (0.0..=WEEK).contains(&number) {
        true => Ok(Duration::from_secs_f64(number)),
        false => Err("expected 0 to 604800 seconds".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        assert_eq!(seconds("10s"), Ok(Duration::from_secs(10)));
        for wrong in ["", "-1", "inf", "nan", "1e99", "two"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn named_properties_come_before_those_that_are_set() {
        let arguments = Arguments::parse_from([
            "detect-bench",
            "run",
            "--set",
            "threads=3",
            "--threads",
            "2",
            "--engine",
            "auto",
        ]);
        let Command::Run(run) = arguments.command else {
            panic!("another command");
        };
        let settings = run.properties.settings().expect("pairs");
        let all: Vec<_> = settings.iter().collect();
        assert_eq!(all, [("engine", "auto"), ("threads", "3")]);
    }
}
