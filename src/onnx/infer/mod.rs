//! [`Inference`]: dims of the tensors of a graph, and the numbers of small or constant ones.
//!
//! Nodes are visited in the order of the file, which ONNX requires to be sorted. Exporters compute shapes in the graph,
//! so numbers are followed where everything they depend on is known. A rewrite also uses this to prove that a part of a
//! graph is the function it expects. An operator without a rule here leaves its outputs unknown.

mod arithmetic;
mod attributes;
mod choice;
mod forms;
mod logic;
mod maps;
mod parts;
mod reduce;
mod suppression;
mod value;

pub use value::{Data, Value, count};

use crate::base::tensor::InputSpec;
pub use attributes::Attributes;
use std::collections::HashMap;
use std::fmt;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

/// Most numbers of one tensor to follow when only shapes are wanted.
pub const SHAPES_ONLY: usize = 1024;

/// Most numbers to follow in all when only shapes are wanted; tensors of shapes have a few each.
pub const SHAPES_BUDGET: usize = 16 << 20;

/// Operators whose numbers are computed, and not their dims alone.
const COMPUTED: [&str; 69] = [
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Cos",
    "Div",
    "Dropout",
    "Equal",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Greater",
    "GreaterOrEqual",
    "Identity",
    "If",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Min",
    "Mod",
    "Mul",
    "Neg",
    "NonMaxSuppression",
    "NonZero",
    "Not",
    "Or",
    "Pad",
    "Pow",
    "Range",
    "Reciprocal",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Round",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Shape",
    "Sigmoid",
    "Sin",
    "Size",
    "Slice",
    "Softmax",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Tile",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Where",
    "Xor",
];

/// The reason why the outputs of a node are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// There is no rule for the operator, or for this use of it.
    Unknown(String),
    /// The inputs do not fit together.
    Misfit(String),
    /// An output of these dims is larger than is followed.
    TooLarge(Vec<usize>),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(what) => write!(f, "{what} is not followed here"),
            Self::Misfit(what) => f.write_str(what),
            Self::TooLarge(dims) => write!(f, "a tensor of {dims:?} is not followed here"),
        }
    }
}

/// A node, and what is known about its inputs.
struct Call<'a> {
    node: &'a NodeProto,
    attributes: Attributes<'a>,
    inputs: Vec<Option<&'a Value>>,
    opset: i64,
    /// Most numbers of an output that are computed.
    limit: usize,
}

impl<'a> Call<'a> {
    /// Returns an input that must exist.
    fn input(&self, index: usize) -> Result<&'a Value, Problem> {
        self.optional(index)
            .ok_or_else(|| self.misfit(&format!("no input {index}")))
    }

    fn optional(&self, index: usize) -> Option<&'a Value> {
        self.inputs.get(index).copied().flatten()
    }

    /// Returns the integers of an input that shapes depend on.
    fn integers(&self, index: usize) -> Result<&'a [i64], Problem> {
        let known = self.input(index)?.integers();
        known.ok_or_else(|| self.unknown("with computed shapes"))
    }

    fn unknown(&self, what: &str) -> Problem {
        Problem::Unknown(format!("{} {what}", self.node.op_type))
    }

    fn misfit(&self, what: &str) -> Problem {
        let dims = self.inputs.iter().flatten();
        let dims: Vec<String> = dims.map(|value| format!("{:?}", value.dims)).collect();
        Problem::Misfit(format!(
            "{} of {}: {what}",
            self.node.op_type,
            dims.join(", ")
        ))
    }

    /// Returns an output of these dims. `data` computes its numbers if it can and there are not too many.
    fn output(
        &self,
        dims: Vec<usize>,
        data: impl FnOnce() -> Option<Data>,
    ) -> Result<Vec<Value>, Problem> {
        let Some(count) = count(&dims) else {
            return Err(Problem::TooLarge(dims));
        };
        let data = if count <= self.limit { data() } else { None };
        Ok(vec![Value::new(dims, data)])
    }
}

/// Returns the outputs of a node; a missing optional input is `None`.
///
/// # Errors
/// [`Problem`].
pub fn outputs(
    node: &NodeProto,
    inputs: Vec<Option<&Value>>,
    opset: i64,
    limit: usize,
) -> Result<Vec<Value>, Problem> {
    let call = Call {
        node,
        attributes: Attributes::new(node),
        inputs,
        opset,
        limit,
    };
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return Err(call.unknown("of another domain"));
    }
    [
        maps::outputs,
        forms::outputs,
        parts::outputs,
        arithmetic::outputs,
        logic::outputs,
        reduce::outputs,
        choice::outputs,
        suppression::outputs,
    ]
    .iter()
    .find_map(|rules| rules(&call))
    .unwrap_or_else(|| Err(call.unknown("as an operator")))
}

/// Returns the version of ONNX's own operators that a model uses.
pub fn opset(model: &ModelProto) -> i64 {
    let own = |domain: &str| matches!(domain, "" | "ai.onnx");
    let sets = model.opset_import.iter();
    sets.filter(|set| own(&set.domain))
        .map(|set| set.version)
        .max()
        .unwrap_or_default()
}

/// Known dims and numbers of the tensors of a graph.
#[derive(Clone)]
pub struct Inference {
    values: HashMap<String, Value>,
    opset: i64,
    limit: usize,
    /// Numbers that may still be computed.
    budget: usize,
    /// Earlier values of the names that graphs inside nodes have taken, outermost first.
    hidden: Vec<(String, Option<Value>)>,
    /// Graphs inside nodes that are being followed.
    depth: usize,
}

impl Inference {
    /// Follows at most `limit` numbers of one tensor, and `budget` in all.
    pub fn new(opset: i64, limit: usize, budget: usize) -> Self {
        Self {
            values: HashMap::new(),
            opset,
            limit,
            budget,
            hidden: Vec::new(),
            depth: 0,
        }
    }

    /// Prepares to follow the dims of a graph that takes `input`, with its constants. No node is followed yet.
    pub fn of_shapes(graph: &GraphProto, opset: i64, input: &InputSpec, budget: usize) -> Self {
        let mut shapes = Self::new(opset, SHAPES_ONLY, budget);
        shapes.constants(graph);
        shapes.set(&input.name, Value::new(input.dims().to_vec(), None));
        shapes
    }

    pub fn set(&mut self, name: &str, value: Value) {
        let before = self.values.insert(name.to_owned(), value);
        if self.depth > 0 {
            self.hidden.push((name.to_owned(), before));
        }
    }

    /// Runs `follow` for a graph inside a node: it sees what is known outside, and what it adds is forgotten afterwards.
    pub fn inside<T>(&mut self, follow: impl FnOnce(&mut Self) -> T) -> T {
        let outside = self.hidden.len();
        self.depth = self.depth.saturating_add(1);
        let followed = follow(self);
        self.depth = self.depth.saturating_sub(1);
        for (name, before) in self.hidden.drain(outside..).rev() {
            match before {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(&name),
            };
        }
        followed
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Adds the constants of the graph, with their numbers up to the limit.
    pub fn constants(&mut self, graph: &GraphProto) {
        for tensor in &graph.initializer {
            if let Some(value) = Value::from_tensor(tensor, self.limit) {
                self.set(&tensor.name, value);
            }
        }
    }

    /// Returns the outputs of one node; `None` if one of its inputs is unknown.
    pub fn outputs(&self, node: &NodeProto) -> Option<Result<Vec<Value>, Problem>> {
        let input = |name: &String| match name.as_str() {
            "" => Some(None),
            name => self.get(name).map(Some),
        };
        let inputs = node.input.iter().map(input).collect::<Option<_>>()?;
        let limit = self.limit.min(self.budget);
        Some(outputs(node, inputs, self.opset, limit))
    }

    /// Adds the outputs of one node.
    pub fn record(&mut self, node: &NodeProto, outputs: Vec<Value>) {
        for (name, value) in node.output.iter().zip(outputs) {
            if let Some(data) = &value.data {
                self.budget = self.budget.saturating_sub(data.len());
            }
            self.set(name, value);
        }
    }

    /// Follows nodes in order, and skips those that cannot be followed.
    pub fn follow<'a>(&mut self, nodes: impl IntoIterator<Item = &'a NodeProto>) {
        for node in nodes {
            let _ = self.compute(node);
        }
    }

    /// Adds the outputs of one node; of an If, those of the branch that is taken.
    ///
    /// # Errors
    /// [`Problem`] if they cannot be known.
    pub fn compute(&mut self, node: &NodeProto) -> Result<(), Problem> {
        if node.op_type == "If" {
            return self.branch(node);
        }
        let outputs = self
            .outputs(node)
            .unwrap_or_else(|| Err(unknown_input(node)))?;
        self.record(node, outputs);
        Ok(())
    }

    fn branch(&mut self, node: &NodeProto) -> Result<(), Problem> {
        let condition = node.input.first().and_then(|name| self.get(name));
        let condition = condition.and_then(Value::integers);
        let taken = match condition.ok_or_else(|| unknown_input(node))? {
            [0] => "else_branch",
            _ => "then_branch",
        };
        let graph = Attributes::new(node).get(taken).and_then(|a| a.g.as_ref());
        let graph = graph.ok_or_else(|| Problem::Misfit(format!("If without {taken}")))?;
        self.constants(graph);
        for node in &graph.node {
            self.compute(node)?;
        }
        for (name, output) in node.output.iter().zip(&graph.output) {
            let value = self.get(&output.name).cloned();
            self.set(name, value.ok_or_else(|| unknown_input(node))?);
        }
        Ok(())
    }

    /// Follows nodes like [`Inference::follow`] until `wanted` is known, and forgets what no later node takes.
    pub fn follow_to(&mut self, wanted: &str, nodes: &[&NodeProto]) -> Option<Value> {
        let names = nodes.iter().enumerate().flat_map(|(index, node)| {
            let names = node.input.iter().chain(&node.output);
            names.map(move |name| (name.as_str(), index))
        });
        let last: HashMap<&str, usize> = names.clone().collect();
        let mut names = names.peekable();
        for (index, node) in nodes.iter().enumerate() {
            self.follow([*node]);
            while let Some((name, _)) = names.next_if(|(_, of)| *of == index) {
                if name != wanted && last[name] == index {
                    self.values.remove(name);
                }
            }
        }
        self.values.remove(wanted)
    }
}

fn unknown_input(node: &NodeProto) -> Problem {
    Problem::Unknown(format!(
        "an input of {} is not known; what comes of it",
        node.op_type
    ))
}

/// Whether the numbers that come out of a node are computed here, with those of the graphs inside of it.
pub fn is_computed(node: &NodeProto) -> bool {
    let attributes = node.attribute.iter();
    let mut inner = attributes.flat_map(|a| a.g.iter().chain(&a.graphs));
    let own = matches!(node.domain.as_str(), "" | "ai.onnx");
    own && COMPUTED.contains(&node.op_type.as_str())
        && inner.all(|graph| graph.node.iter().all(is_computed))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{int64_tensor, model, node};
    use super::*;

    #[test]
    fn shapes_computed_in_the_graph_are_followed() {
        let nodes = vec![
            node("Shape", &["x"], &["shape"]),
            node("Gather", &["shape", "two"], &["height"]),
            node("Mul", &["height", "two"], &["twice"]),
            testing::with_integer(node("Concat", &["twice", "rest"], &["target"]), "axis", 0),
            node("Reshape", &["x", "target"], &["y"]),
            node("Mystery", &["y"], &["z"]),
            node("Relu", &["z"], &["end"]),
        ];
        let mut model = model(nodes, &[("x", &[1, 3, 4, 6])], &[("end", &[])]);
        let graph = model.graph.as_mut().unwrap();
        graph.initializer = vec![int64_tensor("two", &[2]), int64_tensor("rest", &[-1])];
        let mut inference = Inference::new(opset(&model), SHAPES_ONLY, 1 << 20);
        let graph = model.graph.as_ref().unwrap();
        inference.constants(graph);
        inference.set("x", Value::new(vec![1, 3, 4, 6], None));
        inference.follow(&graph.node);
        assert_eq!(inference.get("y").unwrap().dims, [8, 9]);
        assert!(inference.get("z").is_none(), "no rule");
        assert!(inference.get("end").is_none(), "what comes of the unknown");
    }

    #[test]
    fn what_is_not_taken_any_more_is_forgotten() {
        let nodes = [
            node("Shape", &["x"], &["a"]),
            node("Add", &["a", "a"], &["b"]),
            node("Neg", &["a"], &["aside"]),
            node("Mul", &["b", "a"], &["c"]),
            node("Neg", &["c"], &["d"]),
        ];
        let mut inference = Inference::new(13, SHAPES_ONLY, 1 << 20);
        inference.set("x", Value::new(vec![1, 3], None));
        inference.set("other", Value::new(vec![1], None));
        let found = inference.follow_to("c", &nodes.each_ref());
        assert_eq!(found.unwrap().integers(), Some(&[2, 18][..]));
        let left: Vec<&String> = inference.values.keys().collect();
        assert_eq!(left, ["other"], "taken by none, or by none any more");
    }

    #[test]
    fn the_budget_ends_the_numbers_and_not_the_dims() {
        let nodes = [
            node("Shape", &["x"], &["a"]),
            node("Add", &["a", "a"], &["b"]),
        ];
        let mut inference = Inference::new(13, SHAPES_ONLY, 4);
        inference.set("x", Value::new(vec![1, 2, 3, 4], None));
        inference.follow(&nodes);
        assert_eq!(
            inference.get("a").unwrap().integers(),
            Some(&[1, 2, 3, 4][..])
        );
        let b = inference.get("b").unwrap();
        assert_eq!((&b.dims[..], b.data.is_some()), (&[4][..], false));
    }
}

/// Single nodes for the tests of the rules.
#[cfg(test)]
mod testing {
    use super::*;
    use tract_onnx::pb::AttributeProto;

    pub fn floats(dims: &[usize], numbers: &[f32]) -> Value {
        Value::new(dims.to_vec(), Some(Data::F32(numbers.to_vec())))
    }

    pub fn integers(dims: &[usize], numbers: &[i64]) -> Value {
        Value::new(dims.to_vec(), Some(Data::I64(numbers.to_vec())))
    }

    pub fn with(mut node: NodeProto, lists: &[(&str, &[i64])]) -> NodeProto {
        node.attribute
            .extend(lists.iter().map(|(name, list)| AttributeProto {
                name: (*name).into(),
                ints: list.to_vec(),
                ..Default::default()
            }));
        node
    }

    pub fn with_integer(mut node: NodeProto, name: &str, i: i64) -> NodeProto {
        node.attribute.push(AttributeProto {
            name: name.into(),
            i,
            ..Default::default()
        });
        node
    }

    pub fn computed(node: &NodeProto, inputs: &[Value]) -> Result<Vec<Value>, Problem> {
        outputs(node, inputs.iter().map(Some).collect(), 13, 1 << 20)
    }

    fn of_dims(node: &NodeProto, inputs: &[&[usize]]) -> Result<Vec<Value>, Problem> {
        let inputs: Vec<Value> = inputs
            .iter()
            .map(|dims| Value::new(dims.to_vec(), None))
            .collect();
        computed(node, &inputs)
    }

    pub fn dims_of(node: &NodeProto, inputs: &[&[usize]]) -> Vec<usize> {
        of_dims(node, inputs).expect("it fits").remove(0).dims
    }

    pub fn refused(node: &NodeProto, inputs: &[&[usize]]) -> Problem {
        of_dims(node, inputs).expect_err("it does not fit")
    }
}
