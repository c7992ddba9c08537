//! Sides of boxes as distributions over distances.

/// Mean index of the softmax over `bins`; NaN if a number is not finite.
pub(crate) fn mean_bin(bins: impl Iterator<Item = f32> + Clone) -> f32 {
    if !bins.clone().all(f32::is_finite) {
        return f32::NAN;
    }
    let highest = bins.clone().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut mean) = (0.0, 0.0);
    for (index, bin) in bins.enumerate() {
        let weight = (bin - highest).exp();
        sum += weight;
        mean += weight * index as f32;
    }
    mean / sum
}
