//! Which fields of a file would be lost if it were decoded and encoded again.
//!
//! prost drops a field that its messages have not. So the file is read once more field by field, against the numbers
//! that the messages know; what is left out are notes (`metadata_props` of nodes, graphs, values and tensors, where
//! exporters keep source lines), which no engine reads.

use crate::onnx::wire::{Fields, Value};

/// Messages with the fields that hold another message; plain fields are numbers of `known`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Segment,
    SparseTensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    OperatorSet,
    Entry,
    Annotation,
    Training,
    Function,
}

struct Known {
    plain: &'static [u32],
    nested: &'static [(u32, Message)],
    notes: &'static [u32],
}

impl Message {
    fn known(self) -> Known {
        use Message::*;
        let known = |plain, nested, notes| Known {
            plain,
            nested,
            notes,
        };
        match self {
            Model => known(
                &[1, 2, 3, 4, 5, 6],
                &[
                    (7, Graph),
                    (8, OperatorSet),
                    (14, Entry),
                    (20, Training),
                    (25, Function),
                ],
                &[],
            ),
            Graph => known(
                &[2, 10],
                &[
                    (1, Node),
                    (5, Tensor),
                    (11, ValueInfo),
                    (12, ValueInfo),
                    (13, ValueInfo),
                    (14, Annotation),
                    (15, SparseTensor),
                ],
                &[16],
            ),
            Node => known(&[1, 2, 3, 4, 6, 7], &[(5, Attribute)], &[9]),
            Attribute => known(
                &[1, 2, 3, 4, 7, 8, 9, 13, 20, 21],
                &[
                    (5, Tensor),
                    (6, Graph),
                    (10, Tensor),
                    (11, Graph),
                    (15, Type),
                    (22, SparseTensor),
                    (23, SparseTensor),
                ],
                &[],
            ),
            Tensor => known(
                &[1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14],
                &[(3, Segment), (13, Entry)],
                &[16],
            ),
            Segment => known(&[1, 2], &[], &[]),
            SparseTensor => known(&[3], &[(1, Tensor), (2, Tensor)], &[]),
            ValueInfo => known(&[1, 3], &[(2, Type)], &[4]),
            Type => known(&[6], &[(1, TensorType)], &[]),
            TensorType => known(&[1], &[(2, Shape)], &[]),
            Shape => known(&[], &[(1, Dimension)], &[]),
            Dimension => known(&[1, 2, 3], &[], &[]),
            OperatorSet | Entry => known(&[1, 2], &[], &[]),
            Annotation => known(&[1], &[(2, Entry)], &[]),
            Training => known(&[], &[(1, Graph), (2, Graph), (3, Entry), (4, Entry)], &[]),
            Function => known(&[1, 4, 5, 6, 8, 10], &[(7, Node), (9, OperatorSet)], &[14]),
        }
    }
}

/// The fields that would be lost, as "Node.8", each once.
pub fn unknown_fields(model: &[u8]) -> Vec<String> {
    let mut unknown = Vec::new();
    collect(Message::Model, model, &mut unknown);
    unknown.dedup();
    unknown
}

/// The file has been decoded before, so it is well formed, nests no deeper than prost allows, and errors need no
/// telling.
fn collect(message: Message, bytes: &[u8], unknown: &mut Vec<String>) {
    let known = message.known();
    for (number, value) in Fields::new(bytes).flatten() {
        if let Some((_, inner)) = known.nested.iter().find(|(n, _)| *n == number) {
            if let Value::Bytes(bytes) = value {
                collect(*inner, bytes, unknown);
            }
        } else if !known.plain.contains(&number) && !known.notes.contains(&number) {
            let name = format!("{message:?}.{number}");
            if !unknown.contains(&name) {
                unknown.push(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, model, node};
    use prost::Message as _;

    #[test]
    fn what_prost_writes_is_known() {
        let mut model = model(
            vec![node("Relu", &["x"], &["y"])],
            &[("x", &[1, -1])],
            &[("y", &[1])],
        );
        model
            .graph
            .as_mut()
            .unwrap()
            .initializer
            .push(float_tensor("c", &[1], &[1.0]));
        assert_eq!(unknown_fields(&model.encode_to_vec()), Vec::<String>::new());
    }

    #[test]
    fn a_field_that_prost_would_drop_is_named_wherever_it_is() {
        // field 8 (overload) of a node, a string
        let mut odd_node = node("Relu", &["x"], &["y"]).encode_to_vec();
        odd_node.extend([0x42, 1, b'v']);
        // field 9 (metadata_props) of a node: a note
        odd_node.extend([0x4a, 0]);
        let mut graph = vec![0x0a, odd_node.len() as u8];
        graph.extend(odd_node);
        let mut bytes = vec![0x08, 8, 0x3a, graph.len() as u8];
        bytes.extend(graph);
        // field 26 of the model, twice
        bytes.extend([0xd2, 0x01, 0, 0xd2, 0x01, 0]);
        assert_eq!(unknown_fields(&bytes), ["Node.8", "Model.26"]);
    }
}
