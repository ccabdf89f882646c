"""Fitted sums of exponentials: better than the explicit ones, exact where the target is such a sum."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.expsum import explicit_weights
from numerics.fitted_sequence import fitted_weights
from numerics.norms import kernel_norm
from numerics.targets import parse_target


@pytest.mark.parametrize("m", [2, 4, 8])
def test_a_fit_beats_the_explicit_sequence(m: int) -> None:
    target = parse_target("polynomial:p=2")
    fitted, explicit = fitted_weights(target, m), explicit_weights(target, m)
    assert kernel_norm(target, fitted[1], fitted[0]).value < kernel_norm(target, explicit[1], explicit[0]).value
    assert np.all(np.diff(fitted[0]) < 0)


def test_a_sum_of_two_exponentials_is_found() -> None:
    """The signs are such that no explicit sequence exists."""
    lam, weights = fitted_weights(parse_target("exponential:rate=0.5+exponential:rate=3:scale=-0.7"), 2)
    assert lam.tolist() == pytest.approx([-0.5, -3.0], rel=1e-6)
    assert weights.tolist() == pytest.approx([1.0, -0.7], rel=1e-6)


def test_no_rate_exceeds_the_limit() -> None:
    lam, _ = fitted_weights(parse_target("polynomial:p=2"), 6, max_rate=2.0)
    assert lam.min() >= -2.0 * (1 + 1e-12)


def test_a_target_that_no_real_mode_follows_exactly() -> None:
    target = parse_target("airy")
    errors = [kernel_norm(target, w, lam).value for lam, w in (fitted_weights(target, m) for m in (2, 8))]
    assert errors[1] < errors[0]


@pytest.mark.parametrize(
    ("spec", "m"), [("polynomial:p=1", 4), ("sine", 4), ("polynomial:p=2", 0), ("polynomial:p=2", True)]
)
def test_what_is_refused(spec: str, m: int) -> None:
    with pytest.raises(ValueError, match=r"m:|infinite"):
        fitted_weights(parse_target(spec), m)
