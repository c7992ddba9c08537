//! Families with made-up fields, as the registry's own samplers make them.

use arbitrary::Unstructured;
use gstdetect::families::sample::{Choices, Sampler};
use gstdetect::families::{FAMILIES, Family};

/// Takes choices from the bytes of an input; where there are none left, the first of everything.
struct Bytes<'a, 'b>(&'a mut Unstructured<'b>);

impl Choices for Bytes<'_, '_> {
    fn below(&mut self, count: usize) -> usize {
        self.0.int_in_range(0..=count - 1).unwrap_or(0)
    }
}

/// Makes the family of a number; any number is one of some family.
pub fn family(number: u8, u: &mut Unstructured) -> Box<dyn Family> {
    let samplers = FAMILIES.iter().flat_map(|family| family.samplers);
    let samplers: Vec<&Sampler> = samplers.collect();
    samplers[usize::from(number) % samplers.len()](&mut Bytes(u))
}
