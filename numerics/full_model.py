"""Linear state-space models with a full state matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from numerics.arguments import check_choice
from numerics.model_checks import (
    CHUNK,
    TIMES,
    broadcast,
    check_alike,
    check_dtype,
    check_memory,
    check_shape,
    check_tensor,
    checked_times,
)


@dataclass(frozen=True, eq=False)
class FullModel:
    """A linear state-space model with a full state matrix: dh/dt = A h + B x, or h_k = A h_{k-1} + B x_k; y = C h.

    Shapes: A (*batch, n, n), B (*batch, n, d), C (*batch, k, n), real; broadcast to one batch shape.
    Hypotheses, each checked: finite; spectral abscissa < 0, in discrete time spectral radius < 1; one dtype, float64 or
    float32, and one device. Raises ValueError naming the argument.
    """

    A: Tensor
    B: Tensor
    C: Tensor
    time: str = "continuous"

    def __post_init__(self) -> None:
        check_choice("time", self.time, TIMES)
        given = {"A": self.A, "B": self.B, "C": self.C}
        for name, value in given.items():
            check_tensor(name, value, 2)
            if value.is_complex():
                raise ValueError(f"{name}: complex numbers; the matrices of a full model are real")
        check_alike(given)
        n = self.A.shape[-1]
        for name, value, expected in (("A", self.A, (n, n)), ("B", self.B, (n, None)), ("C", self.C, (None, n))):
            check_shape(name, value, expected)
        batch = broadcast(given, (2, 2, 2))
        for name, value in given.items():
            object.__setattr__(self, name, value.expand(*batch, *value.shape[-2:]))
        margin = self.stability_margin
        if not bool((margin > 0).all()):
            worst = float(margin.min())
            problem = "spectral radius" if self.is_discrete else "largest real part of an eigenvalue"
            limit = "below 1" if self.is_discrete else "negative"
            size = 1 - worst if self.is_discrete else -worst
            raise ValueError(f"A: its {problem} is {size:.6g}; it must be {limit}")

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.A.shape[:-2])

    @property
    def input_dim(self) -> int:
        """d."""
        return int(self.B.shape[-1])

    @property
    def output_dim(self) -> int:
        """k."""
        return int(self.C.shape[-2])

    @property
    def hidden_dim(self) -> int:
        """n."""
        return int(self.A.shape[-1])

    @property
    def dtype(self) -> torch.dtype:
        return self.A.dtype

    @property
    def device(self) -> torch.device:
        return self.A.device

    @property
    def is_discrete(self) -> bool:
        return self.time == "discrete"

    @property
    def stability_margin(self) -> Tensor:
        """-max Re λ(A), in discrete time 1 - max|λ(A)|: (*batch,), in floating point."""
        eigenvalues = torch.linalg.eigvals(self.A)
        if self.is_discrete:
            return 1 - eigenvalues.abs().amax(dim=-1)
        return -eigenvalues.real.amax(dim=-1)

    def impulse_response(self, times: Tensor | Sequence[float]) -> Tensor:
        """C e^{At} B, in discrete time C A^k B, k ≥ 0: (*batch, T, k, d). `times` (T,): t ≥ 0, or step indices.

        Raises ValueError for times that are negative or not whole steps.
        """
        t = checked_times(times, self.is_discrete, self.dtype, self.device)
        size = self.C.numel() // self.hidden_dim * self.input_dim * len(t)
        check_memory("times", size * self.C.element_size() * 2, self.device)
        parts = [
            self.C.unsqueeze(-3) @ self._powers(part) @ self.B.unsqueeze(-3)
            for part in torch.split(t, max(1, CHUNK // self.A.numel()))
        ]
        return torch.cat(parts, dim=-3)

    def _powers(self, t: Tensor) -> Tensor:
        """e^{At} or A^k: (*batch, T, n, n)."""
        if not self.is_discrete:
            return torch.linalg.matrix_exp(self.A.unsqueeze(-3) * t[:, None, None])
        steps = t.clamp(max=2.0**62).tolist()  # torch takes no more, and by then A^k is tiny
        return torch.stack([torch.linalg.matrix_power(self.A, int(step)) for step in steps], dim=-3)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> FullModel:
        """The model on another device, or with another dtype (float64 or float32)."""
        if dtype is not None:
            check_dtype("dtype", dtype)
        return replace(self, **{n: getattr(self, n).to(device=device, dtype=dtype) for n in ("A", "B", "C")})

    def __getitem__(self, index: int | slice) -> FullModel:
        """One member (an int), or some (a slice), of the first batch axis."""
        if not self.batch_shape:
            raise IndexError("model: it has no batch axis")
        return replace(self, A=self.A[index], B=self.B[index], C=self.C[index])
