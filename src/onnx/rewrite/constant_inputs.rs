//! Takes constants that are also listed as inputs out of the list of inputs.
//!
//! Up to version 3 of ONNX's intermediate representation ("IR", `ir_version` of a file) every initializer had to be
//! listed as an input, and was a constant all the same. From version 4 on it need not, and one that is listed is only
//! the default of an input that a caller may set (docs/IR.md of ONNX, "Graphs"; docs/Versioning.md and `Version` in
//! onnx.proto tell the versions). Exporters kept listing them, and ONNX Runtime believes them: it computes nothing
//! from such weights beforehand, fuses nothing with them and does not lay them out for its fast convolutions. We set
//! no input but the picture, so here they are constants.
//!
//! A file below version 4 must have its list and loses nothing by it, so it is left alone. But where another rewrite
//! has given it a constant that is not listed it is no file of its version any more; it is then made one of version 4.

use std::collections::HashSet;
use tract_onnx::pb::ModelProto;

/// The first version in which a constant need not be listed as an input.
const UNLISTED_FROM: i64 = 4;

/// Changes `model` and says what was done, if anything was to do. `rewritten` tells that another rewrite has changed
/// the model. Graphs inside of nodes are left as they are.
pub fn run(model: &mut ModelProto, rewritten: bool) -> Option<String> {
    let graph = model.graph.as_mut()?;
    let listed: HashSet<&str> = graph.input.iter().map(|i| i.name.as_str()).collect();
    let mut constants = graph.initializer.iter().map(|tensor| &tensor.name);
    let raised = model.ir_version < UNLISTED_FROM;
    if raised && !(rewritten && constants.any(|name| !listed.contains(name.as_str()))) {
        return None;
    }
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let before = graph.input.len();
    graph
        .input
        .retain(|input| !constants.contains(input.name.as_str()));
    let count = before - graph.input.len();
    if raised {
        let version = std::mem::replace(&mut model.ir_version, UNLISTED_FROM);
        return Some(format!(
            "raised the file from IR version {version} to {UNLISTED_FROM}, which needs no list of its constants"
        ));
    }
    (count > 0).then(|| format!("took {count} constants out of the list of inputs"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, model, node};

    /// Adds two constants, of which one is listed as an input.
    fn listing_one(ir_version: i64) -> ModelProto {
        let nodes = vec![
            node("Add", &["x", "listed"], &["sum"]),
            node("Add", &["sum", "other"], &["y"]),
        ];
        let inputs: [(&str, &[i64]); 2] = [("listed", &[1]), ("x", &[1])];
        let mut model = model(nodes, &inputs, &[("y", &[1])]);
        model.ir_version = ir_version;
        let constants = ["listed", "other"].map(|name| float_tensor(name, &[1], &[1.0]));
        model.graph.as_mut().unwrap().initializer = constants.into();
        model
    }

    fn inputs(model: &ModelProto) -> Vec<&str> {
        let inputs = &model.graph.as_ref().unwrap().input;
        inputs.iter().map(|input| input.name.as_str()).collect()
    }

    #[test]
    fn only_the_picture_stays_an_input() {
        let mut model = listing_one(4);
        let constants = model.graph.clone().unwrap().initializer;
        let said = run(&mut model, false).unwrap();
        assert!(said.contains("1 constants"), "{said}");
        assert_eq!((inputs(&model), model.ir_version), (vec!["x"], 4));
        assert_eq!(model.graph.as_ref().unwrap().initializer, constants);
        assert_eq!(run(&mut model, true), None, "a second run finds nothing");
    }

    #[test]
    fn an_old_file_keeps_its_list() {
        let mut complete = listing_one(3);
        complete.graph.as_mut().unwrap().initializer.pop();
        for (mut model, rewritten) in [(complete, true), (listing_one(3), false)] {
            let before = model.clone();
            assert_eq!(run(&mut model, rewritten), None);
            assert_eq!(model, before);
        }
    }

    #[test]
    fn an_old_file_with_a_new_constant_is_made_one_of_version_4() {
        let mut model = listing_one(3);
        let said = run(&mut model, true).unwrap();
        assert!(said.contains("from IR version 3 to 4"), "{said}");
        assert_eq!((inputs(&model), model.ir_version), (vec!["x"], 4));
        assert_eq!(run(&mut model, true), None, "a second run finds nothing");
    }
}
