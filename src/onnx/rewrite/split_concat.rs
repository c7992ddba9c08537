//! Convolves the parts of a Concat one by one, and those that are enlarged before they are.
//!
//! Necks of detectors lay maps side by side for a convolution of 1 x 1, which is the sum of convolutions of the maps,
//! each with its own channels of the weights:
//!
//! `W [a; b] = W_a a + W_b b`
//!
//! So no map is copied into a larger one. And where a map was enlarged by its nearest pixels for that, as in every FPN
//! and PAN, it is convolved first, with a quarter of the products: each pixel of it is convolved alone,
//!
//! `W_a enlarged(a) = enlarged(W_a a)`
//!
//! The products are the same, added in another order. It is done where the convolutions give no more channels than the
//! Concat has, so that what is added is less than what was copied.

use super::names::{self, Unused};
use super::{constants, is, prune};
use crate::base::tensor::InputSpec;
use crate::onnx::infer::{Attributes, Inference, SHAPES_BUDGET};
use std::collections::HashMap;
use std::ops::Range;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Most maps of a Concat; more would be too small each.
const MAX_PARTS: usize = 8;

/// Most convolutions that use one Concat; necks have one, or two side by side.
const MAX_USERS: usize = 4;

/// Beginning of the names of new values.
const STEM: &str = "split_concat/part";

/// Changes `graph`, which takes `input`, and returns a sentence about it, if there was such a Concat.
pub fn run(graph: &mut GraphProto, opset: i64, input: &InputSpec) -> Option<String> {
    let candidates = candidates(graph);
    if candidates.is_empty() {
        return None;
    }
    let mut shapes = Inference::of_shapes(graph, opset, input, SHAPES_BUDGET);
    shapes.follow(&graph.node);
    let view = View::new(graph, &shapes);
    let mut names = Unused::in_graph(graph);
    let (mut sums, mut weights) = (HashMap::new(), Vec::new());
    let (mut split, mut enlarged) = (0, 0);
    for candidate in &candidates {
        let Some((parts, kernels)) = view.split(candidate) else {
            continue;
        };
        split += 1;
        enlarged += parts.iter().filter(|part| part.enlarge.is_some()).count();
        for (&user, kernel) in candidate.users.iter().zip(&kernels) {
            let sum = Sum::new(&graph.node[user], &parts, kernel, &mut names);
            weights.extend(sum.constants);
            sums.insert(user, sum.nodes);
        }
    }
    if split == 0 {
        return None;
    }
    let mut nodes = Vec::with_capacity(graph.node.len());
    for (index, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        match sums.remove(&index) {
            Some(sum) => nodes.extend(sum),
            None => nodes.push(node),
        }
    }
    graph.node = nodes;
    graph.initializer.extend(weights);
    prune::run(graph);
    Some(format!(
        "convolved the parts of {split} Concats one by one, {enlarged} of them before they are enlarged"
    ))
}

/// A Concat of channels that only convolutions use: indices of both.
struct Candidate {
    concat: usize,
    users: Vec<usize>,
}

fn candidates(graph: &GraphProto) -> Vec<Candidate> {
    let uses = names::uses(graph);
    let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        let gives_one = is(node, "Conv") && node.output.len() == 1;
        if let (true, Some(map)) = (gives_one, node.input.first()) {
            users.entry(map).or_default().push(index);
        }
    }
    let candidate = |(concat, node): (usize, &NodeProto)| {
        let joined = node.output.first()?.as_str();
        let of_channels = is(node, "Concat")
            && (2..=MAX_PARTS).contains(&node.input.len())
            && matches!(Attributes::new(node).integer("axis", 0), 1 | -3);
        let users = users.get(joined).filter(|users| {
            of_channels && users.len() <= MAX_USERS && users.len() == uses[joined]
        })?;
        let users = users.clone();
        Some(Candidate { concat, users })
    };
    let nodes = graph.node.iter().enumerate();
    nodes.filter_map(candidate).collect()
}

/// One map of a Concat.
struct Part<'a> {
    /// The map before it is enlarged.
    map: &'a str,
    /// Its channels among those of the Concat.
    channels: Range<usize>,
    enlarge: Option<Enlarge<'a>>,
}

/// How a map is enlarged.
struct Enlarge<'a> {
    resize: &'a NodeProto,
    /// Dims of the enlarged map, if the Resize names them.
    dims: Option<[usize; 4]>,
}

/// Weights of a 1x1 convolution: `[outputs, inputs]`.
struct Kernel {
    outputs: usize,
    inputs: usize,
    numbers: Vec<f32>,
}

/// A graph, and what is known about it.
struct View<'a> {
    graph: &'a GraphProto,
    shapes: &'a Inference,
    makers: HashMap<&'a str, &'a NodeProto>,
    constants: HashMap<&'a str, &'a TensorProto>,
    uses: HashMap<&'a str, usize>,
}

impl<'a> View<'a> {
    fn new(graph: &'a GraphProto, shapes: &'a Inference) -> Self {
        Self {
            graph,
            shapes,
            makers: names::makers(graph),
            constants: constants::by_name(graph),
            uses: names::uses(graph),
        }
    }

    /// Returns the parts, enlarged ones first, and the weights of each convolution.
    fn split(&self, candidate: &Candidate) -> Option<(Vec<Part<'a>>, Vec<Kernel>)> {
        let (mut parts, mut channels) = (Vec::new(), 0);
        for name in &self.graph.node[candidate.concat].input {
            let begin = channels;
            channels += self.dims(name)?[1];
            let enlarge = self.enlarge(name);
            let map = enlarge.as_ref().map_or(name, |e| &e.resize.input[0]);
            parts.push(Part {
                map,
                channels: begin..channels,
                enlarge,
            });
        }
        parts.sort_by_key(|part| part.enlarge.is_none());
        let users = candidate.users.iter().map(|user| &self.graph.node[*user]);
        let kernels: Option<Vec<Kernel>> = users.map(|node| self.kernel(node)).collect();
        let kernels = kernels?;
        let given: usize = kernels.iter().map(|kernel| kernel.outputs).sum();
        let fit = kernels.iter().all(|kernel| kernel.inputs == channels) && given <= channels;
        fit.then_some((parts, kernels))
    }

    /// Returns the Resize that makes `name` by repeating pixels, for this Concat alone.
    fn enlarge(&self, name: &str) -> Option<Enlarge<'a>> {
        let resize = *self.makers.get(name)?;
        let stated = Attributes::new(resize);
        let text = |name, default: &'static [u8]| stated.text(name).unwrap_or(default);
        if !is(resize, "Resize")
            || resize.output.len() != 1
            || self.uses[name] != 1
            || text("mode", b"nearest") != b"nearest"
            || text("coordinate_transformation_mode", b"") == b"tf_crop_and_resize"
        {
            return None;
        }
        let (from, to) = (self.dims(resize.input.first()?)?, *self.dims(name)?);
        let larger = from[..2] == to[..2] && from[2] * from[3] < to[2] * to[3];
        // Missing sizes may be an empty list.
        let sizes = resize.input.get(3).and_then(|name| self.shapes.get(name));
        let names_dims = sizes.is_some_and(|sizes| sizes.dims == [4]);
        larger.then_some(Enlarge {
            resize,
            dims: names_dims.then_some(to),
        })
    }

    fn dims(&self, name: &str) -> Option<&[usize; 4]> {
        self.shapes.get(name)?.dims.as_slice().try_into().ok()
    }

    /// Returns the weights of a convolution that takes each pixel alone. They are split, so nobody else may use them.
    fn kernel(&self, node: &NodeProto) -> Option<Kernel> {
        let stated = Attributes::new(node);
        let all = |name, number: i64| {
            let mut numbers = stated.integers(name).unwrap_or_default().iter();
            numbers.all(|n| *n == number)
        };
        let name = node.input.get(1)?.as_str();
        let weights = self.constants.get(name)?;
        let &[outputs, inputs, 1, 1] = &weights.dims[..] else {
            return None;
        };
        let alone = stated.integer("group", 1) == 1
            && all("strides", 1)
            && all("pads", 0)
            && self.uses[name] == 1;
        let is_float = weights.data_type == DataType::Float as i32;
        let numbers = (alone && is_float).then(|| constants::floats(weights));
        // None are none of any channels.
        Some(Kernel {
            outputs: usize::try_from(outputs).ok()?,
            inputs: usize::try_from(inputs).ok()?,
            numbers: numbers.flatten().filter(|numbers| !numbers.is_empty())?,
        })
    }
}

impl Kernel {
    /// Returns the weights of some of the inputs, as a constant of this name.
    fn slice(&self, channels: &Range<usize>, name: String) -> TensorProto {
        let rows = self.numbers.chunks_exact(self.inputs);
        let numbers: Vec<f32> = rows
            .flat_map(|row| &row[channels.clone()])
            .copied()
            .collect();
        let dims = [self.outputs, channels.len(), 1, 1].map(|dim| dim as i64);
        constants::float_tensor(name, dims.into(), &numbers)
    }
}

/// The nodes that replace one convolution.
#[derive(Default)]
struct Sum {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Sum {
    /// Creates the sum. The last part adds the bias; if possible, it is one that no Resize follows.
    fn new(convolution: &NodeProto, parts: &[Part], kernel: &Kernel, names: &mut Unused) -> Self {
        let mut done = Self::default();
        let mut sum: Option<String> = None;
        for (index, part) in parts.iter().enumerate() {
            let weights = kernel.slice(&part.channels, names.name(STEM));
            let mut node = convolution.clone();
            part.map.clone_into(&mut node.input[0]);
            node.input[1].clone_from(&weights.name);
            if index + 1 < parts.len() {
                node.input.truncate(2);
            }
            done.constants.push(weights);
            let mut made = done.push(node, names);
            if let Some(enlarge) = &part.enlarge {
                let resize = done.resize(enlarge, made, kernel.outputs, names);
                made = done.push(resize, names);
            }
            sum = Some(match sum {
                None => made,
                Some(sum) => {
                    let add = NodeProto {
                        op_type: "Add".into(),
                        input: vec![made, sum],
                        output: vec![String::new()],
                        ..Default::default()
                    };
                    done.push(add, names)
                }
            });
        }
        if let Some(last) = done.nodes.last_mut() {
            last.output.clone_from(&convolution.output);
        }
        done
    }

    /// Adds a node with a new name, which its output gets too, and returns the name.
    fn push(&mut self, mut node: NodeProto, names: &mut Unused) -> String {
        let name = names.name(STEM);
        node.name.clone_from(&name);
        node.output[0].clone_from(&name);
        self.nodes.push(node);
        name
    }

    /// Returns `map`, with so many channels, enlarged.
    fn resize(
        &mut self,
        enlarge: &Enlarge,
        map: String,
        channels: usize,
        names: &mut Unused,
    ) -> NodeProto {
        let mut resize = enlarge.resize.clone();
        resize.input[0] = map;
        if let Some([batch, _, height, width]) = enlarge.dims {
            let dims = [batch, channels, height, width].map(|dim| dim as i64);
            let sizes = constants::int64_tensor(names.name(STEM), &dims);
            resize.input[3].clone_from(&sizes.name);
            self.constants.push(sizes);
        }
        resize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{
        constant, float_tensor, input_spec, int64_tensor, model, node, value, with,
    };
    use tract_onnx::pb::AttributeProto;

    /// Channels, height, width, numbers.
    type Map = ([usize; 3], Vec<f32>);

    /// Creates a small map that is enlarged beside a large one and its half, for two convolutions that differ in
    /// everything.
    fn neck() -> GraphProto {
        let nodes = vec![
            with(
                node("MaxPool", &["x"], &["small"]),
                &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])],
            ),
            node("Relu", &["x"], &["large"]),
            node("Resize", &["small", "", "scales"], &["enlarged"]),
            with(
                node("Concat", &["large", "enlarged", "x"], &["joined"]),
                &[("axis", &[1])],
            ),
            with(
                node("Conv", &["joined", "v", "b"], &["y"]),
                &[("kernel_shape", &[1, 1])],
            ),
            with(
                node("Conv", &["joined", "w"], &["z"]),
                &[("strides", &[1, 1]), ("pads", &[0; 4])],
            ),
        ];
        let dims = input_spec().dims().map(|dim| dim as i64);
        let outputs: [(&str, &[i64]); 2] = [("y", &[]), ("z", &[])];
        let mut graph = model(nodes, &[("x", &dims)], &outputs).graph.unwrap();
        let weights = |outputs: i64| {
            (0..outputs * 9)
                .map(|i| (i * 7 % 31 - 11) as f32)
                .collect::<Vec<_>>()
        };
        graph.initializer = vec![
            float_tensor("scales", &[4], &[1.0, 1.0, 2.0, 2.0]),
            float_tensor("v", &[3, 9, 1, 1], &weights(3)),
            float_tensor("w", &[2, 9, 1, 1], &weights(2)),
            float_tensor("b", &[3], &[0.5, -0.5, 2.0]),
        ];
        graph
    }

    fn run_on(graph: &mut GraphProto) -> Option<String> {
        run(graph, 13, &input_spec())
    }

    fn ops(graph: &GraphProto) -> Vec<&str> {
        graph.node.iter().map(|n| n.op_type.as_str()).collect()
    }

    /// Creates a map whose numbers `number` computes from channel, row and column.
    fn map([c, h, w]: [usize; 3], number: impl Fn(usize, usize, usize) -> f32) -> Map {
        let at = |i| number(i / (h * w), i / w % h, i % w);
        ([c, h, w], (0..c * h * w).map(at).collect())
    }

    /// Computes the outputs of a graph for a picture of small integers, by the definitions in ONNX and so exactly.
    fn computed(graph: &GraphProto) -> Vec<Map> {
        let get = |([_, h, w], numbers): &Map, c, y, x| numbers[(c * h + y) * w + x];
        let [_, channels, height, width] = input_spec().dims();
        let picture = map([channels, height, width], |c, y, x| {
            (c * 17 + y * 13 + x * 5) as f32 % 101.0 - 50.0
        });
        let mut maps = HashMap::from([("x", picture)]);
        let constants = constants::by_name(graph);
        for node in &graph.node {
            let input = |index: usize| &maps[node.input[index].as_str()];
            let all = (0..node.input.len()).filter(|_| matches!(&*node.op_type, "Concat" | "Add"));
            let all: Vec<&Map> = all.map(input).collect();
            let made = match node.op_type.as_str() {
                "Relu" => map(input(0).0, |c, y, x| get(input(0), c, y, x).max(0.0)),
                "MaxPool" => {
                    let ([c, h, w], _) = input(0);
                    map([*c, h / 2, w / 2], |c, y, x| {
                        let window = [(0, 0), (0, 1), (1, 0), (1, 1)];
                        let numbers = window.map(|(v, u)| get(input(0), c, 2 * y + v, 2 * x + u));
                        numbers.into_iter().reduce(f32::max).unwrap()
                    })
                }
                "Resize" => {
                    let ([c, h, w], _) = input(0);
                    map([*c, 2 * h, 2 * w], |c, y, x| get(input(0), c, y / 2, x / 2))
                }
                "Concat" => {
                    let joined: Vec<f32> = all.iter().flat_map(|(_, n)| n).copied().collect();
                    let [_, h, w] = all[0].0;
                    ([joined.len() / (h * w), h, w], joined)
                }
                "Add" => map(all[0].0, |c, y, x| {
                    get(all[0], c, y, x) + get(all[1], c, y, x)
                }),
                "Conv" => {
                    let weights = constants[node.input[1].as_str()];
                    let (outputs, inputs) = (weights.dims[0] as usize, weights.dims[1] as usize);
                    let weights = constants::floats(weights).unwrap();
                    let bias = node.input.get(2).map(|name| constants[name.as_str()]);
                    let bias = bias.map_or(vec![0.0; outputs], |b| constants::floats(b).unwrap());
                    let ([channels, h, w], _) = *input(0);
                    assert_eq!(channels, inputs);
                    map([outputs, h, w], |o, y, x| {
                        let products =
                            (0..inputs).map(|i| weights[o * inputs + i] * get(input(0), i, y, x));
                        products.sum::<f32>() + bias[o]
                    })
                }
                other => panic!("no rule for {other}"),
            };
            maps.insert(&node.output[0], made);
        }
        let outputs = graph.output.iter();
        outputs
            .map(|output| maps[output.name.as_str()].clone())
            .collect()
    }

    #[test]
    fn the_sum_is_that_of_the_whole() {
        let mut graph = neck();
        let wanted = computed(&graph);
        let said = run_on(&mut graph).unwrap();
        assert!(
            said.contains("1 Concats") && said.contains("1 of them"),
            "{said}"
        );
        assert_eq!(computed(&graph), wanted);
        let sum = ["Conv", "Resize", "Conv", "Add", "Conv", "Add"];
        assert_eq!(ops(&graph), [&["MaxPool", "Relu"], &sum[..], &sum].concat());
        let with_bias = graph
            .node
            .iter()
            .filter(|n| n.input.iter().any(|i| i == "b"));
        assert_eq!(with_bias.count(), 1);
        let left = ["v", "w"].map(|name| graph.initializer.iter().any(|t| t.name == name));
        assert_eq!(left, [false; 2], "the weights are there once");
        assert_eq!(run_on(&mut graph), None, "a second run finds nothing");
    }

    #[test]
    fn sizes_that_a_resize_names_follow_the_channels() {
        let mut graph = neck();
        let wanted = computed(&graph);
        graph.node[2].input = ["small", "", "", "sizes"].map(String::from).into();
        graph
            .initializer
            .push(int64_tensor("sizes", &[1, 3, 32, 64]));
        run_on(&mut graph).unwrap();
        assert_eq!(computed(&graph), wanted);
        let constants = constants::by_name(&graph);
        let resizes = graph.node.iter().filter(|n| n.op_type == "Resize");
        let sizes: Vec<_> = resizes
            .map(|n| constants[n.input[3].as_str()].int64_data.clone())
            .collect();
        assert_eq!(sizes, [[1, 3, 32, 64], [1, 2, 32, 64]]);
    }

    #[test]
    fn a_map_that_is_resized_otherwise_is_taken_as_it_comes() {
        type Change = fn(&mut GraphProto);
        let changes: [(&str, Change); 3] = [
            ("mixed pixels", |g| {
                g.node[2].attribute.push(AttributeProto {
                    name: "mode".into(),
                    s: b"linear".to_vec(),
                    ..Default::default()
                });
            }),
            ("another user", |g| g.output.push(value("enlarged", &[]))),
            ("no larger", |g| {
                g.node[2].input[0] = "large".into();
                *constant(g, "scales") = float_tensor("scales", &[4], &[1.0; 4]);
            }),
        ];
        for (what, change) in changes {
            let mut graph = neck();
            change(&mut graph);
            let said = run_on(&mut graph).unwrap();
            assert!(said.contains("0 of them"), "{what}: {said}");
            let resizes = ops(&graph).into_iter().filter(|op| *op == "Resize");
            assert_eq!(resizes.count(), 1, "{what}");
        }
    }

    #[test]
    fn near_misses_are_left_alone() {
        type Change = fn(&mut GraphProto);
        let changes: [(&str, Change); 11] = [
            ("a Concat of rows", |g| g.node[3].attribute[0].i = 2),
            ("one map alone", |g| g.node[3].input.truncate(1)),
            ("another user of the Concat", |g| {
                g.node.push(node("Relu", &["joined"], &["other"]));
            }),
            ("the Concat an output", |g| {
                g.output.push(value("joined", &[]))
            }),
            ("a step", |g| g.node[5].attribute[0].ints = vec![2, 2]),
            ("padding", |g| g.node[5].attribute[1].ints = vec![1; 4]),
            ("a larger kernel", |g| {
                *constant(g, "w") = float_tensor("w", &[2, 9, 1, 2], &[0.0; 36]);
            }),
            ("groups", |g| {
                g.node[5] = with(g.node[5].clone(), &[("group", &[2])])
            }),
            ("weights that are computed", |g| {
                constant(g, "w").name = "u".into();
                g.node.insert(0, node("Neg", &["u"], &["w"]));
            }),
            ("weights that both take", |g| {
                g.node[5].input[1] = "v".into()
            }),
            ("more channels than are joined", |g| {
                *constant(g, "w") = float_tensor("w", &[7, 9, 1, 1], &[0.0; 63]);
            }),
        ];
        for (what, change) in changes {
            let mut graph = neck();
            change(&mut graph);
            let before = graph.clone();
            assert_eq!(run_on(&mut graph), None, "{what}");
            assert_eq!(graph, before, "{what}");
        }
    }
}
