"""The perturbed error E_m(β) of any model in one form: which method is for which model, and one table of rows.

one linear diagonal layer           numerics.perturbation
several layers, or a nonlinear σ    numerics.nonlinear_error
a full state matrix                 numerics.full_matrix_error
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from numerics.arguments import json_number
from numerics.full_matrix_error import GROUPS as MATRICES
from numerics.full_matrix_error import full_matrix_error
from numerics.full_model import FullModel
from numerics.models import DiagonalModel
from numerics.nonlinear_error import nonlinear_error
from numerics.perturbation import linear_perturbed_error
from numerics.perturbation_ball import Ball
from numerics.targets import Target

_MATRIX_GROUPS = ("A", "B", "C")


@dataclass(frozen=True)
class ErrorBracket:
    """lower ≤ E_m(beta) ≤ upper; an end may be inf. `reason` says where the ends come from."""

    beta: float
    lower: float
    upper: float
    reason: str


@dataclass(frozen=True)
class ErrorTable:
    """E_m(β) for every β in the order asked; `groups` are those that moved, of a full model among A, B, C."""

    rows: tuple[ErrorBracket, ...]
    stability_margin: float
    ball: str
    groups: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """{"rows": [{"beta", "lower", "upper", "reason"}], "stability_margin", "ball", "groups"}; infinity is "inf"."""
        rows = [
            {"beta": r.beta, "lower": json_number(r.lower), "upper": json_number(r.upper), "reason": r.reason}
            for r in self.rows
        ]
        return {
            "rows": rows,
            "stability_margin": self.stability_margin,
            "ball": self.ball,
            "groups": list(self.groups),
        }


def perturbed_error(
    model: DiagonalModel | FullModel,
    targets: Target | Sequence[Target],
    betas: Sequence[float],
    *,
    ball: str = "joint",
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> ErrorTable:
    """The brackets of E_m(β) = sup over the ball of ‖H - Ĥ(·; θ̃)‖_W, by the method that fits the model.

    `targets`: one for each input. `groups`: any of w, omega, U, c, of a full model A, B, C (or w, U, c for them); None
    is all that the model has. Computed in float64. Hypotheses: one model (no batch axes), one output, targets in L¹;
    continuous time where the model is nonlinear, has several layers or a full matrix. Source: Definition 2.5.
    Raises ValueError for a broken hypothesis, an unknown ball or group, a group given twice, β < 0.
    """
    if model.batch_shape:
        raise ValueError(f"model: one model is needed, this is a batch of shape {model.batch_shape}")
    model = model.to(dtype=torch.float64)
    margin = float(model.stability_margin)
    if isinstance(model, FullModel):
        names = _matrix_groups(groups)
        kind: Literal["joint", "block"] = "joint" if Ball(ball).kind == "joint" else "block"
        found = full_matrix_error(model, targets, betas, kind, names, seed=seed)
        rows = [ErrorBracket(*row[:3], row.reason or "attained below, resolvent bound above") for row in found]
        return ErrorTable(tuple(rows), margin, ball, names)
    region = Ball.of(model, ball, groups)
    if model.is_linear and len(model.layers) == 1:
        error = linear_perturbed_error(model, targets, betas, ball=ball, groups=groups, seed=seed)
        columns = (error.betas.tolist(), error.lower.tolist(), error.upper.tolist(), error.reasons)
        rows = [ErrorBracket(*row) for row in zip(*columns, strict=True)]
    else:
        found = nonlinear_error(model, targets, betas, ball, groups, seed=seed)
        rows = [ErrorBracket(*row[:3], row.reason or "attained below, Lipschitz bound above") for row in found]
    return ErrorTable(tuple(rows), margin, ball, region.groups)


def _matrix_groups(groups: Sequence[str] | None) -> tuple[str, ...]:
    """A, B, C for A, B, C or w, U, c."""
    if groups is None:
        return _MATRIX_GROUPS
    for group in groups:
        if group not in MATRICES:
            raise ValueError(f"groups: {group[:60]!r} is not one of {', '.join(MATRICES)}")
    names = tuple(_MATRIX_GROUPS[MATRICES[group]] for group in groups)
    if not names:
        raise ValueError(f"groups: at least one of {', '.join(_MATRIX_GROUPS)} is needed")
    if len(set(names)) < len(names):
        raise ValueError(f"groups: {', '.join(groups)} names one twice")
    return names
