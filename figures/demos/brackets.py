"""Brackets as text."""

from __future__ import annotations

import math

from proofs_check.tables import above, below


def bracket(lower: float, upper: float, digits: int = 3) -> str:
    """The text of a bracket, rounded outward: "[0.374, 0.426]", or "∞" where both ends are."""
    if lower == math.inf:
        return "∞"
    return f"[{below(lower, digits)}, {above(upper, digits).replace('inf', '∞')}]"
