//! The reading of a model by its first inference, where file and card do not tell it.

use super::{Decision, Labels, Model, ModelError, topic};
use crate::base::tensor::{ResizeMode, Tensor, TensorSpec};
use crate::families::{DecoderInput, Labelling, Settled};

const SEEN: &str = "the numbers of the first inference are like that";

/// Topics that a family tells anew when it changes.
const NOTES: [&str; 4] = [topic::TABLE, topic::BOXES, topic::SCORES, topic::EXTRAS];

impl Model {
    /// Takes the reading that `numbers`, the outputs of an inference from an empty picture, have, if it is another than
    /// that of the file. Returns whether there is one.
    ///
    /// # Errors
    /// [`ModelError::Ambiguous`] if the file leaves several readings and the numbers do not tell which is meant.
    pub fn settle(
        &mut self,
        outputs: &[TensorSpec],
        numbers: &[Tensor],
    ) -> Result<bool, ModelError> {
        let input = DecoderInput {
            input: self.input.size,
            classes: self.classes,
            outputs,
            labelling: Labelling::Best,
        };
        let Some(settled) = self.family.settle(numbers, &input, &self.certain) else {
            return Ok(false);
        };
        if !settled.undecided.is_empty() {
            return Err(ModelError::Ambiguous {
                readings: settled.undecided,
            });
        }
        let changed = *settled.family != *self.family;
        self.take(settled);
        Ok(changed)
    }

    fn take(&mut self, settled: Settled) {
        if settled.classes != self.classes {
            self.relabel(settled.classes);
        }
        if settled.family.name() != self.family.name() {
            let family = settled.family.to_string();
            self.decisions.retain(|d| d.topic != topic::FAMILY);
            let decision = Decision::new(topic::FAMILY, family, SEEN, true);
            self.decisions.insert(0, decision);
        }
        if *settled.family != *self.family {
            let of_outputs = |d: &Decision| d.topic == topic::EXTRAS && !d.guessed;
            self.decisions
                .retain(|d| of_outputs(d) || !NOTES.contains(&d.topic.as_ref()));
            self.decisions.extend(settled.family.notes());
        }
        if let Some(resize) = settled.resize {
            self.input.resize = resize;
            self.decisions.retain(|d| d.topic != topic::RESIZE);
            let value = match resize {
                ResizeMode::Stretch => "stretch",
                ResizeMode::LetterboxCentre => "letterbox, centred",
                ResizeMode::LetterboxTopLeft => "letterbox, top left",
            };
            let decision = Decision::new(topic::RESIZE, value, SEEN, true);
            self.decisions.push(decision);
        }
        self.family = settled.family;
        self.warnings.extend(settled.warnings);
    }

    /// Gives another number of classes their labels.
    fn relabel(&mut self, classes: usize) {
        let (_, by_count) = Labels::by_count(self.classes);
        let stale = format!("the model has {} classes", self.classes);
        self.warnings
            .retain(|w| !(w.starts_with(&self.labels_source) && w.ends_with(&stale)));
        if self.labels_source == by_count {
            let (labels, source) = Labels::by_count(classes);
            (self.labels, self.labels_source) = (labels, source.into());
        } else {
            let names = self.labels.iter().map(|label| label.into_owned());
            (self.labels, _) = Labels::fit(names.collect(), classes, &self.labels_source);
        }
        self.classes = classes;
        self.decisions.retain(|d| d.topic != topic::LABELS);
        let source = self.labels_source.clone();
        let decision = Decision::new(topic::LABELS, classes, source, true);
        self.decisions.push(decision);
    }
}
