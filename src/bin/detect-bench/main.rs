//! `detect-bench`: measures object detection in live video, and explains the figures.
//!
//! It uses the library as a stranger would: the element by its name, its messages, and public types.
//!
//! - `args.rs` is the command line; `settings.rs` and `source.rs` are the parts of it that go into a pipeline.
//! - `measure/` runs one pipeline, `figures.rs` turns what happened into figures, `machine.rs` describes the machine.
//! - `run.rs`, `compare.rs`, `inspect.rs`, `detect.rs` and `verify/` are the commands.
//! - `analyse.rs` analyses single frames, `agreement.rs` compares the boxes found in the same pictures.
//! - `report.rs` is the result as JSON. `tables/` makes tables of it, `text.rs` renders them for a terminal, `html/` as a page.

mod agreement;
mod analyse;
mod args;
mod compare;
mod detect;
mod failure;
mod figures;
mod html;
mod inspect;
mod interrupt;
mod machine;
mod measure;
mod pipeline;
mod report;
mod run;
mod settings;
mod source;
mod table;
mod tables;
mod text;
mod verify;

use args::{Arguments, Command};
use clap::{CommandFactory, Parser};
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before the arguments are read: a source is recognised by asking GStreamer.
    let outcome = start().and_then(|()| command(Arguments::parse().command));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("detect-bench: {failure}");
            failure.exit_code()
        }
    }
}

fn start() -> Result<(), Failure> {
    let unusable =
        |err: &dyn std::fmt::Display| Failure::pipeline(format!("GStreamer cannot be used: {err}"));
    gst::init().map_err(|err| unusable(&err))?;
    gstdetect::register_static().map_err(|err| unusable(&err))
}

fn command(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Detect(arguments) => detect::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                "detect-bench",
                &mut script,
            );
            report::print(&String::from_utf8_lossy(&script))
        }
        Command::Man { folder } => clap_mangen::generate_to(Arguments::command(), &folder)
            .map_err(|err| Failure::output(&folder, &err)),
    }
}
