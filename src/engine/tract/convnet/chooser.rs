//! [`Chooser`]: measures which algorithm computes each 3x3 convolution of a model fastest, and remembers it.
//!
//! What is remembered belongs to kernels, processor and build, not to a model: a choice serves every layer of its size. It
//! is a file in the user's cache folder, beside the engines that `auto` has chosen. Without a folder that can be
//! written, nothing is measured, and estimates choose. `GST_DETECT_CONVOLUTION` fixes the algorithm; then neither is used.

use super::{Arithmetic, Refusal};
use crate::convnet::graph::Graph;
use crate::convnet::{Algorithm, Choices, Measured, Options};
use crate::engine::cache_folder::{CacheFolder, build, processor};
use parking_lot::Mutex;
use serde_json::json;
use std::time::{Duration, Instant};

/// Longest time for measuring while one model loads, all its networks together.
const BUDGET: Duration = Duration::from_millis(300);

/// Most layer sizes in the file. A model has 5 to 50.
const MAX_REMEMBERED: usize = 4000;

/// Held while the file is read, changed and written. Another process may write between the two; what it adds is then
/// lost, and measured again by the next load that needs it.
static FILE: Mutex<()> = Mutex::new(());

/// Longest time to wait for another load that writes the file; what was measured is then measured again some day.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Chooses algorithms for the networks of one model.
#[derive(Debug)]
pub(in crate::engine::tract) struct Chooser {
    /// None to choose by estimate.
    folder: Option<CacheFolder>,
    /// Time left for measuring.
    left: Duration,
    /// Holds what was remembered and measured so far.
    options: Options,
    is_read: bool,
    arithmetic: Arithmetic,
    /// Choices that were measured and are worth remembering.
    learnt: Choices,
}

impl Chooser {
    /// Measures, and remembers in the user's cache folder; in unit tests, chooses by estimate.
    pub fn for_user() -> Self {
        let is_free = matches!(Algorithm::from_environment(), Ok(Algorithm::Auto));
        let folder = (is_free && !cfg!(test)).then(|| CacheFolder::for_user("convolutions"));
        Self::new(folder)
    }

    /// Chooses by estimate alone: always the same, and at once.
    #[cfg(any(test, feature = "stub-engine"))]
    pub fn estimates() -> Self {
        Self::new(None)
    }

    /// Takes this algorithm everywhere.
    #[cfg(test)]
    pub fn fixed(algorithm: Algorithm) -> Self {
        let mut chooser = Self::estimates();
        chooser.options.algorithm = algorithm;
        chooser
    }

    fn new(folder: Option<CacheFolder>) -> Self {
        Self {
            folder,
            left: BUDGET,
            options: Options::default(),
            is_read: false,
            arithmetic: Arithmetic::F32,
            learnt: Choices::default(),
        }
    }

    /// Makes networks compute with this.
    pub fn compute_with(&mut self, arithmetic: Arithmetic) {
        self.arithmetic = arithmetic;
    }

    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Returns options for a network. Measures what is not known yet, as long as there is time left for this model.
    ///
    /// # Errors
    /// If the kernels that the environment names cannot be had.
    pub(super) fn options(&mut self, graph: &Graph) -> Result<Options, Refusal> {
        let Some(folder) = &self.folder else {
            return Ok(self.options.clone());
        };
        if self.arithmetic != Arithmetic::F32 {
            // f16 has one algorithm, and what it leaves to f32 is not worth the time
            return Ok(self.options.clone());
        }
        if !self.is_read {
            let kernels = self.options.kernels_name()?;
            self.options.choices = read(folder, kernels);
            self.learnt = Choices::new(kernels);
            if !folder.can_be_written() {
                self.left = Duration::ZERO;
            }
            self.is_read = true;
        }
        let begin = Instant::now();
        let measured = Choices::measure(graph, &self.options, self.left)?;
        self.left = self.left.saturating_sub(begin.elapsed());
        self.learn(&measured);
        Ok(self.options.clone())
    }

    fn learn(&mut self, measured: &Measured) {
        let mut known = measured.choices.clone();
        known.add(&self.options.choices, usize::MAX);
        self.options.choices = known;
        self.learnt.add(&measured.steady, MAX_REMEMBERED);
    }

    /// Writes what was measured to the file, beside what it holds.
    pub(super) fn remember(&self) {
        self.remember_under(&FILE, LONGEST_WAIT);
    }

    fn remember_under(&self, lock: &Mutex<()>, wait: Duration) {
        let Some(folder) = self.folder.as_ref().filter(|_| !self.learnt.is_empty()) else {
            return;
        };
        // A file system that does not answer holds up the load that asks it, and no other.
        let Some(_guard) = lock.try_lock_for(wait) else {
            return;
        };
        let mut all = self.learnt.clone();
        all.add(&read(folder, all.kernels()), MAX_REMEMBERED);
        let key = key(all.kernels());
        folder.write(&key, json!({ "choices": all.to_string() }));
    }
}

/// Returns what the file holds for these kernels; nothing if it lacks sense.
fn read(folder: &CacheFolder, kernels: &str) -> Choices {
    let remembered = || {
        let value = folder.read(&key(kernels))?;
        let choices: Choices = value.get("choices")?.as_str()?.parse().ok()?;
        (choices.kernels() == kernels).then_some(choices)
    };
    remembered().unwrap_or_else(|| Choices::new(kernels))
}

/// Returns everything that the choices depend on, besides the size of a layer.
fn key(kernels: &str) -> String {
    let (processor, build) = (processor(), build());
    format!("convolutions; kernels {kernels}; {processor}; plugin {build}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convnet::Plan;
    use crate::convnet::graph::{Conv, Layout, Shape, Window};
    use std::path::PathBuf;

    /// A folder that does not exist yet, and is removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("gstdetect-chooser-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn cache(&self) -> CacheFolder {
            CacheFolder::at(self.0.clone())
        }

        fn chooser(&self) -> Chooser {
            Chooser::new(Some(self.cache()))
        }

        /// One that may not measure.
        fn reader(&self) -> Chooser {
            Chooser {
                left: Duration::ZERO,
                ..self.chooser()
            }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn graph() -> Graph {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(16, 12, 12)).expect("a small one");
        let conv = Conv {
            out_channels: 16,
            groups: 1,
            window: Window::square(3, 1, 1),
            weights: vec![0.1; 16 * 16 * 9].into(),
            bias: None,
        };
        let y = graph.conv(x, conv).expect("it fits");
        graph.output(y, Layout::Planar).expect("an output");
        graph
    }

    fn kernels() -> &'static str {
        Options::default().kernels_name().expect("there are some")
    }

    /// A result of a measurement for the layer of `graph`.
    fn found(algorithm: &str) -> Choices {
        let text = format!("{}; 16 16 12 12 {algorithm}", kernels());
        text.parse().expect("a choice")
    }

    fn steady(choices: Choices) -> Measured {
        Measured {
            steady: choices.clone(),
            choices,
            complete: true,
        }
    }

    fn write(folder: &Folder, measured: &Measured) {
        let mut chooser = folder.chooser();
        chooser.learnt = Choices::new(kernels());
        chooser.learn(measured);
        chooser.remember();
    }

    #[test]
    fn remembered_choices_are_followed_without_measuring() {
        for (algorithm, step) in [
            ("winograd2", "winograd F(2,"),
            ("winograd4", "winograd F(4,"),
        ] {
            let folder = Folder::new(algorithm);
            write(&folder, &steady(found(algorithm)));
            let options = folder.reader().options(&graph()).expect("kernels");
            assert_eq!(options.choices, found(algorithm));
            let plan = Plan::new(&graph(), &options).expect("a small one");
            let steps: Vec<String> = plan.steps().iter().map(|s| s.describe()).collect();
            assert!(steps.iter().any(|s| s.starts_with(step)), "{steps:?}");
        }
    }

    #[test]
    fn what_is_unknown_is_measured_and_what_is_known_is_not() {
        let folder = Folder::new("unknown");
        let mut chooser = Chooser {
            left: Duration::from_secs(20),
            ..folder.chooser()
        };
        let options = chooser.options(&graph()).expect("kernels");
        assert_eq!(options.choices.len(), 1, "{}", options.choices);
        chooser.left = Duration::ZERO;
        let again = chooser.options(&graph()).expect("kernels");
        assert_eq!(again.choices, options.choices);
    }

    #[test]
    fn unsteady_choices_serve_one_load() {
        let folder = Folder::new("unsteady");
        let mut chooser = folder.reader();
        chooser.options(&graph()).expect("kernels");
        let measured = Measured {
            steady: Choices::new(kernels()),
            ..steady(found("direct"))
        };
        chooser.learn(&measured);
        let options = chooser.options(&graph()).expect("kernels");
        assert_eq!(options.choices, found("direct"));
        chooser.remember();
        assert!(read(&folder.cache(), kernels()).is_empty());
    }

    #[test]
    fn a_file_of_no_sense_is_ignored_and_replaced() {
        let folder = Folder::new("garbage");
        write(&folder, &steady(found("direct")));
        let file = folder.cache().file(&key(kernels()));
        let file = file.expect("there is a folder");
        let whole = std::fs::read_to_string(&file).expect("it was written");
        for text in [
            &whole[..whole.len() / 2],
            &whole.replace("16 16 12 12", "16 16 12"),
            &whole.replace(" direct", " cleverly"),
            &whole.replace(&format!("{};", kernels()), "mmx;"),
            "{}",
            "\0",
        ] {
            assert_ne!(text, whole);
            std::fs::write(&file, text).expect("writable");
            let options = folder.reader().options(&graph()).expect("kernels");
            assert!(options.choices.is_empty(), "{text}");
        }
        write(&folder, &steady(found("winograd2")));
        assert_eq!(read(&folder.cache(), kernels()), found("winograd2"));
    }

    #[test]
    fn writers_keep_what_others_have_written_up_to_a_bound() {
        let folder = Folder::new("merge");
        let sizes = |from: usize, count: usize| {
            let size = |n: usize| format!("; 8 8 {n} 8 direct");
            let entries: String = (from..from + count).map(size).collect();
            let text = format!("{}{entries}", kernels());
            steady(text.parse().expect("choices"))
        };
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (folder, measured) = (&folder, sizes(100 * thread, 20));
                scope.spawn(move || write(folder, &measured));
            }
        });
        assert_eq!(read(&folder.cache(), kernels()).len(), 8 * 20);
        write(&folder, &sizes(10_000, MAX_REMEMBERED - 10));
        write(&folder, &steady(found("direct")));
        let all = read(&folder.cache(), kernels());
        assert_eq!(all.len(), MAX_REMEMBERED);
        assert!(all.to_string().contains("16 16 12 12 direct"), "the newest");
    }

    #[test]
    fn a_load_that_is_stuck_at_the_file_holds_up_no_other() {
        let folder = Folder::new("stuck");
        let lock = Mutex::new(());
        let mut chooser = folder.chooser();
        chooser.learnt = Choices::new(kernels());
        chooser.learn(&steady(found("direct")));
        let stuck = lock.lock();
        chooser.remember_under(&lock, Duration::from_millis(10));
        assert!(read(&folder.cache(), kernels()).is_empty());
        drop(stuck);
        chooser.remember_under(&lock, Duration::from_millis(10));
        assert_eq!(read(&folder.cache(), kernels()), found("direct"));
    }

    #[test]
    fn nothing_is_measured_where_it_cannot_be_remembered() {
        for folder in [
            Some(CacheFolder::none()),
            Some(CacheFolder::at("/proc/nowhere".into())),
            None,
        ] {
            let mut chooser = Chooser::new(folder);
            let options = chooser.options(&graph()).expect("kernels");
            assert!(options.choices.is_empty());
            chooser.remember();
        }
        assert!(Chooser::for_user().folder.is_none(), "this is a unit test");
    }
}
