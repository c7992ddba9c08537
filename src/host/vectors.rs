//! Compiles loops for the vectors of the processor at hand, and not only for those that every processor of its kind has.

/// Loops that the compiler can turn into vector code.
///
/// An implementation of [`run`](Self::run), and what it calls in its loops, are `#[inline(always)]`: a function of its own
/// is compiled for any processor.
pub trait Loops {
    /// Result of the loops.
    type Output;

    /// Runs the loops.
    fn run(self) -> Self::Output;
}

/// Runs `loops` with AVX2 where the processor has it. The results are the same to the last bit: no sum is reordered, and
/// no product is fused with a sum.
pub fn with_wide_vectors<L: Loops>(loops: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { with_avx2(loops) };
    }
    loops.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<L: Loops>(loops: L) -> L::Output {
    loops.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sums<'a>(&'a [f32], f32);

    impl Loops for Sums<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run(self) -> Vec<f32> {
            self.0.iter().map(|x| x * self.1 + 0.1).collect()
        }
    }

    #[test]
    fn results_are_the_same_with_wide_vectors() {
        let numbers: Vec<f32> = (0..1000).map(|i| (i as f32).sin()).collect();
        let wide = with_wide_vectors(Sums(&numbers, 1.7));
        assert_eq!(wide, Sums(&numbers, 1.7).run());
    }
}
