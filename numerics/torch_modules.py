"""Memory functions of any PyTorch sequence module, by batched ascent over Heaviside inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from numerics.arguments import check_counts
from numerics.sequence_map import Output, SequenceMap, seeded

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]

_ANCHORS, _PER_ANCHOR = 16, 4
_LONGEST = (1.0, 10.0, 1.0)  # steps of the three moves of `ascend`
_SMALLEST_SIZE = 1e-3
_LARGEST_SIZE = {torch.float64: 1e8, torch.float32: 1e6}
_OTHER_LARGEST_SIZE = 1e3


class ModuleMemory(NamedTuple):
    """A lower end of a module's memory function and where it is attained.

    Shapes: lower (K,), inputs (K, d), rounding_estimate (K,), at_edge (K,) of bool, drift (K,); in the dtype and on
    the device that the module ran in. lower[k] is the ratio at inputs[k], up to rounding_estimate[k]; below it a value
    means nothing. at_edge: the input has the largest size searched, so that the supremum is approached as |x| → ∞ (or
    is infinite). drift: |y_k - y_{k-1}|_∞ under the zero input, what moves without any input.
    """

    lower: Tensor
    inputs: Tensor
    rounding_estimate: Tensor
    at_edge: Tensor
    drift: Tensor


class Ascent(NamedTuple):
    """The best inputs found, (N, *shape), and their values, (N,)."""

    inputs: Tensor
    values: Tensor


def module_memory_function(
    module: nn.Module,
    input_dim: int,
    steps: int,
    *,
    starts: int = 64,
    iterations: int = 30,
    seed: int = 0,
    warmup: int | None = None,
    output: Output | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    max_memory: int = 2**30,
) -> ModuleMemory:
    """A lower end of the discrete-time memory function of a causal module, with the inputs that attain it.

    M(k) = sup_{x ≠ 0} |y_k - y_{k-1}|_∞ / (|x|_∞ + 1),   0 ≤ k < K,   y = H(x·1_{k≥0}).

    The module is at rest before: it is fed `warmup` zero vectors (as many as `steps` unless given, at least 1), then x
    at every step; y_{-1} is its output at the last zero vector. Transients that outlast the warm-up are seen in
    `drift`.

    The supremum is a search, so every value is a lower end. A pool of directions (`starts` of them: ones, random signs
    and Gaussians, each with its negative) times sizes (half decades from 1e-3 to 1e8, in float32 to 1e6) is evaluated.
    `ascend` climbs from its four best directions for each of 16 steps k, differential evolution recombines the best
    inputs of all steps, and `ascend` climbs again from the best input of every k. Each evaluation counts for all k.
    Where y is linear in x, one step of the ascent reaches the best direction from anywhere, and M is met to 1/|x|_∞
    relative. Narrow maxima can be missed.

    The module is copied and neither run nor changed; random numbers come from `seed` alone. Batches are chunked to
    `max_memory` bytes. Arguments: see `SequenceMap`. Shapes: `ModuleMemory`. Source: Definition 2.1 in discrete time.
    Raises: ValueError for input_dim, steps, starts < 1, iterations < 0, warmup < 1, for a module that is not causal,
    not deterministic, has no gradient or mixes the sequences of a batch, and as `SequenceMap`.
    """
    warmup = steps if warmup is None else warmup
    check_counts(steps=(steps, 1), starts=(starts, 1), iterations=(iterations, 0), warmup=(warmup, 1))
    generator = seeded(seed)
    sequence_map = SequenceMap(module, input_dim, output=output, device=device, dtype=dtype)
    with sequence_map.isolated():
        chunk = sequence_map.chunk_size(warmup + steps, max_memory)
        sequence_map.check(warmup + steps, generator, causal=True)
        search = _MemorySearch(sequence_map, warmup, steps)
        best = search.pool(random_directions(starts, (input_dim,), generator), chunk)
        anchors = torch.tensor(sorted({round(steps ** (i / (_ANCHORS - 1))) - 1 for i in range(_ANCHORS)}))
        search.climb(best, anchors, iterations, chunk, stretch=1.0)
        search.mix(iterations, chunk, generator)
        search.climb(search.inputs[None], torch.arange(steps), iterations, chunk, stretch=0.1)
        return search.result(chunk)


class _MemorySearch:
    """The best input seen so far for every step."""

    def __init__(self, sequence_map: SequenceMap, warmup: int, steps: int) -> None:
        self.map, self.warmup, self.steps = sequence_map, warmup, steps
        self.largest = _LARGEST_SIZE.get(sequence_map.dtype, _OTHER_LARGEST_SIZE)
        self.inputs = torch.zeros(steps, sequence_map.input_dim).to(sequence_map.device, sequence_map.dtype)
        self.best = torch.full_like(self.inputs[..., 0], -math.inf)  # (K,)

    def changes(self, inputs: Tensor) -> Tensor:
        """y_k - y_{k-1} under the inputs (N, d), shape (N, K, outputs)."""
        sequence = inputs[:, None].expand(-1, self.steps, -1)
        rest = torch.zeros(len(inputs), self.warmup, inputs.shape[1], dtype=inputs.dtype, device=inputs.device)
        return self.map(torch.cat([rest, sequence], dim=1))[:, self.warmup - 1 :].diff(dim=1)

    def ratios(self, inputs: Tensor, sizes: Tensor) -> Tensor:
        """|y_k - y_{k-1}|_∞/(size + 1), (N, K); every evaluation is remembered."""
        ratios: Tensor = self.changes(inputs).abs().amax(dim=2) / (sizes[:, None] + 1)
        self._remember(inputs.detach(), ratios.detach())
        return ratios

    def _remember(self, inputs: Tensor, ratios: Tensor) -> None:
        values, index = ratios.max(dim=0)
        better = values > self.best
        self.best = torch.where(better, values, self.best)
        self.inputs = torch.where(better[:, None], inputs[index], self.inputs)

    def pool(self, directions: Tensor, chunk: int) -> Tensor:
        """Evaluate all directions in all sizes; the best inputs of the best directions for every step, (4, K, d)."""
        halves = torch.arange(2 * math.log10(_SMALLEST_SIZE), 2 * math.log10(self.largest) + 0.5, dtype=torch.float64)
        sizes = (10.0 ** (halves / 2)).clamp(max=self.largest)
        inputs = (sizes[:, None, None] * directions).to(self.map.device, self.map.dtype)  # (S, D, d)
        with torch.no_grad():
            parts = [self.ratios(part, part.abs().amax(dim=1)) for part in chunks(inputs.flatten(0, 1), chunk)]
        values, size = torch.cat(parts).view(*inputs.shape[:2], self.steps).max(dim=0)  # (D, K)
        direction = values.topk(min(_PER_ANCHOR, len(values)), dim=0).indices  # (4, K)
        return inputs[size.gather(0, direction), direction]

    def climb(self, starts: Tensor, targets: Tensor, rounds: int, chunk: int, *, stretch: float) -> None:
        """Ascend from starts (n, K, d) at the target steps."""
        wanted = targets.repeat(len(starts)).to(self.best.device)

        def objective(inputs: Tensor, sizes: Tensor, index: Tensor) -> Tensor:
            return self.ratios(inputs, sizes).gather(1, wanted[index, None])[:, 0]

        sizes = (_SMALLEST_SIZE, self.largest)
        ascend(objective, starts[:, targets].flatten(0, 1), rounds, sizes, chunk, stretch=stretch)

    def mix(self, rounds: int, chunk: int, generator: torch.Generator) -> None:
        """Differential evolution: best inputs moved by multiples of differences of others, which follow the ridges."""
        with torch.no_grad():
            for _ in range(rounds):
                one, other = (torch.randint(self.steps, (self.steps,), generator=generator) for _ in "ab")
                factor = torch.randn(self.steps, 1, generator=generator, dtype=torch.float64).to(
                    self.best.device, self.best.dtype
                )
                trial = self.inputs + factor * (self.inputs[one] - self.inputs[other])
                size = trial.abs().amax(dim=1, keepdim=True)
                trial = trial * (size.clamp(_SMALLEST_SIZE, self.largest) / size.clamp_min(1e-30))
                for part in chunks(trial[size[:, 0] > 0], chunk):
                    self.ratios(part, part.abs().amax(dim=1))

    def result(self, chunk: int) -> ModuleMemory:
        """Evaluate each step at its best input once more."""
        inputs, sizes = self.inputs, self.inputs.abs().amax(dim=1)
        lower, rounding = [], []
        rest = torch.zeros(1, self.warmup, inputs.shape[1], dtype=inputs.dtype, device=inputs.device)
        with torch.no_grad():
            for part, where in zip(chunks(inputs, chunk), chunks(torch.arange(self.steps), chunk), strict=True):
                own = where.to(inputs.device)[:, None, None]
                sequence = torch.cat([rest.expand(len(part), -1, -1), part[:, None].expand(-1, self.steps, -1)], 1)
                change = self.changes(part).abs().amax(dim=2)
                error = self.map.rounding(sequence)[:, self.warmup - 1 :].amax(dim=2)
                lower.append(change.gather(1, own[..., 0])[:, 0])
                rounding.append((error[:, 1:] + error[:, :-1]).gather(1, own[..., 0])[:, 0])
            drift = self.changes(torch.zeros_like(inputs[:1])).abs().amax(dim=2)[0]
        scale = sizes + 1
        at_edge = sizes >= self.largest / 2
        return ModuleMemory(torch.cat(lower) / scale, inputs, torch.cat(rounding) / scale, at_edge, drift)


def ascend(
    objective: Objective,
    starts: Tensor,
    iterations: int,
    sizes: tuple[float, float],
    chunk: int,
    *,
    stretch: float = math.log(10.0),
) -> Ascent:
    """Maximize objective(x, |x|_∞, index) over x, from each of `starts`, by projected steps with a gradient.

    Write x = r v with |v|_∞ = 1, g = ∇_x at fixed r. Three moves take turns:

        v ← v + a (sign(g) - v):        to the vertex that maximizes the linearized objective on the cube (Frank-Wolfe;
                                        exact with a = 1 where the objective is |linear|),
        r ← r e^{±b}:                   along the derivative in r, b = `stretch` at first,
        v ← clip(v + a p/|p|_∞, -1, 1): along the gradient p of the coordinates that it does not push out of the cube.

    Each start has its own steps, doubled after a success and quartered after a failure (b by the secant rule once the
    derivative has changed its sign); a move counts only if it is better, so values never fall.

    The objective gets x (n, *shape), sizes r (n,) that it may treat as a constant of x (their derivative is added for
    the move in r), and the indices (n,) of the starts; values that are not finite are failures. Shapes: starts (N,
    *shape), not 0; sizes the smallest and largest r. Every value is attained by its input.
    """

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = []
        for part, index in zip(chunks(x, chunk), chunks(torch.arange(len(x), device=x.device), chunk), strict=True):
            point = part.detach().clone().requires_grad_()
            size = point.detach().flatten(1).abs().amax(dim=1).requires_grad_()
            values = objective(point, size, index)
            gradients = torch.autograd.grad(values.sum(), (point, size), allow_unused=True)
            slope = torch.zeros_like(point) if gradients[0] is None else gradients[0]
            size_slope = torch.zeros_like(size) if gradients[1] is None else gradients[1]
            radial = (slope * point.detach()).flatten(1).sum(1) + size_slope * size.detach()
            parts.append((values.detach(), slope, radial))
        values, slope, radial = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
        return values.nan_to_num(-math.inf, -math.inf, -math.inf), slope.nan_to_num(0.0), radial.nan_to_num(0.0)

    def per_start(values: Tensor) -> Tensor:
        return values.view(-1, *(1,) * (starts.ndim - 1))

    def size_of(x: Tensor) -> Tensor:
        return x.flatten(1).abs().amax(dim=1)

    def moved(move: int, step: Tensor) -> Tensor:
        r = size_of(x)
        if move == 1:
            return x * per_start((r * torch.exp(step * torch.sign(radial))).clamp(*sizes) / r)
        v = x / per_start(r)
        if move == 0:
            v = v + per_start(step) * (torch.sign(slope) - v)
        else:
            free = slope.where((v.abs() < 1) | (v * slope < 0), 0.0)  # the others would only be clipped
            v = (v + per_start(step / size_of(free).clamp_min(1e-30)) * free).clamp(-1, 1)
        height = size_of(v)
        return torch.where(per_start(height > 0), v * per_start(r / height.where(height > 0, 1.0)), x)

    x = starts.detach().clone()
    values, slope, radial = evaluate(x)
    steps = [torch.full_like(values, first_step) for first_step in (1.0, stretch, 0.3)]
    for iteration in range(iterations):
        move = iteration % 3
        step, old_radial = steps[move], radial
        trial = moved(move, step)
        new_values, new_slope, new_radial = evaluate(trial)
        better = new_values > values
        x = torch.where(per_start(better), trial, x)
        slope = torch.where(per_start(better), new_slope, slope)
        values, radial = torch.where(better, new_values, values), torch.where(better, new_radial, radial)
        steps[move] = torch.where(better, (2 * steps[move]).clamp(max=_LONGEST[move]), steps[move] / 4)
        if move == 1:  # where the derivative changed its sign, the next step ends at its root by the secant
            crossed, total = new_radial * old_radial < 0, (new_radial.abs() + old_radial.abs()).clamp_min(1e-30)
            steps[1] = torch.where(crossed, step * radial.abs() / total, steps[1])
    return Ascent(x, values)


def random_directions(count: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """`count` directions of sup norm 1 and their negatives: ones, then Gaussians and, as every fourth, random signs."""
    gaussian = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    gaussian[0] = 1.0
    gaussian[1::4] = torch.where(gaussian[1::4] >= 0, 1.0, -1.0)
    gaussian /= gaussian.flatten(1).abs().amax(dim=1).view(-1, *(1,) * len(shape))
    return torch.cat([gaussian, -gaussian])


def chunks(tensor: Tensor, size: int) -> list[Tensor]:
    """The tensor cut along its first dimension into pieces of at most `size`."""
    return [tensor[start : start + size] for start in range(0, len(tensor), size)]
