//! The command line. clap makes help, errors and completions from it.

use crate::settings::Settings;
use crate::source::Source;
use clap::{Args, Parser, Subcommand, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

const EXIT_CODES: &str = "\
Exit codes:
  0    done; verify: the outputs are the same
  1    verify: the outputs differ
  2    the arguments are wrong
  3    the model, its engine or a setting cannot be used
  4    the source, a picture or the pipeline failed
  5    a result could not be written
  130  interrupted before anything was measured";

/// Measures object detection in live video: frames a second, model time, latency, CPU and memory.
///
/// Runs the element `detect` of gst-plugin-detect in a pipeline, as its user would, and explains the figures.
/// Uses the plugin on GST_PLUGIN_PATH if there is one, otherwise the copy inside this program.
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
    /// Measures models and settings in turns, and compares speed and boxes with the first.
    Compare(CompareArgs),
    /// Shows what was recognised or guessed about a model, its operators and sizes, and what was rewritten.
    Inspect(InspectArgs),
    /// Finds objects in pictures. Prints JSON in the form of a model's card, or draws the boxes into copies.
    Detect(DetectArgs),
    /// Runs a model on inputs with known outputs, and says whether this engine gives the same.
    Verify(VerifyArgs),
    /// Prints a script that completes this program's arguments in a shell.
    Completions {
        /// Shell that the script is for. Put it where this shell looks for completions.
        shell: clap_complete::Shell,
    },
    /// Writes the manual pages of this program and of its commands.
    Man {
        /// Folder that the pages are written into. It must exist.
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
}

/// Properties of `detect`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Properties of detect")]
pub struct Properties {
    /// Engine that runs the model: tract, onnxruntime, openvino or auto.
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<String>,
    /// Threads for one inference; 0 = chosen for the machine.
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
    /// Precision of the arithmetic: auto, f32 or f16.
    #[arg(long, value_name = "PRECISION")]
    pub precision: Option<String>,
    /// Input size of the model: auto, 416 or 640x384.
    #[arg(long, value_name = "SIZE")]
    pub input_size: Option<String>,
    /// Which frames are analysed and leave: auto, newest, passthrough or every.
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Text file with one label on each line.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub labels: Option<String>,
    /// Card (JSON) that describes the model.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub model_config: Option<String>,
    /// Most thousand million multiply-adds that an inference may take.
    #[arg(long, value_name = "N")]
    pub max_compute: Option<String>,
    /// Sets any property, as in gst-launch-1.0: --set workers=2. Can be repeated.
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    pub set: Vec<String>,
}

impl Properties {
    /// Returns the properties that were given; `--set` wins over the named options.
    pub fn settings(&self) -> Result<Settings, crate::failure::Failure> {
        let named = [
            ("engine", &self.engine),
            ("threads", &self.threads),
            ("precision", &self.precision),
            ("input-size", &self.input_size),
            ("mode", &self.mode),
            ("labels", &self.labels),
            ("model-config", &self.model_config),
            ("max-compute", &self.max_compute),
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

/// Where frames come from, and where they go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pipeline")]
pub struct Stream {
    /// camera (libcamera, then v4l2), test, a file, or elements as gst-launch-1.0 takes them.
    #[arg(short, long, default_value = "test")]
    pub source: Source,
    /// Width and height of frames from camera and test.
    #[arg(long, value_name = "WxH", default_value = "1280x720", value_parser = crate::source::parse_size)]
    pub size: (u32, u32),
    /// Frames a second from camera and test.
    #[arg(long, value_name = "FPS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
    /// Elements behind detect; default: a sink that shows nothing, and keeps time if the source is live.
    #[arg(long, value_name = "ELEMENTS")]
    pub sink: Option<String>,
    /// Seconds at the start that are not measured; default: 2 for a live source, 0 for a file.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub warm_up: Option<Duration>,
}

/// Where results go besides the table on standard output.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Results")]
pub struct Output {
    /// Writes all results as JSON (schema: README.md); "-" = to standard output instead of the table.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
    /// Writes a self-contained HTML page with plots.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Shows no progress while it runs.
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Model (.onnx); default: the built-in face detector.
    #[arg(short, long, value_hint = ValueHint::FilePath)]
    pub model: Option<PathBuf>,
    /// Seconds to measure; default: 30 for a live source, the whole of a file.
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
    /// Models. Each is measured with every combination of the lists below.
    #[arg(value_hint = ValueHint::FilePath, value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// Engines, separated by commas: tract,onnxruntime
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
    /// Adds a row, a model and its properties: --row "x.onnx input-size=320 threads=2". Can be repeated.
    #[arg(long, value_name = "MODEL PROPERTY=VALUE...")]
    pub row: Vec<String>,
    /// Sets any property for all rows: --set workers=2. Can be repeated.
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    pub set: Vec<String>,
    /// Number of turns that each row gets.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Seconds to measure in each turn.
    #[arg(short, long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub time: Duration,
    /// Seconds of rest between two turns.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub cool_down: Duration,
    /// Frames on which the boxes of the rows are compared; 0 = boxes are not compared.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub frames: u32,
    #[command(flatten)]
    pub stream: Stream,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Model (.onnx); default: the built-in face detector.
    #[arg(value_hint = ValueHint::FilePath)]
    pub model: Option<PathBuf>,
    /// Prints JSON instead of text.
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
    /// Model (.onnx); default: the built-in face detector.
    #[arg(short, long, value_hint = ValueHint::FilePath)]
    pub model: Option<PathBuf>,
    /// Draws the boxes into copies of the pictures, as PNG in this folder.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub draw: Option<PathBuf>,
    #[command(flatten)]
    pub properties: Properties,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Model (.onnx), or a folder with model.onnx and test_data_set_0, test_data_set_1 ... in it.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub model: PathBuf,
    /// Known outputs: folders test_data_set_N with input_0.pb and output_0.pb, .npz files whose arrays have the names of
    /// inputs and outputs, or cards (.json) with expected boxes. Default for a folder: the test data in it.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub data: Vec<PathBuf>,
    /// Folder of the pictures that a card names; default: the card's folder and those above it.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub pictures: Option<PathBuf>,
    /// Allowed difference of a number, as a share of the expected number ...
    #[arg(long, value_name = "SHARE", default_value_t = 1e-3)]
    pub relative: f32,
    /// ... plus this share of the largest number in its tensor.
    #[arg(long, value_name = "SHARE", default_value_t = 1e-4)]
    pub absolute: f32,
    /// Least IoU of a found box with the expected box of the same label (JPEG decoders move boxes) ...
    #[arg(long, value_name = "IOU", default_value_t = 0.75)]
    pub iou: f32,
    /// ... and largest difference of their scores.
    #[arg(long, value_name = "DIFFERENCE", default_value_t = 0.1)]
    pub score: f32,
    #[command(flatten)]
    pub properties: Properties,
}

/// Parses a number of seconds, at most a week.
fn seconds(text: &str) -> Result<Duration, String> {
    const WEEK: f64 = 7.0 * 24.0 * 3600.0;
    let number: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| "expected a number of seconds, such as 10 or 2.5".to_owned())?;
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
