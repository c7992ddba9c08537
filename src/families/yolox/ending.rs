//! Heads of YOLOX: four numbers of a box, objectness, then classes. A candidate is a row of all of them, the box as it is
//! and of the others the sigmoid.

use super::YoloxRaw;
use crate::onnx::rewrite::{Cell, Ending, sigmoid};

/// Offsets of the centre, logarithms of the sides.
const BOX: usize = 4;

impl Ending for YoloxRaw {
    fn axis(&self) -> usize {
        2
    }

    fn orders(&self) -> &[&[usize]] {
        &[
            &[0, 1, 2],
            &[0, 2, 1],
            &[1, 0, 2],
            &[1, 2, 0],
            &[2, 0, 1],
            &[2, 1, 0],
        ]
    }

    fn fields(&self, channels: &[usize]) -> Option<usize> {
        match *channels {
            [BOX, 1, classes] if classes > 0 => Some(BOX + 1 + classes),
            _ => None,
        }
    }

    fn in_pixels(&self) -> usize {
        0
    }

    fn candidate(&self, cell: &Cell) -> Vec<f32> {
        let scores = cell.numbers(1).chain(cell.numbers(2)).map(sigmoid);
        cell.numbers(0).chain(scores).collect()
    }

    fn accepts(&self, strides: &[u32], _channels: &[usize]) -> bool {
        strides == self.strides
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::Family;
    use crate::families::evidence::testing::boxed;
    use crate::families::yolox::YoloxHeads;
    use crate::onnx::proto::{GraphProto, NodeProto};
    use crate::onnx::rewrite::Heads;
    use crate::onnx::rewrite::cut_head::run;
    use crate::onnx::rewrite::cut_head::testing::{concat, conv, weights};
    use crate::onnx::testing::{input_spec, int64_tensor, model, node, with};

    const STRIDES: [u32; 2] = [16, 32];

    /// How the graph of a test is written.
    struct Written {
        classes: i64,
        /// Heads in the order of the file, of each stride.
        files: [[&'static str; 3]; 2],
        /// How they are joined.
        joined: [&'static str; 3],
        of_objectness: &'static str,
        levels: [u32; 2],
    }

    const USUAL: Written = Written {
        classes: 2,
        files: [["cls", "box", "obj"]; 2],
        joined: ["box", "obj", "cls"],
        of_objectness: "Sigmoid",
        levels: STRIDES,
    };

    /// Eight cells of 16 and two of 32.
    fn graph(written: &Written) -> GraphProto {
        let classes = written.classes;
        let channels = |head: &str| match head {
            "box" => 4,
            "obj" => 1,
            _ => classes,
        };
        let (mut nodes, mut constants) = (Vec::new(), Vec::new());
        for (stride, file) in STRIDES.into_iter().zip(written.files) {
            for head in file {
                let (name, of) = (format!("{head}{stride}"), format!("of_{head}{stride}"));
                constants.push(weights(&of, channels(head), stride.into()));
                nodes.push(conv(&of, &name, stride.into()));
                let op = match head {
                    "box" => "Identity",
                    "obj" => written.of_objectness,
                    _ => "Sigmoid",
                };
                nodes.push(node(op, &[&name], &[&format!("{name}/done")]));
            }
            let parts = written.joined.map(|head| format!("{head}{stride}/done"));
            nodes.push(concat(
                &parts.each_ref().map(String::as_str),
                &format!("level{stride}"),
                1,
            ));
            let rows = format!("rows{stride}");
            nodes.push(node(
                "Reshape",
                &[&format!("level{stride}"), "flat"],
                &[&rows],
            ));
        }
        let levels = written.levels.map(|stride| format!("rows{stride}"));
        nodes.push(concat(&levels.each_ref().map(String::as_str), "all", 2));
        nodes.push(turned());
        constants.push(int64_tensor("flat", &[1, 5 + classes, -1]));
        let output = [1, 10, 5 + classes];
        let model = model(nodes, &[("x", &[1, 3, 32, 64])], &[("y", &output)]);
        let mut graph = model.graph.expect("it was made");
        graph.initializer = constants;
        graph
    }

    fn turned() -> NodeProto {
        with(node("Transpose", &["all"], &["y"]), &[("perm", &[0, 2, 1])])
    }

    fn cut(graph: &mut GraphProto) -> Option<Heads> {
        let strides = STRIDES.to_vec();
        run(graph, 13, &input_spec(), &YoloxRaw { strides })
    }

    #[test]
    fn heads_become_the_outputs_in_whatever_order_they_are_made() {
        let orders = [
            ["cls", "box", "obj"],
            ["obj", "cls", "box"],
            ["box", "obj", "cls"],
        ];
        for classes in [1, 2, 4] {
            for first in orders {
                for second in orders {
                    let files = [first, second];
                    let mut graph = graph(&Written {
                        classes,
                        files,
                        ..USUAL
                    });
                    let heads = cut(&mut graph).expect("the end of YOLOX");
                    let wanted = ["box16", "obj16", "cls16", "box32", "obj32", "cls32"];
                    assert_eq!(heads.outputs, wanted, "{classes} classes, {files:?}");
                    let strides = STRIDES.to_vec();
                    let of_heads = boxed(YoloxHeads {
                        strides: strides.clone(),
                    });
                    assert_eq!(YoloxRaw { strides }.ended_at(&heads), Some(of_heads));
                    let outputs: Vec<_> = graph.output.iter().map(|o| &o.name[..]).collect();
                    assert_eq!(outputs, wanted);
                    assert!(graph.node.iter().all(|node| node.op_type == "Conv"));
                }
            }
        }
    }

    #[test]
    fn another_end_stays_in_the_graph() {
        let ends = [
            (
                "no class",
                Written {
                    classes: 0,
                    ..USUAL
                },
            ),
            (
                "raw objectness",
                Written {
                    of_objectness: "Identity",
                    ..USUAL
                },
            ),
            (
                "another function",
                Written {
                    of_objectness: "HardSigmoid",
                    ..USUAL
                },
            ),
            (
                "objectness first",
                Written {
                    joined: ["obj", "box", "cls"],
                    ..USUAL
                },
            ),
            (
                "a head missing",
                Written {
                    joined: ["box", "cls", "cls"],
                    classes: 1,
                    ..USUAL
                },
            ),
            (
                "coarse cells first",
                Written {
                    levels: [32, 16],
                    ..USUAL
                },
            ),
            (
                "fine cells twice",
                Written {
                    levels: [16, 16],
                    ..USUAL
                },
            ),
        ];
        for (what, written) in ends {
            let mut graph = graph(&written);
            let before = graph.clone();
            assert_eq!(cut(&mut graph), None, "{what}");
            assert_eq!(graph, before, "{what}");
        }
        let mut columns = graph(&USUAL);
        columns.node.pop();
        columns.output[0].name = "all".into();
        assert_eq!(cut(&mut columns), None, "candidates are columns");
    }

    #[test]
    fn an_output_that_is_read_with_other_strides_stays() {
        let strides = vec![32, 16];
        let (mut graph, family) = (graph(&USUAL), YoloxRaw { strides });
        assert_eq!(run(&mut graph, 13, &input_spec(), &family), None);
    }
}
