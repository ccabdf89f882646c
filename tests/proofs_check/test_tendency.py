"""Brackets that grow, settle, or do neither."""

from __future__ import annotations

import math

import pytest

from proofs_check.tendency import tendency


@pytest.mark.parametrize(
    ("brackets", "expected"),
    [
        ({4: (1.0, 1.1), 8: (0.5, 0.6), 16: (0.4, 0.5)}, True),
        ({4: (1.0, 1.1), 8: (1.1, 1.2), 16: (1.2, 1.3)}, True),
        ({16: (2.3, 2.4), 8: (1.5, 1.6), 4: (1.0, 1.1)}, False),
        ({4: (1.0, 1.1), 8: (1.5, 1.6), 16: (math.inf, math.inf)}, False),
        ({4: (1.0, 1.1), 8: (1.2, 1.3), 16: (1.9, 2.0)}, None),
        ({4: (1.0, 1.1), 8: (1.0, math.inf)}, None),
    ],
)
def test_what_is_seen(brackets: dict[int, tuple[float, float]], expected: bool | None) -> None:
    assert tendency(brackets) is expected


def test_one_m_shows_nothing() -> None:
    with pytest.raises(ValueError, match="brackets: at least two m are needed, got 1"):
        tendency({4: (1.0, 1.0)})
