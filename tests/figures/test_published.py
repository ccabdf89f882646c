"""The paper's numbers in figures/data."""

from __future__ import annotations

import math

from figures.published import DATA, published, table2

CELLS = {(cell.column, cell.learning_rate): cell for cell in table2().cells}


def test_table_2_as_printed() -> None:
    assert len(CELLS) == 7 * 4
    assert (CELLS["best", 5e-3].mean, CELLS["best", 5e-3].spread) == (0.023475, 0.000002)
    assert (CELLS["best", 5.0].mean, CELLS["best", 5.0].spread) == (199.013813, 50690.6)
    assert (CELLS["direct", 5e-3].mean, CELLS["direct", 5e-3].spread) == (None, None)
    assert [name for (name, rate), cell in CELLS.items() if rate == 5.0 and cell.mean is None] == [
        "direct",
        "softplus",
        "exp",
    ]


def test_three_spreads_are_too_large_for_standard_deviations_and_none_for_variances() -> None:
    """Of three numbers >= 0 with mean m the variance of the sample is largest at (0, 0, 3m): 3m²."""
    too_large = []
    for (column, rate), cell in CELLS.items():
        if cell.mean is not None and cell.spread is not None:
            assert cell.spread <= 3 * cell.mean**2
            if cell.spread > math.sqrt(3) * cell.mean:
                too_large.append((column, rate))
    assert too_large == [("softplus", 5e-2), ("exp", 5e-2), ("best", 5.0)]


def test_the_json_names_the_columns_of_this_toolkit() -> None:
    found = published("mnist")
    assert found is not None
    assert {cell["printed"]: cell["column"] for cell in found["cells"]} == {
        "direct": "direct@published",
        "softplus": "softplus",
        "exp": "exp",
        "best": "best:b=0.1",
    }
    assert "arXiv:2311.14495" in found["source"]
    assert published("digits") is None


def test_every_data_file_says_where_it_is_from() -> None:
    files = list(DATA.glob("*.csv"))
    assert files
    for path in files:
        head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        assert any(line.startswith("# Source: ") for line in head)
