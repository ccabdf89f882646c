"""Theorem 3.6 in continuous time: the gradient scale of a recurrent weight, printed and exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from theory.formula import named
from theory.gradient import derivative_l1_norm, derivative_total_variation, zero_target_loss
from theory.notation import lam, r, t, w

_EPS = float(np.finfo(float).eps)
_RATES = (sp.Rational(1, 20), sp.Rational(1, 2), sp.Integer(1), sp.Integer(3), sp.Integer(40))


def _formula(text: str) -> sp.Expr:
    """A claimed scale, a text in r = |λ|."""
    return sp.sympify(text, locals={"r": r})


def _exact_norm(norm: str) -> sp.Expr:
    """The norm of ∂_λ e^{λt} at λ = -r, as derived in theory.gradient."""
    value = derivative_l1_norm() + (derivative_total_variation() if norm == "W1inf" else 0)
    return sp.simplify(value.subs(lam, -r))


def _by_derivation(parameters: Parameters, context: Context) -> Evidence:
    claimed, exact = _formula(parameters["scale"]), _exact_norm(parameters["norm"])
    excess = sp.simplify(exact - claimed)
    if excess == 0:
        return proved(f"the norm of t e^(-rt) is {exact}, by integration and its turning point", norm=str(exact))
    for rate in _RATES:
        gap = excess.subs(r, rate)
        if gap.is_nonzero:
            point = {"lambda": str(-rate), "norm": str(exact.subs(r, rate)), "claimed": str(claimed.subs(r, rate))}
            return refuted(f"the norm is {exact}, not {claimed}", point, Verdict.PROVED)
    return inconclusive(f"{claimed} against {exact}: no sample rate separates them")


def _by_balls(parameters: Parameters, context: Context) -> Evidence:
    """Integrals of |t e^{-rt}| and |(1-rt) e^{-rt}| up to t = 100/r by balls, the tail by t e^{-rt/2} ≤ 2/(er)."""
    from numerics.enclosure import Interval, enclose, integrate, less

    widths = []
    for rate in _RATES:
        end = 100 / rate
        tail = enclose(4 * sp.exp(-rate * end / 2 - 1) / rate**2, {})
        total = integrate(t * sp.exp(-rate * t), t, 0, end) + Interval.of(0, 1) * tail
        if parameters["norm"] == "W1inf":
            slope = (1 - rate * t) * sp.exp(-rate * t)
            total = total + integrate(slope, t, 0, 1 / rate) - integrate(slope, t, 1 / rate, end)
            total = total + Interval.of(0, 1) * tail * Interval.of(rate)
        claimed = enclose(_formula(parameters["scale"]).subs(r, rate), {})
        if less(claimed, total) or less(total, claimed):
            point = {"lambda": str(-rate), "norm": [total.lower, total.upper]}
            point["claimed"] = [claimed.lower, claimed.upper]
            return refuted("a rigorous integral excludes the claimed value", point, Verdict.ENCLOSED)
        widths.append(total.width() * float(rate) ** 2)
    return supported("rigorous integrals at five rates contain the claimed value", relative_widths=widths)


def _callable(f: sp.Expr) -> Callable[..., Any]:
    return sp.lambdify(w, f, "numpy")


def _difference_norm(f: Callable[..., Any], w0: float, h: float, norm: str) -> tuple[float, float]:
    """The norm of (e^{f(w0+h)t} - e^{f(w0-h)t})/2h by quadrature on [0, 60/|λ|], and the error that this leaves."""
    from scipy.integrate import quad

    high, low = float(f(w0 + h)), float(f(w0 - h))
    gap, slow = high - low, min(-high, -low)
    end, hump = 60 / slow, float(np.log(low / high) / gap)

    def kernel(time: float) -> float:
        return float(abs(np.exp(low * time) * np.expm1(gap * time) / (2 * h)))

    def slope(time: float) -> float:
        return float(abs(np.exp(low * time) * (low * np.expm1(gap * time) + gap * np.exp(gap * time)) / (2 * h)))

    pieces = [(0.0, hump), (hump, 8 / slow), (8 / slow, end)]
    parts = [quad(kernel, *piece, epsabs=0, epsrel=1e-11) for piece in pieces]
    if norm == "W1inf":
        parts += [quad(slope, *piece, epsabs=0, epsrel=1e-11) for piece in pieces]
    total = sum(part[0] for part in parts)
    rounding = 8 * _EPS * abs(high) / abs(gap) * total  # the eigenvalues themselves are rounded
    return total, sum(part[1] for part in parts) + rounding


def _by_difference_quotient(parameters: Parameters, context: Context) -> Evidence:
    """‖Δρ̂/Δw‖ for three reparameterizations; half the step estimates what is left of the truncation."""
    rng, worst = context.rng("difference quotient"), 0.0
    for name in ("exp", "softplus", "best:a=2:b=1/10"):
        formula = named(name)
        f, slope = _callable(formula), _callable(sp.diff(formula, w))
        scale = sp.lambdify(r, _formula(parameters["scale"]), "math")
        for w0 in rng.uniform(0.3, 2.5, context.pick(3, 20)):
            coarse, _ = _difference_norm(f, w0, 2e-3, parameters["norm"])
            fine, error = _difference_norm(f, w0, 1e-3, parameters["norm"])
            claimed = abs(float(slope(w0))) * scale(-float(f(w0)))
            # the truncation of a central difference falls fourfold, so |coarse - fine| is three times what is left
            tolerance = abs(coarse - fine) + error
            if abs(fine - claimed) > tolerance:
                point = {"f": name, "w": float(w0), "norm": fine, "claimed": claimed, "tolerance": tolerance}
                return refuted("the difference quotient of the kernel has another norm", point, Verdict.SUPPORTED)
            worst = max(worst, abs(fine / claimed - 1))
    return supported("difference quotients of the kernel agree", largest_relative_difference=worst)


def _loss_by_derivation(parameters: Parameters, context: Context) -> Evidence:
    """The bound by the kernel's norm, and the target H = 0 (c = U = 1), whose loss has exactly this gradient."""
    claimed = _formula(parameters["scale"])
    bound = sp.simplify(claimed - _exact_norm("L1"))
    if bound.is_nonnegative:
        return proved("|dLoss/dw| is at most the norm of the kernel's derivative, |c||U|_1 |f'|/f^2")
    attained = sp.Abs(sp.diff(zero_target_loss(w), w)).subs(w, -r)
    for rate in _RATES:
        gradient, limit = attained.subs(r, rate), claimed.subs(r, rate)
        if gradient > limit:
            point = {"H": "0", "lambda": str(-rate), "gradient": str(gradient), "claimed bound": str(limit)}
            return refuted("the target H = 0 with one mode has a larger gradient", point, Verdict.PROVED)
    return inconclusive(f"{claimed} is not seen to bound the gradient, nor to fail")


def _loss_by_balls(parameters: Parameters, context: Context) -> Evidence:
    """The loss of one mode against H = 0 is convex in λ: a chord to the left bounds the slope from below."""
    from numerics.enclosure import Interval, enclose, integrate, less

    excess = []
    for rate in _RATES:
        step = rate / 1000
        integrand = (sp.exp(-rate * t) - sp.exp(-(rate + step) * t)) / step
        gradient_lower = integrate(integrand, t, 0, 60 / rate)
        claimed = enclose(_formula(parameters["scale"]).subs(r, rate), {})
        if less(claimed, gradient_lower):
            point = {"H": "0", "lambda": str(-rate), "gradient": gradient_lower.lower, "claimed bound": claimed.upper}
            return refuted("a rigorous lower end of the gradient exceeds the bound", point, Verdict.ENCLOSED)
        excess.append((gradient_lower / Interval.of(claimed)).upper)
    return supported("rigorous lower ends of the gradient stay below the bound", gradient_over_bound=excess)


def _distance(c: Any, u: Any, eigenvalues: Any, target: Any, target_rates: Any) -> tuple[float, float]:
    """∫|ρ - ρ̂|_1 and its error; u has the shape (modes, d), target (target modes, d)."""
    from numerics.norms import l1_estimate

    rates = np.concatenate([eigenvalues, target_rates])
    parts = [l1_estimate(np.concatenate([c * u[:, j], -target[:, j]]), rates) for j in range(u.shape[1])]
    return sum(part.value for part in parts), sum(part.error for part in parts)


def _loss_slope(f: Callable[..., Any], weights: Any, h: float, *problem: Any) -> tuple[float, float]:
    """|Loss(w_0 + h) - Loss(w_0 - h)|/2h and the error that quadrature leaves in it."""
    c, u, target, target_rates = problem
    shift = h * np.eye(len(weights))[0]
    (up, up_error), (down, down_error) = (
        _distance(c, u, f(weights + step), target, target_rates) for step in (shift, -shift)
    )
    return abs(up - down) / (2 * h), (up_error + down_error) / (2 * h)


def _loss_by_quadrature(parameters: Parameters, context: Context) -> Evidence:
    """|dLoss/dw_0| by central differences: three modes, d = 2, every other target 0 and the others random."""
    rng, largest = context.rng("loss gradient"), 0.0
    scale = sp.lambdify(r, _formula(parameters["scale"]), "math")
    for name in ("exp", "softplus", "best:a=2:b=1/10"):
        formula = named(name)
        f, slope = _callable(formula), _callable(sp.diff(formula, w))
        for trial in range(context.pick(4, 20)):
            weights, c, u = rng.uniform(-1.0, 2.5, 3), rng.normal(size=3), np.abs(rng.normal(size=(3, 2)))
            target, target_rates = rng.normal(size=(2, 2)), -rng.uniform(0.05, 3.0, 2)
            if trial % 2 == 0:  # no cancellation: the bound is attained
                c, target = np.abs(c), 0 * target
            coarse, _ = _loss_slope(f, weights, 2e-3, c, u, target, target_rates)
            fine, error = _loss_slope(f, weights, 1e-3, c, u, target, target_rates)
            w0 = float(weights[0])
            claimed = abs(c[0]) * u[0].sum() * abs(float(slope(w0))) * scale(-float(f(w0)))
            if fine - claimed > abs(coarse - fine) + error:
                point = {"f": name, "w": w0, "gradient": fine, "claimed bound": float(claimed)}
                return refuted("a loss gradient in floating point exceeds the bound", point, Verdict.SUPPORTED)
            largest = max(largest, fine / claimed)
    return supported("no loss gradient exceeds the bound", largest_gradient_over_bound=float(largest))


# --- The claims -------------------------------------------------------------------------------------------------------

LINEAR = "Linear functionals (sigma = identity, one layer); U_i in R^d is row i of U, |.|_1 its l1 norm."
CONSTANT = (
    "C may depend on the target, on c and on U, not on lambda_i: if it might, any power of lambda_i would be admitted."
)
_REAL = "Real recurrent eigenvalues lambda_i = f(w_i) < 0, f continuously differentiable at w_i."

_KERNEL_ROUTES = (
    Route("integration and turning point", Method.SYMBOLIC, _by_derivation),
    Route("ball integrals", Method.ENCLOSURE, _by_balls),
    Route("difference quotients of the kernel", Method.FLOATING, _by_difference_quotient),
)

CLAIMS = (
    Claim(
        id="thm-3.6-printed",
        label="Theorem 3.6",
        title="The gradient of the loss is at most C |f'|/f²",
        statement="For the loss sup_t |H_t - H^_t| (the norm of functionals) the derivative in a recurrent weight is "
        "at most C |f'(w_i)| / f(w_i)², with the constant C = |c_i| |U_i|_1, which does not depend on f.",
        latex=r"\left|\frac{\partial\,\mathrm{Loss}}{\partial w_i}\right| \leq "
        r"|c_i|\,|U_i|_1\,\frac{|f'(w_i)|}{f(w_i)^2}",
        hypotheses=(LINEAR, _REAL, CONSTANT),
        kind=Kind.PRINTED,
        expected=Verdict.PROVED,
        parameters={"scale": "1/r**2"},
        routes=(
            Route("norm of the kernel's derivative, zero target", Method.SYMBOLIC, _loss_by_derivation),
            Route("ball integrals of the loss", Method.ENCLOSURE, _loss_by_balls),
            Route("loss by quadrature, differences in w", Method.FLOATING, _loss_by_quadrature),
        ),
        mutants=(
            Variant("|f'|/|f|", {"scale": "1/r"}),
            Variant("|f'|/|f|³", {"scale": "1/r**3"}),
            Variant("half the constant", {"scale": "1/(2*r**2)"}),
        ),
        theory=(
            "theory.gradient:kernel_gradient_norm",
            "theory.gradient:derivative_l1_norm",
            "theory.gradient:zero_target_loss",
        ),
    ),
    Claim(
        id="thm-3.6-kernel-equality",
        label="Theorem 3.6",
        title="The gradient scale as an equality for the kernel",
        statement="The derivative of the model's kernel in a recurrent weight has the L1 norm "
        "|c_i| |U_i|_1 |f'(w_i)| / f(w_i)², exactly.",
        latex=r"\left\|\frac{\partial\hat\rho}{\partial w_i}\right\|_{L^1} = "
        r"|c_i|\,|U_i|_1\,\frac{|f'(w_i)|}{f(w_i)^2}",
        hypotheses=(LINEAR, _REAL),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={"scale": "1/r**2", "norm": "L1"},
        routes=_KERNEL_ROUTES,
        mutants=(
            Variant("exponent 3", {"scale": "1/r**3"}),
            Variant("exponent 1", {"scale": "1/r"}),
            Variant("twice the value", {"scale": "2/r**2"}),
        ),
        theory=("theory.gradient:mode_gradient_norm", "theory.gradient:derivative_l1_norm"),
    ),
    Claim(
        id="thm-3.6-w1inf",
        label="derived",
        title="The gradient scale in the norm of stable approximation",
        statement="In the norm of W^{1,inf} the derivative of the kernel in a recurrent weight is "
        "|c_i| |U_i|_1 |f'| (1/f² + (2/e)/|f|): its total variation on the real line adds 2/(e|f|).",
        latex=r"\left\|\frac{\partial\hat\rho}{\partial w_i}\right\|_{W^{1,\infty}} = "
        r"|c_i|\,|U_i|_1\,|f'(w_i)|\,\left(\frac{1}{f(w_i)^2} + \frac{2}{e\,|f(w_i)|}\right)",
        hypotheses=(LINEAR, _REAL),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={"scale": "1/r**2 + 2/(E*r)", "norm": "W1inf"},
        routes=_KERNEL_ROUTES,
        mutants=(
            Variant("one flank of the hump", {"scale": "1/r**2 + 1/(E*r)"}),
            Variant("no factor 1/e", {"scale": "1/r**2 + 2/r"}),
            Variant("L1 part alone", {"scale": "1/r**2"}),
        ),
        theory=("theory.gradient:derivative_w1inf_norm", "theory.gradient:derivative_total_variation"),
    ),
)
