//! Limits (ReLU, Clip): they are applied where that costs nothing, and go where they change nothing.
//!
//! A limit behind a convolution or another computation is applied before the value is stored, one behind an input while
//! it is loaded. Anywhere else a limit is a pass over memory. Folded quantisation leaves limits wherever a range of
//! integers began at zero: on inputs, behind slices, concatenations and poolings.
//!
//! Operators that move values, or choose the largest ones, give the same whether their operand is limited or their
//! result. If all readers of a tensor limit it alike in the end, the tensor itself is therefore limited, and the limits
//! behind it find nothing left to do. A limit that its operand cannot exceed goes.

use super::ranges::{Range, range_of};
use super::readers::{Readers, Rewritten};
use crate::convnet::graph::*;

/// Least and largest value of a result.
pub type Limits = [f32; 2];

/// Returns the limits of a function that only limits its argument.
pub fn limits_of(op: &Op) -> Option<Limits> {
    match *op {
        Op::Activate(Activation::Relu) => Some([0., f32::INFINITY]),
        Op::Activate(Activation::Clip { min, max }) if min <= max => Some([min, max]),
        _ => None,
    }
}

/// Returns the graph with each limit where it costs least.
pub fn settle(graph: &Graph) -> Rewritten {
    let nodes = graph.nodes();
    let demands = demands(nodes, &Readers::new(nodes, graph.outputs()));
    let mut settled = Settled::default();
    // for each tensor of the graph: what computes it, and what its readers read
    let (mut made, mut read): (Vec<TensorId>, Vec<TensorId>) = (Vec::new(), Vec::new());
    for (node, &demand) in nodes.iter().zip(&demands) {
        let inputs: Vec<TensorId> = node.inputs.iter().map(|t| read[t.index()]).collect();
        if let Some(own) = limits_of(&node.op) {
            let tensor = settled.limited(inputs[0], demand.map_or(own, |next| both(own, next)));
            made.push(tensor);
            read.push(tensor);
            continue;
        }
        let tensor = settled.push(Node {
            op: node.op.clone(),
            inputs,
            shape: node.shape,
        });
        made.push(tensor);
        let demand = demand.filter(|_| takes_limit(nodes, node));
        read.push(demand.map_or(tensor, |limits| settled.limited(tensor, limits)));
    }
    let of_output = |output: &Output| Output {
        parts: output.parts.iter().map(|t| read[t.index()]).collect(),
        layout: output.layout,
    };
    Rewritten {
        nodes: settled.nodes,
        inputs: graph.inputs().iter().map(|t| made[t.index()]).collect(),
        outputs: graph.outputs().iter().map(of_output).collect(),
    }
}

/// Limits that apply `first`, then `next`.
fn both(first: Limits, next: Limits) -> Limits {
    first.map(|limit| limit.clamp(next[0], next[1]))
}

/// For each tensor the limits that all its readers put it to in the end; none if they differ, or one does without.
fn demands(nodes: &[Node], readers: &Readers) -> Vec<Option<Limits>> {
    let mut demands: Vec<Option<Limits>> = vec![None; nodes.len()];
    for i in (0..nodes.len()).rev() {
        if readers.is_output(i) {
            continue;
        }
        let users = readers.users(i).iter();
        let mut wanted = users.map(|&reader| wanted(&nodes[reader], demands[reader]));
        let first = wanted.next().flatten();
        demands[i] = first.filter(|_| wanted.all(|other| other == first));
    }
    demands
}

/// Limits of what `reader` reads, if its own result is put to the limits `demand`.
fn wanted(reader: &Node, demand: Option<Limits>) -> Option<Limits> {
    match limits_of(&reader.op) {
        Some(own) => Some(demand.map_or(own, |next| both(own, next))),
        None => demand.filter(|limits| commutes(&reader.op, *limits)),
    }
}

/// True if the limited result of an operator is its result on a limited operand.
fn commutes(op: &Op, [min, max]: Limits) -> bool {
    match op {
        Op::Concat
        | Op::Channels { .. }
        | Op::Crop(_)
        | Op::Reshape
        | Op::DepthToSpace { .. }
        | Op::Pool(Pool::Max, _)
        | Op::Global(Reduce::Max)
        | Op::OverChannels(Reduce::Max) => true,
        Op::Resize(resize) => resize.interpolation != Interpolation::Linear,
        Op::Pad(_, value) => (min..=max).contains(value),
        _ => false,
    }
}

/// True if a limit directly behind the node is part of its stage.
fn takes_limit(nodes: &[Node], node: &Node) -> bool {
    match &node.op {
        Op::Input(_)
        | Op::Conv(_)
        | Op::TransposedConv { .. }
        | Op::Binary(_)
        | Op::Affine { .. }
        | Op::PRelu { .. } => true,
        // a stage has room for two activations, or for one behind a residual
        Op::Activate(_) => !matches!(
            nodes[node.inputs[0].index()].op,
            Op::Activate(_) | Op::Binary(Binary::Add)
        ),
        _ => false,
    }
}

/// Nodes of the rewritten graph, with the range of each.
#[derive(Default)]
struct Settled {
    nodes: Vec<Node>,
    ranges: Vec<Range>,
}

impl Settled {
    fn push(&mut self, node: Node) -> TensorId {
        let operands: Vec<Range> = node.inputs.iter().map(|t| self.ranges[t.index()]).collect();
        self.ranges.push(range_of(&node, &operands));
        self.nodes.push(node);
        TensorId((self.nodes.len() - 1) as u32)
    }

    /// Limits a tensor, if it can exceed the limits.
    fn limited(&mut self, x: TensorId, [min, max]: Limits) -> TensorId {
        let [low, high] = self.ranges[x.index()];
        if min <= low && high <= max {
            return x;
        }
        let function = match [min, max] {
            [0., f32::INFINITY] => Activation::Relu,
            _ => Activation::Clip { min, max },
        };
        let shape = self.nodes[x.index()].shape;
        self.push(Node {
            op: Op::Activate(function),
            inputs: vec![x],
            shape,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELU: Activation = Activation::Relu;
    const RELU6: Activation = Activation::Clip { min: 0., max: 6. };

    fn conv(graph: &mut Graph, x: TensorId) -> TensorId {
        let from = graph.shape(x).c;
        let conv = Conv {
            out_channels: 4,
            groups: 1,
            window: Window::square(1, 1, 0),
            weights: vec![0.5; 4 * from].into(),
            bias: None,
        };
        graph.conv(x, conv).unwrap()
    }

    fn twice(graph: &mut Graph, x: TensorId, interpolation: Interpolation) -> TensorId {
        let Shape { h, w, .. } = graph.shape(x);
        let resize = Resize {
            interpolation,
            coordinates: Coordinates::Asymmetric,
            size: [2 * h, 2 * w],
            scale: [2., 2.],
        };
        graph.resize(x, resize).unwrap()
    }

    /// Needed operators of the settled graph whose output is what `build` makes of an input; limits by their numbers.
    fn settled(build: impl Fn(&mut Graph, TensorId) -> TensorId) -> Vec<String> {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(3, 4, 4)).unwrap();
        let y = build(&mut graph, x);
        graph.output(y, Layout::Planar).unwrap();
        let Rewritten { nodes, outputs, .. } = settle(&graph);
        let readers = Readers::new(&nodes, &outputs);
        let needed = (0..nodes.len()).filter(|&i| readers.is_needed(i));
        let name = |op: &Op| match limits_of(op) {
            Some([min, max]) => format!("{min}..{max}"),
            None => op.name().to_owned(),
        };
        needed.map(|i| name(&nodes[i].op)).collect()
    }

    #[test]
    fn limits_move_in_front_of_what_moves_values() {
        let ops = settled(|g, x| {
            let y = conv(g, x);
            let y = g.pool(y, Pool::Max, Window::square(3, 1, 1)).unwrap();
            let y = twice(g, y, Interpolation::NearestFloor);
            let y = g.slice(y, 1, 2).unwrap();
            g.activate(y, RELU6).unwrap()
        });
        let wanted = [
            "input",
            "convolution",
            "0..6",
            "max pooling",
            "resize",
            "channel selection",
        ];
        assert_eq!(ops, wanted);
    }

    #[test]
    fn limits_stay_behind_what_computes() {
        for function in [
            |g: &mut Graph, x| twice(g, x, Interpolation::Linear),
            |g: &mut Graph, x| {
                let average = Pool::Average {
                    count_padding: true,
                };
                g.pool(x, average, Window::square(3, 1, 1)).unwrap()
            },
            |g: &mut Graph, x| g.softmax(x, 2).unwrap(),
            |g: &mut Graph, x| g.global(x, Reduce::Mean).unwrap(),
            |g: &mut Graph, x| g.pad(x, Pads::all(1), -1.).unwrap(),
        ] {
            let ops = settled(|g, x| {
                let y = conv(g, x);
                let y = function(g, y);
                let half = Activation::Clip { min: 0.1, max: 0.5 };
                g.activate(y, half).unwrap()
            });
            assert_eq!(
                (ops.len(), &ops[1][..], &ops[3][..]),
                (4, "convolution", "0.1..0.5")
            );
        }
    }

    #[test]
    fn a_pad_within_the_limits_moves_behind_them() {
        let ops = settled(|g, x| {
            let y = conv(g, x);
            let y = g.pad(y, Pads::all(1), 0.).unwrap();
            g.activate(y, RELU).unwrap()
        });
        assert_eq!(ops, ["input", "convolution", "0..inf", "padding"]);
    }

    #[test]
    fn all_parts_of_a_concatenation_are_limited_for_it() {
        let ops = settled(|g, x| {
            let parts = [conv(g, x), conv(g, x)];
            let y = g.concat(&parts).unwrap();
            g.activate(y, RELU).unwrap()
        });
        let each = ["convolution", "0..inf"];
        assert_eq!(ops, [&["input"][..], &each, &each, &["concat"]].concat());
    }

    #[test]
    fn a_limit_stays_where_another_reader_does_without() {
        let ops = settled(|g, x| {
            let y = conv(g, x);
            let above = g.activate(y, RELU).unwrap();
            g.concat(&[y, above]).unwrap()
        });
        assert_eq!(ops, ["input", "convolution", "0..inf", "concat"]);
        let ops = settled(|g, x| {
            let (y, z) = (conv(g, x), conv(g, x));
            g.output(y, Layout::Planar).unwrap();
            let joined = g.concat(&[y, z]).unwrap();
            g.activate(joined, RELU).unwrap()
        });
        assert_eq!(ops.last().unwrap(), "0..inf", "{ops:?}");
    }

    #[test]
    fn readers_that_limit_differently_keep_their_limits() {
        let ops = settled(|g, x| {
            let y = conv(g, x);
            let parts = [RELU, RELU6].map(|f| g.activate(y, f).unwrap());
            g.concat(&parts).unwrap()
        });
        assert_eq!(ops, ["input", "convolution", "0..inf", "0..6", "concat"]);
    }

    #[test]
    fn readers_that_limit_alike_share_one_limit() {
        let ops = settled(|g, x| {
            let y = conv(g, x);
            let parts = [0, 1].map(|_| g.activate(y, RELU6).unwrap());
            g.concat(&parts).unwrap()
        });
        assert_eq!(ops, ["input", "convolution", "0..6", "concat"]);
    }

    #[test]
    fn a_limit_of_a_limit_is_one() {
        let clip = |min, max| Activation::Clip { min, max };
        for (first, second, wanted) in [
            (RELU, clip(f32::NEG_INFINITY, 6.), "0..6"),
            (clip(0., 6.), clip(1., 9.), "1..6"),
            (clip(0., 1.), clip(2., 3.), "2..2"),
            (clip(2., 3.), clip(0., 1.), "1..1"),
        ] {
            let ops = settled(|g, x| {
                let y = conv(g, x);
                let y = g.activate(y, first).unwrap();
                g.activate(y, second).unwrap()
            });
            assert_eq!(ops, ["input", "convolution", wanted]);
        }
        // the first has another reader
        let ops = settled(|g, x| {
            let y = conv(g, x);
            let y = g.activate(y, RELU).unwrap();
            let z = g.activate(y, RELU6).unwrap();
            g.concat(&[y, z]).unwrap()
        });
        assert_eq!(ops, ["input", "convolution", "0..inf", "0..6", "concat"]);
    }

    #[test]
    fn limits_that_cannot_be_exceeded_go() {
        for (function, limit) in [
            (Activation::Sigmoid, Activation::Clip { min: 0., max: 1. }),
            (Activation::Square, RELU),
            (RELU6, RELU),
            (RELU6, RELU6),
            (Activation::Tanh, Activation::Clip { min: -1., max: 2. }),
        ] {
            let ops = settled(|g, x| {
                let y = conv(g, x);
                let y = g.activate(y, function).unwrap();
                let y = g.pool(y, Pool::Max, Window::square(2, 2, 0)).unwrap();
                g.activate(y, limit).unwrap()
            });
            assert_eq!(ops.len(), 4, "{function:?} {limit:?}: {ops:?}");
            assert_eq!(ops[3], "max pooling");
        }
    }

    #[test]
    fn narrower_limits_stay() {
        for (function, limit, wanted) in [
            (
                Activation::Sigmoid,
                Activation::Clip { min: 0., max: 0.9 },
                "0..0.9",
            ),
            (Activation::Softplus, RELU6, "0..6"),
            (Activation::Silu, RELU, "0..inf"),
            (Activation::Tanh, RELU, "0..inf"),
        ] {
            let ops = settled(|g, x| {
                let y = conv(g, x);
                let y = g.activate(y, function).unwrap();
                g.activate(y, limit).unwrap()
            });
            assert_eq!(ops, ["input", "convolution", "activation", wanted]);
        }
    }

    #[test]
    fn inputs_are_limited_once_for_all_that_read_them() {
        let ops = settled(|g, x| {
            let parts = [0, 1].map(|top| {
                let crop = Crop {
                    top,
                    left: 0,
                    step: [2, 1],
                    size: [2, 4],
                };
                g.crop(x, crop).unwrap()
            });
            let y = g.concat(&parts).unwrap();
            let y = g.activate(y, RELU6).unwrap();
            conv(g, y)
        });
        assert_eq!(
            ops,
            ["input", "0..6", "crop", "crop", "concat", "convolution"]
        );
    }
}
