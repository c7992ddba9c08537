use super::*;
use crate::base::tensor::{Element, InputSpec};
use crate::onnx::testing::input_spec;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

const OPTIONS: EngineOptions = EngineOptions {
    threads: 1,
    precision: crate::engine::Precision::Auto,
    at_once: 1,
    max_compute: None,
};

/// A folder with a library, a program in place of ours, which counts its runs, and what is remembered.
struct Fake(PathBuf);

impl Fake {
    /// `script` is what the program does once it has begun.
    fn new(script: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gstdetect-probe-{}-{count}", std::process::id());
        let fake = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&fake.0).expect("a writable folder");
        fs::write(fake.0.join("libonnxruntime.so"), "").expect("writable");
        // Written by another process: a file that this one has open for writing cannot be started, and a child of another
        // test may hold it open a little longer.
        let text = format!(
            "#!/bin/sh\necho run >>{}\n{script}\n",
            fake.0.join("runs").display()
        );
        let made = Command::new("sh")
            .args(["-c", "printf %s \"$1\" >\"$0\" && chmod +x \"$0\""])
            .arg(fake.0.join(PROGRAM))
            .arg(text)
            .status();
        assert!(made.expect("a shell").success());
        fake
    }

    fn probe(&self) -> Probe<'static> {
        Probe {
            kind: EngineKind::OnnxRuntime,
            library: &onnxruntime::LIBRARY,
            found: Found {
                path: self.0.join("libonnxruntime.so"),
                asked_for: false,
            },
            folder: CacheFolder::at(self.0.join("cache")),
            program: Ok(self.0.join(PROGRAM)),
        }
    }

    fn check(&self, model: &[u8]) -> Result<(), EngineError> {
        check_with(&self.probe(), model)
    }

    fn runs(&self) -> usize {
        let runs = fs::read_to_string(self.0.join("runs")).unwrap_or_default();
        runs.lines().count()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn check_with(probe: &Probe, model: &[u8]) -> Result<(), EngineError> {
    let form = Form {
        bytes: model,
        input: &input_spec(),
        outputs: &["out".to_owned()],
        multiply_adds: 0,
    };
    probe.check(&form, &OPTIONS)
}

#[test]
fn a_model_that_survives_is_tried_once() {
    let fake = Fake::new("echo began; echo loaded; echo '{\"survived\":true}'");
    for _ in 0..3 {
        fake.check(b"model").expect("it survived");
    }
    assert_eq!(fake.runs(), 1);
    KEPT.lock().clear();
    fake.check(b"model").expect("read from the folder");
    assert_eq!(fake.runs(), 1);
    fake.check(b"other").expect("it survived");
    assert_eq!(fake.runs(), 2);
    fs::write(fake.0.join("libonnxruntime.so"), "an update").expect("writable");
    fake.check(b"model").expect("it survived");
    assert_eq!(fake.runs(), 3, "another library is tried again");
}

#[test]
fn a_model_that_kills_is_refused_and_remembered() {
    for (end, words) in [
        ("kill -FPE $$", "signal 8 (SIGFPE)"),
        ("kill -SEGV $$", "SIGSEGV"),
        ("exit 7", "status 7"),
    ] {
        let fake = Fake::new(&format!("echo began; echo noise; echo loaded; {end}"));
        for _ in 0..2 {
            let error = fake.check(b"model").expect_err("the child died");
            assert!(matches!(error, EngineError::Load { .. }), "{error:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
        assert_eq!(fake.runs(), 1);
        let _ = fake.check(b"other");
        assert_eq!(fake.runs(), 2, "another model is tried");
    }
}

#[test]
fn a_library_that_kills_is_refused_for_every_model() {
    let fake = Fake::new("echo began; kill -ILL $$");
    for model in [b"model", b"other"] {
        let error = fake.check(model).expect_err("the child died");
        assert!(matches!(error, EngineError::Library { .. }), "{error:?}");
        for part in [
            "libonnxruntime.so",
            "SIGILL",
            "another processor",
            "pip install onnxruntime",
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    assert_eq!(fake.runs(), 1);
}

#[test]
fn what_the_engine_refuses_there_is_refused_here() {
    let fake = Fake::new("echo began; echo loaded; echo '{\"refused\":\"odd\"}'");
    let error = fake.check(b"model").expect_err("refused");
    assert!(
        error
            .to_string()
            .starts_with("onnxruntime refuses the model: odd"),
        "{error}"
    );
    let fake = Fake::new("echo began; echo loaded; echo '{\"operators\":[\"Foo\"]}'");
    let error = fake.check(b"model").expect_err("refused");
    assert!(
        error.to_string().contains("lacks the operator Foo"),
        "{error}"
    );
}

#[test]
fn a_program_that_is_missing_or_strange_leaves_the_engine_untried() {
    let mut without = Fake::new("").probe();
    for program in [
        Err("it is not there".to_owned()),
        Ok("/nowhere/at/all".into()),
    ] {
        without.program = program;
        let error = check_with(&without, b"model").expect_err("no child");
        assert!(matches!(error, EngineError::Untried { .. }), "{error:?}");
        assert!(error.to_string().contains("engine=onnxruntime"), "{error}");
    }
    for strange in ["echo hello", "kill -ILL $$", "exit 2"] {
        let error = Fake::new(strange)
            .check(b"model")
            .expect_err("no word of ours");
        assert!(matches!(error, EngineError::Untried { .. }), "{error:?}");
    }
}

#[test]
fn a_child_without_end_is_killed_and_tried_again() {
    let fake = Fake::new("echo began; echo loaded; exec sleep 60");
    let input = input_spec();
    let form = Form {
        bytes: b"model",
        input: &input,
        outputs: &[],
        multiply_adds: 0,
    };
    let limits = Limits {
        idle: Duration::from_millis(300),
        ..limits(&form, 1.0)
    };
    let (end, answer) = fake
        .probe()
        .run(&form, &OPTIONS, &limits)
        .expect("it started");
    assert_eq!((end, answer), (End::TimeUp, Answer::Loaded));
    assert!(in_words(end, &limits).contains("4.0 s of computing, or 0.3 s of waiting"));
}

#[test]
fn a_process_with_many_threads_starts_children() {
    let fake = Fake::new("echo began; echo loaded; echo '{\"survived\":true}'");
    std::thread::scope(|scope| {
        for thread in 0..16u8 {
            let fake = &fake;
            scope.spawn(move || fake.check(&[thread]).expect("it survived"));
        }
    });
    assert_eq!(fake.runs(), 16);
}

#[test]
fn a_request_comes_back_whole() {
    let input = InputSpec {
        element: Element::U8,
        ..input_spec()
    };
    let outputs = ["a".to_owned(), "\"b\"\n".to_owned()];
    let form = Form {
        bytes: b"the model",
        input: &input,
        outputs: &outputs,
        multiply_adds: 0,
    };
    let request = Request::new(EngineKind::OpenVino, &form, &OPTIONS, LONGEST);
    let mut sent = request.head();
    sent.extend(form.bytes);
    let (read, model) = Request::read(&sent).expect("our own");
    assert_eq!(model, form.bytes);
    assert_eq!(read.head(), request.head());
    for length in 0..sent.len() - form.bytes.len() {
        assert!(Request::read(&sent[..length]).is_none(), "{length}");
    }
}

#[test]
fn a_child_has_time_for_bytes_and_work_up_to_a_bound() {
    let input = input_spec();
    let seconds = |mib: usize, giga: u64, slowness: f64| {
        let bytes = vec![0; mib << 20];
        let form = Form {
            bytes: &bytes,
            input: &input,
            outputs: &[],
            multiply_adds: giga * 1_000_000_000,
        };
        limits(&form, slowness).work.as_secs_f64()
    };
    assert_eq!(seconds(0, 0, 1.0), 4.0);
    assert_eq!(seconds(20, 10, 1.0), 6.0);
    assert_eq!(seconds(0, 0, 3.0), 12.0);
    assert_eq!(seconds(0, 10_000_000, 8.0), 30.0);
}

#[test]
fn the_program_lies_beside_the_plugin() {
    let at = |own: &str| places(Path::new(own));
    let folder = "/usr/lib/x86_64-linux-gnu/gstreamer-1.0";
    assert_eq!(
        at(&format!("{folder}/libgstdetect.so")),
        [Path::new(folder).join(PROGRAM)]
    );
    assert_eq!(
        at("/x/target/debug/deps/libgstdetect.so"),
        [
            Path::new("/x/target/debug/deps/gst-detect-probe"),
            Path::new("/x/target/debug/gst-detect-probe"),
        ]
    );
    let multiarch = format!(
        "/usr/lib/{}-linux-gnu/gstreamer-1.0/gst-detect-probe",
        std::env::consts::ARCH
    );
    assert_eq!(
        at("/usr/bin/detect-bench"),
        [
            Path::new("/usr/bin/gst-detect-probe"),
            Path::new(&multiarch),
            Path::new("/usr/lib/gstreamer-1.0/gst-detect-probe"),
        ]
    );
}
