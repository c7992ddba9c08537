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

const fn known(
    plain: &'static [u32],
    nested: &'static [(u32, Message)],
    notes: &'static [u32],
) -> Known {
    Known {
        plain,
        nested,
        notes,
    }
}

static KNOWN: [(Message, Known); 17] = [
    (
        Message::Model,
        known(
            &[1, 2, 3, 4, 5, 6],
            &[
                (7, Message::Graph),
                (8, Message::OperatorSet),
                (14, Message::Entry),
                (20, Message::Training),
                (25, Message::Function),
            ],
            &[],
        ),
    ),
    (
        Message::Graph,
        known(
            &[2, 10],
            &[
                (1, Message::Node),
                (5, Message::Tensor),
                (11, Message::ValueInfo),
                (12, Message::ValueInfo),
                (13, Message::ValueInfo),
                (14, Message::Annotation),
                (15, Message::SparseTensor),
            ],
            &[16],
        ),
    ),
    (
        Message::Node,
        known(&[1, 2, 3, 4, 6, 7], &[(5, Message::Attribute)], &[9]),
    ),
    (
        Message::Attribute,
        known(
            &[1, 2, 3, 4, 7, 8, 9, 13, 20, 21],
            &[
                (5, Message::Tensor),
                (6, Message::Graph),
                (10, Message::Tensor),
                (11, Message::Graph),
                (15, Message::Type),
                (22, Message::SparseTensor),
                (23, Message::SparseTensor),
            ],
            &[],
        ),
    ),
    (
        Message::Tensor,
        known(
            &[1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14],
            &[(3, Message::Segment), (13, Message::Entry)],
            &[16],
        ),
    ),
    (Message::Segment, known(&[1, 2], &[], &[])),
    (
        Message::SparseTensor,
        known(&[3], &[(1, Message::Tensor), (2, Message::Tensor)], &[]),
    ),
    (
        Message::ValueInfo,
        known(&[1, 3], &[(2, Message::Type)], &[4]),
    ),
    (Message::Type, known(&[6], &[(1, Message::TensorType)], &[])),
    (
        Message::TensorType,
        known(&[1], &[(2, Message::Shape)], &[]),
    ),
    (Message::Shape, known(&[], &[(1, Message::Dimension)], &[])),
    (Message::Dimension, known(&[1, 2, 3], &[], &[])),
    (Message::OperatorSet, known(&[1, 2], &[], &[])),
    (Message::Entry, known(&[1, 2], &[], &[])),
    (
        Message::Annotation,
        known(&[1], &[(2, Message::Entry)], &[]),
    ),
    (
        Message::Training,
        known(
            &[],
            &[
                (1, Message::Graph),
                (2, Message::Graph),
                (3, Message::Entry),
                (4, Message::Entry),
            ],
            &[],
        ),
    ),
    (
        Message::Function,
        known(
            &[1, 4, 5, 6, 8, 10],
            &[(7, Message::Node), (9, Message::OperatorSet)],
            &[14],
        ),
    ),
];

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
    let Some((_, known)) = KNOWN.iter().find(|(own, _)| *own == message) else {
        return;
    };
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
