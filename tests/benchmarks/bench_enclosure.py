"""Rate of rigorous evaluations per second and core: balls (Arb) beside mpmath.iv, in one run.

python -m tests.benchmarks.bench_enclosure
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import sympy as sp
from mpmath import iv

from numerics.compiler import real_derivative
from numerics.enclosure import Interval, MeanValue, compile_ball, compile_interval
from theory.notation import w

FORMULAS = {"-1/(w**2+1/2)": -1 / (w**2 + sp.Rational(1, 2)), "-log(1+exp(w))": -sp.log(1 + sp.exp(w))}
WIDTH = 2.0**-7
SECONDS = 0.2
REPEATS = 3


def _rate(function: Callable[[Any], Any], boxes: list[Any]) -> float:
    """Evaluations a second of processor time, the best of several stretches: other work on the machine only slows."""
    best = 0.0
    for _ in range(REPEATS):
        count, start = 0, time.process_time()
        while (elapsed := time.process_time() - start) < SECONDS:
            for box in boxes:
                function(box)
            count += len(boxes)
        best = max(best, count / elapsed)
    return best


def _mpmath(expr: sp.Expr) -> Callable[[Any], Any]:
    """The formula over mpmath.iv, as lambdify writes it: the same operations."""
    functions = {"exp": iv.exp, "log": iv.log, "mpf": iv.mpf}
    return sp.lambdify(w, expr.xreplace({sp.Rational(1, 2): sp.Float(0.5)}), [functions, "math"])  # type: ignore[no-any-return]


def run() -> list[dict[str, Any]]:
    """One row per formula and kind of evaluation: `rate` of ours, of the `alternative`, and their `ratio`."""
    rows = []
    starts = [-3.0 + 0.75 * i for i in range(9)]
    intervals = [Interval.of(x, x + WIDTH) for x in starts]
    balls = [x.ball for x in intervals]
    mpmath_boxes = [iv.mpf([x, x + WIDTH]) for x in starts]
    for text, expr in FORMULAS.items():
        plain = _mpmath(expr)
        slope = _mpmath(real_derivative(expr, w))

        def mean_value(x: Any, plain: Callable = plain, slope: Callable = slope) -> Any:  # type: ignore[type-arg]
            middle = iv.mpf(x.mid)
            return plain(middle) + slope(x) * (x - middle)

        plain_rate, mean_value_rate = _rate(plain, mpmath_boxes), _rate(mean_value, mpmath_boxes)
        form = MeanValue(expr, [w])
        for kind, function, boxes, alternative in (
            ("ball", compile_ball(expr, [w]), balls, plain_rate),
            ("mean-value box", form.centred, balls, mean_value_rate),
            ("interval", compile_interval(expr, [w]), intervals, plain_rate),
            ("interval, mean-value", form, intervals, mean_value_rate),
        ):
            rate = _rate(function, boxes)
            rows.append(
                {
                    "name": f"{kind}: {text}",
                    "rate": rate,
                    "alternative": "mpmath.iv",
                    "alternative_rate": alternative,
                    "ratio": rate / alternative,
                }
            )
    return rows


def main() -> None:
    """Prints the table."""
    print(f"{'evaluation':40} {'a second':>12} {'mpmath.iv':>12} {'ratio':>8}")
    for row in run():
        print(f"{row['name']:40} {row['rate']:12,.0f} {row['alternative_rate']:12,.0f} {row['ratio']:8.1f}")


if __name__ == "__main__":
    main()
