//! Faults in the structure of a graph, each from eight bytes.
//!
//! A fault names its kind, its places and its numbers by bytes, and any bytes are a fault. So an input stays valid whatever is
//! done to its bytes, and a file that is written from it is a message whose lengths are right.

use gstdetect::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use gstdetect::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, ValueInfoProto, type_proto,
};

/// Bytes of a fault.
pub const BYTES: usize = 8;

/// Faults beyond these are left out: two kinds may double a graph.
pub const MOST: usize = 12;

/// Numbers that dims, counts and places go wrong at, and some that keep a graph alive.
const NUMBERS: [i64; 32] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    31,
    64,
    80,
    255,
    1_000,
    4_096,
    20_001,
    65_536,
    1 << 20,
    (1 << 26) - 1,
    1_000_000_000,
    i32::MAX as i64,
    1 << 31,
    (1 << 32) + 1,
    1 << 40,
    1 << 62,
    i64::MAX,
    i64::MAX - 1,
    -1,
    -2,
    -3,
    i32::MIN as i64,
    i64::MIN,
];

/// Operators with sizes, places or graphs among what they take.
const OPERATORS: [&str; 48] = [
    "Tile",
    "Expand",
    "ConstantOfShape",
    "Range",
    "Pad",
    "Resize",
    "Upsample",
    "TopK",
    "NonZero",
    "Gather",
    "GatherND",
    "GatherElements",
    "ScatterND",
    "ScatterElements",
    "Slice",
    "Split",
    "Concat",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Shape",
    "Size",
    "Div",
    "Mod",
    "Mul",
    "Add",
    "Pow",
    "MatMul",
    "Gemm",
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "DepthToSpace",
    "SpaceToDepth",
    "Einsum",
    "CumSum",
    "NonMaxSuppression",
    "GridSample",
    "QuantizeLinear",
    "DequantizeLinear",
    "Cast",
    "Where",
    "OneHot",
    "Trilu",
];

/// Names of attributes whose numbers operators compute with.
const ATTRIBUTES: [&str; 16] = [
    "axis",
    "axes",
    "perm",
    "pads",
    "strides",
    "dilations",
    "kernel_shape",
    "group",
    "ceil_mode",
    "to",
    "blocksize",
    "k",
    "split",
    "keepdims",
    "allowzero",
    "output_padding",
];

/// Files that a constant may name; [`super::FILES`] are there.
const LOCATIONS: [&str; 8] = [
    "weights.bin",
    "short.bin",
    "link.bin",
    "hole.bin",
    "nowhere.bin",
    "../weights.bin",
    "/dev/zero",
    ".",
];

/// One fault, not yet put anywhere.
#[derive(Clone, Copy)]
struct Fault {
    kind: u8,
    place: usize,
    part: usize,
    number: u8,
    other: usize,
    extra: u8,
}

impl Fault {
    fn new(bytes: [u8; BYTES]) -> Self {
        let [kind, p0, p1, part, number, o0, o1, extra] = bytes;
        Self {
            kind,
            place: u16::from_le_bytes([p0, p1]).into(),
            part: part.into(),
            number,
            other: u16::from_le_bytes([o0, o1]).into(),
            extra,
        }
    }

    fn number(&self) -> i64 {
        NUMBERS[usize::from(self.number) % NUMBERS.len()]
    }

    /// Another number, that of `extra`.
    fn second(&self) -> i64 {
        NUMBERS[usize::from(self.extra) % NUMBERS.len()]
    }

    fn operator(&self) -> &'static str {
        OPERATORS[self.other % OPERATORS.len()]
    }
}

/// Puts the faults of `bytes` into a model, in their order.
pub fn put(model: &mut ModelProto, bytes: &[u8]) {
    for fault in bytes.as_chunks::<BYTES>().0.iter().take(MOST) {
        let fault = Fault::new(*fault);
        if fault.kind % 18 == 17 {
            about_the_file(model, &fault);
        } else if let Some(graph) = &mut model.graph {
            in_graph(graph, &fault);
        }
    }
}

fn in_graph(graph: &mut GraphProto, fault: &Fault) {
    // Every eighth kind of fault goes into a graph in a node, if there is one.
    if fault.extra >= 224
        && let Some(inner) = inner_graph(graph, fault.other)
    {
        return in_graph(inner, &Fault { extra: 0, ..*fault });
    }
    match fault.kind % 18 {
        0 => dim(graph, fault),
        1 | 2 => attribute(graph, fault),
        3 => constant_dims(graph, fault),
        4 => constant_type(graph, fault),
        5 => constant_length(graph, fault),
        6 | 7 => constant_numbers(graph, fault),
        8 | 9 => input_of_node(graph, fault),
        10 => output_of_node(graph, fault),
        11 => nodes(graph, fault),
        12 => operator(graph, fault),
        13 | 14 => operator_in_front(graph, fault),
        15 => graph_in_node(graph, fault),
        _ => border(graph, fault),
    }
}

fn chosen<T>(list: &mut [T], place: usize) -> Option<&mut T> {
    let count = list.len().max(1);
    list.get_mut(place % count)
}

fn inner_graph(graph: &mut GraphProto, place: usize) -> Option<&mut GraphProto> {
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    let inner = attributes.flat_map(|a| a.g.iter_mut().chain(&mut a.graphs));
    let mut inner: Vec<_> = inner.collect();
    let index = place % inner.len().max(1);
    (index < inner.len()).then(|| inner.swap_remove(index))
}

/// A dim of an input, an output or a value in between.
fn dim(graph: &mut GraphProto, fault: &Fault) {
    let values = graph.input.iter_mut().chain(&mut graph.output);
    let mut values: Vec<_> = values.chain(&mut graph.value_info).collect();
    let Some(value) = chosen(&mut values, fault.place) else {
        return;
    };
    let kind = value.r#type.as_mut().and_then(|t| t.value.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = kind else {
        return;
    };
    if fault.extra % 8 == 7 {
        tensor.elem_type = fault.number() as i32;
        return;
    }
    let shape = tensor.shape.get_or_insert_with(TensorShapeProto::default);
    let value = match fault.extra % 8 {
        5 => Some(dimension::Value::DimParam("N".into())),
        6 => None,
        _ => Some(dimension::Value::DimValue(fault.number())),
    };
    match chosen(&mut shape.dim, fault.part) {
        Some(dim) if fault.part < 128 => dim.value = value,
        _ => shape.dim.push(Dimension {
            value,
            ..Default::default()
        }),
    }
}

/// A number of an attribute, its type or name, or a new one.
fn attribute(graph: &mut GraphProto, fault: &Fault) {
    let Some(node) = chosen(&mut graph.node, fault.place) else {
        return;
    };
    let name = ATTRIBUTES[fault.other % ATTRIBUTES.len()];
    match (fault.extra % 16, chosen(&mut node.attribute, fault.part)) {
        (0, _) | (_, None) => node
            .attribute
            .push(integers(name, vec![fault.number(), fault.second()])),
        (1, _) => node.attribute.push(integer(name, fault.number())),
        (2, Some(found)) => found.r#type = fault.number() as i32,
        (3, Some(found)) => found.name = name.into(),
        (4, Some(found)) => found.ints.push(fault.number()),
        (5, Some(found)) => drop(found.ints.pop()),
        (6, Some(found)) => found.f = f32::from_bits(0x0101_0101 * u32::from(fault.number)),
        (7, Some(found)) => found.s = vec![fault.number; fault.other % 64],
        (_, Some(found)) if found.ints.is_empty() => found.i = fault.number(),
        (_, Some(found)) => {
            if let Some(one) = chosen(&mut found.ints, fault.other) {
                *one = fault.number();
            }
        }
    }
}

fn integer(name: &str, number: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: 2,
        i: number,
        ..Default::default()
    }
}

fn integers(name: &str, numbers: Vec<i64>) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: 7,
        ints: numbers,
        ..Default::default()
    }
}

/// A constant: an initializer or the value of a node.
fn constant<'a>(graph: &'a mut GraphProto, fault: &Fault) -> Option<&'a mut TensorProto> {
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    let values = attributes.filter_map(|attribute| attribute.t.as_mut());
    let mut all: Vec<_> = graph.initializer.iter_mut().chain(values).collect();
    let index = fault.place % all.len().max(1);
    (index < all.len()).then(|| all.swap_remove(index))
}

fn constant_dims(graph: &mut GraphProto, fault: &Fault) {
    let Some(tensor) = constant(graph, fault) else {
        return;
    };
    match (fault.extra % 8, chosen(&mut tensor.dims, fault.part)) {
        (0, _) | (_, None) => tensor.dims.push(fault.number()),
        (1, _) => drop(tensor.dims.pop()),
        (2, _) => tensor.dims.rotate_left(1),
        (_, Some(dim)) => *dim = fault.number(),
    }
}

fn constant_type(graph: &mut GraphProto, fault: &Fault) {
    if let Some(tensor) = constant(graph, fault) {
        tensor.data_type = i32::from(fault.number % 26);
    }
}

/// More or fewer numbers than the dims say, numbers in the fields of other types, and numbers in other files.
fn constant_length(graph: &mut GraphProto, fault: &Fault) {
    let Some(tensor) = constant(graph, fault) else {
        return;
    };
    let length = tensor.raw_data.len();
    match fault.extra % 8 {
        0 => tensor.raw_data.truncate(length / 2 + fault.part % 4),
        1 => tensor.raw_data.truncate(fault.part),
        2 => tensor.raw_data.extend(vec![fault.number; fault.other]),
        3 => {
            let (words, _) = tensor.raw_data.as_chunks::<4>();
            tensor.float_data = words.iter().map(|w| f32::from_le_bytes(*w)).collect();
            tensor.raw_data.clear();
        }
        4 => {
            let (words, _) = tensor.raw_data.as_chunks::<8>();
            tensor.int64_data = words.iter().map(|w| i64::from_le_bytes(*w)).collect();
            tensor.raw_data.clear();
        }
        5 => {
            tensor.int32_data = tensor.raw_data.iter().map(|&b| b.into()).collect();
            tensor.raw_data.clear();
        }
        _ => elsewhere(tensor, fault),
    }
}

fn elsewhere(tensor: &mut TensorProto, fault: &Fault) {
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: key.into(),
        value,
    };
    let length = tensor.raw_data.len();
    let place = LOCATIONS[fault.part % LOCATIONS.len()];
    tensor.data_location = Some(1);
    tensor.external_data.push(entry("location", place.into()));
    if fault.other & 1 != 0 {
        let offset = fault.number().to_string();
        tensor.external_data.push(entry("offset", offset));
    }
    match fault.other & 6 {
        2 => (tensor.external_data).push(entry("length", length.to_string())),
        4 => (tensor.external_data).push(entry("length", fault.number().to_string())),
        _ => {}
    }
    if fault.other & 8 != 0 {
        tensor.raw_data.clear();
    }
}

fn constant_numbers(graph: &mut GraphProto, fault: &Fault) {
    let Some(tensor) = constant(graph, fault) else {
        return;
    };
    let number = fault.number();
    if let Some(found) = chosen(&mut tensor.int64_data, fault.other) {
        *found = number;
        return;
    }
    let bytes: &[u8] = match tensor.data_type {
        7 => &number.to_le_bytes(),
        6 => &(number as i32).to_le_bytes(),
        1 if fault.extra % 2 == 0 => &(number as f32).to_le_bytes(),
        1 => &f32::from_bits(0x0101_0101 * u32::from(fault.extra)).to_le_bytes(),
        _ => &[fault.number],
    };
    let count = tensor.raw_data.len() / bytes.len();
    if count > 0 {
        let at = fault.other % count * bytes.len();
        tensor.raw_data[at..][..bytes.len()].copy_from_slice(bytes);
    }
}

/// A name of something in the graph; rarely of nothing.
fn name(graph: &GraphProto, place: usize) -> String {
    let made = graph.node.iter().flat_map(|node| &node.output);
    let constants = graph.initializer.iter().map(|t| &t.name);
    let inputs = graph.input.iter().map(|v| &v.name);
    let names: Vec<&String> = made.chain(constants).chain(inputs).collect();
    match place % (names.len() + 2) {
        index if index < names.len() => names[index].clone(),
        index if index == names.len() => String::new(),
        _ => "nowhere".into(),
    }
}

fn input_of_node(graph: &mut GraphProto, fault: &Fault) {
    let name = name(graph, fault.other);
    let Some(node) = chosen(&mut graph.node, fault.place) else {
        return;
    };
    match (fault.extra % 8, chosen(&mut node.input, fault.part)) {
        (0, _) | (_, None) => node.input.push(name),
        (1, _) => drop(node.input.pop()),
        (2, _) => node.input.rotate_left(1),
        (3, _) => node.input.extend(vec![name; usize::from(fault.number)]),
        (_, Some(input)) => *input = name,
    }
}

fn output_of_node(graph: &mut GraphProto, fault: &Fault) {
    let name = name(graph, fault.other);
    let Some(node) = chosen(&mut graph.node, fault.place) else {
        return;
    };
    match (fault.extra % 4, chosen(&mut node.output, fault.part)) {
        (0, _) | (_, None) => node.output.push(name),
        (1, _) => drop(node.output.pop()),
        (_, Some(output)) => *output = name,
    }
}

/// A node lost, doubled or moved.
fn nodes(graph: &mut GraphProto, fault: &Fault) {
    if graph.node.is_empty() {
        return;
    }
    let at = fault.place % graph.node.len();
    let to = fault.other % graph.node.len();
    match fault.extra % 4 {
        0 => drop(graph.node.remove(at)),
        1 => graph.node.insert(to, graph.node[at].clone()),
        2 => graph.node.swap(at, to),
        _ => graph.node.truncate(at.max(1)),
    }
}

fn operator(graph: &mut GraphProto, fault: &Fault) {
    if let Some(node) = chosen(&mut graph.node, fault.place) {
        node.op_type = fault.operator().into();
        if fault.extra % 16 == 15 {
            node.domain = "com.microsoft".into();
        }
    }
}

/// Puts an operator, with a constant, in front of what a node takes.
fn operator_in_front(graph: &mut GraphProto, fault: &Fault) {
    let number = graph.node.len() + graph.initializer.len();
    let (made, given) = (format!("made{number}"), format!("given{number}"));
    if graph.node.is_empty() {
        return;
    }
    let at = fault.place % graph.node.len();
    let Some(taken) = chosen(&mut graph.node[at].input, fault.part) else {
        return;
    };
    let before = std::mem::replace(taken, made.clone());
    let numbers = vec![fault.number(), fault.second(), 1, fault.number()];
    let count = 1 + fault.part / 8 % 4;
    let is_float = fault.extra % 16 == 9;
    let bytes = numbers[..count].iter().flat_map(|n| match is_float {
        true => (*n as f32).to_le_bytes().to_vec(),
        false => n.to_le_bytes().to_vec(),
    });
    graph.initializer.push(TensorProto {
        name: given.clone(),
        dims: vec![count as i64],
        data_type: if is_float { 1 } else { 7 },
        raw_data: bytes.collect(),
        ..Default::default()
    });
    let op_type = fault.operator();
    let input = match op_type {
        "ConstantOfShape" => vec![given],
        "Resize" => vec![before, String::new(), String::new(), given],
        "Range" => vec![given.clone(), before, given],
        _ => vec![before, given],
    };
    let node = NodeProto {
        op_type: op_type.into(),
        input,
        output: vec![made],
        attribute: vec![integers("kernel_shape", numbers[..2].to_vec())],
        ..Default::default()
    };
    graph.node.insert(at, node);
}

/// Moves a node into a graph of an If, Loop or Scan, or puts the whole graph into one.
fn graph_in_node(graph: &mut GraphProto, fault: &Fault) {
    if graph.node.is_empty() {
        return;
    }
    let at = fault.place % graph.node.len();
    let moved = match fault.extra % 8 {
        7 => graph.node.clone(),
        _ => vec![graph.node[at].clone()],
    };
    let outputs = graph.node[at].output.clone();
    let value = |name: &String| ValueInfoProto {
        name: name.clone(),
        ..Default::default()
    };
    let inner = GraphProto {
        node: moved,
        output: outputs.iter().map(value).collect(),
        ..Default::default()
    };
    let body = |name: &str| AttributeProto {
        name: name.into(),
        r#type: 5,
        g: Some(inner.clone()),
        ..Default::default()
    };
    let (op_type, attribute) = match fault.part % 4 {
        0 => ("Loop", vec![body("body")]),
        1 => (
            "Scan",
            vec![body("body"), integer("num_scan_inputs", fault.number())],
        ),
        _ => ("If", vec![body("then_branch"), body("else_branch")]),
    };
    let trips = format!("trips{}", graph.initializer.len());
    graph.initializer.push(TensorProto {
        name: trips.clone(),
        data_type: if op_type == "If" { 9 } else { 7 },
        raw_data: match op_type {
            "If" => vec![fault.number % 2],
            _ => fault.number().to_le_bytes().to_vec(),
        },
        ..Default::default()
    });
    graph.node[at] = NodeProto {
        op_type: op_type.into(),
        input: vec![trips, name(graph, fault.other)],
        output: outputs,
        attribute,
        ..Default::default()
    };
}

/// Inputs and outputs of the graph.
fn border(graph: &mut GraphProto, fault: &Fault) {
    let name = name(graph, fault.other);
    let list = match fault.part % 2 {
        0 => &mut graph.output,
        _ => &mut graph.input,
    };
    match (fault.extra % 8, chosen(list, fault.place)) {
        (0, Some(value)) => {
            let value = value.clone();
            list.push(ValueInfoProto { name, ..value });
        }
        (1, _) => drop(list.pop()),
        (2, _) => list.rotate_left(1),
        (3, Some(value)) => value.r#type = None,
        (4, _) => list.reverse(),
        (_, Some(value)) => value.name = name,
        (_, None) => {}
    }
}

/// What the file says beside its graph.
fn about_the_file(model: &mut ModelProto, fault: &Fault) {
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: key.into(),
        value,
    };
    let number = fault.number();
    match fault.extra % 8 {
        0 => model.ir_version = number,
        1 => model
            .metadata_props
            .push(entry("imgsz", format!("[{number}, 64]"))),
        2 => model
            .metadata_props
            .push(entry("stride", number.to_string())),
        3 => model
            .metadata_props
            .push(entry("names", format!("{{{number}: 'a'}}"))),
        4 => model.metadata_props.clear(),
        5 => model.opset_import.push(OperatorSetIdProto {
            domain: "com.microsoft".into(),
            version: number,
        }),
        _ => {
            if let Some(opset) = chosen(&mut model.opset_import, fault.place) {
                opset.version = number.min(40);
            }
        }
    }
}
