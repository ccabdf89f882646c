"""Numbers and sentences of captions."""

from __future__ import annotations

import math

import pytest

from figures.wording import number, sentence


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0.0, "0.00"), (1.2345, "1.23"), (0.04, "0.0400"), (123.4, "123"), (4096.0, "4096"), (1.23e-7, "1.23·10⁻⁷")],
        *[(3.8e5, "3.80·10⁵"), (math.inf, "∞"), (None, "NaN"), (math.nan, "NaN"), (-0.5, "-0.500")],
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_sentence_begins_large_and_ends_with_one_full_stop() -> None:
    assert sentence("best is least") == "Best is least."
    assert sentence("β² is less.") == "Β² is less."
