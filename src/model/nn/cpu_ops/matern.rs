//! The kernel of a sparse Gaussian process in one pass over memory.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::exp::exp;
use super::storage::{fits, floats};

/// The constants of a kernel with two blocks: see `members::gp`.
pub(in crate::model) struct MaternKernel {
    /// Squared norms of the scaled inducing points, by block.
    pub(in crate::model) squares: [Vec<f32>; 2],
    /// Width of the first block.
    pub(in crate::model) first: usize,
    /// e^v of the first block, the second block, and their product.
    pub(in crate::model) parts: [f32; 3],
}

impl MaternKernel {
    /// `first`: −2 · x · points of the first block, (B, points). `second`: the same for the second block, or a copy of
    /// `first` if there is none. `x`: scaled inputs of both blocks, (B, width). `None` if the tensors do not allow this
    /// form.
    pub(in crate::model) fn forward(&self, first: &Tensor, second: &Tensor, x: &Tensor) -> Result<Option<Tensor>> {
        match fits(x) {
            true => first.apply_op3_no_bwd(second, x, self).map(Some),
            false => Ok(None),
        }
    }
}

impl CustomOp3 for MaternKernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn cpu_fwd(
        &self,
        first: &CpuStorage,
        l_first: &Layout,
        second: &CpuStorage,
        l_second: &Layout,
        x: &CpuStorage,
        lx: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (first, second, x) = (floats(first, l_first)?, floats(second, l_second)?, floats(x, lx)?);
        let (keys, width) = (self.squares[0].len(), lx.shape().dims2()?.1);
        let norm = |part: &[f32]| part.iter().map(|x| x * x).sum::<f32>();
        let matern = |squares: f32| {
            let distance = (3.0 * squares.max(0.0) + 3e-9).sqrt();
            (1.0 + distance) * exp(-distance)
        };
        let [own, other, product] = self.parts;
        let mut out = Vec::with_capacity(first.len());
        let lines = first.chunks_exact(keys).zip(second.chunks_exact(keys)).zip(x.chunks_exact(width));
        for ((first, second), x) in lines {
            let (a, b) = x.split_at(self.first);
            let (a, b) = (norm(a), norm(b));
            let blocks = first.iter().zip(&self.squares[0]);
            if self.squares[1].is_empty() {
                out.extend(blocks.map(|(product, square)| own * matern(product + square + a)));
                continue;
            }
            let blocks = blocks.zip(second.iter().zip(&self.squares[1]));
            out.extend(blocks.map(|((p, square), (q, other_square))| {
                let (m, n) = (matern(p + square + a), matern(q + other_square + b));
                m * (own + product * n) + other * n
            }));
        }
        Ok((CpuStorage::F32(out), l_first.shape().clone()))
    }
}
