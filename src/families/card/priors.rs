//! The boxes that candidates lie beside, as a card writes them: `anchors` and `prior_layers`.

use super::number;
use crate::families::family::{PriorLayer, Priors};
use crate::model::input_size::MAX_SIDE;
use serde_json::Value;

/// More than any detector has; a bound for what we allocate.
const MAX_LAYERS: usize = 16;
const MAX_BOXES: usize = 64;
const MAX_CELLS: u64 = 1024;
const MAX_PRIORS: u64 = 1 << 20;

pub const ANCHORS_WANTED: &str = "for every output a list of width and height of its anchors, like \
    [[[10, 13], [16, 30], [33, 23]], ...]";

pub fn anchors(value: &Value) -> Option<Vec<Vec<[f32; 2]>>> {
    let list = value.as_array()?;
    let levels: Option<Vec<_>> = list.iter().map(sizes).collect();
    levels.filter(|levels| (1..=MAX_LAYERS).contains(&levels.len()))
}

/// Pairs of width and height.
fn sizes(value: &Value) -> Option<Vec<[f32; 2]>> {
    let list = value.as_array()?;
    let pair = |value: &Value| match &value.as_array()?[..] {
        [width, height] => Some([side(width)?, side(height)?]),
        _ => None,
    };
    let sizes: Option<Vec<_>> = list.iter().map(pair).collect();
    sizes.filter(|sizes| (1..=MAX_BOXES).contains(&sizes.len()))
}

fn side(value: &Value) -> Option<f32> {
    number(value).filter(|side| *side > 0.0 && *side <= MAX_SIDE as f32)
}

pub const PRIORS_WANTED: &str = "an object of \"layers\", a list of objects like {\"cells\": [19, 19], \"step\": 16, \
    \"boxes\": [[60, 60], ...]}, and \"variances\" like [0.1, 0.2]";

pub fn priors(value: &Value) -> Option<Priors> {
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
    fn anchors_are_pairs_for_every_output() {
        let value = json!([[[10, 13], [16, 30.5]], [[1, 2]]]);
        let wanted = vec![vec![[10.0, 13.0], [16.0, 30.5]], vec![[1.0, 2.0]]];
        assert_eq!(anchors(&value), Some(wanted));
        for wrong in [
            json!([]),
            json!([[]]),
            json!([[10, 13]]),
            json!([[[10, 13, 2]]]),
            json!([[[10, 0]]]),
            json!([[[10, -1]]]),
            json!([[["10", 1]]]),
            json!(vec![vec![[1, 1]]; MAX_LAYERS + 1]),
        ] {
            assert_eq!(anchors(&wrong), None, "{wrong}");
        }
    }

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
