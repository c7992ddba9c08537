//! Ends the graph before its suppression, which detect then does itself: for any threshold, and on every engine.
//!
//! Exporters write a suppression in many ways: class by class or with boxes moved apart, of all candidates or of those
//! above a threshold, in one go or in a loop written out. So its operators are not compared with a pattern. [`find`] looks
//! for two values that everything behind them is made of: a box and the scores of each candidate. [`Suppression::run`]
//! computes what the graph makes of given candidates, so that whoever can read its outputs may prove that they are what
//! detect makes of the same candidates. Only then [`Suppression::cut`] is called.

mod table;

pub use table::find as table;

use super::{names, prune};
use crate::base::tensor::{InputSpec, Tensor, TensorSpec};
use crate::onnx::infer::{Data, Inference, Value, is_computed};
use crate::onnx::parse::MAX_ELEMENTS;
use crate::onnx::tail::{fill, output_spec};
use std::collections::{BTreeSet, HashMap, HashSet};
use tract_onnx::pb::{GraphProto, NodeProto};

/// Most numbers of one tensor that are computed for a proof, and of all.
const TENSOR_LIMIT: usize = 8 << 20;
const BUDGET: usize = 128 << 20;

/// Most pairs of values that are tried.
const MOST_TRIED: usize = 6;

/// A value that candidates come from.
#[derive(Debug, Clone, PartialEq)]
struct Source {
    name: String,
    dims: Vec<usize>,
}

/// Candidates, and the end of the graph that chooses among them.
pub struct Suppression {
    boxes: Source,
    scores: Source,
    /// Number of candidates.
    pub candidates: usize,
    /// Number of classes.
    pub classes: usize,
    /// Scores lie class by class, `[1, classes, n]`.
    pub by_class: bool,
    /// Whether boxes are centre and size, not corners.
    pub of_centres: bool,
    /// Whether boxes of different classes suppress each other; not told by the graph alone.
    pub across: bool,
    /// IoU above which a box goes.
    pub iou: f32,
    nodes: Vec<NodeProto>,
    constants: Inference,
    outputs: Vec<TensorSpec>,
}

/// Finds where the suppression of `graph`, which takes `input`, begins; the likeliest places first. Only the outputs `read`
/// matter. Returns none if the graph does not suppress.
pub fn find(
    graph: &GraphProto,
    read: &[String],
    opset: i64,
    input: &InputSpec,
) -> Vec<Suppression> {
    if !graph.node.iter().any(|n| n.op_type == "NonMaxSuppression") {
        return Vec::new();
    }
    let mut shapes = Inference::of_shapes(graph, opset, input, BUDGET);
    shapes.follow(&graph.node);
    let search = Search::new(graph, read, &shapes);
    let (Some(iou), Some(search)) = (iou_threshold(graph, &shapes), search) else {
        return Vec::new();
    };
    let outputs = graph.output.iter().filter(|o| read.contains(&o.name));
    let outputs: Option<Vec<TensorSpec>> = outputs.map(output_spec).collect();
    let Some(outputs) = outputs else {
        return Vec::new();
    };
    let of_centres = takes_centres(graph);
    let pairs = search.pairs();
    let found = pairs.into_iter().filter_map(|(boxes, scores)| {
        let nodes = search.end_behind(&boxes.name, &scores.name)?;
        let candidates = count_of(&boxes.dims) / 4;
        let classes = count_of(&scores.dims) / candidates;
        let by_class = scores.dims.last() == Some(&candidates);
        let constants = constants_of(graph, opset, &shapes, &nodes);
        Some(Suppression {
            boxes,
            scores,
            candidates,
            classes,
            by_class,
            of_centres,
            across: false,
            iou,
            nodes,
            constants,
            outputs: outputs.clone(),
        })
    });
    found.take(MOST_TRIED).collect()
}

/// The one IoU threshold of all suppressions of a graph.
fn iou_threshold(graph: &GraphProto, shapes: &Inference) -> Option<f32> {
    let all = graph
        .node
        .iter()
        .filter(|n| n.op_type == "NonMaxSuppression");
    let mut found = all.map(|node| match node.input.get(3).map(String::as_str) {
        None | Some("") => Some(0.0),
        Some(name) => shapes.get(name)?.floats()?.first().copied(),
    });
    let first = found.next()??;
    found.all(|other| other == Some(first)).then_some(first)
}

/// Whether all suppressions of a graph take boxes as centre and size.
fn takes_centres(graph: &GraphProto) -> bool {
    let mut all = graph
        .node
        .iter()
        .filter(|n| n.op_type == "NonMaxSuppression");
    let is_set = |node: &NodeProto| {
        let mut attributes = node.attribute.iter();
        attributes.any(|a| a.name == "center_point_box" && a.i == 1)
    };
    all.all(is_set)
}

fn count_of(dims: &[usize]) -> usize {
    dims.iter().product()
}

/// The constants that nodes take.
fn constants_of(
    graph: &GraphProto,
    opset: i64,
    shapes: &Inference,
    nodes: &[NodeProto],
) -> Inference {
    let stored: HashMap<&str, _> = graph
        .initializer
        .iter()
        .map(|t| (t.name.as_str(), t))
        .collect();
    let mut constants = Inference::new(opset, TENSOR_LIMIT, BUDGET);
    for name in nodes.iter().flat_map(names::takes) {
        let known = shapes
            .get(&name)
            .filter(|value| value.data.is_some())
            .cloned();
        let stored = || Value::from_tensor(stored.get(name.as_str())?, MAX_ELEMENTS as usize);
        if let Some(value) = known.or_else(stored) {
            constants.set(&name, value);
        }
    }
    constants
}

/// The part of a graph that is computed number by number, from its outputs back.
struct Search<'a> {
    graph: &'a GraphProto,
    shapes: &'a Inference,
    read: &'a [String],
    makers: HashMap<&'a str, usize>,
    /// Names of the constants of the file.
    stored: HashSet<&'a str>,
    /// Places of the nodes of that part.
    end: BTreeSet<usize>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a GraphProto, read: &'a [String], shapes: &'a Inference) -> Option<Self> {
        let nodes = graph.node.iter().enumerate();
        let makers = nodes.flat_map(|(i, node)| node.output.iter().map(move |o| (o.as_str(), i)));
        let mut search = Self {
            graph,
            shapes,
            read,
            makers: makers.collect(),
            stored: graph.initializer.iter().map(|t| t.name.as_str()).collect(),
            end: BTreeSet::new(),
        };
        let mut open = read.to_vec();
        while let Some(name) = open.pop() {
            let Some(&index) = search.makers.get(name.as_str()) else {
                continue;
            };
            let node = &graph.node[index];
            if !search.is_constant(&name) && is_computed(node) && search.end.insert(index) {
                open.extend(names::takes(node));
            }
        }
        let suppresses = |index: &usize| graph.node[*index].op_type == "NonMaxSuppression";
        search.end.iter().any(suppresses).then_some(search)
    }

    fn is_constant(&self, name: &str) -> bool {
        let known = self.shapes.get(name);
        known.is_some_and(|value| value.data.is_some()) || self.stored.contains(name)
    }

    /// Values that the end is made of or makes, the last first, whose dims are `fits`.
    fn values(&self, fits: impl Fn(&[usize]) -> bool) -> Vec<Source> {
        let taken = self.end.iter().flat_map(|i| {
            let node = &self.graph.node[*i];
            node.input.iter().chain(&node.output)
        });
        let mut seen = HashSet::new();
        let mut places: Vec<(usize, Source)> = taken
            .filter(|name| seen.insert(name.as_str()) && !self.is_constant(name))
            .filter_map(|name| {
                let dims = self.shapes.get(name)?.dims.clone();
                let place = *self.makers.get(name.as_str())?;
                let name = name.clone();
                fits(&dims).then_some((place, Source { name, dims }))
            })
            .collect();
        places.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        places.into_iter().map(|(_, source)| source).collect()
    }

    /// Boxes with scores of as many candidates.
    fn pairs(&self) -> Vec<(Source, Source)> {
        let boxes = self.values(|dims| matches!(dims, [1, n, 4] | [n, 4] if *n > 0));
        let scores = self.values(|dims| matches!(dims, [1, n, m] | [n, m] if *n > 0 && *m > 0));
        let fits = |boxes: &Source, scores: &Source| {
            let n = count_of(&boxes.dims) / 4;
            let rows = &scores.dims[scores.dims.len() - 2..];
            boxes.name != scores.name && rows.contains(&n)
        };
        let mut pairs = Vec::new();
        for boxes in &boxes {
            let own = scores.iter().filter(|scores| fits(boxes, scores));
            pairs.extend(own.map(|scores| (boxes.clone(), scores.clone())));
        }
        pairs
    }

    /// The nodes behind two values, in order; `None` if the outputs are made of anything else too.
    fn end_behind(&self, boxes: &str, scores: &str) -> Option<Vec<NodeProto>> {
        let mut open = self.read.to_vec();
        let (mut nodes, mut met) = (BTreeSet::new(), HashSet::new());
        while let Some(name) = open.pop() {
            if name == boxes || name == scores {
                met.insert(name);
                continue;
            }
            if name.is_empty() || self.is_constant(&name) {
                continue;
            }
            let Some(index) = self.makers.get(name.as_str()) else {
                // What a graph inside of a node makes for itself.
                match self.graph.input.iter().any(|input| input.name == name) {
                    true => return None,
                    false => continue,
                }
            };
            if !self.end.contains(index) {
                return None;
            }
            if nodes.insert(*index) {
                open.extend(names::takes(&self.graph.node[*index]));
            }
        }
        let suppresses = |index: &usize| self.graph.node[*index].op_type == "NonMaxSuppression";
        let all = met.len() == 2 && nodes.iter().any(suppresses);
        all.then(|| nodes.iter().map(|i| self.graph.node[*i].clone()).collect())
    }
}

impl Suppression {
    /// Names of the outputs after the cut: boxes and scores.
    pub fn names(&self) -> [String; 2] {
        [&self.boxes, &self.scores].map(|source| match source.dims.len() {
            3 => source.name.clone(),
            _ => format!("{}/of_one_picture", source.name),
        })
    }

    /// The outputs after the cut, `[1, n, 4]` and `[1, n, classes]` or `[1, classes, n]`.
    pub fn dims(&self) -> [Vec<usize>; 2] {
        let (n, classes) = (self.candidates, self.classes);
        let scores = match self.by_class {
            true => vec![1, classes, n],
            false => vec![1, n, classes],
        };
        [vec![1, n, 4], scores]
    }

    /// Returns where the score of a candidate for a class is.
    pub fn place_of_score(&self, candidate: usize, class: usize) -> usize {
        match self.by_class {
            true => class * self.candidates + candidate,
            false => candidate * self.classes + class,
        }
    }

    /// Computes the outputs of the graph from the numbers of candidates, as many as [`Suppression::dims`] says. `None` if
    /// they cannot be computed here.
    pub fn run(&self, boxes: Vec<f32>, scores: Vec<f32>) -> Option<Vec<Tensor>> {
        let mut values = self.constants.clone();
        for (source, numbers) in [(&self.boxes, boxes), (&self.scores, scores)] {
            let value = Value::new(source.dims.clone(), Some(Data::F32(numbers)));
            values.set(&source.name, value);
        }
        self.nodes
            .iter()
            .try_for_each(|node| values.compute(node).ok())?;
        let output = |spec: &TensorSpec| {
            let mut tensor = Tensor::empty(spec.name.clone());
            fill(&mut tensor, spec, values.get(&spec.name)?)?;
            Some(tensor)
        };
        self.outputs.iter().map(output).collect()
    }

    /// Ends `graph` at the candidates, and says so.
    ///
    /// # Errors
    /// A value that no node of this form of the graph makes.
    pub fn cut(&self, graph: &mut GraphProto) -> Result<String, String> {
        let before = graph.node.len();
        for source in [&self.boxes, &self.scores] {
            let made = graph.node.iter().flat_map(|node| &node.output);
            if !made.into_iter().any(|name| *name == source.name) {
                return Err(format!("no node makes its candidates \"{}\"", source.name));
            }
        }
        let wanted = self.names().into_iter().zip(self.dims());
        let mut outputs = Vec::new();
        for (source, (name, dims)) in [&self.boxes, &self.scores].into_iter().zip(wanted) {
            if name != source.name {
                let dims: Vec<i64> = dims.iter().map(|dim| *dim as i64).collect();
                let shape = super::constants::int64_tensor(format!("{name}/dims"), &dims);
                graph.node.push(NodeProto {
                    op_type: "Reshape".into(),
                    name: name.clone(),
                    input: vec![source.name.clone(), shape.name.clone()],
                    output: vec![name.clone()],
                    ..Default::default()
                });
                graph.initializer.push(shape);
            }
            outputs.push(super::cut_head::port(&name, &dims));
        }
        graph.output = outputs;
        prune::run(graph);
        let gone = before.saturating_sub(graph.node.len());
        let across = match self.across {
            true => ", whatever their classes,",
            false => "",
        };
        Ok(format!(
            "ended the graph before its suppression: {gone} operators are left to detect, which suppresses boxes{across} \
             above an IoU of {} unless told otherwise",
            self.iou
        ))
    }
}
