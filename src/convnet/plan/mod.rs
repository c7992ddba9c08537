//! Plans: what a network's steps are, and where their operands lie.

mod attention;
mod bind;
mod chain;
mod choice;
mod convolution;
mod lanes;
mod layer;
mod limits;
mod measure;
mod memory;
mod place;
mod precision;
mod ranges;
mod readers;
mod simplify;
mod stage;
mod view;
mod weights;

use std::sync::Arc;

use super::error::{Error, Result};
use super::graph::{Graph, Input, InputFormat, Op, Shape};
use super::kernels::Kernels;
pub use super::kernels::element::Element;
use super::kernels::pack::Aligned;
pub use super::kernels::step::Step;
pub use choice::{Algorithm, Choices};
pub use measure::Measured;
pub use precision::{HalfPrecision, LayerPrecision};
pub use weights::WeightCache;

/// Limits of a plan. A graph that needs more is refused before memory is allocated.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes of the arena of one run.
    pub activations: usize,
    /// Bytes of packed weights.
    pub weights: usize,
    /// Number of steps.
    pub steps: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            activations: 1 << 30,
            weights: 1 << 30,
            steps: 20_000,
        }
    }
}

/// Choices for a plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub budget: Budget,
    /// Name of the kernels: `avx512`, `avx2`, `neon` or `scalar`. `None` takes `GST_DETECT_KERNELS` or the fastest.
    pub kernels: Option<String>,
    /// Algorithm for 3x3 convolutions. `Auto` follows `GST_DETECT_CONVOLUTION` if it is set.
    pub algorithm: Algorithm,
    /// Algorithms measured before, for `Auto`.
    pub choices: Choices,
    /// Computes with f16 where that is fine enough; `None` computes with f32 alone.
    pub half: Option<HalfPrecision>,
    /// Weights that other plans of the same model hold.
    pub weights: Arc<WeightCache>,
}

/// The kernels of a plan.
#[derive(Clone, Copy, Debug)]
struct Tables {
    full: &'static Kernels,
    /// Kernels for maps in f16; `None` if the plan has none.
    half: Option<&'static Kernels>,
}

impl Tables {
    fn get(self, element: Element) -> &'static Kernels {
        match (element, self.half) {
            (Element::F16, Some(half)) => half,
            _ => self.full,
        }
    }
}

impl Options {
    fn tables(&self) -> Result<Tables> {
        let full = self.kernels()?;
        let half = match &self.half {
            None => None,
            Some(_) => Some(full.half().ok_or_else(|| {
                Error::Kernels(format!(
                    "the kernels {full:?} have none for f16, which needs a processor with the instructions asimdhp"
                ))
            })?),
        };
        Ok(Tables { full, half })
    }

    /// True if a plan can compute with f16, by instructions for it.
    ///
    /// # Errors
    /// [`Error::Kernels`] if the requested kernels cannot run here.
    pub fn computes_with_f16(&self) -> Result<bool> {
        let kernels = self.kernels()?;
        Ok(!kernels.is_portable() && kernels.half().is_some())
    }

    /// True if a plan can only emulate f16, which is slow: for tests.
    ///
    /// # Errors
    /// As for [`computes_with_f16`](Self::computes_with_f16).
    pub fn emulates_f16(&self) -> Result<bool> {
        let kernels = self.kernels()?;
        Ok(kernels.is_portable() && kernels.half().is_some())
    }

    fn kernels(&self) -> Result<&'static Kernels> {
        match &self.kernels {
            Some(name) => Kernels::named(name),
            None => Kernels::from_environment(),
        }
    }

    /// Returns the name of the kernels that a plan will use.
    ///
    /// # Errors
    /// [`Error::Kernels`] if the requested kernels cannot run here.
    pub fn kernels_name(&self) -> Result<&'static str> {
        Ok(self.kernels()?.name)
    }

    /// Returns the algorithm that these options or else the environment ask for.
    ///
    /// # Errors
    /// [`Error::Kernels`] if the environment names no algorithm.
    pub fn algorithm(&self) -> Result<Algorithm> {
        match self.algorithm {
            Algorithm::Auto => Algorithm::from_environment(),
            fixed => Ok(fixed),
        }
    }
}

/// A network ready to run: immutable, and shared by all threads that run it.
#[derive(Debug)]
pub struct Plan {
    kernels: &'static Kernels,
    steps: Vec<Step>,
    /// The table that each step was bound for.
    tables: Vec<&'static Kernels>,
    /// Floats of the arena, and of each thread's scratch.
    arena: usize,
    scratch: usize,
    constants: Vec<(usize, Aligned)>,
    layers: Vec<LayerPrecision>,
    inputs: Vec<(Shape, InputFormat)>,
    outputs: Vec<usize>,
}

impl Plan {
    /// Plans a graph.
    ///
    /// # Errors
    /// [`Error::Budget`] if the graph needs more than `options.budget`, [`Error::Kernels`] if the requested kernels
    /// cannot run here.
    pub fn new(graph: &Graph, options: &Options) -> Result<Self> {
        let tables = options.tables()?;
        let budget = &options.budget;
        within("steps", graph.nodes().len(), budget.steps)?;
        let algorithm = options.algorithm()?;
        let mut stages = stage::build(&simplify::simplify(graph))?;
        let half = options.half.as_ref();
        let layers = half.map(|half| precision::assign(&mut stages, half));
        choice::choose(&mut stages, algorithm, &options.choices, tables);
        let placement = place::place(stages, |element| tables.get(element).lanes);
        within("steps", placement.stages.len(), budget.steps)?;
        let bytes = weight_bytes(&placement, tables);
        within("bytes of weights", bytes, budget.weights)?;
        for buffer in &placement.buffers {
            // before places are added up, which could overflow
            let bytes = buffer.len().saturating_mul(buffer.lanes.element.size());
            within("bytes of activations", bytes, budget.activations)?;
        }
        let memory = memory::assign(&placement);
        let bytes = memory.len.saturating_mul(size_of::<f32>());
        within("bytes of activations", bytes, budget.activations)?;
        let mut binder = bind::Binder {
            placement: &placement,
            memory: &memory,
            tables,
            kernels: tables.full,
            weights: &options.weights,
            steps: Vec::new(),
            tables_of_steps: Vec::new(),
            constants: Vec::new(),
        };
        binder.run();
        let (steps, tables_of_steps) = (binder.steps, binder.tables_of_steps);
        let constants = binder.constants;
        within("steps", steps.len(), budget.steps)?;
        let with_tables = steps.iter().zip(&tables_of_steps);
        let scratch = with_tables.map(|(s, k)| s.scratch(k.lanes)).max();
        let scratch = scratch.unwrap_or(0);
        let floats = memory.len.saturating_add(scratch);
        let bytes = floats.saturating_mul(size_of::<f32>());
        within("bytes of activations", bytes, budget.activations)?;
        Ok(Plan {
            kernels: tables.full,
            tables: tables_of_steps,
            arena: memory.len,
            scratch,
            steps,
            constants,
            layers: layers.unwrap_or_default(),
            inputs: inputs_of(graph),
            outputs: graph
                .outputs()
                .iter()
                .map(|o| graph.output_len(o))
                .collect(),
        })
    }

    /// Name of the kernels that this plan uses.
    pub fn kernels(&self) -> &'static str {
        self.kernels.name
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Element that each stage computes with; nothing for a plan that is all in f32.
    pub fn layers(&self) -> &[LayerPrecision] {
        &self.layers
    }

    /// Places of the packed weights that other plans may share, step by step.
    #[cfg(test)]
    pub fn places_of_weights(&self) -> Vec<*const f32> {
        let place = |step: &Step| match step {
            Step::Dense(s) => Some(s.weights.weights::<f32>()),
            Step::Winograd(s) => Some(s.weights.weights()),
            Step::Depthwise(s) => Some(s.weights.weights()),
            _ => None,
        };
        self.steps.iter().filter_map(place).collect()
    }

    /// Bytes of memory that one run needs, besides the weights.
    pub fn activation_bytes(&self) -> usize {
        (self.arena + self.scratch) * size_of::<f32>()
    }

    /// Shape and format of each input.
    pub fn inputs(&self) -> &[(Shape, InputFormat)] {
        &self.inputs
    }

    /// Elements of each output.
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// The table that a step was bound for.
    pub(super) fn table(&self, step: usize) -> &'static Kernels {
        self.tables[step]
    }

    pub(super) fn arena_len(&self) -> usize {
        self.arena
    }

    pub(super) fn scratch_len(&self) -> usize {
        self.scratch
    }

    pub(super) fn constants(&self) -> &[(usize, Aligned)] {
        &self.constants
    }

    /// Estimated cycles of one step.
    pub(super) fn cost(&self, step: usize) -> usize {
        self.steps[step].cost(self.tables[step].lanes)
    }

    /// Checks the data of a run.
    pub(super) fn check(&self, inputs: &[Input], outputs: &[&mut [f32]]) -> Result<()> {
        let lengths = |n: usize, wanted: usize, what: &str| match n == wanted {
            true => Ok(()),
            false => Err(Error::Data(format!(
                "{n} {what} were given, the network has {wanted}"
            ))),
        };
        lengths(inputs.len(), self.inputs.len(), "inputs")?;
        lengths(outputs.len(), self.outputs.len(), "outputs")?;
        for (input, (shape, format)) in inputs.iter().zip(&self.inputs) {
            let fits = match (input, format) {
                (Input::U8(x), InputFormat::Pixels { .. }) => x.len() == shape.len(),
                (Input::F32(x), InputFormat::Planar | InputFormat::Interleaved) => {
                    x.len() == shape.len()
                }
                _ => false,
            };
            if !fits {
                return Err(Error::Data(format!(
                    "an input of {} values does not fit {shape} as {format:?}",
                    match input {
                        Input::F32(x) => x.len(),
                        Input::U8(x) => x.len(),
                    }
                )));
            }
        }
        for (output, &wanted) in outputs.iter().zip(&self.outputs) {
            lengths(output.len(), wanted, "output values")?;
        }
        Ok(())
    }
}

fn within(what: &'static str, needed: usize, allowed: usize) -> Result<()> {
    match needed <= allowed {
        true => Ok(()),
        false => Err(Error::Budget {
            what,
            needed,
            allowed,
        }),
    }
}

/// Bytes of all convolutions' weights once packed.
fn weight_bytes(placement: &view::Placement, tables: Tables) -> usize {
    let of_stage = |stage: &view::Placed| match &stage.work {
        stage::Work::Conv { layers, .. } => layers
            .iter()
            .map(|layer| {
                let taps = match layer.winograd {
                    0 => layer.kernel[0] * layer.kernel[1],
                    m => (m + 2) * (m + 2),
                };
                let Kernels { lanes, element, .. } = *tables.get(stage.element);
                let clusters = stage.clusters.iter();
                let dense: usize = clusters.map(|c| c.inputs.len() * c.blocks * lanes).sum();
                let channels = match layer.is_depthwise() {
                    true => layer.out_channels.next_multiple_of(lanes),
                    false => dense,
                };
                channels.saturating_mul(taps * element.size())
            })
            .sum(),
        _ => 0,
    };
    placement.stages.iter().map(of_stage).sum()
}

fn inputs_of(graph: &Graph) -> Vec<(Shape, InputFormat)> {
    let of_node = |node: &super::graph::Node| match &node.op {
        Op::Input(format) => Some((node.shape, format.clone())),
        _ => None,
    };
    graph
        .inputs()
        .iter()
        .filter_map(|t| of_node(&graph.nodes()[t.index()]))
        .collect()
}

#[cfg(test)]
mod tests;
