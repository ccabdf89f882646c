"""The verdict on one f: known answers, counterexamples that really do what they say, and brackets that hold."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath as mp
import pytest
import sympy as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proofs_check.claim import Verdict
from proofs_check.decide import Decision, decide
from proofs_check.uniform_continuity import decide_tail
from theory.formula import FormulaError, parse, resolve
from theory.notation import n, w

BETAS = (Fraction(1, 10), Fraction(1, 2))

STABLE = [
    "exp",
    "softplus",
    "sigmoid",
    "best",
    "best:a=1:b=0.1",
    "reciprocal",
    "-exp(sqrt(abs(w)))",
    "-2*cosh(w)",
    "-(w+sqrt(w**2+1))",
    "-log(1+exp(w))",
    "-softplus(w)**2*cosh(w)",
    "-exp(w)-exp(-w)-w**2-1",
    "-(2+sin(w))",
    "-exp(sin(w))",
    "-(3+tanh(w))",
    "-exp(abs(w-1))",
    "-(w-1000)**2-1/1000000000",
    "-(1+w**2)**(1/3)*exp(-abs(w))",
    "-exp(atan(w)*sqrt(1+w**2))",
    "-exp(sqrt(abs(sin(w))))",
    "-1/log(2+w**2)",
    "-(w**4+w+1)",
    "-softplus(softplus(w))",
    "-exp(w)/(1+exp(w))**2",
    "w-w-1",
]

UNSTABLE = [
    ("direct", "zero"),
    ("relu", "zero"),
    ("-w**2", "zero"),
    ("-sin(w)-1", "zero"),
    ("-(w**2-2)**2", "zero"),
    ("exp(w)", "zero"),
    ("w-1000", "zero"),
    ("log(w**2+3)-20", "zero"),
    ("-(w-100)**2", "zero"),
    ("-exp(w)+1/1000", "zero"),
    ("-1/w**2", "pole"),
    ("-1/(w-1)**2", "pole"),
    ("-exp(1/w)", "pole"),
    ("best:b=0", "pole"),
    ("-exp(sin(w**2))", "sequence"),
    ("-exp(-exp(w))", "sequence"),
    ("-exp(w**2)", "sequence"),
    ("-(2+sin(w**2))", "sequence"),
    ("-(2+sin(w**2))*exp(w)", "sequence"),
    ("-exp(w*log(1+w**2))", "sequence"),
    ("-exp(sin(exp(w)))", "sequence"),
    ("-exp(w*sin(w))", "sequence"),
    ("-exp(abs(w)**1.5)", "sequence"),
    ("-exp(w+cos(w**3))/(1+w**2)", "sequence"),
]

DISCRETE = [
    ("exp", True),
    ("softplus", True),
    ("sigmoid", True),
    ("tanh", True),
    ("best:b=1", True),
    ("best:b=3/4", True),
    ("best", False),
    ("reciprocal", False),
    ("reciprocal:b=1", True),
    ("direct", False),
    ("relu", False),
    ("w/(1+abs(w))", True),
    ("sin(w)/2", True),
    ("sin(w**2)/2", False),
    ("cos(w)", False),
    ("-1/(1+exp(w))", True),
    ("0.5*tanh(exp(w))", True),
    ("tanh(w**2)", False),
    ("0.5*w/abs(w)", None),
    ("sin(w**2)*exp(-w**2)/2", True),
]


@pytest.mark.parametrize("text", STABLE)
def test_stable(text: str) -> None:
    decision = decide(text)
    assert decision.stable is True, decision
    assert decision.negative is True
    assert decision.attains_boundary is False
    assert decision.counterexample is None


@pytest.mark.parametrize(("text", "kind"), UNSTABLE)
def test_unstable(text: str, kind: str) -> None:
    decision = decide(text, betas=BETAS)
    assert decision.verdict is Verdict.REFUTED, decision
    assert decision.counterexample is not None
    assert decision.counterexample["kind"] == kind
    if kind == "sequence":
        check_sequence(-resolve(text).expr, decision)
    else:
        assert decision.counterexample["ratio"] == math.inf
        assert decision.as_json()["counterexample"]["ratio"] == "inf"
        assert all(g == (math.inf, math.inf) for _, g in decision.modulus)


def check_sequence(d: sp.Expr, decision: Decision) -> None:
    """w̃ - w → 0, and the ratio of d tends to the stated one, at high precision."""
    assert decision.counterexample is not None
    near, far = (parse(decision.counterexample[key], variable=n) for key in ("w", "w_tilde"))
    ratio = decision.counterexample["ratio"]
    errors, distances = [], []
    for index in (10, 1000):
        with mp.workdps(40 + (600 if "exp" in str(near) + str(far) else 0)):
            p, q = (sp.N(expr.subs(n, index), mp.mp.dps) for expr in (near, far))
            log_d = sp.expand_log(sp.log(d), force=True)
            gap = sp.N(log_d.subs(w, p), mp.mp.dps) - sp.N(log_d.subs(w, q), mp.mp.dps)
            errors.append(abs(float(gap) - math.log(ratio)))
            distances.append(abs(float(p - q)))
    assert distances[1] < distances[0] < 2
    assert errors[1] < 0.15
    assert errors[1] <= errors[0] + 1e-9


@pytest.mark.parametrize(("text", "stable"), DISCRETE)
def test_discrete_time(text: str, stable: bool | None) -> None:
    decision = decide(text, time="discrete")
    assert decision.stable is stable, decision
    assert decision.negative is None


@pytest.mark.parametrize(
    ("text", "constant"),
    [
        ("exp", 1),
        ("softplus", 1),
        ("sigmoid", 1),
        ("best", math.sqrt(2)),
        ("best:b=0.1", math.sqrt(10)),
        ("reciprocal", 2),
    ],
)
def test_log_lipschitz(text: str, constant: float) -> None:
    lower, upper = decide(text).log_lipschitz or (math.nan, math.nan)
    assert lower <= constant * (1 + 1e-15)
    assert upper >= constant * (1 - 1e-15)
    assert upper - lower < 1e-6


def test_log_lipschitz_may_be_infinite() -> None:
    assert decide("-exp(sqrt(abs(w)))").log_lipschitz == (math.inf, math.inf)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("exp", lambda b: math.expm1(b)),
        ("softplus", lambda b: math.expm1(b)),
        ("best", lambda b: b * (b + math.sqrt(b * b + 2))),
        ("reciprocal", lambda b: 2 * b),
        ("-exp(sqrt(abs(w)))", lambda b: math.expm1(math.sqrt(b))),
        ("-exp(sin(w))", lambda b: math.expm1(2 * math.sin(b / 2))),
    ],
)
def test_modulus(text: str, least: object, beta: Fraction) -> None:
    ((_, (lower, upper)),) = decide(text, betas=(beta,)).modulus
    truth = least(float(beta))  # type: ignore[operator]
    assert lower <= truth * (1 + 1e-14)
    assert upper >= truth * (1 - 1e-14)
    assert upper - lower < 1e-5


def test_modulus_of_a_bounded_oscillation_does_not_depend_on_beta() -> None:
    for _, (lower, upper) in decide("-(2+sin(w**2))", betas=BETAS).modulus:
        assert lower <= 2 <= upper
        assert upper - lower < 1e-6


def test_modulus_in_discrete_time_across_a_change_of_sign() -> None:
    """tanh: for opposite signs the normalized sum at w, w̃ is known in closed form; the bracket must contain the sup."""
    beta = Fraction(1, 2)
    ((_, (lower, upper)),) = decide("tanh", time="discrete", betas=(beta,)).modulus

    def normalized(p: float, q: float) -> float:
        terms = (abs(math.tanh(q) ** k - math.tanh(p) ** k) for k in range(400))
        return (1 - abs(math.tanh(p))) * sum(terms)

    grid = [k / 20 for k in range(-60, 61)]
    seen = max(normalized(p, p + step / 10) for p in grid for step in range(-5, 6))
    assert seen <= upper
    assert lower > seen - 0.05


def test_gradient_over_weight() -> None:
    assert decide("best").gradient_over_weight == (2.0, 2.0)
    assert decide("exp").gradient_over_weight == (math.inf, math.inf)
    lower, upper = decide("-1/log(2+w**2)").gradient_over_weight or (0, 0)
    assert lower <= 1 <= upper


def test_boundary_distance() -> None:
    assert decide("exp").boundary_distance == (0.0, 0.0)
    lower, upper = decide("-2*cosh(w)").boundary_distance or (0, 0)
    assert lower <= 2 <= upper
    assert upper - lower < 1e-6
    lower, upper = decide("-atan(w)-2").boundary_distance or (0, 0)
    assert lower <= 2 - math.pi / 2 <= upper
    assert upper - lower < 1e-6


@pytest.mark.parametrize(
    "text", ["log(w)", "-sqrt(w)-1", "-w**0.5-1", "-log(w-100)", "-sqrt(1-w**2)-1", "-exp(log(w))", "-sqrt(w)**2-1"]
)
def test_not_real_is_bad_input(text: str) -> None:
    with pytest.raises(FormulaError, match="not real at w = "):
        decide(text)


def test_undefined_but_bounded_is_inconclusive() -> None:
    decision = decide("-sinh(w)/w")
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.stable is None
    assert "w = 0" in decision.reason


def test_json_has_the_fields_of_the_contract() -> None:
    answer = decide("-exp(w)", betas=BETAS).as_json()
    assert list(answer) == [
        "expression",
        "time",
        "verdict",
        "stable",
        "negative",
        "attains_boundary",
        "boundary_distance",
        "log_lipschitz",
        "modulus",
        "gradient_scale",
        "gradient_over_weight",
        "counterexample",
        "reason",
    ]
    assert answer["gradient_over_weight"] == ["inf", "inf"]
    assert [entry["beta"] for entry in answer["modulus"]] == [0.1, 0.5]


def stable_formulas() -> st.SearchStrategy[str]:
    """Positive d with uniformly continuous log d: products, powers and sums with positive coefficients of such."""
    leaf = st.sampled_from(
        ["exp(w)", "softplus(w)", "(w**2+1)", "cosh(w)", "sigmoid(w)", "(2+sin(w))", "exp(-w/2)", "(abs(w)+1/2)", "3"]
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds("({} * {})".format, inner, inner),
            st.builds("({} + 2*{})".format, inner, inner),
            st.builds("({})**{}".format, inner, st.sampled_from(["2", "(1/2)", "(-1)"])),
        ),
        max_leaves=3,
    ).filter(lambda text: "w" in text)


@given(stable_formulas())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_products_powers_and_sums_of_stable_ones_are_stable(text: str) -> None:
    assert decide(f"-({text})").stable is True


@given(stable_formulas(), st.sampled_from(["exp(w**2)", "exp(sin(w**2))", "exp(exp(w))", "exp(abs(w)**1.5)"]))
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_product_with_one_unstable_factor_is_unstable(text: str, factor: str) -> None:
    assert decide(f"-({text})*{factor}").stable is False


@pytest.mark.parametrize(
    "text",
    [
        "-exp(atan(tan(w)))",
        "-exp(atan(1/(w-0.3)))",
        "-2-sin(1/(3*w-1))",
        "-exp(1/(1+exp(1/(3*w-1))))",
        "-2-atan(tan(w/1000))",
        "-2-cos(log(abs(3*w-1)))",
        "-2-atan(w-1)-atan(1/(w-1))",
        "-exp(w)*(w**2-1e6)/(w-1000)/(w+1000)",
        "-2-exp(1/w-1/(w+0))",
        "-exp(w)*w/w",
    ],
)
def test_a_bounded_range_does_not_hide_a_jump_or_a_hole(text: str) -> None:
    assert decide(text).stable is not True


def test_a_limit_of_unknown_sign_is_not_guessed() -> None:
    assert decide("-(1+exp(pi*(w**2-100+50*sin(w**2))))").stable is not True
    assert decide("-(1+exp(pi*(w**2-100)))").stable is False


def test_waves_below_a_fraction_bar_bound_nothing() -> None:
    """log d is the sum of a Lipschitz function and of one that tends to 0, so it is uniformly continuous."""
    text = "exp(w**(1/3)*sin(w**(1/3))+atan(w**3*sin(w))/w)"
    assert decide_tail(parse(text), w, Fraction(8), 1).uniform is not False


def test_a_gap_without_a_limit_has_no_sequence() -> None:
    answer = decide_tail(parse("exp(sin(w**2)*(2+sin(w)))"), w, Fraction(8), 1)
    assert answer.uniform is False
    assert answer.counterexample is None


def test_least_modulus_of_a_tiny_oscillation_is_a_true_bound() -> None:
    ((_, (lower, upper)),) = decide("-exp(1e-10*sin(w**2))", betas=(Fraction(1, 2),)).modulus
    assert lower <= math.expm1(2e-10) <= upper


def test_a_gap_beyond_floats_is_infinite() -> None:
    decision = decide("-exp(sin(w**2)*exp(-w))")
    assert decision.as_json()["counterexample"]["ratio"] == "inf"
