//! [`find`]: whether the graph puts a number of its own beside the scores of a table.
//!
//! Exporters join the pieces of a candidate: box, perhaps an objectness, scores, perhaps an angle. Their widths show what
//! the width of the table does not.

use crate::families::evidence::table::Table;
use crate::families::table_form::{BOX, Lone};
use crate::onnx::facts::Facts;
use crate::onnx::infer::Inference;
use crate::onnx::proto::NodeProto;
use std::collections::HashMap;

/// Looks at the pieces of a table of box, scores and perhaps one number more.
pub fn find(facts: &Facts, table: &Table) -> Lone {
    let Some(shapes) = facts.shapes() else {
        return Lone::Nowhere;
    };
    let nodes = facts.graph.node.iter();
    let makers: HashMap<&str, &NodeProto> = nodes
        .flat_map(|node| node.output.iter().map(move |o| (o.as_str(), node)))
        .collect();
    let mut widths = Vec::new();
    let joined = Joined {
        makers: &makers,
        shapes: &shapes,
    };
    joined.widths(table.output, table.features, 16, &mut widths);
    let mut sum = 0;
    let behind = widths.iter().position(|width| {
        sum += width;
        sum >= BOX
    });
    match behind.map(|place| &widths[place + 1..]) {
        Some([_, 1]) if sum == BOX => Lone::Behind,
        Some([1, _]) if sum == BOX => Lone::Before,
        _ => Lone::Nowhere,
    }
}

/// Finds the operators that join the pieces.
struct Joined<'a> {
    makers: &'a HashMap<&'a str, &'a NodeProto>,
    shapes: &'a Inference,
}

impl Joined<'_> {
    /// Adds the widths of the pieces of a value that is `width` wide. Bounded: a graph that is no model may run in a
    /// circle.
    fn widths(&self, name: &str, width: usize, left: usize, found: &mut Vec<usize>) {
        match self.concat(name, width).filter(|_| left > 0) {
            None => found.push(width),
            Some((node, axis)) => {
                for input in &node.input {
                    let own = self
                        .shapes
                        .get(input)
                        .and_then(|value| value.dims.get(axis));
                    self.widths(input, own.copied().unwrap_or(0), left - 1, found);
                }
            }
        }
    }

    /// The operator that joins pieces to this width, and its axis.
    fn concat(&self, name: &str, width: usize) -> Option<(&NodeProto, usize)> {
        const FORMS: [&str; 6] = [
            "Cast",
            "Identity",
            "Reshape",
            "Squeeze",
            "Transpose",
            "Unsqueeze",
        ];
        let mut node = *self.makers.get(name)?;
        for _ in 0..8 {
            if node.op_type == "Concat" {
                let dims = &self.shapes.get(node.output.first()?)?.dims;
                let axis = node.attribute.iter().find(|a| a.name == "axis")?.i;
                let axis = usize::try_from(if axis < 0 {
                    axis + dims.len() as i64
                } else {
                    axis
                });
                let axis = axis.ok().filter(|axis| dims.get(*axis) == Some(&width))?;
                return Some((node, axis));
            }
            if !FORMS.contains(&node.op_type.as_str()) {
                return None;
            }
            node = *self.makers.get(node.input.first()?.as_str())?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::table::columns;
    use crate::onnx::testing::{float_tensor, int64_tensor, model, node, with};

    /// Pieces of these widths, joined and turned.
    fn found(widths: &[i64]) -> Lone {
        let total: i64 = widths.iter().sum();
        let mut nodes = vec![with(
            node("AveragePool", &["x"], &["small"]),
            &[("kernel_shape", &[8, 8]), ("strides", &[8, 8])],
        )];
        let names: Vec<String> = (0..widths.len()).map(|n| format!("piece{n}")).collect();
        let mut constants = Vec::new();
        for (name, width) in names.iter().zip(widths) {
            let (weights, dims) = (format!("{name}_w"), format!("{name}_d"));
            nodes.push(node("Conv", &["small", &weights], &[&format!("{name}_m")]));
            nodes.push(node("Reshape", &[&format!("{name}_m"), &dims], &[name]));
            let zeros = vec![0.0; 3 * *width as usize];
            constants.push(float_tensor(&weights, &[*width, 3, 1, 1], &zeros));
            constants.push(int64_tensor(&dims, &[1, *width, -1]));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        nodes.push(with(node("Concat", &names, &["y"]), &[("axis", &[1])]));
        let mut model = model(nodes, &[("x", &[1, 3, 64, 64])], &[("y", &[1, total, 64])]);
        model.graph.as_mut().expect("just made").initializer = constants;
        let graph = model.graph.as_ref().expect("just made");
        let facts = Facts::new(&model, graph).expect("it takes a picture");
        find(&facts, &columns(&facts).expect("a table"))
    }

    #[test]
    fn a_piece_of_one_number_is_lone() {
        for (widths, wanted) in [
            (&[4, 3, 1][..], Lone::Behind),
            (&[2, 2, 3, 1], Lone::Behind),
            (&[4, 1, 3], Lone::Before),
            (&[4, 1, 1], Lone::Behind),
            (&[4, 3], Lone::Nowhere),
            (&[4, 1], Lone::Nowhere),
            (&[4, 2, 2], Lone::Nowhere),
            (&[5, 3, 1], Lone::Nowhere),
            (&[4, 1, 10, 1], Lone::Nowhere),
        ] {
            assert_eq!(found(widths), wanted, "{widths:?}");
        }
    }
}
