//! The square SSD priors that face detectors of several families share.

/// Stride, and the sides of the priors of a cell in input pixels.
pub(crate) const PRIORS: [(u32, &[f32]); 4] = [
    (8, &[10.0, 16.0, 24.0]),
    (16, &[32.0, 48.0]),
    (32, &[64.0, 96.0]),
    (64, &[128.0, 192.0, 256.0]),
];
