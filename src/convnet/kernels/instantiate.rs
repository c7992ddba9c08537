//! Compiles every kernel for one instruction set and puts them into a table.

/// Makes `pub static KERNELS` for the vector type `$vector`.
///
/// `$features` are enabled in every function; The other lists are tile widths, from 1 up.
macro_rules! instantiate {
    (
        name: $name:literal, vector: $vector:ty, attributes: [$($attribute:meta),*],
        dense: [$($dense:literal)*], any: [$($any:literal)*], depthwise1: [$($depthwise1:literal)*], depthwise2: [$($depthwise2:literal)*]
    ) => {
        use $crate::convnet::kernels as k;

        const LANES: usize = <$vector as k::vector::Vector>::LANES;

        type Value = <$vector as k::vector::Vector>::Element;

        #[inline(never)]
        $(#[$attribute])*
        unsafe fn finish_in_memory(
            out: *mut Value, step: usize, residual: *const Value, n: usize, epilogue: &k::epilogue::Epilogue,
        ) {
            // SAFETY: the caller's.
            unsafe { k::epilogue::in_memory::<$vector>(out, step, residual, n, epilogue) }
        }

        $(#[$attribute])*
        unsafe fn dense<const T: usize, const B: usize, const STEP: usize>(
            s: &k::dense::Source<Value>, weights: *const Value, bias: *const Value,
            epilogue: &k::epilogue::Epilogue, in_registers: bool, to: &k::epilogue::Target<Value, B>, count: usize,
        ) {
            // SAFETY: the caller's.
            unsafe { k::dense::tiles::<$vector, T, B, STEP>(s, weights, bias, epilogue, in_registers, to, count) }
        }

        $(#[$attribute])*
        unsafe fn depthwise<const T: usize, const K: usize, const S: usize>(
            s: &k::depthwise::Source<Value>, weights: *const Value, bias: *const Value,
            epilogue: &k::epilogue::Epilogue, in_registers: bool, to: &k::epilogue::Target<Value, 1>, count: usize,
        ) {
            // SAFETY: the caller's.
            unsafe { k::depthwise::tiles::<$vector, T, K, S>(s, weights, bias, epilogue, in_registers, to, count) }
        }

        $(#[$attribute])*
        unsafe fn depthwise_any<const T: usize>(
            s: &k::depthwise::Source<Value>, weights: *const Value, bias: *const Value,
            epilogue: &k::epilogue::Epilogue, in_registers: bool, to: &k::epilogue::Target<Value, 1>, count: usize,
        ) {
            // SAFETY: the caller's.
            unsafe { k::depthwise::tiles_any::<$vector, T>(s, weights, bias, epilogue, in_registers, to, count) }
        }

        $(#[$attribute])*
        unsafe fn winograd(step: &k::winograd::Winograd, context: &k::Context, part: usize, parts: usize) {
            let tiles = DENSE.blocks[0];
            // SAFETY: the caller's.
            unsafe {
                if step.m == 4 {
                    k::winograd::run::<$vector, 4, 6>(step, tiles, context, part, parts)
                } else {
                    k::winograd::run::<$vector, 2, 4>(step, tiles, context, part, parts)
                }
            }
        }

        $(#[$attribute])*
        unsafe fn attention(step: &k::attention::Attention, context: &k::Context, part: usize, parts: usize) {
            // SAFETY: the caller's.
            unsafe { k::attention::run::<$vector>(step, DENSE.blocks[0], context, part, parts) }
        }

        $(#[$attribute])*
        unsafe fn run_dense(step: &k::dense::Dense, context: &k::Context, part: usize, parts: usize) {
            // SAFETY: the caller's.
            unsafe { k::dense::run::<$vector>(step, &DENSE, context, part, parts) }
        }

        $(#[$attribute])*
        unsafe fn run_depthwise(step: &k::depthwise::Depthwise, context: &k::Context, part: usize, parts: usize) {
            // SAFETY: the caller's.
            unsafe { k::depthwise::run::<$vector>(step, &DEPTHWISE, context, part, parts) }
        }

        const fn tiles<const STEP: usize>() -> k::dense::Tiles<Value> {
            k::dense::Tiles {
                one: &[$(dense::<$dense, 1, STEP>),*],
                two: &[$(dense::<$dense, 2, STEP>),*],
            }
        }

        k::instantiate::steps! {
            vector: $vector, attributes: [$($attribute),*],
            narrow: k::narrow::run => k::narrow::Narrow,
            pooling: k::pooling::run => k::pooling::Pooling,
            elementwise: k::elementwise::run => k::elementwise::Elementwise,
            resample: k::resample::run => k::resample::Resample,
            gather: k::gather::run => k::gather::Gather,
            convert: k::convert::run => k::convert::Convert,
            global: k::reduce::global => k::reduce::Global,
            over_channels: k::reduce::over_channels => k::reduce::OverChannels,
            softmax: k::reduce::softmax => k::reduce::Softmax,
            load: k::transfer::load => k::transfer::Load,
            border: k::transfer::border => k::transfer::Border,
            store: k::transfer::store => k::transfer::Store
        }

        static DENSE: k::dense::DenseTiles<Value> = k::dense::DenseTiles {
            planes: tiles::<{ k::dense::PLANES }>(),
            blocks: [tiles::<LANES>(), tiles::<{ 2 * LANES }>()],
            any: k::dense::Tiles {
                one: &[$(dense::<$any, 1, 0>),*],
                two: &[$(dense::<$any, 2, 0>),*],
            },
        };

        static DEPTHWISE: k::depthwise::DepthwiseTiles<Value> = k::depthwise::DepthwiseTiles {
            fixed: [
                &[$(depthwise::<$depthwise1, 3, 1>),*],
                &[$(depthwise::<$depthwise2, 3, 2>),*],
                &[$(depthwise::<$depthwise1, 5, 1>),*],
                &[$(depthwise::<$depthwise2, 5, 2>),*],
            ],
            any: &[$(depthwise_any::<$depthwise1>),*],
        };

        pub static KERNELS: k::Kernels = k::Kernels {
            name: $name,
            lanes: LANES,
            element: <Value as k::element::Number>::ELEMENT,
            width: DENSE.blocks[0].two.len(),
            dense: run_dense,
            depthwise: run_depthwise,
            winograd,
            narrow,
            attention,
            pooling,
            elementwise,
            resample,
            gather,
            convert,
            global,
            over_channels,
            softmax,
            load,
            border,
            store,
        };
    };
}
pub(crate) use instantiate;

/// Compiles the kernels that run a whole step.
macro_rules! steps {
    (vector: $vector:ty, attributes: $attributes:tt, $($name:ident: $($path:ident)::* => $step:ty),*) => {
        $( $crate::convnet::kernels::instantiate::step! { $vector, $attributes, $name, $($path)::*, $step } )*
    };
}
pub(crate) use steps;

macro_rules! step {
    ($vector:ty, [$($attribute:meta),*], $name:ident, $($path:ident)::*, $step:ty) => {
        $(#[$attribute])*
        unsafe fn $name(step: &$step, context: &$crate::convnet::kernels::Context, part: usize, parts: usize) {
            // SAFETY: the caller's.
            unsafe { $($path)::*::<$vector>(step, context, part, parts) }
        }
    };
}
pub(crate) use step;
