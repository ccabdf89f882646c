"""Target kernels ρ(t), t ≥ 0, of linear functionals H_t(x) = ∫_0^∞ ρ(s) x_{t-s} ds.

    exponential   scale · e^{-rate t}                                 (rate = 1)
    polynomial    scale · (1 + t/s)^{-p}                              (p required, s = 1)
    shift         scale · 1_{start < t < end}                         (start = 9, end = 11)
    two-part      scale · (e^{-t} + e^{-(t-9)²})
    airy          scale · Ai(t - 6)
    sine          scale · sin(omega t)                                (omega = 1; not in L¹)
    csv           linear interpolation of the rows t, ρ of a file     (file required)

and sums of them. Every kernel knows what a norm needs: its value and slope, its jumps, and enclosures of

    tail(T) = ∫_T^∞ |ρ(t)| dt,    tail_variation(T) = total variation of ρ on (T, ∞), with ρ(∞) = 0.

Source: the kernels are those of the StableSSM experiments, (1 + 0.1 t)^{-1.1} being polynomial:p=1.1:s=10.
"""

from numerics.target_base import Decay, GammaDensity, SpectralMeasure, TailBounds, Target, TargetSum
from numerics.target_data import FromCallable, Samples, callable_target
from numerics.target_kernels import Airy, Exponential, Polynomial, Shift, Sine, TwoPart
from numerics.target_specs import parse_target, parse_targets, read_csv

__all__ = [
    "Airy", "Decay", "Exponential", "FromCallable", "GammaDensity", "Polynomial", "Samples", "Shift", "Sine",
    "SpectralMeasure", "TailBounds", "Target", "TargetSum", "TwoPart", "callable_target", "parse_target",
    "parse_targets", "read_csv",
]  # fmt: skip
