"""Reparameterizations λ = f(w) on tensors: value with gradient, inverse branch, enclosure over balls of weights."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from numerics.arguments import shown
from numerics.compiler import Arithmetic, compile_expression
from theory.formula import NAMED, Formula, format_formula, resolve
from theory.notation import w as WEIGHT

_ALLOWANCE = 16.0
"""Roundings, in units of eps, that the evaluation of a named f may add up to: at most six operations, four elementary
functions among them accurate to two units each."""


@dataclass(frozen=True)
class Reparameterization:
    """λ = f(w) for a name ("exp", "best:a=1:b=0.1") or a formula in w ("-exp(w)/2").

    `time` chooses between the two meanings of a name: "continuous", dh/dt = λh, or "discrete", h_{k+1} = λh_k.
    `values` are the constants of a formula, or parameters of a name. Evaluated elementwise on real tensors of any
    shape, device and floating dtype, and differentiable; f'(w) at a kink is 0 for |w| and 1/2 for max(w, 0).
    Source: Definition 3.4 and the named reparameterizations of theory.formula.
    Raises ValueError for a formula or a name that cannot be read, and for another time.
    """

    text: str
    time: str = "continuous"
    values: Mapping[str, object] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name, value in (("text", self.text), ("time", self.time)):
            if not isinstance(value, str):
                raise ValueError(f"reparameterization: its {name} must be a text, got {shown(value)!r}")
        if not isinstance(self.values or {}, Mapping) or not all(isinstance(key, str) for key in self.values or {}):
            raise ValueError(f"values: names with their values are needed, got {shown(self.values)}")
        _compiled(*self._key)

    @property
    def _key(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        return self.text, self.time, tuple(sorted((k, str(v)) for k, v in (self.values or {}).items()))

    @property
    def name(self) -> str | None:
        """The name, without its parameters; None for a formula."""
        return _compiled(*self._key).name

    @property
    def expr(self) -> sp.Expr:
        """f as an exact SymPy expression in theory.notation.w."""
        return _compiled(*self._key).expr

    @property
    def specification(self) -> str:
        """One text that means the same f, with the `values` written into it."""
        if not self.values:
            return self.text.strip()
        if self.name is None:
            return format_formula(self.expr)
        return ":".join([self.text.strip(), *(f"{key}={value}" for key, value in self.values.items())])

    @property
    def evaluate(self) -> Callable[[Tensor], Tensor]:
        """The function of `__call__`, of torch operations alone: torch.compile takes it as it is."""
        return _compiled(*self._key).evaluate

    def __call__(self, w: Tensor) -> Tensor:
        """f(w), elementwise; NaN where the formula is not a real number."""
        return self.evaluate(w)

    def inverse(self, lam: Tensor) -> Tensor:
        """The w with f(w) = λ on the branch that theory.formula.NAMED states; digits are kept for tiny |λ|.

        Raises ValueError for a formula without a name (no inverse is known) and for a λ outside the range of f.
        """
        compiled = _compiled(*self._key)
        if compiled.closed is None:
            known = ", ".join(name for name, entry in NAMED.items() if getattr(entry, self.time))
            raise ValueError(
                f"reparameterization: no inverse is known for {self.text[:60]!r}; give w instead of lam, or use "
                f"one of {known}"
            )
        _check_real("lam", lam)
        return compiled.closed.inverse(lam, self.text)

    def bounds(self, w: Tensor, radius: float | Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper bounds of f over [w - radius, w + radius], elementwise.

            lower ≤ f(w̃) ≤ upper for every real w̃ with |w̃ - w| ≤ radius; an end may be infinite.

        Named f are monotone, or monotone in |w|: their ends are values of f, moved outward by the rounding errors
        (not at all where f(w̃) is w̃ or -max(w̃, 0)). Formulas are enclosed at their ends where they are seen to be
        monotone, else by a search to 1e-9 of max(1, |f|), some milliseconds for each distinct element. `radius` ≥ 0
        is a number or broadcasts with `w`.
        Raises ValueError for a weight that is not finite, a negative or infinite radius, shapes that do not fit, and
        for a formula that is not real on the ball.
        """
        lo, hi = _ball(w, radius)
        compiled = _compiled(*self._key)
        if compiled.closed is None:
            from numerics.formula_bounds import formula_bounds  # needs flint

            return formula_bounds(compiled.expr, lo, hi)
        return compiled.closed.bounds(compiled.evaluate, lo, hi)


# The compiled form of one f


@dataclass(frozen=True)
class _Compiled:
    name: str | None
    expr: sp.Expr
    evaluate: Callable[[Tensor], Tensor]
    closed: _ClosedForm | None


@lru_cache(maxsize=256)
def _compiled(text: str, time: str, values: tuple[tuple[str, str], ...]) -> _Compiled:
    formula = resolve(text, time, dict(values) or None)
    name = text.strip().split(":")[0]
    if name not in NAMED:
        return _Compiled(None, formula.expr, _where_defined(formula), None)
    return _Compiled(name, formula.expr, _evaluator(formula.expr), _closed_form(name, time, formula.expr))


def _evaluator(expr: sp.Expr) -> Callable[[Tensor], Tensor]:
    """The expression on tensors, with log(1 + e^u) = max(u, 0) + log1p(e^{-|u|}), which cannot overflow."""
    stable = expr.replace(_is_softplus, _split_softplus)
    closure = compile_expression(stable, (WEIGHT,), _TENSORS)

    def evaluate(w: Tensor) -> Tensor:
        value = closure(w)
        return value if isinstance(value, Tensor) else torch.full_like(w, value)  # a constant formula

    return evaluate


def _is_softplus(expr: Any) -> bool:
    if not isinstance(expr, sp.log):
        return False
    one, rest = expr.args[0].as_coeff_Add()
    return bool(one == 1 and isinstance(rest, sp.exp))


def _split_softplus(expr: sp.Expr) -> sp.Expr:
    exponent = expr.args[0].as_coeff_Add()[1].args[0]
    return sp.Max(exponent, 0) + sp.log(1 + sp.exp(-sp.Abs(exponent)))


def _where_defined(formula: Formula) -> Callable[[Tensor], Tensor]:
    """NaN where a root or a logarithm of the text has a negative argument or a divisor of it is 0."""
    value = _evaluator(formula.expr)
    nonnegative = [_evaluator(part) for part in formula.roots_and_logarithms if part.has(WEIGHT)]
    nonzero = [_evaluator(part) for part in formula.divisors]

    def evaluate(w: Tensor) -> Tensor:
        result = value(w)
        for part in nonnegative:
            result = torch.where(part(w) >= 0, result, math.nan)
        for part in nonzero:
            result = torch.where(part(w) != 0, result, math.nan)
        return result

    return evaluate


def _either(on_tensors: Callable[[Tensor], Tensor], on_floats: Callable[[float], float]) -> Callable[[Any], Any]:
    return lambda x: on_tensors(x) if isinstance(x, Tensor) else on_floats(x)


def _pick(
    on_tensors: Callable[[Tensor, Tensor], Tensor], on_floats: Callable[[float, float], float]
) -> Callable[[Any, Any], Any]:
    def pick(x: Any, y: Any) -> Any:
        if not isinstance(x, Tensor):
            return on_floats(x, y) if not isinstance(y, Tensor) else on_tensors(torch.full_like(y, x), y)
        return on_tensors(x, y if isinstance(y, Tensor) else torch.full_like(x, y))

    return pick


def _heaviside(x: Tensor) -> Tensor:
    return torch.heaviside(x, torch.full_like(x, 0.5))


_TENSORS = Arithmetic(
    constant=lambda value: {"pi": math.pi, "e": math.e}[value] if isinstance(value, str) else float(value),
    functions={
        **{
            name: _either(getattr(torch, name), getattr(math, name))
            for name in ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "atan")
        },
        "abs": abs,
        "sign": _either(torch.sign, lambda x: float((x > 0) - (x < 0))),
        "step": _either(_heaviside, lambda x: 0.5 * (1 + (x > 0) - (x < 0))),
    },
    integer_power=lambda n: (lambda x: x * x) if n == 2 else (lambda x: x**n),
    rational_power=lambda p: lambda x: x ** float(p),
    power=operator.pow,
    maximum=_pick(torch.maximum, max),
    minimum=_pick(torch.minimum, min),
)


# Named f in closed form


@dataclass(frozen=True)
class _ClosedForm:
    """Range, inverse and monotonicity of a named f. `root` gives w from a λ inside the range."""

    low: float
    high: float
    ends: str
    """"[)" where the lower end of the range is a value of f and the upper end is not, and so on."""
    root: Callable[[Tensor], Tensor]
    direction: str
    """"increasing", "decreasing" or "even", which is increasing in |w|."""
    exact: bool = False
    """Is f evaluated without rounding?"""
    scale: float = 0.0
    """Rounding errors are relative to max(scale, |f|)."""

    def inverse(self, lam: Tensor, text: str) -> Tensor:
        eps = torch.finfo(lam.dtype).eps
        slack = 4 * eps * max(self.scale, abs(self.low)) if self.ends[0] == "[" and math.isfinite(self.low) else 0.0
        above = lam >= self.low - slack if self.ends[0] == "[" else lam > self.low
        below = lam <= self.high if self.ends[1] == "]" else lam < self.high
        outside = ~(above & below & torch.isfinite(lam))
        if bool(outside.any()):
            value = float(lam[outside].flatten()[0])
            interval = f"{self.ends[0]}{self.low:.6g}, {self.high:.6g}{self.ends[1]}"
            raise ValueError(f"lam: {value!r} is not a value of the reparameterization {text[:60]!r}, range {interval}")
        return self.root(lam)

    def bounds(self, function: Callable[[Tensor], Tensor], lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
        if self.direction == "even":
            nearest = torch.clamp(torch.maximum(lo, -hi), min=0.0)
            lo, hi = nearest, torch.maximum(-lo, hi)
        ends = function(lo), function(hi)
        lower, upper = ends[::-1] if self.direction == "decreasing" else ends
        if self.exact:
            return lower, upper
        info = torch.finfo(lo.dtype)
        lower = lower - _ALLOWANCE * info.eps * lower.abs().clamp(min=self.scale) - 4 * info.tiny
        upper = upper + _ALLOWANCE * info.eps * upper.abs().clamp(min=self.scale) + 4 * info.tiny
        least = self.low - 4 * info.eps * max(self.scale, abs(self.low))
        return lower.clamp(min=least), upper.clamp(max=self.high)


def _log_expm1(x: Tensor) -> Tensor:
    """log(e^x - 1) for x > 0, without overflow."""
    return x + torch.log(-torch.expm1(-x))


def _logit(x: Tensor) -> Tensor:
    return torch.log(x) - torch.log1p(-x)


def _rational_form(name: str, time: str, expr: sp.Expr) -> _ClosedForm | None:
    """best and reciprocal: f = offset - 1/(a|w|^n + b). None where a ≤ 0 or b < 0, which is neither's usual shape."""
    offset = 1.0 if time == "discrete" else 0.0
    denominator = 1 / (1 - expr) if time == "discrete" else -1 / expr
    b = denominator.subs(WEIGHT, 0)
    a = denominator.subs(WEIGHT, 1) - b
    if not (a > 0 and b >= 0):
        return None
    scale, constant, at_zero = float(a), float(b), float(1 - b) if time == "discrete" else 1.0

    def root(lam: Tensor) -> Tensor:  # 1/(offset - λ) - b over one denominator, which keeps the digits of a small λ
        power = torch.clamp((at_zero + constant * lam) / (offset - lam), min=0.0) / scale
        return torch.sqrt(power) if name == "best" else power

    low = offset - 1 / constant if constant > 0 else -math.inf
    return _ClosedForm(low, offset, "[)", root, "even", scale=(1 + 1 / constant if constant else 1.0) * offset)


def _closed_form(name: str, time: str, expr: sp.Expr) -> _ClosedForm | None:
    """The table of inverses, by solving λ = f(w) by hand; `tests` compare it with theory's own derivation."""
    if name in ("best", "reciprocal"):
        return _rational_form(name, time, expr)
    inf = math.inf
    if time == "continuous":
        return {
            "direct": _ClosedForm(-inf, inf, "()", lambda x: x.clone(), "increasing", exact=True),
            "relu": _ClosedForm(-inf, 0.0, "(]", lambda x: -x, "decreasing", exact=True),
            "exp": _ClosedForm(-inf, 0.0, "()", lambda x: torch.log(-x), "decreasing"),
            "softplus": _ClosedForm(-inf, 0.0, "()", lambda x: _log_expm1(-x), "decreasing"),
            "sigmoid": _ClosedForm(-1.0, 0.0, "()", lambda x: _logit(-x), "decreasing"),
        }[name]
    return {
        "direct": _ClosedForm(-inf, inf, "()", lambda x: x.clone(), "increasing", exact=True),
        "relu": _ClosedForm(-inf, 1.0, "(]", lambda x: 1 - x, "decreasing", scale=1.0),
        "exp": _ClosedForm(0.0, 1.0, "()", lambda x: torch.log(-torch.log(x)), "decreasing", scale=1.0),
        "softplus": _ClosedForm(0.0, 1.0, "()", lambda x: -_logit(x), "decreasing", scale=1.0),
        "sigmoid": _ClosedForm(0.0, 1.0, "()", _logit, "increasing", scale=1.0),
        "tanh": _ClosedForm(-1.0, 1.0, "()", torch.atanh, "increasing", scale=1.0),
    }[name]


# Balls of weights


def _ball(w: Tensor, radius: float | Tensor) -> tuple[Tensor, Tensor]:
    """The ends w ∓ radius, rounded outward."""
    _check_real("w", w)
    if not bool(torch.isfinite(w).all()):
        raise ValueError(f"w: must be finite, got {float(w[~torch.isfinite(w)][0])!r}")
    if isinstance(radius, Tensor):
        if radius.dtype != w.dtype:
            raise ValueError(f"radius: its dtype {radius.dtype} is not that of w, {w.dtype}")
        size = radius.to(w.device)
    elif not isinstance(radius, float | int) or not 0 <= radius <= sys.float_info.max:
        raise ValueError(f"radius: must be finite and at least 0, got {shown(radius)}")
    else:
        size = torch.tensor(float(radius), dtype=w.dtype, device=w.device)
        if float(size) < radius:  # rounded down to a shorter dtype
            size = torch.nextafter(size, torch.full_like(size, math.inf))
    if not bool((size >= 0).all() and torch.isfinite(size).all()):
        bad = size[~((size >= 0) & torch.isfinite(size))]
        raise ValueError(f"radius: must be finite and at least 0, got {float(bad.flatten()[0])!r}")
    try:
        torch.broadcast_shapes(w.shape, size.shape)  # type: ignore[no-untyped-call]
    except RuntimeError:
        raise ValueError(
            f"radius: its shape {tuple(size.shape)} does not broadcast with that of w, {tuple(w.shape)}"
        ) from None
    return -_sum_up(-w, size), _sum_up(w, size)


def _check_real(name: str, x: object) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name}: a tensor of real floating point numbers is needed, got {kind}")


def _sum_up(x: Tensor, y: Tensor) -> Tensor:
    """x + y, rounded up: the rounding error of the sum is itself a float (Knuth's two-sum)."""
    total = x + y
    part = total - x
    error = (x - (total - part)) + (y - part)
    return torch.where(error > 0, torch.nextafter(total, torch.full_like(total, math.inf)), total)
