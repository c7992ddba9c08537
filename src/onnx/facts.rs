//! [`Facts`]: what an ONNX file says of itself, in the form that recognition asks for.

use super::error::OnnxError;
use super::infer::{self, Inference, SHAPES_BUDGET, SHAPES_ONLY, Value};
use crate::base::geometry::Size;
use crate::base::tensor::{Element, Layout};
use crate::onnx::parse::check_budget;
use crate::onnx::side_input::Side;
use std::collections::HashSet;
use std::fmt;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto, type_proto};

/// An input or output of the graph. A dim of `None` is free: symbolic, 0 or -1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name in the graph.
    pub name: String,
    /// `None` if the file does not state even the number of dims.
    pub dims: Option<Vec<Option<usize>>>,
    /// ONNX's number of the type.
    pub data_type: i32,
}

impl Port {
    pub(crate) fn new(info: &ValueInfoProto) -> Result<Self, OnnxError> {
        let tensor = info.r#type.as_ref().and_then(|kind| kind.value.as_ref());
        let tensor = tensor.map(|type_proto::Value::TensorType(tensor)| tensor);
        let dims: Option<Vec<i64>> = tensor.and_then(|t| t.shape.as_ref()).map(|shape| {
            let dims = shape.dim.iter().map(|dim| match dim.value {
                Some(dimension::Value::DimValue(dim)) => dim,
                _ => 0,
            });
            dims.collect()
        });
        check_budget(
            &format!("tensor \"{}\"", info.name),
            dims.as_deref().unwrap_or_default(),
        )?;
        let free_or_fixed = |dim: i64| usize::try_from(dim).ok().filter(|dim| *dim > 0);
        Ok(Self {
            name: info.name.clone(),
            dims: dims.map(|dims| dims.into_iter().map(free_or_fixed).collect()),
            data_type: tensor.map_or(0, |t| t.elem_type),
        })
    }

    /// Fills dims that the file leaves open with those of `found`, unless the file states others.
    fn complete(&mut self, found: &[usize]) {
        let stated = self.dims.clone().unwrap_or_else(|| vec![None; found.len()]);
        let mut pairs = stated.iter().zip(found);
        let agree = stated.len() == found.len()
            && pairs.all(|(stated, found)| stated.is_none_or(|stated| stated == *found));
        if agree {
            // A dim of 0 is no number of anything that a model finds.
            let dims = found.iter().map(|dim| Some(*dim).filter(|dim| *dim > 0));
            self.dims = Some(dims.collect());
        }
    }

    /// Returns the dims; none if the file does not state their number.
    pub fn dims(&self) -> &[Option<usize>] {
        self.dims.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name)?;
        match &self.dims {
            Some(dims) => {
                let dims = dims
                    .iter()
                    .map(|dim| dim.map_or("?".into(), |n| n.to_string()));
                write!(f, "[{}]", dims.collect::<Vec<_>>().join(", "))?;
            }
            None => f.write_str("[?]")?,
        }
        write!(f, " {}", type_name(self.data_type))
    }
}

fn type_name(data_type: i32) -> String {
    match DataType::try_from(data_type) {
        Ok(DataType::Float) => "float32".into(),
        Ok(DataType::Double) => "float64".into(),
        Ok(kind) => kind.as_str_name().to_lowercase(),
        Err(_) => format!("type {data_type}"),
    }
}

/// The input that takes the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureInput {
    /// Name in the graph.
    pub name: String,
    /// Order of the dims.
    pub layout: Layout,
    /// Whether the dims fit either layout, or none, so that the layout is a guess.
    pub layout_guessed: bool,
    /// Width in pixels; `None` if it is free.
    pub width: Option<u32>,
    /// Height in pixels; `None` if it is free.
    pub height: Option<u32>,
    /// Type of the numbers.
    pub element: Element,
    /// Whether the batch axis is missing, as with torchvision.
    pub without_batch: bool,
}

/// The statements of a file about itself.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The graph itself, for evidence from its operators.
    pub graph: &'a GraphProto,
    /// Number of ONNX's own operator set.
    pub opset: i64,
    /// Keys and values of the metadata.
    pub metadata: Vec<(&'a str, &'a str)>,
    /// Inputs without constants: old exporters list initializers as inputs.
    pub inputs: Vec<Port>,
    /// The outputs that are read, in the order of the file.
    pub outputs: Vec<Port>,
    /// The outputs that are not read.
    pub left_out: Vec<Port>,
    /// The input that takes the picture.
    pub picture: PictureInput,
    /// The known inputs beside the picture.
    pub sides: Vec<Side>,
}

impl<'a> Facts<'a> {
    /// # Errors
    /// [`OnnxError::NotADetector`] if no input takes a picture, [`OnnxError::Unsupported`] if it takes several or
    /// numbers that we do not make, [`OnnxError::TooLarge`] for dims beyond the budget.
    pub fn new(model: &'a ModelProto, graph: &'a GraphProto) -> Result<Self, OnnxError> {
        let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        let inputs = graph
            .input
            .iter()
            .filter(|input| !constants.contains(input.name.as_str()));
        let inputs = inputs.map(Port::new).collect::<Result<Vec<_>, _>>()?;
        let outputs = graph
            .output
            .iter()
            .map(Port::new)
            .collect::<Result<Vec<_>, _>>()?;
        let (pictures, sides): (Vec<_>, Vec<_>) = inputs
            .iter()
            .partition(|input| Side::recognise(input).is_none());
        let picture = match &pictures[..] {
            [input] => picture_input(input),
            _ => Err(Refusal::Other(format!(
                "{} inputs, expected one that takes a picture, and of others {}",
                inputs.len(),
                Side::NAMES
            ))),
        };
        let sides = sides.into_iter().filter_map(Side::recognise).collect();
        let picture = picture.map_err(|refusal| match refusal {
            Refusal::Other(why) => not_a_detector(why, &inputs, &outputs),
            Refusal::Unsupported(what) => OnnxError::Unsupported { what },
        })?;
        let metadata = model.metadata_props.iter();
        Ok(Self {
            graph,
            opset: infer::opset(model),
            metadata: metadata
                .map(|p| (p.key.as_str(), p.value.as_str()))
                .collect(),
            inputs,
            outputs,
            left_out: Vec::new(),
            picture,
            sides,
        })
    }

    /// Returns the facts of the model with only these of its outputs, by their places.
    pub fn with_outputs(&self, places: &[usize]) -> Self {
        let outputs = places.iter().map(|place| self.outputs[*place].clone());
        let others = self.outputs.iter().enumerate();
        let others = others.filter(|(place, _)| !places.contains(place));
        let others = others.map(|(_, port)| port.clone());
        Self {
            outputs: outputs.collect(),
            left_out: self.left_out.iter().cloned().chain(others).collect(),
            ..self.clone()
        }
    }

    /// Returns whether the file leaves a dim of the picture or of an output open.
    pub fn has_open_dims(&self) -> bool {
        let open = |port: &Port| port.dims.is_none() || port.dims().contains(&None);
        let picture = (self.picture.width, self.picture.height);
        self.outputs.iter().any(open) || picture.0.is_none() || picture.1.is_none()
    }

    /// Returns the facts of the model for a picture of `size`: the dims that the file leaves open are worked out along
    /// the graph. A dim that depends on the numbers of a picture stays open.
    pub fn at_size(&self, size: Size) -> Self {
        let shapes = self.shapes_at(size);
        let mut facts = self.clone();
        for port in &mut facts.outputs {
            if let Some(value) = shapes.get(&port.name) {
                port.complete(&value.dims);
            }
        }
        (facts.picture.width, facts.picture.height) = (Some(size.width), Some(size.height));
        facts
    }

    /// Returns the dims of the values of the graph; `None` if the size of the picture is free.
    pub(crate) fn shapes(&self) -> Option<Inference> {
        let size = Size::new(self.picture.width?, self.picture.height?);
        Some(self.shapes_at(size))
    }

    fn shapes_at(&self, size: Size) -> Inference {
        let mut shapes = Inference::new(self.opset, SHAPES_ONLY, SHAPES_BUDGET);
        shapes.constants(self.graph);
        let (width, height) = (size.width as usize, size.height as usize);
        let mut dims = match self.picture.layout {
            Layout::Nchw => vec![1, 3, height, width],
            Layout::Nhwc => vec![1, height, width, 3],
        };
        if self.picture.without_batch {
            dims.remove(0);
        }
        shapes.set(&self.picture.name, Value::new(dims, None));
        for port in &self.inputs {
            if Side::recognise(port).is_some() {
                let dims = port.dims().iter().map(|dim| dim.unwrap_or(1));
                shapes.set(&port.name, Value::new(dims.collect(), None));
            }
        }
        shapes.follow(&self.graph.node);
        shapes
    }

    /// Returns the value of a key of the metadata.
    pub fn metadata(&self, key: &str) -> Option<&'a str> {
        self.metadata
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, value)| *value)
    }

    /// Makes the error that lists the inputs and outputs of the file.
    pub fn not_a_detector(&self, why: impl Into<String>) -> OnnxError {
        not_a_detector(why.into(), &self.inputs, &self.outputs)
    }

    /// Returns the only output and its dims; `None` if there are several.
    pub fn only_output(&self) -> Option<(&Port, &[Option<usize>])> {
        match &self.outputs[..] {
            [output] => Some((output, output.dims())),
            _ => None,
        }
    }
}

fn not_a_detector(why: String, inputs: &[Port], outputs: &[Port]) -> OnnxError {
    let list = |ports: &[Port]| {
        let ports: Vec<String> = ports.iter().map(Port::to_string).collect();
        if ports.is_empty() {
            "none".to_owned()
        } else {
            ports.join(", ")
        }
    };
    OnnxError::NotADetector {
        why,
        inputs: list(inputs),
        outputs: list(outputs),
        cards: Vec::new(),
    }
}

enum Refusal {
    Other(String),
    Unsupported(String),
}

fn picture_input(input: &Port) -> Result<PictureInput, Refusal> {
    let (batch, a, b, c) = match *input.dims() {
        [batch, a, b, c] => (batch, a, b, c),
        [Some(3), b, c] => (Some(1), Some(3), b, c),
        _ => {
            return Err(Refusal::Other(format!(
                "input {input} takes no picture, expected [1, 3, h, w], [1, h, w, 3] or [3, h, w]"
            )));
        }
    };
    let (layout, layout_guessed, height, width) = match (a, c) {
        (Some(3), _) => (Layout::Nchw, c == Some(3), b, c),
        (_, Some(3)) => (Layout::Nhwc, false, a, b),
        (None, _) => (Layout::Nchw, true, b, c),
        _ => {
            return Err(Refusal::Other(format!(
                "input {input} has not three channels"
            )));
        }
    };
    if batch.is_some_and(|n| n != 1) {
        return Err(Refusal::Unsupported(format!(
            "input {input} takes several pictures at once, expected 1: export the model with batch 1"
        )));
    }
    let element = match DataType::try_from(input.data_type) {
        Ok(DataType::Float) => Element::F32,
        Ok(DataType::Uint8) => Element::U8,
        _ => {
            return Err(Refusal::Unsupported(format!(
                "input {input} is neither float32 nor uint8"
            )));
        }
    };
    // The budget of 64 Mi elements has been checked, so a side fits.
    let side = |side: Option<usize>| side.map(|n| n as u32);
    Ok(PictureInput {
        name: input.name.clone(),
        layout,
        layout_guessed,
        width: side(width),
        height: side(height),
        element,
        without_batch: input.dims().len() == 3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{model, node};

    fn picture(dims: &[i64]) -> Result<PictureInput, OnnxError> {
        let model = model(
            vec![node("Relu", &["x"], &["y"])],
            &[("x", dims)],
            &[("y", dims)],
        );
        let graph = model.graph.as_ref().unwrap();
        Facts::new(&model, graph).map(|facts| facts.picture)
    }

    #[test]
    fn the_layout_follows_from_the_dims() {
        let nchw = picture(&[1, 3, 384, 640]).unwrap();
        assert_eq!(
            (nchw.layout, nchw.width, nchw.height),
            (Layout::Nchw, Some(640), Some(384))
        );
        let nhwc = picture(&[1, 384, 640, 3]).unwrap();
        assert_eq!(
            (nhwc.layout, nhwc.width, nhwc.height),
            (Layout::Nhwc, Some(640), Some(384))
        );
        let free = picture(&[-1, 3, 0, -1]).unwrap();
        assert_eq!(
            (free.layout, free.width, free.height),
            (Layout::Nchw, None, None)
        );
        assert!(!free.layout_guessed);
        assert!(picture(&[0, 0, 0, 0]).unwrap().layout_guessed);
        let alone = picture(&[3, 384, 640]).unwrap();
        assert_eq!(
            (alone.layout, alone.width, alone.height),
            (Layout::Nchw, Some(640), Some(384))
        );
        assert!(alone.without_batch && !nchw.without_batch);
    }

    #[test]
    fn inputs_that_take_no_picture_are_refused_with_their_dims() {
        for (dims, wanted) in [
            (&[1, 10][..], "[1, 10]"),
            (&[1, 1, 28, 28], "[1, 1, 28, 28]"),
            (&[8, 3, 32, 32], "batch 1"),
            (&[1, 3, 100_000, 100_000], "too large"),
        ] {
            let error = picture(dims).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn inputs_that_are_known_may_stand_beside_the_picture() {
        let facts = |inputs: &[(&str, &[i64])]| {
            let model = model(vec![], inputs, &[("y", &[1])]);
            let graph = model.graph.as_ref().unwrap();
            Facts::new(&model, graph)
                .map(|facts| (facts.picture.name, facts.sides))
                .map_err(|error| error.to_string())
        };
        let paddle: [(&str, &[i64]); 3] = [
            ("im_shape", &[1, 2]),
            ("image", &[1, 3, 64, 64]),
            ("scale_factor", &[-1, 2]),
        ];
        assert_eq!(
            facts(&paddle),
            Ok(("image".into(), vec![Side::InputShape, Side::ScaleFactor]))
        );
        let unknown: [(&str, &[i64]); 2] = [("x", &[1, 3, 64, 64]), ("prompt", &[1, 2])];
        let error = facts(&unknown).unwrap_err();
        assert!(
            error.contains("2 inputs") && error.contains("scale_factor"),
            "{error}"
        );
    }
}
