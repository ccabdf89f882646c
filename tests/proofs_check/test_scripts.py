"""Indices and exponents of plain text."""

from __future__ import annotations

import pytest

from proofs_check.scripts import html_text, scripts, without_breaks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("E_m(β) → 0", "E<sub>m</sub>(β) → 0"),
        ("H_t(x^(n)) in C_0", "H<sub>t</sub>(x<sup>(n)</sup>) in C<sub>0</sub>"),
        ("Σ_{j=2}^ℓ t^{ℓ-j}", "Σ<sub>j=2</sub><sup>ℓ</sup> t<sup>ℓ-j</sup>"),
        ("θ_max^{ℓ+1}", "θ<sub>max</sub><sup>ℓ+1</sup>"),
        ("|U_i|_1, ‖x‖_∞, W^{1,∞}", "|U<sub>i</sub>|<sub>1</sub>, ‖x‖<sub>∞</sub>, W<sup>1,∞</sup>"),
        ("h_(k+1) = λ h_k + 10^-5", "h<sub>k+1</sub> = λ h<sub>k</sub> + 10<sup>-5</sup>"),
        ("lambda_i^2 < R^d", "lambda<sub>i</sub><sup>2</sup> &lt; R<sup>d</sup>"),
        (
            "w_tilde, train_loss, n**2, a ^ b, _x, x_, f^, x86_64",
            "w_tilde, train_loss, n**2, a ^ b, _x, x_, f^, x86_64",
        ),
        ("exp(-(t^2)) & <b>", "exp(-(t<sup>2</sup>)) &amp; &lt;b&gt;"),
        (
            "∫_t^∞|ρ|, (1+t)^(-p), e^{λ_i t}",
            "∫<sub>t</sub><sup>∞</sup>|ρ|, (1+t)<sup>-p</sup>, e<sup>λ<sub>i</sub> t</sup>",
        ),
        ("x_, f^, x86_64", "x_, f^, x86_64"),
        ("x_{<i>}", "x<sub>&lt;i&gt;</sub>"),
        ("", ""),
    ],
)
def test_indices_and_exponents(text: str, expected: str) -> None:
    assert html_text(text) == expected


def test_nothing_is_lost() -> None:
    parts = list(scripts("sum_{i = 1}^m c_i"))
    assert parts == [("sum", 0), ("i = 1", -1), ("m", 1), (" c", 0), ("i", -1)]
    assert without_breaks("sum_{i = 1} c_i d") == "sum_{i\u00a0=\u00a01} c_i d"
