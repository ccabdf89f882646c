"""Formulas as inline SVG, drawn as paths by matplotlib's mathtext: legible without a network or any font.

Every glyph is stored once a page and placed by <use>, so that a page of formulas stays small.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path as GlyphPath
from matplotlib.textpath import TextToPath

EM = TextToPath.FONT_SCALE
"""Length units of TextToPath in one em."""
MARGIN = 4.0
"""Space around a formula, since glyphs may reach over their box."""
_COMMANDS = {GlyphPath.MOVETO: "M", GlyphPath.LINETO: "L", GlyphPath.CURVE3: "Q", GlyphPath.CURVE4: "C"}


class FormulaSheet:
    """The formulas of one page. Put `definitions()` into the page once, anywhere."""

    def __init__(self) -> None:
        self._font = FontProperties(math_fontfamily="stix", size=EM)
        self._text_to_path = TextToPath()
        self._glyphs: dict[str, tuple[str, str]] = {}
        self._drawn: dict[str, str] = {}

    def svg(self, latex: str) -> str:
        """The formula as an inline <svg>; as plain code where mathtext cannot read it."""
        if latex not in self._drawn:
            try:
                self._drawn[latex] = self._draw(latex)
            except ValueError:
                self._drawn[latex] = f"<code>{escape(latex)}</code>"
        return self._drawn[latex]

    def lines(self, latex: str) -> str:
        """The formula in parts, between which a line may end."""
        return " ".join(self.svg(part) for part in parts_of(latex))

    def definitions(self) -> str:
        """A hidden <svg> with every glyph that the formulas use."""
        paths = "".join(f'<path id="{name}" d="{data}"/>' for name, data in self._glyphs.values())
        return f'<svg width="0" height="0" aria-hidden="true" class="glyphs"><defs>{paths}</defs></svg>'

    def _draw(self, latex: str) -> str:
        text = f"${displayed(latex)}$"
        width, height, descent = self._text_to_path.get_text_width_height_descent(text, self._font, ismath=True)
        placed, glyphs, rects = self._text_to_path.get_glyphs_mathtext(self._font, text)
        parts = []
        for glyph, x, y, scale in placed:
            if len(glyphs[glyph][0]):  # a space draws nothing
                parts.append(f'<use href="#{self._name(glyph, glyphs[glyph])}" {_transform(x, y, scale)}/>')
        parts += [f'<path d="{_path_data(vertices, codes)}"/>' for vertices, codes in rects]
        box = [-MARGIN, descent - height - MARGIN, width + 2 * MARGIN, height + 2 * MARGIN]
        size = f"width:{box[2] / EM:.3f}em;height:{box[3] / EM:.3f}em;vertical-align:{-(descent + MARGIN) / EM:.3f}em"
        return (
            f'<svg role="img" aria-label="{escape(latex)}" viewBox="{" ".join(f"{v:.1f}" for v in box)}" '
            f'style="{size}" fill="currentColor"><g transform="scale(1 -1)">{"".join(parts)}</g></svg>'
        )

    def _name(self, glyph: str, path: tuple[Any, Any]) -> str:
        if glyph not in self._glyphs:
            self._glyphs[glyph] = (f"g{len(self._glyphs)}", _path_data(*path))
        return self._glyphs[glyph][0]


def readable(latex: str) -> bool:
    """Whether mathtext can draw the formula."""
    try:
        MathTextParser("path").parse(f"${displayed(latex)}$")
    except ValueError:
        return False
    return True


def displayed(latex: str) -> str:
    """The formula with its outermost fractions in display size, as TeX would set a formula on a line of its own."""
    depth, parts = 0, []
    for part in re.split(r"(\\frac(?![a-zA-Z])|\\[{}]|[{}])", latex):
        depth += {"{": 1, "}": -1}.get(part, 0)
        parts.append(r"\dfrac" if part == r"\frac" and depth == 0 else part)
    return "".join(parts)


def parts_of(latex: str) -> list[str]:
    r"""The formula cut at each \quad outside of braces, where every part can be drawn."""
    depth, parts = 0, [""]
    for part in re.split(r"(\\quad(?![a-zA-Z])|\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|\\[{}]|[{}])", latex):
        depth += {"{": 1, "}": -1, r"\left": 1, r"\right": -1}.get(part, 0)
        if part == r"\quad" and depth == 0:
            parts.append("")
        else:
            parts[-1] += part
    parts = [part.strip() for part in parts if part.strip()]
    return parts if all(readable(part) for part in parts) else [latex]


def _transform(x: float, y: float, scale: float) -> str:
    return f'transform="translate({x:.1f} {y:.1f}) scale({scale:.3g})"'


def _path_data(vertices: Any, codes: Any) -> str:
    pieces = []
    for points, code in GlyphPath(vertices, codes).iter_segments(curves=True, simplify=False):
        if code == GlyphPath.CLOSEPOLY:
            pieces.append("Z")
        else:
            pieces.append(_COMMANDS[code] + " ".join(f"{value:.1f}".removesuffix(".0") for value in points))
    return "".join(pieces)
