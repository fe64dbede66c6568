//! The exponential function, for one number or a vector register. The standard library takes one number at a time; its
//! calls would take half of the time of a small network's pass.

use pulp::{Scalar, Simd};

/// e^x as 2^n · 2^f, with a polynomial for 2^f, so that loops over it are vectorised. The relative error is about 3e-7
/// and grows with |x|, as that of the product x · log₂e does. NaN stays NaN.
#[inline(always)]
pub(in crate::model) fn exp(x: f32) -> f32 {
    exponential(Scalar::new(), x)
}

/// The same for a vector register.
#[inline(always)]
pub(in crate::model) fn exponential<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding and subtracting 12,582,912 (1.5 · 2²³) rounds to a whole number n. The low bits of the sum are n. The 127
    // is the exponent bias, so these bits become the exponent of 2^n.
    const MAGIC: f32 = 12_582_912.0 + 127.0;
    /// Coefficients of the polynomial, highest power first.
    const FACTORS: [f32; 6] = [1.339_887_4e-3, 9.618_437e-3, 5.550_332_5e-2, 2.402_264_7e-1, 6.931_472e-1, 1.0];
    let all = |value: f32| simd.splat_f32s(value);
    let (least, most) = (all(-126.0), all(127.0));
    let t = simd.mul_f32s(x, all(std::f32::consts::LOG2_E));
    let t = simd.select_f32s(simd.less_than_f32s(t, least), least, t);
    let t = simd.select_f32s(simd.greater_than_f32s(t, most), most, t);
    let shifted = simd.add_f32s(t, all(MAGIC));
    let f = simd.sub_f32s(t, simd.sub_f32s(shifted, all(MAGIC)));
    let mut p = all(1.535_336_2e-4);
    for factor in FACTORS {
        p = simd.mul_add_e_f32s(p, f, all(factor));
    }
    let power = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.mul_f32s(p, simd.transmute_f32s_u32s(power))
}

/// x · sigmoid(x)
#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential() {
        for x in (-860..870).map(|x| x as f32 / 10.0) {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-6 * (1.0 + x.abs() / 10.0), "{x}: {} {}", exp(x), x.exp());
        }
        assert!(exp(-1e30) < 1e-37 && exp(1e30).is_finite());
        assert!(exp(f32::NAN).is_nan());
    }
}
