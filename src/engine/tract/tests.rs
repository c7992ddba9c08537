use super::*;
use crate::base::geometry::Size;
use crate::base::tensor::{ColourOrder, Element, Interpolation, Layout, ResizeMode, TensorData};
use prost::Message;
use tract_onnx::pb::*;

/// `[1, 3, 2, 4]`, so that swapped axes show.
const SIZE: Size = Size::new(4, 2);
const DIMS: [usize; 4] = [1, 3, 2, 4];
const NUMBERS: usize = 24;

fn spec() -> InputSpec {
    InputSpec {
        name: "in".into(),
        size: SIZE,
        layout: Layout::Nchw,
        element: Element::F32,
        colour: ColourOrder::Rgb,
        mean: [0.0; 3],
        std: [1.0; 3],
        resize: ResizeMode::Stretch,
        pad_value: 0.0,
        interpolation: Interpolation::Linear,
    }
}

pub(super) fn value_info(
    name: &str,
    data_type: tensor_proto::DataType,
    dims: &[i64],
) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension};
    let dim = dims
        .iter()
        .map(|&dim| Dimension {
            value: Some(dimension::Value::DimValue(dim)),
            ..Default::default()
        })
        .collect();
    let tensor = type_proto::Tensor {
        elem_type: data_type as i32,
        shape: Some(TensorShapeProto { dim }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn node(op_type: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        name: format!("{output}_by_{op_type}"),
        op_type: op_type.into(),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        ..Default::default()
    }
}

pub(super) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: tensor_proto::DataType::Float as i32,
        float_data: values.to_vec(),
        ..Default::default()
    }
}

pub(super) fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: tensor_proto::DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..Default::default()
    }
}

/// Creates a file with input `in` of `DIMS` and the named outputs.
fn onnx_file(
    initializer: Vec<TensorProto>,
    node: Vec<NodeProto>,
    outputs: &[(&str, tensor_proto::DataType)],
) -> Vec<u8> {
    let dims = DIMS.map(|dim| dim as i64);
    let graph = GraphProto {
        name: "test".into(),
        input: vec![value_info("in", tensor_proto::DataType::Float, &dims)],
        output: (outputs.iter())
            .map(|&(name, data_type)| value_info(name, data_type, &dims))
            .collect(),
        initializer,
        node,
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: 7,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(graph),
        ..Default::default()
    };
    model.encode_to_vec()
}

const FLOAT: tensor_proto::DataType = tensor_proto::DataType::Float;
const INT64: tensor_proto::DataType = tensor_proto::DataType::Int64;

/// Creates a graph with two outputs: `doubled` = 2 x in, and `mixed` = a 1x1 convolution that sums the channels.
fn arithmetic() -> Vec<u8> {
    onnx_file(
        vec![
            floats("two", &[1], &[2.0]),
            floats("ones", &[1, 3, 1, 1], &[1.0; 3]),
        ],
        vec![
            node("Mul", &["in", "two"], "doubled"),
            node("Conv", &["doubled", "ones"], "mixed"),
        ],
        &[("mixed", FLOAT), ("doubled", FLOAT)],
    )
}

/// Opens a graph like [`crate::engine::open`]: its sizes are looked at first.
fn opened(bytes: &[u8], threads: usize) -> Result<Box<dyn Engine>, EngineError> {
    if let Ok(model) = ModelProto::decode(bytes) {
        let weighed = crate::onnx::budget::weigh(&model, &spec());
        crate::engine::budget::check(EngineKind::Tract, &weighed, &EngineOptions::default())?;
    }
    let tract = Tract::open(
        bytes,
        &spec(),
        &EngineOptions {
            threads,
            ..EngineOptions::default()
        },
    )?;
    Ok(Box::new(tract))
}

/// Returns the numbers 0, 1, 2 ... plus `offset`.
fn counting(offset: f32) -> Tensor {
    let values = (0..NUMBERS).map(|n| n as f32 + offset);
    Tensor::f32("in", DIMS, values.collect())
}

/// Returns what `arithmetic` makes of `counting(offset)`.
fn mixed(offset: f32) -> Vec<f32> {
    (0..8)
        .map(|n| 2.0 * ((3 * n + 24) as f32 + 3.0 * offset))
        .collect()
}

#[test]
fn outputs_come_in_model_order_with_their_names_and_dims() {
    let mut engine = opened(&arithmetic(), 1).expect("a plain graph");
    let specs: Vec<String> = engine.outputs().iter().map(ToString::to_string).collect();
    assert_eq!(
        specs,
        ["mixed [1, 1, 2, 4] float32", "doubled [1, 3, 2, 4] float32"]
    );
    let outputs = engine.run(&counting(0.0)).expect("runs");
    let found: Vec<String> = outputs.iter().map(|o| o.spec().to_string()).collect();
    assert_eq!(found, specs);
    assert_eq!(outputs[0].as_f32(), Some(&mixed(0.0)[..]));
}

#[test]
fn a_second_run_knows_nothing_of_the_first() {
    for threads in [0, 1, 2] {
        let mut engine = opened(&arithmetic(), threads).expect("a plain graph");
        for offset in [0.0, 1.0, -5.0] {
            let outputs = engine.run(&counting(offset)).expect("runs");
            assert_eq!(
                outputs[0].as_f32(),
                Some(&mixed(offset)[..]),
                "{threads} threads"
            );
        }
    }
}

#[test]
fn an_input_of_another_shape_or_type_is_refused_and_the_next_one_runs() {
    let mut engine = opened(&arithmetic(), 1).expect("a plain graph");
    let turned = Tensor::f32("in", [1, 3, 4, 2], vec![0.0; NUMBERS]);
    let error = engine.run(&turned).expect_err("axes swapped");
    assert!(matches!(error, EngineError::Shape { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "input is in [1, 3, 4, 2] float32, expected in [1, 3, 2, 4] float32"
    );
    let bytes = Tensor {
        name: "in".into(),
        dims: DIMS.to_vec(),
        data: TensorData::U8(vec![0; NUMBERS]),
    };
    assert!(matches!(engine.run(&bytes), Err(EngineError::Shape { .. })));
    let short = Tensor {
        name: "in".into(),
        dims: DIMS.to_vec(),
        data: TensorData::F32(vec![0.0; NUMBERS - 1]),
    };
    assert!(matches!(engine.run(&short), Err(EngineError::Shape { .. })));
    assert!(engine.run(&counting(0.0)).is_ok());
}

#[test]
fn an_operator_that_tract_lacks_is_named() {
    let mut foreign = node("NhwcConv", &["b"], "c");
    foreign.domain = "com.microsoft".into();
    let nodes = vec![
        node("Frobnicate", &["in"], "b"),
        foreign,
        node("Relu", &["c"], "out"),
    ];
    let error = opened(&onnx_file(vec![], nodes, &[("out", FLOAT)]), 1)
        .err()
        .expect("refused");
    match &error {
        EngineError::Operator { names, .. } => {
            assert_eq!(names, &["Frobnicate", "com.microsoft.NhwcConv"]);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_file_that_is_no_onnx_is_refused() {
    for bytes in [&b"not a model at all"[..], &[]] {
        let error = opened(bytes, 1).err().expect("refused");
        assert!(matches!(error, EngineError::Load { .. }), "{error}");
    }
    let whole = arithmetic();
    assert!(opened(&whole[..whole.len() / 2], 1).is_err(), "truncated");
}

#[test]
fn an_input_of_another_name_is_refused() {
    let other = InputSpec {
        name: "image".into(),
        ..spec()
    };
    let error = Tract::open(&arithmetic(), &other, &EngineOptions::default());
    let error = error.err().expect("refused").to_string();
    assert!(
        error.contains("its input is in, expected image; the engines onnxruntime"),
        "{error}"
    );
}

#[test]
fn weights_that_do_not_fit_are_refused_with_what_tract_says() {
    let nodes = vec![node("Conv", &["in", "weights"], "out")];
    let weights = vec![floats("weights", &[1, 5, 1, 1], &[1.0; 5])];
    let error = opened(&onnx_file(weights, nodes, &[("out", FLOAT)]), 1)
        .err()
        .expect("refused");
    assert!(matches!(error, EngineError::Load { .. }), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert!(error.to_string().contains("Conv"), "{error}");
}

#[test]
fn a_panic_of_tract_becomes_an_error() {
    // tract looks up an output that no node makes without a check.
    let nodes = vec![node("Relu", &["in"], "out")];
    let error = opened(&onnx_file(vec![], nodes, &[("elsewhere", FLOAT)]), 1).err();
    assert!(
        matches!(error, Some(EngineError::Panic { .. })),
        "{error:?}"
    );
}

#[test]
fn a_run_that_fails_is_an_error_and_the_engine_goes_on() {
    // Picks row in[0] of `table`, which has only one.
    let nodes = vec![
        node("Flatten", &["in"], "flat"),
        node("Slice", &["flat", "zero", "one", "one"], "first"),
        cast("first", "index", INT64),
        node("Gather", &["table", "index"], "out"),
    ];
    let constants = vec![
        floats("table", &[1], &[7.0]),
        integers("zero", &[0]),
        integers("one", &[1]),
    ];
    let mut engine = opened(&onnx_file(constants, nodes, &[("out", FLOAT)]), 1).expect("loads");
    assert!(engine.run(&counting(0.0)).is_ok());
    let error = engine.run(&counting(5.0)).expect_err("row 5 of 1");
    assert!(
        matches!(error, EngineError::Run { .. } | EngineError::Panic { .. }),
        "{error}"
    );
    let outputs = engine.run(&counting(0.0)).expect("the state was dropped");
    assert_eq!(outputs[0].as_f32().map(|v| v.contains(&7.0)), Some(true));
}

pub(super) fn cast(input: &str, output: &str, to: tensor_proto::DataType) -> NodeProto {
    let mut cast = node("Cast", &[input], output);
    cast.attribute.push(AttributeProto {
        name: "to".into(),
        r#type: attribute_proto::AttributeType::Int as i32,
        i: to as i64,
        ..Default::default()
    });
    cast
}

#[test]
fn integer_outputs_stay_integers() {
    let file = onnx_file(vec![], vec![cast("in", "out", INT64)], &[("out", INT64)]);
    let mut engine = opened(&file, 1).expect("a cast");
    assert_eq!(engine.outputs()[0].element, Element::I64);
    let outputs = engine.run(&counting(0.25)).expect("runs");
    assert_eq!(
        outputs[0].data,
        TensorData::I64((0..NUMBERS as i64).collect())
    );
}

#[test]
fn constants_of_absurd_size_are_refused_before_they_are_made() {
    let shape = vec![integers("shape", &[1 << 20, 1 << 20])];
    let nodes = vec![
        node("ConstantOfShape", &["shape"], "big"),
        node("Relu", &["in"], "out"),
    ];
    let error = opened(&onnx_file(shape, nodes, &[("out", FLOAT)]), 1)
        .err()
        .expect("refused");
    let text = error.to_string();
    assert!(
        text.contains("ConstantOfShape") && text.contains("1099511627776 bytes"),
        "{text}"
    );
}

#[test]
fn tensors_of_absurd_size_are_refused_before_the_run() {
    // The flattened input times its own transpose, repeated: 24 x 24,000,000 numbers.
    let nodes = vec![
        node("Flatten", &["in"], "row"),
        node("Tile", &["row", "repeats"], "rows"),
        node("Transpose", &["row"], "column"),
        node("Mul", &["rows", "column"], "out"),
    ];
    let repeats = vec![integers("repeats", &[1, 1_000_000])];
    let error = opened(&onnx_file(repeats, nodes, &[("out", FLOAT)]), 1)
        .err()
        .expect("refused");
    let text = error.to_string();
    assert!(
        text.contains("[24, 24000000]") && text.contains("at most 1073741824"),
        "{text}"
    );
}

#[test]
fn two_engines_run_in_two_threads() {
    let run = |offset: f32| {
        move || {
            let mut engine = opened(&arithmetic(), 2).expect("a plain graph");
            for _ in 0..50 {
                let outputs = engine.run(&counting(offset)).expect("runs");
                assert_eq!(outputs[0].as_f32(), Some(&mixed(offset)[..]));
            }
        }
    };
    let threads = [std::thread::spawn(run(0.0)), std::thread::spawn(run(100.0))];
    for thread in threads {
        thread.join().expect("right results in both");
    }
}

#[test]
fn engines_of_one_model_share_its_weights_and_no_threads() {
    let mut first =
        Tract::open(&arithmetic(), &spec(), &EngineOptions::default()).expect("a plain graph");
    let mut pools = Vec::new();
    for threads in [2, 2, 3, 1] {
        let mut engine = first.twin(threads).expect("there is memory");
        let outputs = engine.run(&counting(0.0)).expect("runs");
        assert_eq!(outputs[0].as_f32(), Some(&mixed(0.0)[..]));
        assert!(Arc::ptr_eq(&engine.plan, &first.plan));
        match engine.executor {
            Some(multithread::Executor::MultiThread(pool)) => pools.push((threads, pool)),
            _ => assert_eq!(threads, 1),
        }
    }
    assert!(
        pools
            .iter()
            .all(|(threads, pool)| pool.current_num_threads() == *threads)
    );
    assert!(
        !Arc::ptr_eq(&pools[0].1, &pools[1].1),
        "one pool for two engines"
    );
    assert!(first.executor.is_none(), "it has not run");
    first.run(&counting(0.0)).expect("runs");
}
