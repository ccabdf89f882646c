"""Tables written for a paper (LaTeX with booktabs), for a page (Markdown, HTML) and for a spreadsheet (CSV).

A cell is text in which the parts between dollar signs are formulas in LaTeX. Greek letters and signs such as ± or ∞ may
stand in the text itself: LaTeX gets them as formulas, the others as they are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from figures.plain_formula import GREEK, SIGNS, plain_formula
from numerics.arguments import shown

TABLE_FORMATS = ("tex", "md", "csv")

_MANY = 5
"""Columns; more do not fit the page in letters of the usual size."""

_ESCAPES = {
    **{sign: f"\\{sign}" for sign in "&%#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_TEXT_SIGNS = {"–": "--", "—": "---", "…": r"\ldots{}", "‘": "`", "’": "'", "“": "``", "”": "''", "\u00a0": "~"}
_MATH_SIGNS = {
    **{sign: f"\\{name} " for name, sign in (*GREEK.items(), *SIGNS.items())},
    **{sign: sign for sign in "|<>"},
    **{"−": "-", "√": r"\surd ", "⁻": "^{-}", "°": r"^{\circ}", "′": "'"},
    **{sign: f"^{{{i}}}" for i, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    **{sign: f"_{{{i}}}" for i, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")},
}
_NUMBER = re.compile(r"[<>≤≥≈]? ?[-+−]?(\d|∞).*|(nan|NaN)( .*)?|—|-|")


@dataclass(frozen=True)
class Table:
    """A table of texts; parts between dollar signs are formulas in LaTeX.

    name: of its files; header: one text a column; rows: as many texts each; title: what it is, in a few words.
    Raises ValueError for a row of another length and for a dollar sign without its partner.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""

    def __post_init__(self) -> None:
        for row in (self.header, *self.rows):
            if len(row) != len(self.header):
                raise ValueError(f"table {self.name}: {len(self.header)} texts a row are needed, got {len(row)}")
            for text in row:
                if text.count("$") % 2:
                    raise ValueError(f"table {self.name}: a dollar sign without its partner in {shown(text)}")

    def is_number(self, column: int) -> bool:
        """Whether all its rows hold numbers, perhaps with a spread: such columns are set flush right."""
        return all(_NUMBER.fullmatch(row[column]) for row in self.rows)


def table_contents(table: Table, formats: Sequence[str] = TABLE_FORMATS) -> dict[str, bytes]:
    """What name.tex, name.md and name.csv hold, or some of them, by the name of the file."""
    writers: dict[str, Callable[[Table], str]] = {"tex": latex, "md": markdown, "csv": csv_text}
    return {f"{table.name}.{end}": writers[end](table).encode() for end in formats}


def latex(table: Table, caption: str | None = None) -> str:
    r"""A float that any document with \usepackage{booktabs} can \input; caption: None for the title.

    Raises ValueError for a character that LaTeX would not know.
    """
    kinds = "".join("r" if table.is_number(column) else "l" for column in range(len(table.header)))
    text = table.title if caption is None else caption
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "  \\centering",
            *([f"  \\caption{{{latex_text(text)}}}", f"  \\label{{tab:{table.name}}}"] if text else []),
            *_latex_sizes(table),
            f"  \\begin{{tabular}}{{{kinds}}}",
            "    \\toprule",
            f"    {_latex_row(table.header)}",
            "    \\midrule",
            *(f"    {_latex_row(row)}" for row in table.rows),
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def _latex_sizes(table: Table) -> list[str]:
    """Small letters where there are many columns, high lines where there are fractions."""
    sizes = ["  \\footnotesize\\setlength{\\tabcolsep}{3pt}"] if len(table.header) > _MANY else []
    has_fractions = any("\\frac" in text for row in table.rows for text in row)
    return [*sizes, *(["  \\renewcommand{\\arraystretch}{1.5}"] if has_fractions else [])]


def _latex_row(row: Sequence[str]) -> str:
    cells = [latex_text(text) for text in row]
    # a bracket after \\ would be read as its argument
    return " & ".join(f"{{}}{cell}" if cell.startswith("[") else cell for cell in cells) + r" \\"


def latex_text(text: str) -> str:
    """The text as LaTeX has it: special characters escaped, signs beyond ASCII in formulas."""
    pieces: list[tuple[bool, str]] = []
    for part, is_formula in _parts(text):
        pieces += [(True, part)] if is_formula else [_latex_sign(sign) for sign in part]
    runs = [(math, "".join(text for _, text in run)) for math, run in groupby(pieces, lambda piece: piece[0])]
    return "".join(f"${_one_script(run.strip())}$" if math else run for math, run in runs)


def _one_script(formula: str) -> str:
    """With exponents that follow one another as one: LaTeX refuses ^{-}^{3}."""
    return re.sub(r"(?:([\^_])\{[-\d]\})(?:\1\{[-\d]\})+", _joined, formula)


def _joined(match: re.Match[str]) -> str:
    digits = re.sub(r"[{}^_]", "", match.group(0))
    return f"{match.group(1)}{{{digits}}}"


def _latex_sign(sign: str) -> tuple[bool, str]:
    if sign in _MATH_SIGNS:
        return True, _MATH_SIGNS[sign]
    if sign in _ESCAPES or sign in _TEXT_SIGNS:
        return False, _ESCAPES.get(sign) or _TEXT_SIGNS[sign]
    if sign > "\u00ff":
        raise ValueError(f"table: the character {sign!r} has no form in LaTeX here; write it as a formula")
    return False, " " if sign.isspace() else sign


def markdown(table: Table, caption: str | None = None) -> str:
    """A table for GitHub and its like, with the caption (None: the title) as a paragraph above."""
    text = table.title if caption is None else caption
    rule = ["---:" if table.is_number(column) else "---" for column in range(len(table.header))]
    rows = [_markdown_row([_markdown_text(text) for text in table.header]), _markdown_row(rule)]
    rows += [_markdown_row([_markdown_text(text) for text in row]) for row in table.rows]
    return "\n".join([*([_markdown_text(text), ""] if text else []), *rows, ""])


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_text(text: str) -> str:
    """Bars in formulas as commands, so that no reader takes them for the end of a cell."""
    parts = []
    for part, is_formula in _parts(text):
        if is_formula:
            parts.append("$" + part.replace(r"\|", r"\Vert ").replace("|", r"\vert ") + "$")
        else:
            parts.append(re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(re.split(r"[\r\n]+", part))))
    return "".join(parts)


def csv_text(table: Table) -> str:
    """Comma-separated values; formulas as one would type them, without dollar signs."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([plain(cell) for cell in row] for row in (table.header, *table.rows))
    return text.getvalue()


def html(table: Table, formula: Callable[[str], str] | None = None) -> str:
    """A <table> without any style; formula: the HTML of a formula in LaTeX, None for plain text.

    Cells of numbers have the class "number".
    """
    numbers = [table.is_number(column) for column in range(len(table.header))]

    def row(cells: Sequence[str], is_head: bool) -> str:
        made = []
        for column, (cell, number) in enumerate(zip(cells, numbers, strict=True)):
            name = "th" if is_head or not column else "td"
            scope = f' scope="{"col" if is_head else "row"}"' if name == "th" else ""
            kind = ' class="number"' if number else ""
            made.append(f"<{name}{scope}{kind}>{html_text(cell, formula)}</{name}>")
        return f"<tr>{''.join(made)}</tr>"

    body = "\n".join(row(cells, False) for cells in table.rows)
    return f"<table>\n<thead>{row(table.header, True)}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def html_text(text: str, formula: Callable[[str], str] | None = None) -> str:
    parts = [
        (formula(part) if formula else escape(plain_formula(part))) if is_formula else escape(part)
        for part, is_formula in _parts(text)
    ]
    return "".join(parts)


def plain(text: str) -> str:
    """The text with its formulas as one would type them."""
    return "".join(plain_formula(part) if is_formula else part for part, is_formula in _parts(text))


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The parts outside and inside of dollar signs, and whether each is a formula."""
    for place, part in enumerate(text.split("$")):
        if part:
            yield part, place % 2 == 1
