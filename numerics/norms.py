"""Norms of linear functionals, in float64: one door to all of them.

exponential_sums   Σ_i c_i e^{λ_i t} alone, by Rolle's theorem and adaptive panels
kernel_norms       a target ρ minus a real or complex exponential sum, d inputs, batches
sequence_norms     the same in discrete time
"""

from numerics.exponential_sums import (
    NormEstimate,
    derivative_estimate,
    derivative_norm,
    exponential_sum,
    l1_estimate,
    l1_norm,
    sign_changes,
    w1inf_estimate,
    w1inf_norm,
)
from numerics.kernel_norms import KernelNorms, kernel_norm, kernel_norms, target_norm
from numerics.sequence_norms import sequence_norm

__all__ = [
    "KernelNorms", "NormEstimate", "derivative_estimate", "derivative_norm", "exponential_sum", "kernel_norm",
    "kernel_norms", "l1_estimate", "l1_norm", "sequence_norm", "sign_changes", "target_norm", "w1inf_estimate",
    "w1inf_norm",
]  # fmt: skip
