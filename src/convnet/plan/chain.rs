//! [`Chain`]: the nodes behind another one that its stage can compute as well.

use std::sync::Arc;

use super::readers::Readers;
use crate::convnet::graph::*;
use crate::convnet::kernels::epilogue::Epilogue;

type Values = Arc<[f32]>;

/// What a stage may compute besides its own operator and activations.
#[derive(Clone, Copy, Default)]
pub struct Room {
    /// A scale and bias of each channel.
    pub affine: bool,
    /// The sum with another tensor.
    pub residual: bool,
}

/// Nodes that follow another one and can be computed with it.
#[derive(Default)]
pub struct Chain {
    /// The node whose value the stage computes.
    pub last: usize,
    /// Scale and bias of each channel.
    pub affine: Option<(Values, Values)>,
    pub residual: Option<TensorId>,
    pub epilogue: Epilogue,
}

impl Chain {
    /// Starts with node `i`, whose stage applies `before` already.
    pub fn from_node(i: usize, before: Option<Activation>) -> Self {
        Chain {
            last: i,
            epilogue: Epilogue {
                before,
                after: None,
            },
            ..Chain::default()
        }
    }

    /// Takes in the nodes behind, as far as each is the only reader of the one before it.
    pub fn follow(
        mut self,
        nodes: &[Node],
        readers: &Readers,
        claimed: &mut [bool],
        room: Room,
    ) -> Self {
        while let Some(user) = readers.sole(self.last)
            && !claimed[user]
            && self.join(nodes, user, room)
        {
            claimed[user] = true;
            self.last = user;
        }
        self
    }

    /// Takes in one node; false if the stage cannot compute it.
    fn join(&mut self, nodes: &[Node], user: usize, room: Room) -> bool {
        let node = &nodes[user];
        let (epilogue, fresh) = (&mut self.epilogue, self.residual.is_none());
        let fresh = fresh && epilogue.before.is_none();
        match &node.op {
            Op::Activate(f) if fresh => epilogue.before = Some(*f),
            Op::Activate(f) if epilogue.after.is_none() => epilogue.after = Some(*f),
            Op::Affine { scale, bias } if room.affine && fresh && self.affine.is_none() => {
                self.affine = Some((scale.clone(), bias.clone()));
            }
            Op::Binary(Binary::Add)
                if room.residual && self.residual.is_none() && epilogue.after.is_none() =>
            {
                let other = node.inputs.iter().find(|t| t.index() != self.last);
                let same = |t: &&TensorId| nodes[t.index()].shape == node.shape;
                let Some(&other) = other.filter(same) else {
                    return false;
                };
                if nodes[self.last].shape != node.shape {
                    return false;
                }
                self.residual = Some(other);
            }
            _ => return false,
        }
        true
    }
}
