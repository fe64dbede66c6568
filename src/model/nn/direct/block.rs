//! Blocks of numbers, with operations in explicit vector code.
//!
//! Only this file writes vector code by hand, because compilers vectorise plain loops in one place and not in another.
//! A product is added to a sum with a single rounding (fused multiply-add) on machines that have it, independent of the
//! code around it.

use pulp::Simd;

use crate::model::nn::cpu_ops::exponential;
use crate::model::spec::network::Activation;

/// Numbers in a block.
pub(super) const LANES: usize = 16;
/// A block of numbers.
pub(super) type Block = [f32; LANES];

/// Splits numbers into blocks and pads the last one with `fill`.
pub(super) fn blocks(values: &[f32], fill: f32) -> Vec<Block> {
    let block = |values: &[f32]| std::array::from_fn(|lane| values.get(lane).copied().unwrap_or(fill));
    values.chunks(LANES).map(block).collect()
}

/// The vector registers of a block. On every machine a block is a whole number of registers.
#[inline(always)]
fn registers<S: Simd>(block: &Block) -> &[S::f32s] {
    S::as_simd_f32s(block).0
}

#[inline(always)]
fn registers_mut<S: Simd>(block: &mut Block) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(block).0
}

/// block + value
#[inline(always)]
pub(super) fn add<S: Simd>(simd: S, block: &mut Block, value: f32) {
    let value = simd.splat_f32s(value);
    for x in registers_mut::<S>(block) {
        *x = simd.add_f32s(*x, value);
    }
}

/// sums + terms
#[inline(always)]
pub(super) fn add_block<S: Simd>(simd: S, sums: &mut Block, terms: &Block) {
    for (sum, term) in registers_mut::<S>(sums).iter_mut().zip(registers::<S>(terms)) {
        *sum = simd.add_f32s(*sum, *term);
    }
}

/// block · value
#[inline(always)]
pub(super) fn scale<S: Simd>(simd: S, block: &mut Block, value: f32) {
    let value = simd.splat_f32s(value);
    for x in registers_mut::<S>(block) {
        *x = simd.mul_f32s(*x, value);
    }
}

/// sums + value · factors
#[inline(always)]
pub(super) fn add_product<S: Simd>(simd: S, sums: &mut Block, value: f32, factors: &Block) {
    let value = simd.splat_f32s(value);
    for (sum, factor) in registers_mut::<S>(sums).iter_mut().zip(registers::<S>(factors)) {
        *sum = simd.mul_add_e_f32s(value, *factor, *sum);
    }
}

/// sums + a · b
#[inline(always)]
pub(super) fn add_products<S: Simd>(simd: S, sums: &mut Block, a: &Block, b: &Block) {
    let factors = registers::<S>(a).iter().zip(registers::<S>(b));
    for (sum, (a, b)) in registers_mut::<S>(sums).iter_mut().zip(factors) {
        *sum = simd.mul_add_e_f32s(*a, *b, *sum);
    }
}

/// The larger of each pair.
#[inline(always)]
pub(super) fn keep_larger<S: Simd>(simd: S, most: &mut Block, values: &Block) {
    for (most, value) in registers_mut::<S>(most).iter_mut().zip(registers::<S>(values)) {
        *most = simd.max_f32s(*most, *value);
    }
}

/// Whether any number of a block reaches a limit.
#[inline(always)]
pub(super) fn reaches<S: Simd>(simd: S, block: &Block, limit: f32) -> bool {
    let limit = simd.splat_f32s(limit);
    let mut reached = false;
    for x in registers::<S>(block) {
        reached |= simd.first_true_m32s(simd.greater_than_or_equal_f32s(*x, limit)) < S::F32_LANES;
    }
    reached
}

/// e^x of each number.
#[inline(always)]
pub(super) fn exponentials<S: Simd>(simd: S, block: &mut Block) {
    for x in registers_mut::<S>(block) {
        *x = exponential(simd, *x);
    }
}

/// The activation of each number.
#[inline(always)]
pub(super) fn activate<S: Simd>(simd: S, block: &mut Block, activation: Activation) {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    match activation {
        Activation::Silu => {
            for x in registers_mut::<S>(block) {
                let inverse = exponential(simd, simd.sub_f32s(zero, *x));
                *x = simd.div_f32s(*x, simd.add_f32s(one, inverse));
            }
        }
        Activation::Relu => {
            for x in registers_mut::<S>(block) {
                *x = simd.max_f32s(*x, zero);
            }
        }
        Activation::Identity | Activation::Gelu => {}
    }
}

/// The sum over a block, always in the same order.
#[inline(always)]
pub(super) fn total(block: &Block) -> f32 {
    folded(block, |a, b| a + b)
}

/// The largest number of a block.
#[inline(always)]
pub(super) fn largest(block: &Block) -> f32 {
    folded(block, |a, b| if b > a { b } else { a })
}

/// Combines the halves of a block repeatedly until one number is left.
#[inline(always)]
fn folded(block: &Block, both: impl Fn(f32, f32) -> f32) -> f32 {
    let mut halves = *block;
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            halves[lane] = both(halves[lane], halves[lane + half]);
        }
        half /= 2;
    }
    halves[0]
}
