//! Numbers for tests that are the same on every machine.

/// A multiplicative congruential generator.
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// 0.0..1.0
    pub fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    /// 0..limit
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() * limit as f32) as usize
    }

    /// Returns a nearly normal number of mean 0 and deviation 1: the sum of twelve.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.next()).sum::<f32>() - 6.0
    }
}
