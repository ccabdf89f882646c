"""The gradient scale of the named reparameterizations as a function of the memory time."""

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
from theory.formula import named
from theory.gradient import memory_time_rate, time_constant
from theory.notation import a, b, tau, w
from theory.reparameterization import symbolic_formula

_EPS = float(np.finfo(float).eps)
_HALF_LINE = ("relu", "best", "reciprocal")
_LONG = 10**4
"""A long memory time, at which scale over growth is within 2/τ of 1 if the growth is as claimed."""


def _formula(text: str) -> sp.Expr:
    """A claimed scale, a text in τ, a and b."""
    return sp.sympify(text, locals={"tau": tau, "a": a, "b": b})


def _names(parameters: Parameters) -> list[str]:
    return [name for name in parameters if name not in ("time", "softplus_growth")]


def _growth(parameters: Parameters) -> sp.Expr:
    return _formula(parameters["softplus"]) / _formula(parameters["softplus_growth"])


def _table_by_derivation(parameters: Parameters, context: Context) -> Evidence:
    """Squares are compared, since the sign of dτ/dw is that of the branch."""
    for name in _names(parameters):
        rate = memory_time_rate(
            symbolic_formula(name, parameters["time"]), parameters["time"], half_line=name in _HALF_LINE
        )
        claimed = _formula(parameters[name])
        difference = sp.simplify(rate**2 - claimed**2)
        if difference != 0:
            values = {tau: sp.Integer(7), a: sp.Integer(2), b: sp.Rational(1, 3)}
            exact, stated = sp.Abs(rate.subs(values)), claimed.subs(values)
            if abs(sp.N(exact - stated, 30)) < sp.Float("1e-20"):
                return inconclusive(f"{name}: SymPy leaves {difference}")
            point = {"f": name, "tau": "7", "a": "2", "b": "1/3", "scale": str(exact), "claimed": str(stated)}
            return refuted(f"the scale of {name} is |{rate}|", point, Verdict.PROVED)
    growth = sp.limit(_growth(parameters), tau, sp.oo)
    if growth != 1:
        point = {"f": "softplus", "scale over claimed growth, limit": str(growth)}
        return refuted("softplus grows at another rate", point, Verdict.PROVED)
    table = {name: parameters[name] for name in _names(parameters)}
    return proved("tau = tau(w) is inverted and put into d tau/dw", table=table)


def _table_by_differences(parameters: Parameters, context: Context) -> Evidence:
    rng, worst = context.rng("memory time"), 0.0
    for name in _names(parameters):
        full_name = f"{name}:a=2:b=3/5" if name in ("best", "reciprocal") else name
        formula = named(full_name, parameters["time"])
        time_of_w = sp.lambdify(w, time_constant(formula, parameters["time"]), "numpy")
        claimed = sp.lambdify(tau, _formula(parameters[name]).subs({a: 2, b: sp.Rational(3, 5)}), "math")
        low, high = (-3.0, -0.2) if name == "direct" and parameters["time"] == "continuous" else (0.2, 0.9)
        for w0 in rng.uniform(low, high, context.pick(5, 50)):
            h = 1e-3 * abs(w0)
            coarse, fine = (abs(time_of_w(w0 + s) - time_of_w(w0 - s)) / (2 * s) for s in (2 * h, h))
            value, stated = fine + (fine - coarse) / 3, claimed(float(time_of_w(w0)))
            tolerance = abs(fine - coarse) + 8 * _EPS * abs(time_of_w(w0)) / h
            if abs(value - stated) > tolerance:
                point = {"f": full_name, "w": float(w0), "d tau/dw": float(value), "claimed": float(stated)}
                return refuted(f"finite differences of the memory time of {name} disagree", point, Verdict.SUPPORTED)
            worst = max(worst, abs(value / stated - 1))
    if abs(sp.lambdify(tau, _growth(parameters), "math")(float(_LONG)) - 1) > 2 / _LONG:
        return refuted("softplus grows at another rate", {"f": "softplus", "tau": _LONG}, Verdict.SUPPORTED)
    return supported("finite differences of the memory time agree", largest_relative_difference=float(worst))


def _table_by_balls(parameters: Parameters, context: Context) -> Evidence:
    """Enclosures of dτ/dw by power series, against the claimed scale on an enclosure of τ."""
    from numerics.enclosure import enclose, less, taylor

    widest = 0.0
    for name in _names(parameters):
        full_name = f"{name}:a=2:b=3/5" if name in ("best", "reciprocal") else name
        formula = named(full_name, parameters["time"])
        time_of_w = -1 / formula if parameters["time"] == "continuous" else 1 / (1 - formula)
        sign = -1 if name == "direct" and parameters["time"] == "continuous" else 1
        for w0 in (sp.Rational(sign, 4), sp.Rational(4 * sign, 5)):
            value, slope = taylor(time_of_w, w, w0, 1)
            scale = slope.abs()
            stated = enclose(_formula(parameters[name]).subs({a: 2, b: sp.Rational(3, 5)}), {tau: value})
            if less(scale, stated) or less(stated, scale):
                point = {"f": full_name, "w": str(w0), "scale": [scale.lower, scale.upper]}
                point["claimed"] = [stated.lower, stated.upper]
                return refuted(f"balls separate the scale of {name} from {parameters[name]}", point, Verdict.ENCLOSED)
            widest = max(widest, scale.width(), stated.width())
    if less(sp.Rational(2, _LONG), enclose(sp.Abs(_growth(parameters) - 1), {tau: _LONG})):
        return refuted("softplus grows at another rate", {"f": "softplus", "tau": _LONG}, Verdict.SUPPORTED)
    return supported("at sample weights the balls of both sides overlap", widest=widest)


# --- The claims -------------------------------------------------------------------------------------------------------

_TABLE_ROUTES = (
    Route("inverse of the memory time", Method.SYMBOLIC, _table_by_derivation),
    Route("finite differences", Method.FLOATING, _table_by_differences),
    Route("power series in balls", Method.ENCLOSURE, _table_by_balls),
)

CLAIMS = (
    Claim(
        id="thm-3.6-memory-time",
        label="derived",
        title="The gradient scale as a function of the memory time",
        statement="With the memory time tau = 1/|lambda| the gradient scale |f'|/f² = |d tau/dw| is tau² for direct "
        "and relu, tau for exp, tau²(1 - exp(-1/tau)) ~ tau for softplus, tau - 1 for sigmoid, 2 sqrt(a(tau - b)) for "
        "best and the constant a for the reciprocal.",
        latex=r"\frac{|f'|}{f^2} = \left|\frac{d\tau}{dw}\right|:\ \tau^2\ (\mathrm{direct}),\ \tau\ (\mathrm{exp}),\ "
        r"\tau^2(1-e^{-1/\tau})\ (\mathrm{softplus}),\ 2\sqrt{a(\tau-b)}\ (\mathrm{best}),\ a\ (\mathrm{reciprocal})",
        hypotheses=("f(w) < 0, and w on the branch where tau determines w up to its sign.",),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={
            "time": "continuous",
            "direct": "tau**2",
            "relu": "tau**2",
            "exp": "tau",
            "softplus": "tau**2*(1 - exp(-1/tau))",
            "softplus_growth": "tau",
            "sigmoid": "tau - 1",
            "best": "2*sqrt(a*(tau - b))",
            "reciprocal": "a",
        },
        routes=_TABLE_ROUTES,
        mutants=(
            Variant("direct: tau", {"direct": "tau"}),
            Variant("exp: tau²", {"exp": "tau**2"}),
            Variant("softplus: exactly tau", {"softplus": "tau"}),
            Variant("softplus grows like 2 tau", {"softplus_growth": "2*tau"}),
            Variant("best: half of it", {"best": "sqrt(a*(tau - b))"}),
            Variant("best: b forgotten", {"best": "2*sqrt(a*tau)"}),
        ),
        theory=("theory.gradient:memory_time_rate", "theory.gradient:time_constant"),
    ),
    Claim(
        id="thm-3.6-discrete-memory-time",
        label="derived",
        title="The discrete-time scale as a function of the time constant",
        statement="With tau = 1/(1 - lambda) the discrete-time scale |f'|/(1-f)² = |d tau/dw| is tau² for direct and "
        "relu, tau(tau - 1) log(tau/(tau - 1)) ~ tau for exp(-exp w), tau - 1 for softplus and sigmoid, 2 tau - 1 for "
        "tanh, 2 sqrt(a(tau - b)) for best and the constant a for the reciprocal.",
        latex=r"\frac{|f'|}{(1-f)^2} = \left|\frac{d\tau}{dw}\right|:\ \tau^2\ (\mathrm{direct}),\ "
        r"\tau(\tau-1)\log\frac{\tau}{\tau-1}\ (\mathrm{exp}),\ \tau-1\ (\mathrm{softplus}),\ "
        r"2\tau-1\ (\mathrm{tanh}),\ "
        r"2\sqrt{a(\tau-b)}\ (\mathrm{best}),\ a\ (\mathrm{reciprocal})",
        hypotheses=(
            "f(w) < 1, and w on the branch where tau determines w up to its sign.",
            "The scale is the norm of the kernel's derivative only where f(w) >= 0.",
        ),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={
            "time": "discrete",
            "direct": "tau**2",
            "relu": "tau**2",
            "exp": "tau*(tau - 1)*log(tau/(tau - 1))",
            "softplus": "tau - 1",
            "softplus_growth": "tau",
            "sigmoid": "tau - 1",
            "tanh": "2*tau - 1",
            "best": "2*sqrt(a*(tau - b))",
            "reciprocal": "a",
        },
        routes=_TABLE_ROUTES,
        mutants=(
            Variant("exp: exactly tau", {"exp": "tau"}),
            Variant("tanh: 2 tau", {"tanh": "2*tau"}),
            Variant("softplus: 2 tau - 1", {"softplus": "2*tau - 1", "softplus_growth": "2*tau"}),
        ),
        theory=("theory.gradient:memory_time_rate", "theory.gradient:time_constant"),
    ),
)
