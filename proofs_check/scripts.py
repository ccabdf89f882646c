"""Indices and exponents in plain text, such as E_m(β), x^(n) or e^{-βt}: found, so that they can be set as such."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

_SIGN = r"[A-Za-zΑ-ωℓ]"
_SCRIPT = re.compile(
    r"(?:(?<=[^\W_])|(?<=[|∣‖∫∏∑)\]}'\u0302\u0303]))"  # behind a letter, digit, bar, bracket or sum
    rf"(?:(?<!\d)_(?:\{{(?P<a>[^{{}}]+)\}}|\((?P<b>[^()]+)\)|(?P<c>max|min|{_SIGN}|∞|\d+)(?![^\W_]))"
    rf"|\^(?:\{{(?P<d>[^{{}}]+)\}}|(?P<e>\([^()]+\))|(?P<f>-?\d+|{_SIGN}|∞)(?![^\W_])))"
)


def scripts(text: str) -> Iterator[tuple[str, int]]:
    """The parts of a text with 0 for what stands on the line, -1 for an index and 1 for an exponent."""
    end = 0
    for match in _SCRIPT.finditer(text):
        if match.start() > end:
            yield text[end : match.start()], 0
        (part,) = (group for group in match.groups() if group is not None)
        if match["e"] and len(part) > 3:  # the brackets of x^(n) mean something, those of e^(-t) only hold together
            part = part[1:-1]
        yield part, -1 if match.group().startswith("_") else 1
        end = match.end()
    if end < len(text):
        yield text[end:], 0


def html_text(text: str) -> str:
    """The text as HTML, with <sub> and <sup>."""
    parts = []
    for part, level in scripts(text):
        tag = {-1: "sub", 1: "sup"}.get(level)
        parts.append(f"<{tag}>{html_text(part)}</{tag}>" if tag else escape(part))
    return "".join(parts)


def without_breaks(text: str) -> str:
    """The text with its indices and exponents free of spaces at which a line could end."""
    return _SCRIPT.sub(lambda match: match.group().replace(" ", "\u00a0"), text)
