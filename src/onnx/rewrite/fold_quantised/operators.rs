//! Operators of integers, each with the scales of what it takes and gives (QOperator form), to the QDQ form: what it
//! takes is dequantised, a float operator computes, and the result is quantised.
//!
//! QLinearConv and QLinearMatMul are ONNX's own; the others are those of ONNX Runtime's quantiser (domain
//! com.microsoft). A scale comes with its zero point; a zero point left out is 0.

use super::Reason;
use super::draft::{Draft, axis, int_attribute, node};
use tract_onnx::pb::{AttributeProto, NodeProto};

/// How the inputs of an operator are laid out: q, scale and zero point of what it takes, scale and zero point of what
/// it gives.
enum Form {
    /// `[x, scale, zero, y scale, y zero]`
    Unary,
    /// `[a, scale, zero, b, scale, zero, y scale, y zero]`
    Binary,
    /// `[y scale, y zero, (x, scale, zero)...]`
    Concat,
    /// `[condition, a, scale, zero, b, scale, zero, y scale, y zero]`
    Where,
    Conv,
    MatMul,
    Gemm,
}

fn form(op: &str) -> Option<(Form, &'static str)> {
    Some(match op {
        "QLinearSigmoid" => (Form::Unary, "Sigmoid"),
        "QLinearLeakyRelu" => (Form::Unary, "LeakyRelu"),
        "QLinearSoftmax" => (Form::Unary, "Softmax"),
        "QLinearAveragePool" => (Form::Unary, "AveragePool"),
        "QLinearGlobalAveragePool" => (Form::Unary, "GlobalAveragePool"),
        "QLinearAdd" => (Form::Binary, "Add"),
        "QLinearMul" => (Form::Binary, "Mul"),
        "QLinearConcat" => (Form::Concat, "Concat"),
        "QLinearWhere" => (Form::Where, "Where"),
        "QLinearConv" => (Form::Conv, "Conv"),
        "QLinearMatMul" => (Form::MatMul, "MatMul"),
        "QGemm" => (Form::Gemm, "Gemm"),
        _ => return None,
    })
}

/// Softmax changed its meaning with this version of the operators.
const SOFTMAX_CHANGED: i64 = 13;

/// # Errors
/// An operator of integers that is not known here, or that has not the inputs it should have.
pub fn to_pairs(
    nodes: Vec<NodeProto>,
    draft: &mut Draft,
    opset: i64,
) -> Result<Vec<NodeProto>, Reason> {
    let mut done = Vec::with_capacity(nodes.len());
    for old in nodes {
        let Some((form, op)) = form(&old.op_type) else {
            done.push(old);
            continue;
        };
        check_attributes(&old, opset)?;
        let mut pairs = Pairs {
            draft,
            nodes: &mut done,
            old: &old,
        };
        pairs.expand(&form, op)?;
    }
    Ok(done)
}

fn check_attributes(node: &NodeProto, opset: i64) -> Result<(), Reason> {
    if int_attribute(node, "channels_last").is_some_and(|n| n != 0) {
        return Err(format!(
            "{} \"{}\" has its channels last",
            node.op_type, node.name
        ));
    }
    let version = int_attribute(node, "opset").unwrap_or(opset);
    if (version < SOFTMAX_CHANGED) != (opset < SOFTMAX_CHANGED) {
        return Err(format!(
            "{} \"{}\" is that of operator set {version}, the graph is of {opset}",
            node.op_type, node.name
        ));
    }
    Ok(())
}

/// The nodes that take the place of one.
struct Pairs<'a, 'b> {
    draft: &'a mut Draft<'b>,
    nodes: &'a mut Vec<NodeProto>,
    old: &'a NodeProto,
}

impl Pairs<'_, '_> {
    fn expand(&mut self, form: &Form, op: &str) -> Result<(), Reason> {
        let (inputs, result) = match form {
            Form::Unary => (vec![self.dequantised(0, None)?], Some(3)),
            Form::Binary => {
                let both = vec![self.dequantised(0, None)?, self.dequantised(3, None)?];
                (both, Some(6))
            }
            Form::Where => {
                let condition = self.input(0)?.to_owned();
                let (a, b) = (self.dequantised(1, None)?, self.dequantised(4, None)?);
                (vec![condition, a, b], Some(7))
            }
            Form::Concat => {
                let parts = (2..self.old.input.len()).step_by(3);
                let parts = parts.map(|at| self.dequantised(at, None));
                (parts.collect::<Result<_, _>>()?, Some(0))
            }
            Form::Conv => {
                let mut inputs = vec![self.dequantised(0, None)?, self.dequantised(3, Some(0))?];
                inputs.extend(self.bias(8, 1.0)?);
                (inputs, Some(6))
            }
            Form::MatMul => (
                vec![
                    self.dequantised(0, Some(-2))?,
                    self.dequantised(3, Some(-1))?,
                ],
                Some(6),
            ),
            Form::Gemm => {
                let across = i64::from(int_attribute(self.old, "transB").unwrap_or(0) == 0);
                let mut inputs = vec![
                    self.dequantised(0, None)?,
                    self.dequantised(3, Some(across))?,
                ];
                let alpha = self.old.attribute.iter().find(|a| a.name == "alpha");
                inputs.extend(self.bias(6, alpha.map_or(1.0, |a| a.f))?);
                // Without a scale the result is float.
                (inputs, self.optional(7).map(|_| 7))
            }
        };
        self.compute(op, &inputs, result)
    }

    fn optional(&self, at: usize) -> Option<&str> {
        let name = self.old.input.get(at).map(String::as_str);
        name.filter(|name| !name.is_empty())
    }

    fn input(&self, at: usize) -> Result<&str, Reason> {
        self.optional(at).ok_or_else(|| {
            let old = self.old;
            format!("{} \"{}\" has no input {at}", old.op_type, old.name)
        })
    }

    fn output(&self) -> Result<String, Reason> {
        let output = self.old.output.first();
        output
            .cloned()
            .ok_or_else(|| format!("{} \"{}\" has no output", self.old.op_type, self.old.name))
    }

    /// A name for the value of input `at`, dequantised by the two inputs behind it.
    fn dequantised(&mut self, at: usize, channel_axis: Option<i64>) -> Result<String, Reason> {
        let (q, scale) = (self.input(at)?.to_owned(), self.input(at + 1)?.to_owned());
        let zero = self.optional(at + 2).map(str::to_owned);
        let name = self.draft.fresh(&format!("{}/input{at}", self.output()?));
        let inputs: Vec<&str> = [&q, &scale]
            .into_iter()
            .chain(&zero)
            .map(String::as_str)
            .collect();
        let attributes = channel_axis.map(axis).into_iter().collect();
        self.nodes
            .push(node("DequantizeLinear", &inputs, &name, attributes));
        Ok(name)
    }

    /// A bias is int32, of zero point 0 and the scale `alpha` times those of the two factors.
    fn bias(&mut self, at: usize, alpha: f32) -> Result<Option<String>, Reason> {
        let Some(bias) = self.optional(at).map(str::to_owned) else {
            return Ok(None);
        };
        let (of_x, of_weights) = (self.input(1)?.to_owned(), self.input(4)?.to_owned());
        let [x_scale] = self.draft.floats(&of_x)?[..] else {
            return Err(format!("\"{of_x}\" is not one scale"));
        };
        let scales = self.draft.floats(&of_weights)?;
        let scales: Vec<f32> = scales.iter().map(|scale| alpha * x_scale * scale).collect();
        let dims = match scales.len() {
            1 => vec![],
            length => vec![length as i64],
        };
        let output = self.output()?;
        let scale = self
            .draft
            .add(&format!("{output}/bias_scale"), dims, &scales)?;
        let name = self.draft.fresh(&format!("{output}/bias"));
        let inputs = [bias.as_str(), &scale];
        self.nodes
            .push(node("DequantizeLinear", &inputs, &name, vec![axis(-1)]));
        Ok(Some(name))
    }

    /// The float operator, its result quantised by the two inputs at `result`.
    fn compute(
        &mut self,
        op: &str,
        inputs: &[String],
        result: Option<usize>,
    ) -> Result<(), Reason> {
        let output = self.output()?;
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let own = |attribute: &&AttributeProto| {
            !["channels_last", "opset"].contains(&attribute.name.as_str())
        };
        let attributes = self.old.attribute.iter().filter(own).cloned().collect();
        let Some(at) = result else {
            self.nodes.push(node(op, &inputs, &output, attributes));
            return Ok(());
        };
        let real = self.draft.fresh(&format!("{output}/float"));
        self.nodes.push(node(op, &inputs, &real, attributes));
        let scale = self.input(at)?.to_owned();
        let zero = self.optional(at + 1).map(str::to_owned);
        let inputs: Vec<&str> = [&real, &scale]
            .into_iter()
            .chain(&zero)
            .map(String::as_str)
            .collect();
        self.nodes
            .push(node("QuantizeLinear", &inputs, &output, Vec::new()));
        Ok(())
    }
}
