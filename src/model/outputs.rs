//! [`Read`]: the family of a model, and which of its outputs are read.
//!
//! Exporters leave more in a graph than a table of candidates: raw maps, prototypes of masks, an auxiliary head. If no
//! family has all outputs, maps are left out, and then each output is tried alone. If several can be read, the graph,
//! their names and the metadata decide; if none of these does, the model is refused, and a card names the output.

use super::error::ModelError;
use super::{Decision, input, topic};
use crate::families::card::Card;
use crate::families::yolov8::Yolov8;
use crate::families::{FamilyError, Reading, recognise};
use crate::onnx::error::OnnxError;
use crate::onnx::facts::{Facts, Port};
use crate::onnx::graph_order::is_made_from;

/// A reading, and the outputs that it is of.
pub struct Read<'a> {
    /// How the model is read.
    pub reading: Reading,
    /// The facts of the model with the outputs that are read.
    pub facts: Facts<'a>,
    /// Which output was chosen and why, if any is left out.
    pub decision: Option<Decision>,
}

/// Whether an output of this name may be the one that is meant.
type Admits<'a> = &'a dyn Fn(&str) -> bool;

impl<'a> Read<'a> {
    /// # Errors
    /// [`ModelError`] if no family or more than one has the outputs, or if several outputs can be read.
    pub fn new(facts: &Facts<'a>, card: &Card) -> Result<Self, ModelError> {
        let all: Vec<usize> = (0..facts.outputs.len()).collect();
        let trial = Trial { facts, card };
        if let Some(name) = &card.output {
            let place = facts.outputs.iter().position(|port| port.name == *name);
            let place = place.ok_or_else(|| {
                let outputs = listed(&facts.outputs);
                card.error(format!(
                    "output is \"{name}\", but the model's outputs are {outputs}"
                ))
            })?;
            return Ok(trial.read(&[place], "the card says so")?);
        }
        let error = match trial.read(&all, "") {
            Err(error) if all.len() > 1 && is_no_family(&error, card) => error,
            result => return Ok(result?),
        };
        let is_map = |place: &usize| facts.outputs[*place].dims().len() > 3;
        let flat: Vec<usize> = all.iter().copied().filter(|p| !is_map(p)).collect();
        if flat.len() > 1 && flat.len() < all.len() {
            match trial.read(&flat, "the other outputs are maps") {
                Err(error) if is_no_family(&error, card) => {}
                result => return Ok(result?),
            }
        }
        let reason = "no family has all outputs, and this one is a table of candidates";
        let (mut tables, mut refusals) = (Vec::new(), vec![error]);
        let mut proposed = Vec::new();
        for place in all {
            match trial.read(&[place], reason) {
                Ok(read) => tables.push((place, read)),
                Err(error) if is_no_family(&error, card) => {
                    proposed.push((facts.outputs[place].name.as_str(), cards_of(error)));
                }
                Err(error) => refusals.push(error),
            }
        }
        match tables.len() {
            0 => {
                let error = refusals.pop().map(|error| with_cards(error, &proposed));
                Err(error.map_or_else(|| trial.refused(), Into::into))
            }
            1 => Ok(tables.remove(0).1),
            _ => trial.preferred(tables),
        }
    }
}

/// Whether another choice of outputs may be of a family.
fn is_no_family(error: &FamilyError, card: &Card) -> bool {
    match error {
        FamilyError::Onnx(OnnxError::NotADetector { .. }) => true,
        FamilyError::Card { .. } => card.decode.is_some(),
        _ => false,
    }
}

/// The cards that an error proposes.
fn cards_of(error: FamilyError) -> Vec<String> {
    match error {
        FamilyError::Onnx(OnnxError::NotADetector { cards, .. }) => cards,
        _ => Vec::new(),
    }
}

/// Adds the cards with which one of the outputs, by its name, would be read; they name it if there is a choice.
fn with_cards(mut error: FamilyError, proposed: &[(&str, Vec<String>)]) -> FamilyError {
    let several = proposed.iter().filter(|(_, own)| !own.is_empty()).count() > 1;
    if let FamilyError::Onnx(OnnxError::NotADetector { cards, .. }) = &mut error
        && cards.is_empty()
    {
        let named = |name: &str, card: &String| match several {
            true => card.replacen('{', &format!("{{\"output\": \"{name}\", "), 1),
            false => card.clone(),
        };
        let all = proposed.iter();
        *cards = all
            .flat_map(|(name, own)| own.iter().map(move |card| named(name, card)))
            .collect();
    }
    error
}

fn listed(ports: &[Port]) -> String {
    let ports: Vec<String> = ports.iter().map(Port::to_string).collect();
    ports.join(", ")
}

/// A model of which some outputs are read.
struct Trial<'t, 'a> {
    facts: &'t Facts<'a>,
    card: &'t Card,
}

/// A reading with the place of its output.
type Table<'a> = (usize, Read<'a>);

impl<'a> Trial<'_, 'a> {
    /// Reads the outputs at these places, for a reason that only matters if others are left out.
    fn read(&self, places: &[usize], reason: &str) -> Result<Read<'a>, FamilyError> {
        let facts = self.facts.with_outputs(places);
        let reading = recognised(&facts, self.card)?;
        let all = self.facts.outputs.iter().enumerate();
        let (read, left): (Vec<_>, Vec<_>) = all.partition(|(place, _)| places.contains(place));
        let names: Vec<&str> = read.iter().map(|(_, port)| port.name.as_str()).collect();
        let left: Vec<String> = left.iter().map(|(_, port)| port.to_string()).collect();
        let decision = (!left.is_empty()).then(|| {
            let reason = format!("{reason}; not used: {}", left.join(", "));
            Decision::new(topic::OUTPUT, names.join(", "), reason, false)
        });
        Ok(Read {
            reading,
            facts,
            decision,
        })
    }

    fn refused(&self) -> ModelError {
        let why = "none of its outputs is a table of candidates";
        self.facts.not_a_detector(why).into()
    }

    fn name(&self, table: &Table) -> &str {
        &self.facts.outputs[table.0].name
    }

    /// Chooses one of several outputs that can be read.
    fn preferred(&self, mut tables: Vec<Table<'a>>) -> Result<Read<'a>, ModelError> {
        let names: Vec<String> = tables.iter().map(|t| self.name(t).to_owned()).collect();
        let last = |name: &str| {
            let others = names.iter().filter(|other| *other != name);
            !others
                .into_iter()
                .any(|other| is_made_from(self.facts.graph, other, name))
        };
        let choices: [(&str, Admits); 3] = [
            ("the graph makes it of the other tables", &last),
            (
                "the name of the other speaks of an auxiliary head",
                &|name| !name.to_lowercase().contains("aux"),
            ),
            ("its name is the one that exporters give", &|name| {
                self.is_usual_among(name, &names)
            }),
        ];
        for (reason, admits) in choices {
            let admitted: Vec<usize> = (0..tables.len())
                .filter(|table| admits(self.name(&tables[*table])))
                .collect();
            if let [only] = admitted[..] {
                return Ok(self.read(&[tables[only].0], reason)?);
            }
        }
        if self.is_yolov9(&tables)
            && let Some((place, _)) = tables.pop()
        {
            let reason = "YOLOv9 writes the table of its auxiliary head first, and reads the last";
            return Ok(self.read(&[place], reason)?);
        }
        let told = |(place, read): &Table| {
            let (port, reading) = (&self.facts.outputs[*place], &read.reading);
            format!("{port} ({})", reading.name)
        };
        Err(ModelError::Outputs {
            tables: tables.iter().map(told).collect(),
            names,
        })
    }

    /// Whether exporters call their only table so, and the other names are not of a list of outputs.
    fn is_usual_among(&self, name: &str, all: &[String]) -> bool {
        const USUAL: [&str; 4] = ["output0", "output", "outputs", "detections"];
        let of_list = |name: &String| {
            let number = name.strip_prefix("output").unwrap_or(name);
            number.chars().all(|c| c.is_ascii_digit())
        };
        let others = all.iter().filter(|other| *other != name);
        USUAL.contains(&name) && !others.into_iter().any(of_list)
    }

    /// Whether these are the two tables of YOLOv9 with its auxiliary head: alike, of the layout of YOLOv8, in a file with
    /// the metadata of YOLOv5's exporter, which never writes that layout.
    fn is_yolov9(&self, tables: &[Table]) -> bool {
        let metadata = |key| self.facts.metadata(key);
        let of_yolov5 = metadata("names").is_some() && metadata("stride").is_some();
        let alike = |(place, read): &Table| {
            let dims = |place: usize| self.facts.outputs[place].dims();
            dims(*place) == dims(tables[0].0)
                && read.reading.family.downcast_ref::<Yolov8>().is_some()
        };
        tables.len() == 2 && of_yolov5 && metadata("task").is_none() && tables.iter().all(alike)
    }
}

/// Finds the family, with the dims that the graph has for a likely size where the file leaves dims open.
fn recognised(facts: &Facts, card: &Card) -> Result<Reading, FamilyError> {
    if !facts.has_open_dims() {
        return recognise(facts, card);
    }
    let sized = facts.at_size(input::likely_size(facts, card));
    let result = recognise(&sized, card);
    match result {
        Err(error) if is_no_family(&error, card) => recognise(facts, card).map_err(|_| error),
        result => result,
    }
}

#[cfg(test)]
mod tests;
