"""Theorem 3.6 in discrete time: the printed scale fails for negative eigenvalues, the exact one has a modulus."""

from __future__ import annotations

import numpy as np
import sympy as sp

from proofs_check.claim import (
    Claim,
    Context,
    Evidence,
    Kind,
    Method,
    Parameters,
    Route,
    Variant,
    Verdict,
    inconclusive,
    proved,
    refuted,
    supported,
)
from proofs_check.claims.gradient_scale import CONSTANT, LINEAR
from theory.gradient import decay, discrete_derivative_l1_norm, zero_target_loss
from theory.notation import w

_EPS = float(np.finfo(float).eps)
_EIGENVALUE = sp.Symbol("lambda", real=True)


def _formula(text: str) -> sp.Expr:
    """A claimed scale, a text in λ (written lambda_) and q = |λ|."""
    return sp.sympify(text, locals={"q": decay, "lambda_": _EIGENVALUE})


def _signs(parameters: Parameters) -> tuple[int, ...]:
    return (1, -1) if parameters["lowest"] < 0 else (1,)


def _scale_at(parameters: Parameters, sign: int) -> sp.Expr:
    """The claimed scale where λ = sign·q."""
    return _formula(parameters["scale"]).subs(_EIGENVALUE, sign * decay)


def _discrete_by_derivation(parameters: Parameters, context: Context) -> Evidence:
    """The target H = 0 attains the sum, so what the claimed scale misses is missing for a loss."""
    x, exact = sp.Symbol("x", positive=True), discrete_derivative_l1_norm()
    at = x / (1 + x)  # x > 0 runs over 0 < q < 1
    attained = sp.diff(zero_target_loss(w, "discrete"), w)
    for sign in _signs(parameters):
        if sp.simplify(sp.Abs(attained.subs(w, sign * decay)) - exact) != 0:
            return inconclusive("the target H = 0 does not attain the sum")
        ratio = sp.simplify(exact / _scale_at(parameters, sign))
        growth = sp.limit(ratio, decay, 1, "-")
        point = {"H": "0", "sign of lambda": sign, "gradient over claimed scale": str(ratio), "limit": str(growth)}
        if parameters["constant"] == "any":
            if growth == sp.oo:
                return refuted("the ratio is unbounded as |lambda| tends to 1", point, Verdict.PROVED)
            if not sp.factor((sp.Max(ratio.subs(decay, 0), growth) - ratio).subs(decay, at)).is_nonnegative:
                return inconclusive(f"the ratio {ratio} was not bounded by its ends")
            continue
        excess = sp.factor((ratio - 1).subs(decay, at))
        equal = parameters["relation"] == "equal"
        if excess == 0 or (excess.is_nonpositive and not equal):
            continue
        for q in (sp.Rational(1, 2), sp.Rational(9, 10), sp.Rational(999, 1000)):
            factor = ratio.subs(decay, q)
            if factor > 1 or (equal and factor != 1):
                point |= {"lambda": str(sign * q), "ratio there": str(factor)}
                return refuted("the target H = 0 with one mode has this gradient", point, Verdict.PROVED)
        return inconclusive(f"{parameters['scale']}: no sample separates it from {exact}")
    return proved(f"the sum of k|lambda|^(k-1) is {exact}, with q = |lambda|")


def _discrete_by_polynomials(parameters: Parameters, context: Context) -> Evidence:
    """Partial sums by induction in N (Q = q^N a variable of its own), then the scale, for all q at once."""
    from proofs_check.polynomial import prove_polynomial

    count, power = sp.Symbol("count", nonnegative=True), sp.Symbol("Q", positive=True)
    q = decay

    def numerator(k: sp.Expr, q_to_k: sp.Expr) -> sp.Expr:
        return 1 - (k + 1) * q_to_k + k * q * q_to_k

    step = sp.Eq(numerator(count, power) + (count + 1) * power * (1 - q) ** 2, numerator(count + 1, q * power))
    # (1+h)^N ≥ 1 + Nh + N(N-1)h²/2 by induction, so (N+1)q^N and N q^(N+1) vanish in the limit, q = 1/(1+h)
    excess = sp.Symbol("h", positive=True)

    def binomial(k: sp.Expr) -> sp.Expr:
        return 1 + k * excess + k * (k - 1) * excess**2 / 2

    vanishing = (1 + excess) * binomial(1 + count) >= binomial(2 + count)
    if prove_polynomial(step, [q < 1]) is not True or prove_polynomial(vanishing) is not True:
        return inconclusive("the induction for the partial sums was not decided")
    constant = sp.Symbol("C", positive=True)
    for sign in _signs(parameters):
        over, exact = sp.fraction(sp.together(_scale_at(parameters, sign)))
        claimed = over * (1 - q) ** 2  # sum <= scale, cleared of both denominators
        relation = sp.Eq(exact, claimed) if parameters["relation"] == "equal" else exact <= claimed
        outcome = prove_polynomial(relation, [q < 1, exact > 0])
        if outcome is True:  # then every constant from 1 on is admissible
            continue
        if outcome is None:
            return inconclusive("z3 gave up")
        if parameters["constant"] == "any":
            # Every constant C fails at q = C/(1+C).
            if prove_polynomial(exact > constant * claimed, [sp.Eq(q * (1 + constant), constant)]) is not True:
                return inconclusive("the scale itself is too small, but a multiple of it may do")
            point = {"q": "C/(1+C)", "sign of lambda": sign, "C": "every C > 0"}
            return refuted("C times the scale is below the sum, for every C", point, Verdict.PROVED)
        point = {"q": str(outcome.get(str(q))), "sign of lambda": sign}
        return refuted("z3 found a modulus that contradicts it", point, Verdict.PROVED)
    return proved("all partial sums by induction, and the scale for every q in (0, 1)")


def _summed_gradient(modulus: float, sign: int) -> tuple[float, float]:
    """|d/dw Σ_k |tanh w|^k| at tanh w = ±modulus by central differences, extrapolated, and an error bound."""
    steps = np.arange(int(45 / (1 - modulus)) + 2, dtype=float)
    w0 = sign * np.arctanh(modulus)

    def loss(at: float) -> float:
        return float(np.sum(np.abs(np.tanh(at)) ** steps))

    coarse, fine = (abs(loss(w0 + h) - loss(w0 - h)) / (2 * h) for h in (4e-3, 2e-3))
    # extrapolation leaves an error of fourth order; the first correction bounds it generously
    return fine + (fine - coarse) / 3, abs(fine - coarse) + _EPS * loss(w0) * len(steps) / 2e-3


def _discrete_by_summation(parameters: Parameters, context: Context) -> Evidence:
    """The loss of one mode λ = tanh w against H = 0. An admissible constant must not grow as |λ| tends to 1."""
    scale = sp.lambdify((_EIGENVALUE, decay), _formula(parameters["scale"]), "math")
    ratios: dict[float, float] = {}
    for sign in _signs(parameters):
        for modulus in (0.1, 0.5, 0.9, 0.99, 0.9999):
            gradient, tolerance = _summed_gradient(modulus, sign)
            claimed = (1 - modulus**2) * scale(sign * modulus, modulus)
            ratios[sign * modulus] = gradient / claimed
            over, under = gradient - claimed > tolerance, claimed - gradient > tolerance
            if parameters["constant"] == "1" and (over or (under and parameters["relation"] == "equal")):
                point = {"lambda": sign * modulus, "gradient": gradient, "claimed scale": claimed}
                return refuted("a gradient summed in floating point contradicts it", point, Verdict.SUPPORTED)
        if ratios[sign * 0.9999] > 10 * ratios[sign * 0.99]:
            point = {"gradient over claimed scale": {str(at): ratio for at, ratio in ratios.items()}}
            return refuted("the constant would have to grow as |lambda| tends to 1", point, Verdict.SUPPORTED)
    return supported("gradients of the loss agree", gradient_over_scale={str(at): x for at, x in ratios.items()})


# --- The claims -------------------------------------------------------------------------------------------------------

_DISCRETE = "Discrete time, h_(k+1) = lambda h_k + U x_k, real lambda_i = f(w_i), |lambda_i| < 1."

_DISCRETE_ROUTES = (
    Route("sum by differentiation, zero target", Method.SYMBOLIC, _discrete_by_derivation),
    Route("partial sums by induction", Method.POLYNOMIAL, _discrete_by_polynomials),
    Route("loss of one mode, summed", Method.FLOATING, _discrete_by_summation),
)
_PRINTED_SCALE, _EXACT_SCALE = "1/(1 - lambda_)**2", "1/(1 - q)**2"

CLAIMS = (
    Claim(
        id="thm-3.6-discrete-printed",
        label="Theorem 3.6, discrete time",
        title="The printed discrete-time scale |f'|/(1-f)²",
        statement="In discrete time the derivative of the loss in a recurrent weight is at most C |f'|/(1 - f)², with "
        "some constant C that does not depend on f, for eigenvalues of either sign.",
        latex=r"\left|\frac{\partial\,\mathrm{Loss}}{\partial w_i}\right| \leq C\,\frac{|f'(w_i)|}{(1-f(w_i))^2}",
        hypotheses=(LINEAR, _DISCRETE, CONSTANT, "Eigenvalues of either sign, -1 < lambda < 1."),
        kind=Kind.PRINTED,
        expected=Verdict.REFUTED,
        amended_by="thm-3.6-discrete-exact",
        parameters={"scale": _PRINTED_SCALE, "lowest": -1, "relation": "at most", "constant": "any"},
        routes=_DISCRETE_ROUTES,
        mutants=(
            Variant("a weaker pole at 1", {"scale": "1/(1 - lambda_)"}),
            Variant("lambda >= 0, a weaker pole at 1", {"scale": "1/(1 - lambda_)", "lowest": 0}),
            Variant("with C = |c_i||U_i|_1", {"constant": "1"}),
        ),
        controls=(
            Variant("lambda >= 0", {"lowest": 0}),
            Variant("the modulus inside", {"scale": _EXACT_SCALE}),
        ),
        theory=("theory.gradient:printed_discrete_scale", "theory.gradient:discrete_derivative_l1_norm"),
    ),
    Claim(
        id="thm-3.6-discrete-exact",
        label="Theorem 3.6, discrete time",
        title="The discrete-time scale with the modulus inside",
        statement="In discrete time the derivative of the kernel in a recurrent weight has the l1 norm "
        "|c_i| |U_i|_1 |f'|/(1 - |f|)², which bounds the derivative of the loss and is attained by the target H = 0.",
        latex=r"\left\|\frac{\partial\hat\rho}{\partial w_i}\right\|_{\ell^1} = "
        r"|c_i|\,|U_i|_1\,\frac{|f'(w_i)|}{(1-|f(w_i)|)^2}",
        hypotheses=(LINEAR, _DISCRETE, "Eigenvalues of either sign, -1 < lambda < 1."),
        kind=Kind.AMENDED,
        expected=Verdict.PROVED,
        parameters={"scale": _EXACT_SCALE, "lowest": -1, "relation": "equal", "constant": "1"},
        routes=_DISCRETE_ROUTES,
        mutants=(
            Variant("the modulus forgotten", {"scale": _PRINTED_SCALE}),
            Variant("exponent 1", {"scale": "1/(1 - q)"}),
            Variant("exponent 3", {"scale": "1/(1 - q)**3"}),
            Variant("1 + |f|", {"scale": "1/(1 + q)**2"}),
        ),
        theory=("theory.gradient:discrete_derivative_l1_norm", "theory.gradient:zero_target_loss"),
    ),
    Claim(
        id="thm-3.6-discrete-nonnegative",
        label="Theorem 3.6, discrete time",
        title="The printed discrete-time scale for eigenvalues in [0, 1)",
        statement="Where f >= 0 the printed discrete-time scale |f'|/(1 - f)² is the l1 norm of the kernel's "
        "derivative, up to the factor |c_i| |U_i|_1.",
        latex=r"0 \leq f(w_i) < 1:\quad \left\|\frac{\partial\hat\rho}{\partial w_i}\right\|_{\ell^1} = "
        r"|c_i|\,|U_i|_1\,\frac{|f'(w_i)|}{(1-f(w_i))^2}",
        hypotheses=(LINEAR, _DISCRETE, "Nonnegative eigenvalues, 0 <= lambda < 1."),
        kind=Kind.AMENDED,
        expected=Verdict.PROVED,
        parameters={"scale": _PRINTED_SCALE, "lowest": 0, "relation": "equal", "constant": "1"},
        routes=_DISCRETE_ROUTES,
        mutants=(
            Variant("eigenvalues of either sign", {"lowest": -1}),
            Variant("exponent 1", {"scale": "1/(1 - lambda_)"}),
        ),
        theory=("theory.gradient:discrete_derivative_l1_norm", "theory.gradient:printed_discrete_scale"),
    ),
)
