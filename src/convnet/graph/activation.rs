//! Functions of one value.

/// Function of one value. Every function propagates NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Relu,
    /// Limits to `min..=max`; ReLU6 is 0 and 6.
    Clip {
        min: f32,
        max: f32,
    },
    LeakyRelu {
        slope: f32,
    },
    /// x · sigmoid(x)
    Silu,
    /// x · clip(x / 6 + 0.5, 0, 1)
    HardSwish,
    /// clip(alpha · x + beta, 0, 1)
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    Sigmoid,
    /// x · tanh(ln(1 + eˣ))
    Mish,
    /// x · Φ(x), with the error function
    Gelu,
    /// GELU by tanh: 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))
    GeluTanh,
    Tanh,
    /// x above 0, alpha · (eˣ − 1) below
    Elu {
        alpha: f32,
    },
    /// ln(1 + eˣ)
    Softplus,
    Exp,
    Sqrt,
    Abs,
    Reciprocal,
    Square,
    Log,
}

impl Activation {
    /// Computes the function in double precision: the definition that every kernel is tested against.
    pub fn apply(self, x: f64) -> f64 {
        if x.is_nan() {
            return x;
        }
        let sigmoid = |x: f64| 1. / (1. + (-x).exp());
        let softplus = |x: f64| x.max(0.) + (-x.abs()).exp().ln_1p();
        match self {
            Activation::Relu => x.max(0.),
            Activation::Clip { min, max } => x.max(min.into()).min(max.into()),
            Activation::LeakyRelu { slope } => {
                if x < 0. {
                    x * f64::from(slope)
                } else {
                    x
                }
            }
            Activation::Silu => x * sigmoid(x),
            Activation::HardSwish => x * (x / 6. + 0.5).clamp(0., 1.),
            Activation::HardSigmoid { alpha, beta } => {
                (f64::from(alpha) * x + f64::from(beta)).clamp(0., 1.)
            }
            Activation::Sigmoid => sigmoid(x),
            Activation::Mish => x * softplus(x).tanh(),
            Activation::Gelu => 0.5 * x * (1. + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Activation::GeluTanh => {
                let t = (2. / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1. + t.tanh())
            }
            Activation::Tanh => x.tanh(),
            Activation::Elu { alpha } => {
                if x < 0. {
                    f64::from(alpha) * x.exp_m1()
                } else {
                    x
                }
            }
            Activation::Softplus => softplus(x),
            Activation::Exp => x.exp(),
            Activation::Sqrt => x.sqrt(),
            Activation::Abs => x.abs(),
            Activation::Reciprocal => 1. / x,
            Activation::Square => x * x,
            Activation::Log => x.ln(),
        }
    }
}

/// Error function, by its series of positive terms; exact to about 1e-15.
fn erf(x: f64) -> f64 {
    if x.abs() > 6. {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2. * x * x / (2 * n + 1) as f64;
        sum += term;
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_have_their_known_values() {
        let close = |a: Activation, x: f64, y: f64| {
            assert!((a.apply(x) - y).abs() < 1e-6, "{a:?}({x}) = {}", a.apply(x))
        };
        close(Activation::Silu, 1., 0.7310586);
        close(Activation::Mish, 1., 0.8650984);
        close(Activation::Gelu, 1., 0.8413447);
        close(Activation::Gelu, -3., -0.0040497);
        close(Activation::GeluTanh, 1., 0.8411920);
        close(Activation::HardSwish, 1., 2. / 3.);
        close(Activation::Elu { alpha: 2. }, -1., -1.2642411);
        close(Activation::Softplus, -40., 0.);
        close(Activation::Softplus, 40., 40.);
        assert!(
            Activation::Clip { min: 0., max: 6. }
                .apply(f64::NAN)
                .is_nan()
        );
    }
}
