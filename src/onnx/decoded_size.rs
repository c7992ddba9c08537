//! [`decoded_size`]: how much memory the messages of a file take, found before they are decoded.
//!
//! A byte of a file can be a number of eight bytes, and two can be an empty message of a hundred. A file within its limit may
//! thus not be decoded at all. What is looked at are the messages that a large file consists of: graphs, nodes, attributes and
//! constants. Descriptions of values, of which a file has few, are counted by the most that their bytes can become.

use super::wire::{Fields, Value};
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, StringStringEntryProto, TensorProto};

/// Messages in one another beyond which the decoder gives up.
const DEEPEST: usize = 100;

/// Most bytes that a byte of a description of values becomes: two are an empty dim.
const MOST_OF_A_VALUE: u64 = 32;

/// Memory of a text or of a list of bytes beside its contents.
const HEAD: u64 = size_of::<Vec<u8>>() as u64;

/// Messages that are looked into, and their memory beside what is in them.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    /// Key and value of the metadata.
    Entry,
}

/// Form of a field of a message in memory.
enum Becomes {
    Message(Kind),
    /// Whole numbers in as few bytes as each needs, and bytes of one in memory.
    Packed(u64),
    /// A description of values.
    Described,
    /// A text, or numbers as they are in memory.
    Same,
}

impl Kind {
    fn bytes(self) -> u64 {
        let bytes = match self {
            Self::Model => 0,
            Self::Graph => size_of::<GraphProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::Entry => size_of::<StringStringEntryProto>(),
        };
        bytes as u64
    }

    fn field(self, number: u32) -> Becomes {
        match (self, number) {
            (Self::Model, 7) => Becomes::Message(Self::Graph),
            (Self::Model, 14) | (Self::Tensor, 13) => Becomes::Message(Self::Entry),
            (Self::Model, 8 | 20 | 25) => Becomes::Described,
            (Self::Graph, 1) => Becomes::Message(Self::Node),
            (Self::Graph, 5) => Becomes::Message(Self::Tensor),
            (Self::Graph, 11..=15) => Becomes::Described,
            (Self::Node, 5) => Becomes::Message(Self::Attribute),
            (Self::Attribute, 5 | 10) => Becomes::Message(Self::Tensor),
            (Self::Attribute, 6 | 11) => Becomes::Message(Self::Graph),
            (Self::Attribute, 14 | 15 | 22 | 23) => Becomes::Described,
            (Self::Attribute, 8) | (Self::Tensor, 1 | 7 | 11) => Becomes::Packed(8),
            (Self::Tensor, 5) => Becomes::Packed(4),
            _ => Becomes::Same,
        }
    }
}

/// Returns the bytes that a model takes once it is decoded, or nearly so. What is no message counts as far as it can be read.
pub fn decoded_size(model: &[u8]) -> u64 {
    size_of_message(model, Kind::Model, 0)
}

fn size_of_message(message: &[u8], kind: Kind, depth: usize) -> u64 {
    if depth > DEEPEST {
        return 0;
    }
    let fields = Fields::new(message).map_while(Result::ok);
    let sizes = fields.map(|(number, value)| match (kind.field(number), value) {
        (Becomes::Message(inner), Value::Bytes(bytes)) => {
            size_of_message(bytes, inner, depth.saturating_add(1))
        }
        (Becomes::Packed(each), Value::Bytes(bytes)) => numbers(bytes).saturating_mul(each),
        (Becomes::Packed(each), _) => each,
        (Becomes::Described, Value::Bytes(bytes)) => MOST_OF_A_VALUE
            .saturating_mul(bytes.len() as u64)
            .saturating_add(HEAD),
        (_, Value::Bytes(bytes)) => HEAD.saturating_add(bytes.len() as u64),
        // Numbers that are not packed, each a field; of others there is one.
        (_, Value::Varint(_) | Value::Fixed) => 8,
    });
    sizes.fold(kind.bytes(), u64::saturating_add)
}

/// Returns how many numbers are packed: each ends with a byte below 128.
fn numbers(packed: &[u8]) -> u64 {
    packed.iter().filter(|byte| **byte < 0x80).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, int64_tensor, model, node};
    use prost::Message;

    fn size(tensors: Vec<TensorProto>, nodes: Vec<NodeProto>) -> u64 {
        let mut model = model(nodes, &[("x", &[1, 3, 32, 64])], &[("y", &[])]);
        model.graph.as_mut().expect("a graph").initializer = tensors;
        decoded_size(&model.encode_to_vec())
    }

    #[test]
    fn numbers_and_messages_count_as_they_are_in_memory() {
        let one = || node("Relu", &["x"], &["y"]);
        let least = size(vec![], vec![one()]);
        let floats = size(vec![float_tensor("w", &[1000], &[0.5; 1000])], vec![one()]);
        assert!(
            (4_000..5_000).contains(&(floats - least)),
            "{}",
            floats - least
        );
        let packed = TensorProto {
            int64_data: vec![1; 1000],
            raw_data: Vec::new(),
            ..int64_tensor("w", &[1; 1000])
        };
        let grown = size(vec![packed], vec![one()]) - least;
        assert!((8_000..9_000).contains(&grown), "{grown}");
        let nodes = size(vec![], vec![NodeProto::default(); 1_001]) - least;
        assert!(nodes > 900 * size_of::<NodeProto>() as u64, "{nodes}");
    }

    #[test]
    fn graphs_in_nodes_count_and_nonsense_ends_it() {
        let mut branch = node("If", &["c"], &["y"]);
        branch.attribute.push(AttributeProto {
            ints: vec![1; 1000],
            g: Some(GraphProto {
                node: vec![NodeProto::default(); 100],
                ..Default::default()
            }),
            ..Default::default()
        });
        let wanted = 8_000 + 100 * size_of::<NodeProto>() as u64;
        assert!(size(vec![], vec![branch]) > wanted);
        assert_eq!(decoded_size(&[]), 0);
        assert!(decoded_size(b"not a model at all") < 1000);
    }
}
