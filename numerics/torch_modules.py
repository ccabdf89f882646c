"""Memory functions of any PyTorch sequence module, by batched ascent over Heaviside inputs."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Output = Callable[[Any], Tensor]
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]

_SAFETY = 64.0  # tolerance over the measured rounding
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


class SequenceMap:
    """A private copy of a module as a map from sequences (N, T, d) to sequences (N, T, k).

    The module itself never runs. Its copy is in eval mode, has no gradients and answers each call from the state that
    the module had when it was copied, so that a module which keeps its hidden state is a map, too. The copy runs in
    the dtype and on the device of the module's parameters and buffers unless others are given (no parameters: float64
    on the CPU). `output` picks the sequence from what the module returns; by default a tensor, or the first element
    of a tuple or list. Hooks are copied; one that writes outside the module is called like any other.

    Raises: ValueError for a module that cannot be copied, has mixed dtypes or devices while none is given, fails, or
    returns something else than floating point numbers of shape (N, T, k).
    """

    def __init__(
        self,
        module: nn.Module,
        input_dim: int,
        *,
        output: Output | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if input_dim < 1:
            raise ValueError(f"input_dim: at least 1 is needed, got {input_dim}")
        if dtype is not None and not dtype.is_floating_point:
            raise ValueError(f"dtype: a real floating point type is needed, got {dtype}")
        self.input_dim, self._output = input_dim, output or _first
        tensors = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point() or t.is_complex()]
        self.dtype = dtype or _only({t.dtype.to_real() for t in tensors}, "dtype", torch.float64)
        self.device = torch.device(device or _only({t.device for t in tensors}, "device", torch.device("cpu")))
        try:
            template = copy.deepcopy(module, {id(t): t.detach().clone() for t in _computed_tensors(module)})
        except Exception as error:
            raise ValueError(f"module: cannot be copied: {_line(error)}") from error
        template._apply(lambda t: t.to(self.device, _converted(t, self.dtype)))  # type: ignore[no-untyped-call]
        self._template = template.eval().requires_grad_(False)
        self._twin: SequenceMap | None = None

    def __call__(self, inputs: Tensor, *, finite: bool = True) -> Tensor:
        """The outputs (N, T, k) for inputs (N, T, d); without `finite`, infinite outputs are let through."""
        shared: dict[int, Any] = {id(p): p for p in self._template.parameters()}
        shape = tuple(inputs.shape)
        try:
            result = self._output(copy.deepcopy(self._template, shared)(inputs))
        except Exception as error:
            raise ValueError(f"module: fails on inputs of shape {shape}: {_line(error)}") from error
        if not isinstance(result, Tensor) or not result.is_floating_point():
            kind = result.dtype if isinstance(result, Tensor) else type(result).__name__
            raise ValueError(f"module: must return real numbers of shape (N, T, k), got {kind}; give output=")
        if result.ndim != 3 or result.shape[:2] != inputs.shape[:2]:
            raise ValueError(f"module: must map {shape} to (N, T, k), got shape {tuple(result.shape)}; give output=")
        if finite and not bool(torch.isfinite(result).all()):
            size = float(inputs.detach().abs().max())
            raise ValueError(f"module: its outputs are not finite for inputs up to {size:.3g}")
        return result

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Gradients on, the random state of torch restored at the end; cuDNN off for its RNNs' missing gradient."""
        recurrent = any(isinstance(part, nn.RNNBase) for part in self._template.modules())
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(torch.random.fork_rng([self.device] if self.device.type == "cuda" else []))
            if recurrent and self.device.type == "cuda":
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield

    def rounding(self, inputs: Tensor) -> Tensor:
        """An estimate (N, T, k) of the rounding errors of the outputs, measured on a twin in another precision.

        A module that runs below float64 is compared with itself in float64. In float64 it is compared with itself in
        float32 and the difference is scaled by the ratio of the two machine epsilons, the algorithm being the same.
        At least 8 eps |y|. A module that does not run in the other precision is taken to lose T eps |y|_∞.
        """
        exact = self.dtype is torch.float64
        eps = torch.finfo(self.dtype).eps
        with torch.no_grad():
            outputs = self(inputs, finite=False)
            try:
                if self._twin is None:
                    other = torch.float32 if exact else torch.float64
                    self._twin = SequenceMap(
                        self._template, self.input_dim, output=self._output, device=self.device, dtype=other
                    )
                gap = (self._twin(inputs.to(self._twin.dtype), finite=False).double() - outputs.double()).abs()
            except ValueError:
                return (inputs.shape[1] * eps * outputs.abs().amax((1, 2), keepdim=True)).expand_as(outputs)
        return gap.to(self.dtype) * (eps / torch.finfo(torch.float32).eps if exact else 1.0) + 8 * eps * outputs.abs()

    def tolerance(self, inputs: Tensor) -> Tensor:
        """Up to what size (N,) a difference of outputs is put down to rounding: 64 times the largest `rounding`."""
        return _SAFETY * self.rounding(inputs).nan_to_num(0.0).amax((1, 2))

    def chunk_size(self, length: int, max_memory: int) -> int:
        """How many sequences of `length` fit into max_memory bytes, from what autograd keeps for one of them.

        Raises: ValueError when a single one does not.
        """
        own = {t.untyped_storage().data_ptr() for t in (*self._template.parameters(), *self._template.buffers())}
        kept: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        inputs = torch.zeros(1, length, self.input_dim, dtype=self.dtype, device=self.device, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            outputs = self(inputs)
        needed = 3 * (sum(kept.values()) + (inputs.numel() + 2 * outputs.numel()) * inputs.element_size())
        if needed > max_memory:
            raise ValueError(f"max_memory: one sequence of {length} steps needs about {needed} bytes, got {max_memory}")
        return int(max_memory // needed)

    def check(self, length: int, generator: torch.Generator, *, causal: bool) -> None:
        """Raise ValueError for a map that has no gradient, does not repeat itself, mixes sequences or is not causal.

        Each by running it on random sequences of the length; the tolerance is 64 times the measured rounding.
        """
        shape = (4, length, self.input_dim)
        inputs = torch.randn(shape, generator=generator, dtype=torch.float64).to(self.device, self.dtype)
        outputs = self(inputs.clone().requires_grad_())
        if not outputs.requires_grad:
            raise ValueError("module: its output has no gradient with respect to its input")
        with torch.no_grad():
            tolerance = float(self.tolerance(inputs).max())
            if float((self(inputs) - outputs).abs().max()) > tolerance:
                raise ValueError("module: answers differently when asked again; random layers must obey eval mode")
            alone = torch.cat([self(one[None]) for one in inputs])
            gap = float((alone - outputs).abs().max())
            if gap > tolerance:
                raise ValueError(f"module: sequences of a batch influence each other (by {gap:.3g}); batch_first=True?")
            for cut in sorted({length // 4, length // 2, length - 1} - {0}) if causal else ():
                gap = float((self(torch.cat([inputs[:, :cut], -inputs[:, cut:]], 1)) - outputs)[:, :cut].abs().max())
                if gap > tolerance:
                    raise ValueError(f"module: is not causal: step {cut} changes earlier outputs by {gap:.3g}")


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
    least = {"steps": (steps, 1), "starts": (starts, 1), "iterations": (iterations, 0), "warmup": (warmup, 1)}
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise ValueError(f"{name}: at least {smallest} is needed, got {value}")
    sequence_map = SequenceMap(module, input_dim, output=output, device=device, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
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


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, (tuple, list)) and result else result


def _only(found: set[Any], name: str, default: Any) -> Any:
    if len(found) > 1:
        raise ValueError(f"module: has parameters of mixed {name}s {sorted(map(str, found))}; give {name}=")
    return found.pop() if found else default


def _converted(t: Tensor, dtype: torch.dtype) -> torch.dtype:
    return dtype.to_complex() if t.is_complex() else dtype if t.is_floating_point() else t.dtype


def _computed_tensors(module: nn.Module) -> Iterator[Tensor]:
    """Tensors with a graph among the attributes of all submodules, which deepcopy refuses."""

    def inside(value: Any) -> Iterator[Tensor]:
        if isinstance(value, Tensor):
            if value.grad_fn is not None:
                yield value
        elif isinstance(value, dict):
            for item in value.values():
                yield from inside(item)
        elif isinstance(value, (tuple, list)):
            for item in value:
                yield from inside(item)

    for part in module.modules():
        yield from inside({key: value for key, value in vars(part).items() if key != "_modules"})


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
