"""The style of the figures: colours, files, no trace of a date."""

from __future__ import annotations

import itertools
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgb

from figures.style import COLOURS, base_name, looks, new_figure, style, write_figure
from theory.formula import NAMED


@pytest.mark.parametrize(
    ("column", "base"),
    [
        ("best:a=1:b=0.1", "best"),
        ("best:b=0.1@published/dc", "best"),
        ("exp/unit-norm", "exp"),
        ("direct@published", "direct"),
        ("-1/(w**2+1)", "-1/(w**2+1)"),
        ("-1/(w**2+1)/lru", "-1/(w**2+1)"),
    ],
)
def test_the_reparameterization_of_a_column(column: str, base: str) -> None:
    assert base_name(column) == base


def test_one_colour_for_one_reparameterization_and_a_line_of_its_own_for_each_column() -> None:
    columns = ["exp", "best:b=0.1", "best:b=1", "exp/dc", "-exp(w)/2", "-exp(w)/3", "direct"]
    found = looks(columns)
    assert found["exp"]["color"] == found["exp/dc"]["color"] == COLOURS["exp"]
    assert found["best:b=0.1"]["color"] == found["best:b=1"]["color"]
    assert found["-exp(w)/2"]["color"] != found["-exp(w)/3"]["color"]
    assert len({(str(look["color"]), str(look["linestyle"])) for look in found.values()}) == len(columns)
    assert looks(["exp"])["exp"] == found["exp"]


def test_every_named_reparameterization_has_a_colour_that_is_not_another_s() -> None:
    assert set(COLOURS) == set(NAMED)
    for one, other in itertools.combinations(COLOURS.values(), 2):
        assert sum(abs(x - y) for x, y in zip(to_rgb(one), to_rgb(other), strict=True)) > 0.3


def test_files_are_equal_where_figures_are_and_keep_text_as_text(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    files = []
    for folder in ("a", "b"):
        with style():
            figure = new_figure(3.25, 2.0)
            figure.subplots().plot([1, 2], [3, 4])
            figure.axes[0].set_title("λ = f(w)")
        files.append(write_figure(figure, tmp_path / folder, "x"))
    assert [path.suffix for path in files[0]] == [".png", ".pdf", ".svg"]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert ">λ = f(w)</text>" in (tmp_path / "a" / "x.svg").read_text(encoding="utf-8")
    assert b"CreationDate" not in (tmp_path / "a" / "x.pdf").read_bytes()
    assert b"/Type3" not in (tmp_path / "a" / "x.pdf").read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["x.pdf", "x.png", "x.svg"]
    assert dict(mpl.rcParams) == before
