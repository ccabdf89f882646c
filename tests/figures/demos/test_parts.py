"""What the lessons are made of: pictures, brackets, and text that visitors typed."""

from __future__ import annotations

import base64
import math
import re
import struct
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("marimo")

from figures.demos import parts
from figures.demos.server import DEMOS
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def test_a_picture_is_a_png_with_words() -> None:
    def draw(figure: Figure) -> None:
        figure.add_subplot().plot([0, 1], [0, 1])

    html = parts.picture(draw, 'up to "1" & more', width=2.0, height=1.0).text
    assert 'alt="up to &quot;1&quot; &amp; more"' in html
    assert "background:white" in html
    data = re.search(r"data:image/png;base64,([^\"]+)", html)
    assert data
    assert struct.unpack(">II", base64.b64decode(data[1])[16:24]) == (2 * parts.DOTS, parts.DOTS)


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [(0.12345, 0.12345, "[0.123, 0.124]"), (1.0, 2.0, "[1, 2]"), (3.0, math.inf, "[3, ∞]"), (math.inf, math.inf, "∞")],
)
def test_a_bracket_is_rounded_outward(lower: float, upper: float, text: str) -> None:
    assert parts.bracket(lower, upper) == text


def test_what_was_typed_is_shown_as_it_is() -> None:
    typed = "<img src=x onerror=alert(1)> $x$ `a` **b** [c](http://d.e)"
    for html in (parts.message(typed).text, parts.said_plainly(Verdict.REFUTED, typed).text):
        for mark in ("<img", "$x$", "`a`", "**b**", "](http"):
            assert mark not in html
    assert "onerror" in parts.message(typed).text


def test_verdicts_have_their_colour() -> None:
    colours = {verdict: re.search(r"data-kind='&quot;(\w+)", parts.said(verdict, "").text) for verdict in Verdict}
    found = {verdict.name: match[1] for verdict, match in colours.items() if match}
    assert found == {
        "PROVED": "success",
        "ENCLOSED": "success",
        "SUPPORTED": "success",
        "REFUTED": "danger",
        "INCONCLUSIVE": "warn",
    }


def test_a_lesson_names_the_next() -> None:
    assert "stablessm demo reparameterize" in parts.further("curse", ["def-3.4-exp"], ["stablessm reparam exp"]).text
    assert "Next lesson" not in parts.further(DEMOS[-1].name, [], []).text


def test_statements_and_commands_of_the_lessons_exist() -> None:
    from proofs_check.ledger import CLAIMS, load_claims

    known = set(load_claims(CLAIMS))
    ids = r'"((?:def|thm|norms|best|all-weights|unit-norm|sequence|fitted|training|lemma)-[\w.-]+)"'
    for one in DEMOS:
        text = one.file.read_text(encoding="utf-8")
        named = set(re.findall(ids, text))
        assert named <= known
        assert named
