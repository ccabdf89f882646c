"""The rate of margins against √m: exact and nearly exact laws, the choice of m, bad margins."""

from __future__ import annotations

import math

import pytest

from numerics.margin_rate import margin_rate


def test_an_exact_law() -> None:
    found = margin_rate({m: 3 * math.exp(-2.5 * math.sqrt(m)) for m in (4, 9, 25)})
    assert found is not None
    assert found.rate == pytest.approx(2.5)
    assert found.interval == pytest.approx((2.5, 2.5))


@pytest.mark.parametrize(("first", "logarithm"), [(4, 0.0), (8, 1.0), (16, 1.0), (4, 1.0)])
def test_laws_with_a_second_term(first: int, logarithm: float) -> None:
    """m = L²/κ² + L (1 + log L), as the fast modes add; L by bisection."""
    kappa = 4.0

    def margin(m: int) -> float:
        low, high = 0.1, 1e3
        for _ in range(200):
            L = (low + high) / 2
            low, high = (L, high) if L**2 / kappa**2 + 0.1 * L * (1 + logarithm * math.log(L)) < m else (low, L)
        return math.exp(-low)

    found = margin_rate({m: margin(m) for m in (first, 2 * first, 4 * first)})
    assert found is not None
    assert found.interval[0] <= kappa <= found.interval[1]
    assert found.slopes[0] < found.slopes[1] < found.rate


def test_the_m_that_count() -> None:
    law = {m: math.exp(-math.sqrt(m)) for m in range(1, 65)}
    found = margin_rate(law)
    assert found is not None
    assert found.dims == (32, 45, 64)
    assert margin_rate({4: 0.1, 5: 0.05, 6: 0.01}) is None
    assert margin_rate({}) is None


@pytest.mark.parametrize("margins", [{1: 0.0}, {1: -1.0}, {0: 1.0}, {1: math.inf}, {2: math.nan}])
def test_what_is_refused(margins: dict[int, float]) -> None:
    with pytest.raises(ValueError, match="margins: a positive number"):
        margin_rate(margins)
