//! Bytes of the tensors between nodes, and multiply-adds of an inference, where the dims can be followed. Graphs inside nodes
//! count for each of their passes.

use super::constants::MAX_TENSOR_BYTES;
use super::{Demand, inner, name_of, ranks, windows};
use crate::onnx::infer::{Inference, Problem, Value};
use std::collections::HashMap;
use tract_onnx::pb::{GraphProto, NodeProto};

/// Most bytes of the tensors that are needed at a time, weights aside.
const MAX_LIVE_BYTES: u64 = 3 << 29;
/// Bytes of a number; the type of a tensor between nodes is not followed.
const NUMBER_BYTES: u64 = 4;

/// Follows the nodes of a graph with `shapes`, which know its input and its constants.
pub fn weigh(graph: &GraphProto, mut shapes: Inference) -> Result<Demand, String> {
    let mut scales = Scales::default();
    scales.weigh(graph, &mut shapes, 1, 0)?;
    Ok(scales.demand)
}

/// Sums of all nodes so far.
#[derive(Default)]
struct Scales {
    demand: Demand,
    /// Multiply-adds of the node that takes most.
    most: u64,
}

impl Scales {
    /// Weighs a graph that runs so many times in an inference, while so many bytes are held outside of it.
    fn weigh(
        &mut self,
        graph: &GraphProto,
        shapes: &mut Inference,
        passes: u64,
        held: u64,
    ) -> Result<(), String> {
        let mut live = Live::new(graph, held);
        for (index, node) in graph.node.iter().enumerate() {
            let first = node.input.first().and_then(|name| shapes.get(name));
            ranks::check(node, first.map(|value| &value.dims[..]))?;
            check_window(node, shapes)?;
            let inner = inner::outputs(node, shapes, |graph, shapes, times| {
                let passes = passes.saturating_mul(times);
                self.weigh(graph, shapes, passes, live.bytes)
            })?;
            let outputs = match inner.map_or_else(|| shapes.outputs(node), |known| Some(Ok(known)))
            {
                Some(Ok(outputs)) => outputs,
                Some(Err(Problem::TooLarge(dims))) => {
                    check_bytes(node, &dims)?;
                    continue;
                }
                Some(Err(_)) | None => continue,
            };
            for output in &outputs {
                check_bytes(node, &output.dims)?;
            }
            self.add(node, work_of(node, shapes, &outputs).saturating_mul(passes));
            live.make(node, &outputs);
            if live.bytes > MAX_LIVE_BYTES {
                return Err(format!(
                    "{} bytes of tensors are needed at the same time at {}, expected at most {MAX_LIVE_BYTES}",
                    live.bytes,
                    name_of(node)
                ));
            }
            live.forget(index);
            shapes.record(node, outputs);
        }
        Ok(())
    }

    fn add(&mut self, node: &NodeProto, work: u64) {
        let sum = &mut self.demand.multiply_adds;
        *sum = sum.saturating_add(work);
        if work > self.most {
            self.most = work;
            self.demand.heaviest = name_of(node);
        }
    }
}

/// Returns the product of dims; `u64::MAX` if it cannot be counted.
fn elements(dims: &[usize]) -> u64 {
    let product = dims
        .iter()
        .try_fold(1_u64, |n, &dim| n.checked_mul(dim as u64));
    product.unwrap_or(u64::MAX)
}

fn check_bytes(node: &NodeProto, dims: &[usize]) -> Result<(), String> {
    let bytes = elements(dims).saturating_mul(NUMBER_BYTES);
    if bytes <= MAX_TENSOR_BYTES {
        return Ok(());
    }
    let shown = &dims[..dims.len().min(8)];
    Err(format!(
        "{} has shape {shown:?}, {bytes} bytes or more, expected at most {MAX_TENSOR_BYTES}",
        name_of(node)
    ))
}

fn check_window(node: &NodeProto, shapes: &Inference) -> Result<(), String> {
    let dims = |index: usize| {
        let name = node.input.get(index)?;
        shapes.get(name).map(|value| &value.dims[..])
    };
    let weights = match node.op_type.as_str() {
        "MaxPool" | "AveragePool" | "LpPool" => None,
        "Conv" | "ConvInteger" | "ConvTranspose" => Some(1),
        "QLinearConv" => Some(3),
        _ => return Ok(()),
    };
    let map = dims(0).and_then(|dims| dims.get(2..));
    let kernel = weights.and_then(dims).and_then(|dims| dims.get(2..));
    windows::check(node, map, kernel)
}

/// Returns the multiply-adds of a node, or the numbers it makes where it multiplies little.
fn work_of(node: &NodeProto, shapes: &Inference, outputs: &[Value]) -> u64 {
    let made = outputs.iter().map(|output| elements(&output.dims));
    let made = made.fold(0, u64::saturating_add);
    let dims = |index: usize| {
        node.input
            .get(index)
            .and_then(|name| shapes.get(name))
            .map(|v| &v.dims[..])
    };
    let each = match node.op_type.as_str() {
        "Conv" | "ConvInteger" => dims(1).and_then(|w| w.get(1..)).map(elements),
        "QLinearConv" => dims(3).and_then(|w| w.get(1..)).map(elements),
        "ConvTranspose" => dims(1).and_then(|w| elements(w).checked_div(*w.get(1)? as u64)),
        "MatMul" | "MatMulInteger" | "Gemm" => dims(0).and_then(|a| a.last()).map(|&k| k as u64),
        "MaxPool" | "AveragePool" | "LpPool" => {
            let kernel = crate::onnx::infer::Attributes::new(node).integers("kernel_shape");
            kernel.map(|kernel| {
                kernel
                    .iter()
                    .fold(1, |n: u64, &k| n.saturating_mul(k.unsigned_abs()))
            })
        }
        _ => None,
    };
    made.saturating_mul(each.unwrap_or(1))
}

/// Tensors that later nodes still take.
struct Live<'a> {
    /// Bytes of those that were made and not yet forgotten, and of what is held outside of the graph.
    bytes: u64,
    /// The last node that takes a tensor; the number of nodes for an output of the graph.
    last: HashMap<&'a str, usize>,
    made: HashMap<&'a str, u64>,
    graph: &'a GraphProto,
}

impl<'a> Live<'a> {
    fn new(graph: &'a GraphProto, held: u64) -> Self {
        let taken = graph.node.iter().enumerate();
        let mut last: HashMap<&str, usize> = taken
            .flat_map(|(index, node)| node.input.iter().map(move |name| (name.as_str(), index)))
            .collect();
        last.extend(
            graph
                .output
                .iter()
                .map(|output| (output.name.as_str(), graph.node.len())),
        );
        Self {
            bytes: held,
            last,
            made: HashMap::new(),
            graph,
        }
    }

    fn make(&mut self, node: &'a NodeProto, outputs: &[Value]) {
        for (name, output) in node.output.iter().zip(outputs) {
            let bytes = elements(&output.dims).saturating_mul(NUMBER_BYTES);
            self.bytes = self.bytes.saturating_add(bytes);
            self.made.insert(name, bytes);
        }
    }

    /// Forgets what no node behind `index` takes.
    fn forget(&mut self, index: usize) {
        let node = &self.graph.node[index];
        for name in node.input.iter().chain(&node.output) {
            if self
                .last
                .get(name.as_str())
                .is_none_or(|&last| last <= index)
                && let Some(bytes) = self.made.remove(name.as_str())
            {
                self.bytes = self.bytes.saturating_sub(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::infer::SHAPES_BUDGET;
    use crate::onnx::testing::{input_spec, int64_tensor, model, node, with};
    use tract_onnx::pb::{ModelProto, TensorProto};

    const MOST_COMPUTE: u64 = 10_000_000_000_000;

    fn refusal(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> Option<String> {
        let mut model: ModelProto = model(nodes, &[("x", &[1, 3, 32, 64])], &[("y", &[])]);
        let graph = model.graph.as_mut().unwrap();
        graph.initializer = constants;
        let shapes = Inference::of_shapes(graph, 13, &input_spec(), SHAPES_BUDGET);
        weigh(graph, shapes)
            .and_then(|demand| demand.check(MOST_COMPUTE))
            .err()
    }

    #[test]
    fn a_size_that_the_graph_computes_is_followed() {
        let nodes = |name| {
            vec![
                node("Identity", &[name], &["same"]),
                node("Concat", &["same", "same"], &["size"]),
                node("ConstantOfShape", &["size"], &["y"]),
            ]
        };
        let nodes = |name| {
            let mut nodes: Vec<NodeProto> = nodes(name);
            nodes[1] = with(nodes[1].clone(), &[("axis", &[0])]);
            nodes
        };
        let side = |n| vec![int64_tensor("n", &[n])];
        assert_eq!(refusal(nodes("n"), side(100)), None);
        let refused = refusal(nodes("n"), side(32_768)).expect("refused");
        assert!(refused.contains("[32768, 32768]"), "{refused}");
    }

    #[test]
    fn tensors_that_are_needed_at_a_time_are_added_up() {
        // 512 MiB each
        let size = || vec![int64_tensor("size", &[64 << 20])];
        let made = |name: &str| node("ConstantOfShape", &["size"], &[name]);
        let ended = [node("Neg", &["c"], &["y"])];
        let parted = [made("a"), node("Neg", &["a"], &["b"]), made("c")];
        assert_eq!(refusal([&parted[..], &ended].concat(), size()), None);
        let all = [
            made("a"),
            made("b"),
            made("c"),
            made("d"),
            made("e"),
            made("f"),
            made("g"),
        ];
        let sum = [node("Sum", &["a", "b", "c", "d", "e", "f", "g"], &["y"])];
        let refused = refusal([&all[..], &sum].concat(), size()).expect("refused");
        assert!(refused.contains("at the same time"), "{refused}");
    }

    #[test]
    fn work_is_added_up() {
        let wide = || int64_tensor("size", &[8_000, 8_000]);
        let square = || vec![node("ConstantOfShape", &["size"], &["s0"])];
        let products = |count: usize| {
            let product = |i: usize| {
                node(
                    "MatMul",
                    &[&format!("s{i}"), "s0"],
                    &[&format!("s{}", i + 1)],
                )
            };
            [square(), (0..count).map(product).collect()].concat()
        };
        assert_eq!(refusal(products(2), vec![wide()]), None);
        let refused = refusal(products(40), vec![wide()]).expect("refused");
        assert!(refused.contains("multiply-adds"), "{refused}");
        assert!(refused.contains("max-compute"), "{refused}");
    }

    /// A Loop of so many passes over a product of matrices that it carries.
    fn looped(passes: i64) -> (Vec<NodeProto>, Vec<TensorProto>) {
        use tract_onnx::pb::{AttributeProto, ValueInfoProto};
        let value = |name: &str| ValueInfoProto {
            name: name.into(),
            ..Default::default()
        };
        let body = GraphProto {
            node: vec![node("MatMul", &["a", "s0"], &["b"])],
            input: ["i", "go", "a"].map(value).into(),
            output: ["go", "b"].map(value).into(),
            ..Default::default()
        };
        let mut looped = node("Loop", &["passes", "on", "s0"], &["s1"]);
        looped.attribute.push(AttributeProto {
            name: "body".into(),
            g: Some(body),
            ..Default::default()
        });
        let nodes = vec![
            node("ConstantOfShape", &["size"], &["s0"]),
            looped,
            node("Neg", &["s1"], &["y"]),
        ];
        let constants = [("size", &[2_000, 2_000][..]), ("passes", &[passes])];
        let constants = constants.map(|(name, numbers)| int64_tensor(name, numbers));
        (nodes, constants.into())
    }

    #[test]
    fn work_in_a_loop_counts_for_each_pass() {
        let (nodes, constants) = looped(10);
        assert_eq!(refusal(nodes, constants), None);
        let (nodes, constants) = looped(10_000);
        let refused = refusal(nodes, constants).expect("refused");
        assert!(refused.contains("most of them in MatMul"), "{refused}");
    }

    #[test]
    fn what_a_loop_carries_is_followed_behind_it() {
        let (nodes, constants) = looped(1);
        let graph = model(nodes, &[], &[]).graph.map(|graph| GraphProto {
            initializer: constants,
            ..graph
        });
        let graph = graph.expect("a graph");
        let mut shapes = Inference::of_shapes(&graph, 13, &input_spec(), SHAPES_BUDGET);
        Scales::default()
            .weigh(&graph, &mut shapes, 1, 0)
            .expect("it is small");
        assert_eq!(
            shapes.get("s1").map(|v| v.dims.clone()),
            Some(vec![2_000, 2_000])
        );
        assert!(shapes.get("b").is_none(), "it is the body's own");
    }
}
