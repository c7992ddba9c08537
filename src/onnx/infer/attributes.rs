//! [`Attributes`]: those of one node, by name.

use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

#[derive(Clone, Copy)]
pub struct Attributes<'a>(&'a [AttributeProto]);

impl<'a> Attributes<'a> {
    pub fn new(node: &'a NodeProto) -> Self {
        Self(&node.attribute)
    }

    pub fn get(self, name: &str) -> Option<&'a AttributeProto> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    pub fn integer(self, name: &str, default: i64) -> i64 {
        self.get(name).map_or(default, |attribute| attribute.i)
    }

    pub fn integers(self, name: &str) -> Option<&'a [i64]> {
        self.get(name).map(|attribute| &attribute.ints[..])
    }

    pub fn float(self, name: &str) -> Option<f32> {
        self.get(name).map(|attribute| attribute.f)
    }

    pub fn floats(self, name: &str) -> Option<&'a [f32]> {
        self.get(name).map(|attribute| &attribute.floats[..])
    }

    pub fn text(self, name: &str) -> Option<&'a [u8]> {
        self.get(name).map(|attribute| &attribute.s[..])
    }

    pub fn tensor(self, name: &str) -> Option<&'a TensorProto> {
        self.get(name)?.t.as_ref()
    }
}
