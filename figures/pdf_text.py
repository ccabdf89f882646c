"""Text and formulas measured and broken into lines, in points (1/72 inch)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.textpath import TextToPath

from proofs_check.formula_svg import displayed, parts_of
from proofs_check.scripts import scripts, without_breaks

INK, SOFT = "#1b1f24", "#57606a"
_LEAST_FORMULA = 6.5
_SCRIPT_SIZE, _SCRIPT_GAP = 0.72, 0.05
_RAISE = {-1: -0.16, 0: 0.0, 1: 0.36}
"""Of an index, the text and an exponent, in the size of the font."""


@dataclass(frozen=True)
class Font:
    """family: serif, sans or mono; letters that it lacks come from DejaVu Sans."""

    size: float = 10.2
    family: str = "serif"
    bold: bool = False
    italic: bool = False
    colour: str = INK

    @property
    def leading(self) -> float:
        """Distance between lines."""
        return 1.36 * self.size


BODY = Font()
SMALL = Font(8.5, colour=SOFT)
CODE = Font(8.0, "mono")
_FAMILIES = {
    "serif": ["STIXGeneral", "DejaVu Sans"],
    "sans": ["DejaVu Sans"],
    "mono": ["DejaVu Sans Mono", "DejaVu Sans"],
}


@cache
def properties(font: Font) -> FontProperties:
    return FontProperties(
        family=_FAMILIES[font.family],
        size=font.size,
        weight="bold" if font.bold else "normal",
        style="italic" if font.italic else "normal",
        math_fontfamily="stix",
    )


@cache
def extent(text: str, font: Font, math: bool) -> tuple[float, float, float]:
    """Width, height and depth below the line."""
    width, height, depth = TextToPath().get_text_width_height_descent(text, properties(font), ismath=math)
    return float(width), float(height), float(depth)


@cache
def is_math(text: str) -> bool:
    """Whether there are formulas between dollar signs, which mathtext can draw."""
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return False
    return "$" in text


def width_of(text: str, font: Font) -> float:
    return extent(text, font, False)[0]


def pieces(text: str, font: Font) -> list[tuple[str, Font, float, float]]:
    """Parts of a text, each with its font, where it begins, and how much it is raised; code is one part."""
    found, x = [], 0.0
    for part, level in [(text, 0)] if font.family == "mono" else scripts(text):
        small = replace(font, size=_SCRIPT_SIZE * font.size) if level else font
        bare = part.strip(" ")
        x += _space(font) * (len(part) - len(part.lstrip(" ")))
        if bare:
            found.append((bare, small, x, _RAISE[level] * font.size))
            x += width_of(bare, small) + (_SCRIPT_GAP * font.size if level else 0.0)
        x += _space(font) * (len(part) - len(part.rstrip(" "))) if bare else 0.0
    return found


@cache
def set_width(text: str, font: Font) -> float:
    """Width of a text with its indices and exponents."""
    found = pieces(text, font)
    if not found:
        return 0.0
    last, small, x, _ = found[-1]
    return x + width_of(last, small)


@cache
def _space(font: Font) -> float:
    return width_of("n n", font) - width_of("nn", font)


@dataclass(frozen=True)
class Run:
    """Text in one font; box: the colour of a box around it, within which no line breaks."""

    text: str
    font: Font = BODY
    box: str | None = None


def leading_of(line: Sequence[tuple[Run, float]]) -> float:
    return max((run.font.leading for run, _ in line), default=0.0)


def wrap(runs: Sequence[Run], measure: float) -> list[list[tuple[Run, float]]]:
    """Lines of runs, each with the place where it begins; words that are longer than a line are broken."""
    lines: list[list[tuple[Run, float]]] = [[]]
    end = 0.0
    for run in runs:
        for word in [run.text] if run.box else _words(run, measure):
            pad = 0.9 * run.font.size if run.box else 0.0
            width = set_width(word, run.font) + pad
            space = _space(run.font) * (1.6 if lines[-1] and lines[-1][-1][0].box else 1.0) if lines[-1] else 0.0
            if lines[-1] and end + space + width > measure:
                lines.append([])
                end = space = 0.0
            last = lines[-1][-1] if lines[-1] else None
            if last and last[0].font == run.font and not last[0].box and not run.box:
                lines[-1][-1] = (replace(run, text=f"{last[0].text} {word}"), last[1])
            else:
                lines[-1].append((replace(run, text=word), end + space))
            end += space + width
    return lines


def _printed(text: str) -> str:
    """The text for the serif font, whose integral leans over what follows it, and whose bar reads like an l."""
    return re.sub("∫(?![_^])", "∫\u2009", text).replace("|", "∣")


def _words(run: Run, measure: float) -> list[str]:
    words = []
    text = run.text if run.font.family == "mono" else _printed(without_breaks(run.text))
    for word in re.split(r"[ \n\r\t]+", text.strip()) if text.strip() else ():
        while set_width(word, run.font) > measure and len(word) > 1:
            fits = bisect_right(range(1, len(word)), measure, key=lambda n: set_width(word[:n], run.font))
            cut = max(fits, 1)
            cut = max((word.rfind(sign, 1, cut) + 1 for sign in "-_/,.@:"), default=0) or cut
            words.append(word[:cut])
            word = word[cut:]
        words.append(word)
    return words


def _formula_width(latex: str, font: Font) -> float:
    return extent(f"${displayed(latex)}$", font, True)[0]


def fitting(latex: str, font: Font, room: float) -> Font:
    """The font, smaller where the formula is too wide."""
    shrink = min(1.0, room / _formula_width(latex, font))
    return replace(font, size=max(_LEAST_FORMULA, font.size * shrink))


def broken(latex: str, font: Font, room: float) -> list[str]:
    r"""The formula in parts between its \quad, each as long as fits, unless it need not be made much smaller."""
    if _formula_width(latex, font) * 0.8 <= room:
        return [latex]
    parts: list[str] = []
    for piece in parts_of(latex):
        longer = rf"{parts[-1]}\quad{piece}" if parts else piece
        if parts and _formula_width(longer, font) * 0.8 <= room:
            parts[-1] = longer
        else:
            parts.append(piece)
    return parts
