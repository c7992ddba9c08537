//! The priors that raw boxes of an SSD lie beside, as a card states them.

use crate::families::card::{Key, number, side, sizes};
use serde_json::Value;

/// Rectangles of `sizes`, width and height in input pixels, around the middle of every cell of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorLayer {
    /// Cells in a row.
    pub columns: u32,
    /// Rows of cells.
    pub rows: u32,
    /// Input pixels from cell to cell; `None`: the input's side over their number.
    pub step: Option<f32>,
    /// Width and height of each prior of a cell, in input pixels.
    pub sizes: Vec<[f32; 2]>,
}

/// The priors of an SSD, and what offsets of centres and logarithms of sides are multiplied with.
#[derive(Debug, Clone, PartialEq)]
pub struct Priors {
    /// The layers, in the order of the candidates.
    pub layers: Vec<PriorLayer>,
    /// Factors of centre offsets and of logarithms of sides.
    pub variances: [f32; 2],
}

/// The layers of priors and their variances.
pub static PRIOR_LAYERS: Key<Priors> = Key {
    name: "prior_layers",
    expected: "an object of \"layers\", a list of objects like {\"cells\": [19, 19], \"step\": 16, \
        \"boxes\": [[60, 60], ...]}, and \"variances\" like [0.1, 0.2]",
    read: priors,
};

/// More than any detector has; bounds for what we allocate.
const MAX_LAYERS: usize = 16;
const MAX_CELLS: u64 = 1024;
const MAX_PRIORS: u64 = 1 << 20;

fn priors(value: &Value) -> Option<Priors> {
    let list = value.get("layers")?.as_array()?;
    let layers: Option<Vec<_>> = list.iter().map(prior_layer).collect();
    let variances = match value.get("variances") {
        None => [0.1, 0.2],
        Some(pair) => match &pair.as_array()?[..] {
            [centre, side] => [number(centre)?, number(side)?],
            _ => return None,
        },
    };
    let layers = layers.filter(|layers| (1..=MAX_LAYERS).contains(&layers.len()))?;
    let count = |layer: &PriorLayer| {
        u64::from(layer.columns) * u64::from(layer.rows) * layer.sizes.len() as u64
    };
    if layers.iter().map(count).sum::<u64>() > MAX_PRIORS {
        return None;
    }
    Some(Priors { layers, variances })
}

fn prior_layer(value: &Value) -> Option<PriorLayer> {
    let cells = |value: &Value| {
        let cells = value.as_u64().filter(|n| (1..=MAX_CELLS).contains(n))?;
        u32::try_from(cells).ok()
    };
    let [columns, rows] = &value.get("cells")?.as_array()?[..] else {
        return None;
    };
    Some(PriorLayer {
        columns: cells(columns)?,
        rows: cells(rows)?,
        step: match value.get("step") {
            None => None,
            Some(step) => Some(side(step)?),
        },
        sizes: sizes(value.get("boxes")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn priors_are_layers_of_cells() {
        let value = json!({
            "variances": [0.2, 0.4],
            "layers": [
                {"cells": [19, 10], "step": 16, "boxes": [[60, 60]]},
                {"cells": [1, 1], "boxes": [[285, 300], [9, 9]]},
            ]
        });
        let priors_of = priors(&value).expect("two layers");
        assert_eq!(priors_of.variances, [0.2, 0.4]);
        let [first, last] = &priors_of.layers[..] else {
            panic!("{priors_of:?}")
        };
        assert_eq!(
            (first.columns, first.rows, first.step),
            (19, 10, Some(16.0))
        );
        assert_eq!((last.step, last.sizes.len()), (None, 2));
        let usual = json!({"layers": [{"cells": [1, 1], "boxes": [[1, 1]]}]});
        assert_eq!(priors(&usual).map(|p| p.variances), Some([0.1, 0.2]));
        for wrong in [
            json!([]),
            json!({}),
            json!({"layers": []}),
            json!({"layers": [{"cells": [1], "boxes": [[1, 1]]}]}),
            json!({"layers": [{"cells": [0, 1], "boxes": [[1, 1]]}]}),
            json!({"layers": [{"cells": [9999, 1], "boxes": [[1, 1]]}]}),
            json!({"layers": [{"cells": [1, 1]}]}),
            json!({"layers": [{"cells": [1024, 1024], "boxes": [[1, 1], [2, 2]]}]}),
            json!({"layers": [{"cells": [1, 1], "step": 0, "boxes": [[1, 1]]}]}),
            json!({"layers": [{"cells": [1, 1], "boxes": [[1, 1]]}], "variances": [1]}),
        ] {
            assert_eq!(priors(&wrong), None, "{wrong}");
        }
    }
}
