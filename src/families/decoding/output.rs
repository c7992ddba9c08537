//! [`Output`]: which output a decoder reads and what shape it must have, checked once when the decoder is made.

use crate::base::tensor::{Element, Tensor, TensorData, TensorSpec};
use crate::families::decoding::DecodeError;

/// The condition of a layout on one dim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dim {
    Is(usize),
    AtLeast(usize),
}

impl Dim {
    pub const ANY: Self = Self::AtLeast(0);

    /// An axis of `fields` numbers and one score a class, of which there is at least one; 0 classes: not known.
    pub fn fields_and(fields: usize, classes: usize) -> Self {
        match classes {
            0 => Self::AtLeast(fields + 1),
            _ => Self::Is(fields + classes),
        }
    }

    fn holds(self, dim: usize) -> bool {
        match self {
            Self::Is(wanted) => dim == wanted,
            Self::AtLeast(least) => dim >= least,
        }
    }
}

/// One output, f32 where not said otherwise: its place among the model's outputs and its dims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    index: usize,
    dims: Vec<Dim>,
    /// For the error, in words of the layout.
    expected: String,
}

impl Output {
    /// The first output whose dims fit `wanted`; a dim of 0 is not known before the run and fits.
    ///
    /// Exports carry further outputs at times (raw heads beside the decoded one, masks): they are passed over.
    ///
    /// # Errors
    /// [`DecodeError::Shape`] with a sole output, [`DecodeError::Outputs`] with none or several, if none fits.
    pub fn find(
        outputs: &[TensorSpec],
        wanted: &[Dim],
        expected: &str,
    ) -> Result<Self, DecodeError> {
        let found = (outputs.iter().enumerate()).find(|(_, spec)| fits(&spec.dims, wanted));
        match (found, outputs) {
            (Some((index, spec)), _) => Self::at(index, spec, wanted, expected),
            (None, [only]) => Err(shape_error(&only.name, &only.dims, expected)),
            (None, _) => Err(DecodeError::Outputs {
                found: outputs.to_vec(),
                expected: format!("one of {expected}"),
            }),
        }
    }

    /// Output `index`, which is `spec`, with `wanted` dims.
    ///
    /// # Errors
    /// [`DecodeError`] if it has another shape or is not f32.
    pub fn at(
        index: usize,
        spec: &TensorSpec,
        wanted: &[Dim],
        expected: &str,
    ) -> Result<Self, DecodeError> {
        let output = Self::of_any_type(index, spec, wanted, expected)?;
        if spec.element != Element::F32 {
            return Err(DecodeError::Element {
                name: spec.name.clone(),
                found: spec.element,
            });
        }
        Ok(output)
    }

    /// Takes an output like [`Output::at`], but with numbers of any type: class numbers and counts. Read it with
    /// [`Output::data`].
    ///
    /// # Errors
    /// [`DecodeError`] if it has another shape.
    pub fn of_any_type(
        index: usize,
        spec: &TensorSpec,
        wanted: &[Dim],
        expected: &str,
    ) -> Result<Self, DecodeError> {
        if !fits(&spec.dims, wanted) {
            return Err(shape_error(&spec.name, &spec.dims, expected));
        }
        let known = |(&dim, &wanted): (&usize, &Dim)| if dim == 0 { wanted } else { Dim::Is(dim) };
        let dims = spec.dims.iter().zip(wanted).map(known).collect();
        Ok(Self {
            index,
            dims,
            expected: expected.into(),
        })
    }

    /// The numbers of this output of one run, and its dims.
    ///
    /// # Errors
    /// [`DecodeError`] if the run gave another shape or type than the decoder was made for.
    pub fn read<'a>(&self, outputs: &'a [Tensor]) -> Result<(&'a [f32], &'a [usize]), DecodeError> {
        let tensor = self.tensor(outputs)?;
        let values = tensor.as_f32().ok_or_else(|| DecodeError::Element {
            name: tensor.name.clone(),
            found: tensor.data.element(),
        })?;
        Ok((values, &tensor.dims))
    }

    /// The numbers of this output of one run, of whatever type.
    ///
    /// # Errors
    /// [`DecodeError`] if the run gave another shape than the decoder was made for.
    pub fn data<'a>(&self, outputs: &'a [Tensor]) -> Result<&'a TensorData, DecodeError> {
        Ok(&self.tensor(outputs)?.data)
    }

    fn tensor<'a>(&self, outputs: &'a [Tensor]) -> Result<&'a Tensor, DecodeError> {
        let Some(tensor) = outputs.get(self.index) else {
            return Err(DecodeError::Outputs {
                found: outputs.iter().map(Tensor::spec).collect(),
                expected: format!("{} as output {}", self.expected, self.index),
            });
        };
        let as_made = tensor.dims.len() == self.dims.len()
            && (tensor.dims.iter().zip(&self.dims)).all(|(&dim, wanted)| wanted.holds(dim));
        let length = (tensor.dims.iter()).try_fold(1_usize, |length, &dim| length.checked_mul(dim));
        if as_made && length == Some(tensor.data.len()) {
            Ok(tensor)
        } else {
            Err(shape_error(&tensor.name, &tensor.dims, &self.expected))
        }
    }
}

/// Whether dims, of which 0 is unknown, can be `wanted`.
fn fits(dims: &[usize], wanted: &[Dim]) -> bool {
    dims.len() == wanted.len()
        && (dims.iter().zip(wanted)).all(|(&dim, wanted)| dim == 0 || wanted.holds(dim))
}

/// `4 + 80`, or `4 + classes` where the number of classes is not known.
pub(crate) fn with_classes(fields: usize, classes: usize) -> String {
    match classes {
        0 => format!("{fields} + classes"),
        _ => format!("{fields} + {classes}"),
    }
}

pub(crate) fn shape_error(name: &str, found: &[usize], expected: &str) -> DecodeError {
    DecodeError::Shape {
        name: name.into(),
        found: found.to_vec(),
        expected: expected.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dims: &[usize], element: Element) -> TensorSpec {
        TensorSpec {
            name: "out".into(),
            dims: dims.to_vec(),
            element,
        }
    }

    fn zeros(dims: &[usize]) -> [Tensor; 1] {
        [Tensor::f32("out", dims, vec![0.0; dims.iter().product()])]
    }

    #[test]
    fn the_first_output_that_fits_is_taken() {
        let specs = [
            spec(&[1, 3, 80, 80, 85], Element::F32),
            spec(&[1, 9, 85], Element::F32),
        ];
        let output = Output::find(&specs, &[Dim::Is(1), Dim::ANY, Dim::Is(85)], "rows")
            .expect("the second fits");
        assert_eq!(output.index, 1);
        assert!(Output::find(&specs, &[Dim::Is(1), Dim::ANY, Dim::Is(84)], "rows").is_err());
    }

    #[test]
    fn dims_beyond_any_number_of_numbers_are_refused() {
        let specs = [spec(&[0, 0], Element::F32)];
        let output = Output::find(&specs, &[Dim::ANY, Dim::ANY], "rows").expect("may fit");
        let tensor = Tensor {
            name: "out".into(),
            dims: vec![usize::MAX, 2],
            data: TensorData::F32(vec![0.0; 2]),
        };
        assert!(output.read(&[tensor]).is_err());
    }

    #[test]
    fn dims_unknown_before_the_run_are_checked_at_the_run() {
        let specs = [spec(&[0, 0, 0], Element::F32)];
        let output = Output::find(
            &specs,
            &[Dim::Is(1), Dim::ANY, Dim::fields_and(5, 1)],
            "[1, candidates, 6]",
        )
        .expect("may fit");
        assert_eq!(
            output.read(&zeros(&[1, 4, 6])).map(|(v, _)| v.len()),
            Ok(24)
        );
        assert_eq!(
            output.read(&zeros(&[1, 4, 7])).map(|_| ()),
            Err(shape_error("out", &[1, 4, 7], "[1, candidates, 6]"))
        );
        assert!(output.read(&zeros(&[1, 6])).is_err());
        assert!(output.read(&[]).is_err());
    }

    #[test]
    fn what_was_known_before_the_run_must_hold_at_the_run() {
        let specs = [spec(&[1, 4, 7], Element::F32)];
        let wanted = [Dim::Is(1), Dim::ANY, Dim::fields_and(5, 0)];
        let output = Output::find(&specs, &wanted, "rows").expect("two classes");
        assert!(output.read(&zeros(&[1, 4, 7])).is_ok());
        assert!(output.read(&zeros(&[1, 4, 6])).is_err());
        assert!(Output::find(&[spec(&[1, 4, 5], Element::F32)], &wanted, "rows").is_err());
    }

    #[test]
    fn integers_are_refused() {
        let specs = [spec(&[1, 2, 6], Element::I64)];
        let error = Output::find(
            &specs,
            &[Dim::Is(1), Dim::ANY, Dim::fields_and(5, 1)],
            "rows",
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "output out is int64, expected float32");
    }

    #[test]
    fn integers_are_read_where_any_type_will_do() {
        let spec = spec(&[0], Element::I64);
        let output = Output::of_any_type(0, &spec, &[Dim::ANY], "[n]").expect("a list");
        let tensor = |dims: &[usize]| {
            let data = TensorData::I64(vec![7, 8]);
            let (name, dims) = ("out".into(), dims.to_vec());
            [Tensor { name, dims, data }]
        };
        assert_eq!(output.data(&tensor(&[2])), Ok(&TensorData::I64(vec![7, 8])));
        assert!(output.read(&tensor(&[2])).is_err(), "these are no floats");
        assert!(output.data(&tensor(&[1, 2])).is_err());
        assert!(
            output.data(&tensor(&[3])).is_err(),
            "fewer than the dims say"
        );
    }
}
