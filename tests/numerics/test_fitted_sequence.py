"""Sequences of fits against explicit sequences and sums that are known."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.expsum import explicit_weights
from numerics.fitted_sequence import fitted_error, fitted_kernel, fitted_sequence
from numerics.norms import kernel_norm
from numerics.reparameterization import Reparameterization
from numerics.targets import parse_target


def test_fits_beat_the_explicit_sequence_and_improve_with_m() -> None:
    target = parse_target("polynomial:p=2")
    found = fitted_sequence(target, [4, 2, 8])
    errors = [fitted_error(found[m]) for m in (2, 4, 8)]
    for m, error in zip((2, 4, 8), errors, strict=True):
        lam, weights = explicit_weights(target, m)
        assert error < kernel_norm(target, weights, lam).value
    assert errors[2] < errors[1] < errors[0]
    assert np.all(np.diff(fitted_kernel(found[8])[0]) < 0)


def test_a_sum_of_two_exponentials_is_found() -> None:
    """The signs are such that no explicit sequence exists."""
    target = parse_target("exponential:rate=0.5+exponential:rate=3:scale=-0.7")
    lam, weights = fitted_kernel(fitted_sequence(target, [2])[2])
    assert lam.tolist() == pytest.approx([-0.5, -3.0], rel=1e-6)
    assert weights.tolist() == pytest.approx([1.0, -0.7], rel=1e-6)


def test_no_rate_exceeds_the_range_of_f() -> None:
    fits = fitted_sequence(parse_target("polynomial:p=2"), [6], Reparameterization("best:b=0.5"))[6]
    assert fitted_kernel(fits)[0].min() >= -2.0 * (1 + 1e-12)


def test_a_target_that_no_real_mode_follows_exactly() -> None:
    real, pairs = (fitted_sequence(parse_target("airy"), [2, 4], is_complex=flag) for flag in (False, True))
    assert fitted_error(real[4]) < fitted_error(real[2])
    assert fitted_error(pairs[2]) < fitted_error(real[4])


@pytest.mark.parametrize(
    ("spec", "m"), [("polynomial:p=1", 4), ("sine", 4), ("polynomial:p=2", 0), ("polynomial:p=2", True)]
)
def test_what_is_refused(spec: str, m: int) -> None:
    with pytest.raises(ValueError, match=r"m:|infinite"):
        fitted_sequence(parse_target(spec), [m])
