"""Tables in LaTeX, Markdown, HTML and CSV: read again, they have the same cells."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest

from figures.plain_formula import GREEK, plain_formula
from figures.table_files import Table, csv_text, html, html_text, latex, latex_text, markdown, plain, table_contents

TABLE = Table(
    name="example",
    header=("f", "$|f'|/f^2$", "loss ± spread", "a|b"),
    rows=(
        ("best:b=0.1", r"$\frac{e^{w}}{\left(e^{w} + 1\right)^{2}}$", "0.12 ± 0.01", "x_1 & 2 λ²β"),
        ("-1/(a*w**2+b)", "$2 a |w|$", "∞", "[3] 50 %"),
        ("relu", "$1$", "NaN (3/3 diverged)", "—"),
    ),
    title="Scales & losses of λ = f(w)",
)


def test_latex_has_the_rules_of_booktabs_and_a_cell_for_each_text() -> None:
    text = latex(TABLE)
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert r"\begin{tabular}{llrl}" in text
    assert r"\caption{Scales \& losses of $\lambda$ = f(w)}" in text
    assert r"\label{tab:example}" in text
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert [len(re.split(r"(?<!\\)&", line)) for line in lines] == [4] * 4
    assert text.isascii()
    assert r"\renewcommand{\arraystretch}{1.5}" in text  # for the fraction
    assert "footnotesize" not in text
    assert r"x\_1 \& 2 $\lambda ^{2}\beta$" in text
    assert r"{}[3] 50 \%" in text
    assert r"0.12 $\pm$ 0.01" in text


@pytest.mark.parametrize("text", [latex(TABLE), latex(TABLE, "Another caption with 100 % of $x$ and 10⁻¹²")])
def test_braces_dollars_and_environments_of_latex_are_in_pairs(text: str) -> None:
    bare = text.replace(r"\{", "").replace(r"\}", "")
    depth = 0
    for sign in bare:
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    assert text.count("$") % 2 == 0
    assert "$$" not in text
    assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("4.1·10⁻¹²", r"4.1$\cdot$10$^{-12}$"),
        ("λ² ≥ 0", r"$\lambda ^{2}$ $\ge$ 0"),
        ("a ~ b^2 \\ #1 {x}", r"a \textasciitilde{} b\textasciicircum{}2 \textbackslash{} \#1 \{x\}"),
        ("≤$x$", r"$\le x$"),
        ("1–2 … “so”", r"1--2 \ldots{} ``so''"),
        ("|f| < 1", r"$|$f$|$ $<$ 1"),
        ("café", "café"),
    ],
)
def test_signs_of_text_in_latex(text: str, wanted: str) -> None:
    assert latex_text(text) == wanted


def test_a_sign_without_a_form_is_said() -> None:
    with pytest.raises(ValueError, match="the character '漢' has no form in LaTeX"):
        latex_text("漢")
    for letter in GREEK.values():
        assert re.fullmatch(r"\$\\[A-Za-z]+\$", latex_text(letter))


def test_markdown_keeps_every_bar_inside_its_cell() -> None:
    lines = markdown(TABLE).splitlines()
    assert lines[0] == "Scales & losses of λ = f(w)"
    assert lines[3] == "| --- | --- | ---: | --- |"
    for line in lines[2:]:
        assert len(re.findall(r"(?<!\\)\|", line)) == 5
    assert r"$\vert f'\vert /f^2$" in lines[2]
    assert r"-1/(a\*w\*\*2+b)" in lines[5]
    assert markdown(TABLE, "").startswith("| f |")


def test_csv_is_read_again_without_dollars() -> None:
    text = csv_text(TABLE)
    assert "$" not in text
    rows = list(csv.reader(io.StringIO(text)))
    assert [len(row) for row in rows] == [4] * 4
    assert rows[1] == ["best:b=0.1", "(e^w)/((e^w + 1)^2)", "0.12 ± 0.01", "x_1 & 2 λ²β"]
    assert rows[2][1] == "2 a |w|"


def test_html_escapes_texts_and_asks_for_formulas() -> None:
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append(tag)

    Reader().feed(html(TABLE, lambda formula: f"<b>{len(formula)}</b>"))
    assert (seen.count("tr"), seen.count("th"), seen.count("td"), seen.count("b")) == (4, 7, 9, 4)
    assert '<td class="number">∞</td>' in html(TABLE)
    assert html_text("a < b & $x<1$") == "a &lt; b &amp; x&lt;1"
    assert "<td>2 a |w|</td>" in html(TABLE)


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        (r"\frac{1}{2}", "1/2"),
        (r"- \frac{1}{a w^{2} + b}", "- 1/(a w^2 + b)"),
        (r"\sqrt{a} e^{-\frac{1}{\tau}}", "sqrt(a) e^(-1/τ)"),
        (r"\left|{w}\right|", "|w|"),
        (r"\lambda_1^2 \ge 0", "λ_1^2 ≥ 0"),
        (r"\log{\left(\tau \right)}^{2}", "log(τ)^2"),
        (r"\|x\| \to \infty", "‖x‖ → ∞"),
        (r"\frac12", "1/2"),
        (r"w^", "w^"),
        (r"\frac{1}", "1/"),
    ],
)
def test_formulas_as_text(formula: str, wanted: str) -> None:
    assert plain_formula(formula) == wanted
    assert plain(f"x: ${formula}$.") == f"x: {wanted}."


def test_numbers_are_set_flush_right() -> None:
    table = Table("t", ("a", "b", "c"), (("1.5 (0.2)", "x", "-3"), ("∞", "1", "4.1·10⁻¹²"), ("NaN", "2", "2 a")))
    assert [table.is_number(column) for column in range(3)] == [True, False, True]


def test_what_is_no_table_is_said() -> None:
    with pytest.raises(ValueError, match="table t: 2 texts a row are needed, got 1"):
        Table("t", ("a", "b"), (("1",),))
    with pytest.raises(ValueError, match="table t: a dollar sign without its partner in 5 \\$"):
        Table("t", ("a",), (("5 $",),))


def test_files() -> None:
    files = table_contents(TABLE, ("md", "tex"))
    assert list(files) == ["example.md", "example.tex"]
    assert files["example.tex"].decode() == latex(TABLE)
    assert len(table_contents(TABLE)) == 3
