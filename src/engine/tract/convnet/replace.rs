//! [`replace`]: puts a network into tract's graph.

use super::op::ConvnetOp;
use super::regions::Region;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// Puts one operator in place of the nodes of a region.
///
/// # Errors
/// If tract refuses the changed graph.
pub(super) fn replace(model: &mut TypedModel, region: Region) -> TractResult<()> {
    let mut patch = TypedModelPatch::default();
    // What a reader reads now: a region before this one may have replaced what it read when it was found.
    let inputs: Vec<OutletId> = (region.readers.iter())
        .map(|inlet| model.node(inlet.node).inputs[inlet.slot])
        .collect();
    let taps = (inputs.iter())
        .map(|&outlet| patch.tap_model(model, outlet))
        .collect::<TractResult<TVec<_>>>()?;
    let first = region
        .outlets
        .first()
        .context("a network without outputs")?;
    let name = format!("convnet.{}", model.node(first.node).name);
    let made = patch.wire_node(name, ConvnetOp::new(region.network), &taps)?;
    for (old, new) in region.outlets.into_iter().zip(made) {
        patch.shunt_outside(model, old, new)?;
    }
    patch.apply(model)
}
