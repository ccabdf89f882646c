"""The six properties of Definition B.1, searched for violations on any PyTorch sequence module."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from numerics.arguments import check_counts
from numerics.sequence_map import Output, SequenceMap, seeded
from numerics.torch_modules import ascend, chunks, random_directions

Answer = Literal["holds", "violated", "undecided"]

_SIZES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e2, 1e3)
_CLIMBED = 8
_SCALARS = ((1.0, 1.0), (2.0, -1.0), (-0.5, 3.0))
_DECADES = (1e3, 1e4, 1e5, 1e6)
_TINY = 1e-30
_GROWTH_VIOLATED, _GROWTH_NONE = 0.1, 0.01


@dataclass(frozen=True)
class Property:
    """The answer for one property.

    answer: "violated" with the inputs that violate it; "holds" means that the search found no violation, floating
    point evidence and not a proof; "undecided" where the numbers point neither way. size: the largest violation found,
    relative to the outputs involved (see each property); tolerance: how much of it rounding explains. inputs: the
    sequences (T, d) at which it was found. explanation: one line.
    """

    name: str
    answer: Answer
    size: float
    tolerance: float
    inputs: tuple[Tensor, ...]
    explanation: str


@dataclass(frozen=True)
class Properties:
    """The six properties of Definition B.1 on a window of T steps, for a module at rest before."""

    linear: Property
    continuous: Property
    bounded: Property
    causal: Property
    time_homogeneous: Property
    regular: Property

    def violated(self) -> tuple[Property, ...]:
        """Those that are violated."""
        found = (getattr(self, field.name) for field in fields(self))
        return tuple(item for item in found if item.answer == "violated")


def check_properties(
    module: nn.Module,
    input_dim: int,
    steps: int,
    *,
    starts: int = 4,
    iterations: int = 12,
    seed: int = 0,
    warmup: int | None = None,
    output: Output | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = torch.float64,
    max_memory: int = 2**30,
) -> Properties:
    """Search for inputs that violate the properties of Definition B.1; H_t(x) = y_t, t = 0..T-1, inputs (T, d).

    linear: H(ax + bx') = aH(x) + bH(x') for (a, b) = (1, 1), (2, -1), (-1/2, 3).
    continuous: |H(x) - H(x')| → 0 as x' → x. Segments are bisected, the half with the larger change kept; where the
      change no longer shrinks, down to 32 eps, there is a jump (or a slope that this arithmetic cannot tell from it).
    bounded: sup |H_t(x)|/(‖x‖_∞ + 1) < ∞. Violated if along some x this ratio grows by 10^{0.1} or more in each of
      the three decades of ‖x‖ from 1e3 to 1e6 (as a power of ‖x‖ above 1.1 does) or overflows; undecided above
      10^{0.01}. On a window it says nothing about growth in time.
    causal: H_t(x) = H_t(x') for t < s (the warm-up included) if x = x' before s; s = 0, 1, T/4, T/2, 3T/4, T-1.
    time-homogeneous: H_{t+τ}(x delayed by τ) = H_t(x); τ = 1, T/4, T/2.
    regular: x⁽ⁿ⁾ → 0 with bounded norms gives H_t(x⁽ⁿ⁾) → 0. On T discrete steps pointwise convergence is uniform, so
      this is H(0) = 0 and no jump at 0; whether inputs of the distant past are forgotten, a window cannot see.

    The size of a violation of linearity, causality or homogeneity is |difference|_∞ over the sum of the |terms|_∞, a
    number in [0, 1]. It is maximized from random sequences (signs, Gaussians, constants) in sizes from 1e-3 to 1e3 by
    `ascend`, so that a module which is linear on small inputs is caught on large ones. It counts as a violation above
    the tolerance: 64 times the rounding of each term, measured by running the module in a second precision.

    The module is at rest before: it is fed `warmup` zero vectors (as many as `steps` unless given). The properties are
    those of the map, not of its rounding, so a copy in float64 is examined; give `dtype` where the module insists on
    another (None: its own). The module is neither run nor changed. Deterministic by `seed`. Arguments otherwise as
    `module_memory_function`. Source: Definition B.1, its discrete-time form stated here. Raises: ValueError for
    input_dim, starts < 1, steps < 4, iterations or warmup < 0; for a module that gives different answers when asked
    again or mixes the sequences of a batch; and as `SequenceMap`.
    """
    warmup = steps if warmup is None else warmup
    check_counts(steps=(steps, 4), starts=(starts, 1), iterations=(iterations, 0), warmup=(warmup, 0))
    generator = seeded(seed)
    sequence_map = SequenceMap(module, input_dim, output=output, device=device, dtype=dtype)
    with sequence_map.isolated():
        chunk = sequence_map.chunk_size(warmup + steps, max_memory)
        sequence_map.check(warmup + steps, generator, causal=False)
        search = _Search(sequence_map, steps, warmup, starts, iterations, max(1, chunk // 4), generator)
        return Properties(
            linear=search.linear(),
            continuous=search.continuous(),
            bounded=search.bounded(),
            causal=search.causal(),
            time_homogeneous=search.time_homogeneous(),
            regular=search.regular(),
        )


class _Term(NamedTuple):
    """A coefficient (n,), the sequences (n, T, d) that were fed, and what came out, (n, T, k)."""

    weight: Tensor
    inputs: Tensor
    outputs: Tensor


class _Defect(NamedTuple):
    """|the difference that should vanish|_∞, (n,), and the terms that it was made of."""

    difference: Tensor
    terms: tuple[_Term, ...]

    @property
    def relative(self) -> Tensor:
        """The difference over the sum of the sizes of the terms, in [0, 1]."""
        return self.difference / self.scale

    @property
    def scale(self) -> Tensor:
        total = torch.zeros_like(self.difference)
        for term in self.terms:
            total = total + term.weight.abs() * term.outputs.abs().amax((1, 2))
        return total.clamp_min(_TINY)


class _Worst(NamedTuple):
    """The largest relative defect of a search, its tolerance, its inputs (pieces, T, d) and its case."""

    size: float
    tolerance: float
    inputs: Tensor
    case: int
    terms: tuple[_Term, ...]


@dataclass(frozen=True)
class _Search:
    map: SequenceMap
    steps: int
    warmup: int
    starts: int
    iterations: int
    chunk: int
    generator: torch.Generator

    def padded(self, x: Tensor) -> Tensor:
        """The sequences after a warm-up of zeros."""
        return torch.cat([x.new_zeros(len(x), self.warmup, x.shape[2]), x], dim=1)

    def term(self, weight: Tensor, x: Tensor) -> _Term:
        """weight · H(x) for inputs (n, T, d); overflow is let through."""
        return _Term(weight, x, self.map(self.padded(x), finite=False)[:, self.warmup :])

    def sequences(self, pieces: int) -> Tensor:
        """Directions (N, pieces, T, d) of sup norm 1: constants, random signs and Gaussians."""
        found = random_directions(self.starts, (pieces, self.steps, self.map.input_dim), self.generator)
        return found.to(self.map.device, self.map.dtype)

    def worst(self, defect: Callable[[Tensor, Tensor], _Defect], pieces: int, cases: int) -> _Worst:
        """Maximize the relative defect of inputs (n, pieces, T, d) over them and over the cases 0..cases-1."""
        directions = self.sequences(pieces)
        starts = torch.cat([size * directions for size in _SIZES]).repeat(cases, 1, 1, 1)
        case = torch.arange(cases, device=starts.device).repeat_interleave(len(starts) // cases)
        with torch.no_grad():
            pairs = zip(chunks(starts, self.chunk), chunks(case, self.chunk), strict=True)
            values = torch.cat([defect(x, which).relative for x, which in pairs]).nan_to_num(-1.0)
        top = values.argsort(descending=True)[: _CLIMBED * cases]
        case = case[top]
        climbed = ascend(
            lambda x, _, index: defect(x, case[index]).relative,
            starts[top],
            self.iterations,
            (_SIZES[0], _SIZES[-1]),
            self.chunk,
        )
        best = int(climbed.values.nan_to_num(-1.0).argmax())
        inputs = climbed.inputs[best]
        with torch.no_grad():
            final = defect(inputs[None], case[best : best + 1])
            errors = [t.weight.abs() * self.map.tolerance(self.padded(t.inputs)) for t in final.terms]
        tolerance = float(torch.stack(errors).sum() / final.scale)
        return _Worst(float(final.relative), tolerance, inputs, int(case[best]), final.terms)

    def linear(self) -> Property:
        scalars = torch.tensor(_SCALARS, dtype=self.map.dtype, device=self.map.device)

        def defect(x: Tensor, case: Tensor) -> _Defect:
            a, b = scalars[case].unbind(1)
            first, second = self.term(a, x[:, 0]), self.term(b, x[:, 1])
            whole = self.term(torch.ones_like(a), a[:, None, None] * x[:, 0] + b[:, None, None] * x[:, 1])
            parts = a[:, None, None] * first.outputs + b[:, None, None] * second.outputs
            return _Defect((whole.outputs - parts).abs().amax((1, 2)), (whole, first, second))

        worst = self.worst(defect, 2, len(_SCALARS))
        a, b = _SCALARS[worst.case]
        return _judged("linear", worst, tuple(worst.inputs), f"H({a:g}x + {b:g}x') and {a:g}H(x) + {b:g}H(x')")

    def causal(self) -> Property:
        cuts = sorted({0, 1, self.steps // 4, self.steps // 2, 3 * self.steps // 4, self.steps - 1})
        places = torch.tensor(cuts, device=self.map.device)
        clock = torch.arange(-self.warmup, self.steps, device=self.map.device)  # the time at rest counts, too

        def defect(x: Tensor, case: Tensor) -> _Defect:
            before = (clock < places[case, None])[..., None]  # (n, W + T, 1)
            other = torch.where(before[:, self.warmup :], x[:, 0], x[:, 1])
            one = torch.ones(len(x), dtype=x.dtype, device=x.device)
            first, second = (_Term(one, v, self.map(self.padded(v), finite=False)) for v in (x[:, 0], other))
            change = torch.where(before, first.outputs - second.outputs, torch.zeros_like(first.outputs))
            return _Defect(change.abs().amax((1, 2)), (first, second))

        worst = self.worst(defect, 2, len(cuts))
        inputs = tuple(term.inputs[0] for term in worst.terms)
        return _judged("causal", worst, inputs, f"H_t(x) and H_t(x') before t = {cuts[worst.case]}, from where x' ≠ x,")

    def time_homogeneous(self) -> Property:
        delays = sorted({1, self.steps // 4, self.steps // 2})
        amounts = torch.tensor(delays, device=self.map.device)
        clock = torch.arange(self.steps, device=self.map.device)

        def defect(x: Tensor, case: Tensor) -> _Defect:
            source = (clock - amounts[case, None])[..., None]  # (n, T, 1)
            arrived = source >= 0

            def delayed(values: Tensor) -> Tensor:
                moved = values.gather(1, source.clamp_min(0).expand(-1, -1, values.shape[2]))
                return torch.where(arrived, moved, torch.zeros_like(moved))

            one = torch.ones(len(x), dtype=x.dtype, device=x.device)
            first, second = self.term(one, x[:, 0]), self.term(one, delayed(x[:, 0]))
            change = torch.where(arrived, second.outputs - delayed(first.outputs), torch.zeros_like(second.outputs))
            return _Defect(change.abs().amax((1, 2)), (first, second))

        worst = self.worst(defect, 1, len(delays))
        inputs = tuple(term.inputs[0] for term in worst.terms)
        text = f"H_t(x) and H_{{t+τ}}(x delayed by τ = {delays[worst.case]})"
        return _judged("time-homogeneous", worst, inputs, text)

    def bounded(self) -> Property:
        """The smallest growth of |H(x)|/(‖x‖ + 1) over three decades, the largest over all directions."""
        directions = self.sequences(1)
        factors = torch.tensor(_DECADES, dtype=directions.dtype, device=directions.device)

        def growth(v: Tensor) -> Tensor:
            v = v / v.flatten(1).abs().amax(dim=1).view(-1, 1, 1, 1)
            one = factors.new_ones(len(v))
            heights = [self.term(one, f * v[:, 0]).outputs.abs().amax((1, 2)) / (f + 1) for f in factors]
            ratios = torch.stack(heights, dim=1).nan_to_num(math.inf, math.inf)  # (n, decades)
            steps = (ratios[:, 1:] + _TINY).log10() - (ratios[:, :-1] + _TINY).log10()
            return steps.nan_to_num(math.inf, math.inf).clamp(max=300.0).amin(dim=1)  # overflow counts as growth

        with torch.no_grad():
            values = torch.cat([growth(part) for part in chunks(directions, self.chunk)])
        start = directions[values.argsort(descending=True)[:_CLIMBED]]
        climbed = ascend(lambda v, _, index: growth(v), start, self.iterations, (1.0, 1.0), self.chunk)
        best = int(climbed.values.argmax())
        size, x = float(climbed.values[best]), _DECADES[-1] * climbed.inputs[best, 0]
        factor = 10.0 ** min(size, 300.0)
        text = f"|H(x)|/(‖x‖+1) grows by the factor {factor:.4g} or more in each decade of ‖x‖ from 1e3 to 1e6"
        answer: Answer = "violated" if size >= _GROWTH_VIOLATED else "undecided" if size > _GROWTH_NONE else "holds"
        return Property("bounded", answer, size, _GROWTH_NONE, (x,), text)

    def jumps(self, inputs: Tensor) -> tuple[float, float, float, tuple[Tensor, Tensor]]:
        """The largest change that bisection of the segments (N, 2, T, d) does not shrink: before, after, tolerance."""
        depth = int(-math.log2(torch.finfo(self.map.dtype).eps)) - 4  # down to 32 units in the last place
        one = inputs.new_ones(len(inputs))
        with torch.no_grad():
            left, right = inputs.unbind(1)
            at_left, at_right = self.term(one, left).outputs, self.term(one, right).outputs
            half_way = torch.zeros_like(one)
            for step in range(depth):
                middle = (left + right) / 2
                at_middle = self.term(one, middle).outputs
                first, second = ((at_middle - end).abs().amax((1, 2)) for end in (at_left, at_right))
                lower = (first >= second)[:, None, None]
                left, right = torch.where(lower, left, middle), torch.where(lower, middle, right)
                at_left, at_right = torch.where(lower, at_left, at_middle), torch.where(lower, at_middle, at_right)
                if step == depth // 2:
                    half_way = torch.maximum(first, second)
            after = (at_left - at_right).abs().amax((1, 2))
            tolerance = self.map.tolerance(self.padded(left)) + self.map.tolerance(self.padded(right))
        score = torch.where(after > tolerance, after / half_way.clamp_min(_TINY), torch.zeros_like(after))
        best = int(score.argmax())
        return float(half_way[best]), float(after[best]), float(tolerance[best]), (left[best], right[best])

    def continuous(self) -> Property:
        directions = self.sequences(2)
        inputs = torch.cat([size * directions for size in _SIZES])
        found = max((self.jumps(part) for part in chunks(inputs, self.chunk)), key=_jump_score)
        before, after, tolerance, pair = found
        if _jump_score(found) >= 0.5:
            distance = float((pair[0] - pair[1]).abs().max())
            text = f"H jumps by {after:.3g} between inputs that are {distance:.1e} apart"
            return Property("continuous", "violated", after, tolerance, pair, text)
        text = f"bisection shrank every change of H, the slowest from {before:.3g} to {after:.3g}"
        return Property("continuous", "holds", after, tolerance, pair, text)

    def regular(self) -> Property:
        """H(0) = 0, and H shrinks along x → 0 from size eps^(3/8) to eps^(3/4)."""
        small = torch.finfo(self.map.dtype).eps ** 0.375
        directions = self.sequences(1)[:, 0]
        zero = torch.zeros_like(directions[:1])
        one = directions.new_ones(len(directions))
        with torch.no_grad():
            size = float(self.term(one[:1], zero).outputs.abs().max())
            tolerance = float(self.map.tolerance(self.padded(zero)))
            before, after = (self.term(one, h * directions).outputs.abs().amax((1, 2)) for h in (small, small**2))
            worst = int(after.argmax())
            near = small**2 * directions[worst]
            near_tolerance = float(self.map.tolerance(self.padded(near[None])))
        if size > tolerance:
            text = f"H(0) = {size:.3g} in size, though the zero inputs tend to 0"
            return Property("regular", "violated", size, tolerance, (zero[0],), text)
        if float(after[worst]) > max(near_tolerance, 0.5 * float(before[worst])):
            text = f"H stays at {float(after[worst]):.3g} for inputs of size {small**2:.1e}"
            return Property("regular", "violated", float(after[worst]), near_tolerance, (near,), text)
        return Property("regular", "holds", size, tolerance, (zero[0],), "H(0) = 0 and H is small on small inputs")


def _jump_score(found: tuple[float, float, float, tuple[Tensor, Tensor]]) -> float:
    before, after, tolerance, _ = found
    return after / max(before, _TINY) if after > tolerance else 0.0


def _judged(name: str, worst: _Worst, inputs: tuple[Tensor, ...], what: str) -> Property:
    if worst.size > worst.tolerance:
        text = f"{what} differ by {worst.size:.3g} of their size"
        return Property(name, "violated", worst.size, worst.tolerance, inputs, text)
    text = f"{what} differ by at most {worst.size:.1e} of their size, within rounding"
    return Property(name, "holds", worst.size, worst.tolerance, inputs, text)
