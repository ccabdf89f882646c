"""Each f as a parametrization for the modules of others: torch.nn.utils.parametrize with λ = f(w) and its inverse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from numerics.reach import weights_for
from numerics.reparameterization import Reparameterization

_SOLVED_TOGETHER = 1024
"""Values of a formula that are looked for at once, each on a grid of some thousand weights."""


class StableRate(nn.Module):
    """λ = f(w), elementwise: w becomes the trained weight in the place of λ.

        register_parametrization(module, "A", StableRate("best:b=0.1"))

    replaces the parameter or buffer A of the module, real rates λ, by w = f⁻¹(A) on the branch that
    theory.formula.NAMED states (of a formula without a name the largest such |w| ≤ 60). Reading `module.A` gives f(w);
    `module.A = λ` sets w. The parameter stays the same object, so that an optimizer made before still trains it;
    weight decay now pulls w, not λ, towards 0.

    The f is a name or formula as in numerics.reparameterization; `time` says which of its two meanings: with
    "continuous" λ is Re λ of dh/dt = λh, with "discrete" the (signed) modulus of λ in h_{k+1} = λh_k; a
    Reparameterization has its own. A complex rate is its real f(w) and a frequency, two parameters. Whether f keeps the
    promise of its name is another question: "direct" is allowed.
    Shapes: w and λ alike, of any shape, device and floating dtype. Hypothesis: every λ is a value of f.
    Raises ValueError, in one line: an f or a time that cannot be read; λ that is not real, not finite or not a value of
    f, naming λ and the interval of the values of f.
    """

    def __init__(self, reparameterization: str | Reparameterization, time: str = "continuous") -> None:
        super().__init__()
        f = reparameterization
        self.reparameterization = f if isinstance(f, Reparameterization) else Reparameterization(f, time)
        self._evaluate = self.reparameterization.evaluate

    def forward(self, w: Tensor) -> Tensor:
        """f(w)."""
        return self._evaluate(w)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_evaluate"}  # it cannot be pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._evaluate = self.reparameterization.evaluate

    def right_inverse(self, lam: Tensor) -> Tensor:
        """w with f(w) = λ."""
        f = self.reparameterization
        if not lam.is_floating_point():
            raise ValueError(f"lam: a tensor of real floating point numbers is needed, got {lam.dtype}")
        if f.name is not None:
            return f.inverse(lam)
        values, place = torch.unique(lam.detach(), return_inverse=True)
        parts = values.to("cpu", torch.float64).split(_SOLVED_TOGETHER)
        return torch.cat([weights_for(f, part.numpy()) for part in parts]).to(lam)[place]

    def extra_repr(self) -> str:
        f = self.reparameterization
        return f"{f.specification}, {f.time} time"
