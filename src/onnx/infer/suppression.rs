//! NonMaxSuppression, as ONNX Runtime computes it.

use super::{Call, Data, Problem, Value};

type Outputs = Result<Vec<Value>, Problem>;

/// Most pairs of boxes that are compared: a second of work.
const MOST_WORK: usize = 1 << 28;

pub fn outputs(call: &Call) -> Option<Outputs> {
    (call.node.op_type == "NonMaxSuppression").then(|| suppressed(call))
}

/// The inputs of the operator beside boxes and scores.
struct Limits {
    /// Most boxes of a class.
    most: usize,
    /// A box with a higher IoU with a better one goes.
    iou: f32,
    /// Only higher scores count; `None` takes all.
    score: Option<f32>,
    /// Boxes are centre and size rather than corners.
    centred: bool,
}

impl Limits {
    fn new(call: &Call) -> Result<Self, Problem> {
        let number = |index: usize| match call.optional(index) {
            None => Ok(None),
            Some(value) => match value.floats() {
                Some([number]) => Ok(Some(*number)),
                _ => Err(call.unknown("with computed thresholds")),
            },
        };
        let most = match call.optional(2) {
            None => 0,
            Some(_) => call.integers(2)?.first().copied().unwrap_or(0),
        };
        Ok(Self {
            most: usize::try_from(most).unwrap_or(0),
            iou: number(3)?.unwrap_or(0.0),
            score: number(4)?,
            centred: call.attributes.integer("center_point_box", 0) != 0,
        })
    }
}

/// Two corners and what is between them.
#[derive(Clone, Copy)]
struct Corners {
    low: [f32; 2],
    high: [f32; 2],
}

impl Corners {
    fn new(row: &[f32], centred: bool) -> Self {
        let &[a, b, c, d] = row else {
            return Self {
                low: [0.0; 2],
                high: [0.0; 2],
            };
        };
        match centred {
            true => Self {
                low: [a - c / 2.0, b - d / 2.0],
                high: [a + c / 2.0, b + d / 2.0],
            },
            false => Self {
                low: [a.min(c), b.min(d)],
                high: [a.max(c), b.max(d)],
            },
        }
    }

    fn area(self) -> f32 {
        (self.high[0] - self.low[0]) * (self.high[1] - self.low[1])
    }

    fn overlaps(self, other: Self, iou: f32) -> bool {
        let side = |axis: usize| {
            let (low, high) = (self.low[axis], self.high[axis]);
            high.min(other.high[axis]) - low.max(other.low[axis])
        };
        let (width, height) = (side(0), side(1));
        // Written so that NaN overlaps nothing.
        if !(width > 0.0 && height > 0.0) {
            return false;
        }
        let shared = width * height;
        let (a, b) = (self.area(), other.area());
        let either = a + b - shared;
        a > 0.0 && b > 0.0 && either > 0.0 && shared / either > iou
    }
}

/// Rows of batch, class and box, of the boxes that remain: class by class, best first.
fn suppressed(call: &Call) -> Outputs {
    let (boxes, scores) = (call.input(0)?, call.input(1)?);
    let fits = match (&boxes.dims[..], &scores.dims[..]) {
        ([batch, n, 4], [batches, classes, m]) => {
            (batch == batches && n == m).then_some((*batch, *classes, *n))
        }
        _ => None,
    };
    let (batches, classes, n) =
        fits.ok_or_else(|| call.misfit("expected boxes [b, n, 4] and scores [b, c, n]"))?;
    let (Some(boxes), Some(scores)) = (boxes.floats(), scores.floats()) else {
        return Err(call.unknown("of computed numbers"));
    };
    let limits = Limits::new(call)?;
    let (mut rows, mut work) = (Vec::new(), MOST_WORK);
    for round in 0..batches * classes {
        let (batch, class) = (round / classes, round % classes);
        let own = &boxes[batch * n * 4..][..n * 4];
        let chosen = chosen(own, &scores[round * n..][..n], &limits, &mut work);
        for index in chosen.ok_or_else(|| call.misfit("too many boxes"))? {
            rows.extend([batch as i64, class as i64, index as i64]);
        }
    }
    call.output(vec![rows.len() / 3, 3], || Some(Data::I64(rows)))
}

/// The boxes of one class that remain; `None` if there are so many that they would take too long. `work` is the number
/// of pairs that may still be compared.
fn chosen(boxes: &[f32], scores: &[f32], limits: &Limits, work: &mut usize) -> Option<Vec<usize>> {
    let counts = |index: &usize| limits.score.is_none_or(|least| scores[*index] > least);
    let mut order: Vec<usize> = (0..scores.len()).filter(counts).collect();
    // A stable sort: of equal scores the first box comes first.
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let corners = |index: usize| Corners::new(&boxes[index * 4..][..4], limits.centred);
    let mut kept: Vec<(usize, Corners)> = Vec::new();
    for index in order {
        if kept.len() >= limits.most {
            break;
        }
        let own = corners(index);
        *work = work.checked_sub(kept.len())?;
        if !kept.iter().any(|(_, k)| k.overlaps(own, limits.iou)) {
            kept.push((index, own));
        }
    }
    Some(kept.into_iter().map(|(index, _)| index).collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{computed, floats, integers, with_integer};
    use super::*;
    use crate::onnx::testing::node;

    const BOXES: [f32; 16] = [
        0.0, 0.0, 10.0, 10.0, 0.0, 1.0, 10.0, 11.0, 20.0, 20.0, 30.0, 30.0, 10.0, 10.0, 0.0, 0.0,
    ];

    fn chosen_of(scores: &[f32], limits: &[Value]) -> Vec<i64> {
        let node = node("NonMaxSuppression", &["b", "s", "m", "i", "t"], &["y"]);
        let classes = scores.len() / 4;
        let inputs = [floats(&[1, 4, 4], &BOXES), floats(&[1, classes, 4], scores)];
        let found = computed(&node, &[&inputs, limits].concat()).unwrap();
        found[0].integers().unwrap().to_vec()
    }

    #[test]
    fn each_class_is_suppressed_on_its_own_best_first() {
        let scores = [0.5, 0.9, 0.1, 0.2, 0.9, 0.5, 0.3, 0.9];
        let limits = [
            integers(&[1], &[9]),
            floats(&[1], &[0.5]),
            floats(&[1], &[0.15]),
        ];
        assert_eq!(chosen_of(&scores, &limits), [0, 0, 1, 0, 1, 0, 0, 1, 2]);
        let few = [integers(&[], &[1]), floats(&[], &[0.5])];
        assert_eq!(chosen_of(&scores[..4], &few), [0, 0, 1]);
        assert!(chosen_of(&scores, &[]).is_empty(), "no box of a class");
    }

    #[test]
    fn boxes_may_be_given_by_their_centres() {
        let node = node("NonMaxSuppression", &["b", "s", "m", "i"], &["y"]);
        let node = with_integer(node, "center_point_box", 1);
        let boxes = floats(&[1, 2, 4], &[5.0, 5.0, 10.0, 10.0, 5.0, 6.0, 10.0, 10.0]);
        let scores = floats(&[1, 1, 2], &[0.5, 0.4]);
        for (iou, wanted) in [(0.8, 1), (0.82, 2)] {
            let limits = [integers(&[1], &[5]), floats(&[1], &[iou])];
            let inputs = [&[boxes.clone(), scores.clone()], &limits[..]].concat();
            assert_eq!(computed(&node, &inputs).unwrap()[0].dims, [wanted, 3]);
        }
    }
}
