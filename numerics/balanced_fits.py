"""From fitted rates and coefficients to the weights of models, with balanced factors.

    c_i ν_i U_i = C_i,    |c_i| = |U_i| = √(|C_i|/ν_i),    ν_i = 1 (plain) or 1/‖mode‖ (unit-norm),

signs and phases in c where there is one input, in U where there are several (U is complex then for complex modes).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from numerics.fit_problem import FitProblem, Fits
from numerics.mode_gains import gains
from numerics.rate_evaluation import RateMap


@dataclass(frozen=True, eq=False)
class Found:
    """What was found for some rows of a problem: theta (R, P), coef (R, p, d), the other fields (R,).

    The kernel is Σ coef z, z = e^{λt}; where modes are complex Σ a Re z + b Im z, coef = (a, b), p = 2m.
    """

    rows: Tensor
    theta: Tensor
    coef: Tensor
    loss: Tensor
    result: Tensor
    steps: Tensor
    rank: Tensor

    def fields(self) -> tuple[Tensor, ...]:
        return self.rows, self.theta, self.coef, self.loss, self.result, self.steps, self.rank


def gathered(parts: list[Found]) -> Found:
    """All parts, in the order of their rows."""
    whole = [torch.cat(column) for column in zip(*(part.fields() for part in parts), strict=True)]
    order = torch.argsort(whole[0])
    return Found(*(column[order] for column in whole))


def balanced_fits(problem: FitProblem, found: Found) -> Fits:
    """The fits of all rows, in order."""
    m, discrete = problem.m, problem.time == "discrete"
    w, omega = found.theta[:, :m], found.theta[:, m:] if problem.is_complex else None
    rates = RateMap(problem.reparameterizations, m, is_complex=False, is_discrete=discrete, device=torch.device("cpu"))
    value, _, _ = rates(w, torch.arange(len(w)))
    unit = torch.tensor([kind == "unit-norm" for kind in problem.modes])[:, None]
    gain = gains(value, omega, discrete, unit).nu
    coef = found.coef
    if problem.is_complex:  # a Re z + b Im z = 2 Re((a - ib)/2 z)
        a, b = coef.chunk(2, dim=1)
        coef = torch.complex(a, -b) / 2
    size = torch.linalg.vector_norm(coef, dim=-1)
    factor = (size / gain).sqrt()
    phase = torch.where(size[..., None] > 0, coef / size.clamp(min=torch.finfo(size.dtype).tiny)[..., None], 1.0)
    if problem.input_dim == 1:
        U, c = factor[..., None], factor * phase[..., 0]
    else:
        U, c = factor[..., None] * phase, factor.to(coef.dtype)
    unknown = torch.zeros_like(found.loss)
    return Fits(problem, w, U, c, omega, found.loss, found.result, found.steps, found.rank, unknown, {})
