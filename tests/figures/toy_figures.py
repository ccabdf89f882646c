"""A small picture and a small table for the tests of the report, and a hostile one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.figure import FigureKind, Finding, Kept
from figures.table_files import Table
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from figures.figure import Canvas

HOSTILE = '<script>alert("&")</script>'


@dataclass(frozen=True)
class Parabola:
    """Points of a parabola and what to call it."""

    points: tuple[float, ...]
    name: str


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> Parabola:
    return Parabola((0.5, 1.0, 2.0), "E_m(β) ≈ β² for λ → ∞")


def draw(data: Parabola, figure: Canvas) -> None:
    ax = figure.subplots()
    ax.loglog(data.points, [x * x for x in data.points], label="β²")
    ax.set(xlabel=r"$\beta$", ylabel=r"$E_m(\beta)$")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center")


def finding(data: Parabola) -> Finding:
    grows = all(a < b for a, b in zip(data.points, data.points[1:], strict=False))
    return Finding(Verdict.SUPPORTED if grows else Verdict.REFUTED, f"It grows: {data.name}.")


def tables(data: Parabola) -> tuple[Table, ...]:
    rows = tuple((rf"$\frac{{{x:g}}}{{1}}$", data.name, f"{x * x:g}") for x in data.points)
    return (Table("squares", (r"$\beta$", "what & why", r"$\beta^2$"), rows, title="Squares"),)


def _caption(data: Parabola) -> str:
    drawn = "drawn on logarithmic axes (PROVED, toy-holds; not toy-elsewhere)"
    return f"The square of {len(data.points)} numbers, {data.name}, {drawn}."


def picture(**more: Any) -> FigureKind[Parabola]:
    settings: dict[str, Any] = {
        "name": "parabola",
        "title": "A parabola, λ and all",
        "shows": "Does it grow?",
        "claims": ("toy-holds", "toy-elsewhere"),
        "data": Parabola,
        "compute": compute,
        "caption": _caption,
        "finding": finding,
        "size": lambda data: (3.25, 2.0),
        "draw": draw,
        **more,
    }
    return FigureKind(**settings)


def table(**more: Any) -> FigureKind[Parabola]:
    return picture(**{"name": "squares", "title": "Squares", "size": None, "draw": None, "tables": tables, **more})


def given(data: Parabola | None = None, level: str = "quick") -> list[tuple[FigureKind[Parabola], Kept[Parabola]]]:
    kept = Kept({"level": level, "seed": 0, "code": "1f", "versions": {}}, data or compute())
    return [(picture(), kept), (table(), kept), (picture(name="again", title="Another"), kept)]


def hostile() -> list[tuple[FigureKind[Parabola], Kept[Parabola]]]:
    kept = Kept({"level": HOSTILE, "seed": 0, "code": HOSTILE}, Parabola((2.0, 1.0), f"{HOSTILE} costs 5"))
    return [(kind(title=HOSTILE, shows=HOSTILE, claims=(HOSTILE,)), kept) for kind in (picture, table)]
