"""A private copy of a PyTorch module as a map from sequences to sequences, isolated from the module itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from numerics.arguments import check_count, shown
from numerics.threads import one_thread

Output = Callable[[Any], Tensor]

_SAFETY = 64.0  # tolerance over the measured rounding
_SMALL = 2**16
"""Weights of a module that runs faster on one thread."""


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
        check_count("input_dim", input_dim, 1)
        if not isinstance(module, nn.Module) or isinstance(module, torch.jit.ScriptModule):
            raise ValueError(f"module: a torch.nn.Module in Python is needed, got {type(module).__name__}")
        if any(nn.parameter.is_lazy(t) for t in (*module.parameters(), *module.buffers())):
            raise ValueError("module: has lazy parameters without a shape; run it on one input first")
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise ValueError(f"dtype: a real floating point type is needed, got {dtype}")
        self.input_dim, self._output = input_dim, output or _first
        tensors = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point() or t.is_complex()]
        self.dtype = dtype or _only({t.dtype.to_real() for t in tensors}, "dtype", torch.float64)
        self.device = _usable(device or _only({t.device for t in tensors}, "device", torch.device("cpu")))
        try:
            template = copy.deepcopy(module, {id(t): t.detach().clone() for t in _computed_tensors(module)})
        except Exception as error:
            raise ValueError(f"module: cannot be copied: {_line(error)}") from error
        template._apply(lambda t: t.to(self.device, _converted(t, self.dtype)))  # type: ignore[no-untyped-call]
        self._small = sum(t.numel() for t in tensors) <= _SMALL
        self._template = template.eval().requires_grad_(False)
        self._twin: SequenceMap | None = None

    def __call__(self, inputs: Tensor, *, finite: bool = True) -> Tensor:
        """The outputs (N, T, k) for inputs (N, T, d); without `finite`, infinite outputs are let through."""
        shared: dict[int, Any] = {id(p): p for p in self._template.parameters()}
        shape = tuple(inputs.shape)
        try:
            result = self._output(copy.deepcopy(self._template, shared)(inputs.clone()))  # it may work in place
        except Exception as error:
            raise ValueError(f"module: fails on inputs of shape {shape}: {_line(error)}") from error
        if not isinstance(result, Tensor) or not result.is_floating_point():
            kind = result.dtype if isinstance(result, Tensor) else type(result).__name__
            raise ValueError(f"module: must return real numbers of shape (N, T, k), got {kind}; give output=")
        if result.ndim != 3 or result.shape[:2] != inputs.shape[:2] or not result.shape[2]:
            raise ValueError(f"module: must map {shape} to (N, T, k), got shape {tuple(result.shape)}; give output=")
        if finite and not bool(torch.isfinite(result).all()):
            size = float(inputs.detach().abs().max())
            raise ValueError(f"module: its outputs are not finite for inputs up to {size:.3g}")
        return result

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Gradients on, the random state of torch restored at the end; a small module runs on one thread.

        cuDNN is off for its RNNs' missing gradient.
        """
        recurrent = any(isinstance(part, nn.RNNBase) for part in self._template.modules())
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(torch.random.fork_rng([self.device] if self.device.type == "cuda" else []))
            stack.enter_context(one_thread(self.device.type == "cpu" and self._small))
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

        least = length * self.input_dim * torch.finfo(self.dtype).bits // 8
        if least > max_memory:
            raise ValueError(f"max_memory: one sequence of {length} steps needs about {least} bytes, got {max_memory}")
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


def seeded(seed: int) -> torch.Generator:
    """A generator of random numbers on the CPU."""
    check_count("seed", seed, 0)
    if seed >= 2**63:
        raise ValueError(f"seed: must be below 2**63, got {shown(seed)}")
    return torch.Generator().manual_seed(seed)


def _usable(device: torch.device | str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError):
        raise ValueError(f"device: {shown(device)!r} is not a device that this torch can use") from None


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
