"""Diagonal state-space models with several layers, as frozen values.

In continuous time, l = 1..ℓ:

    dh⁽ˡ⁾/dt = Λ_l h⁽ˡ⁾ + ν(Λ_l) U_l σ(h⁽ˡ⁻¹⁾),  the first layer driven by x,   y = cᵀσ(h⁽ℓ⁾),   λ = f(w).

In native discrete time h_k = λ h_{k-1} + ν U x_k (with x_k itself, not x_{k-1}) and y_k = cᵀσ(h_k). With a step size Δ
the continuous model is discretized to h_k = λ̄ h_{k-1} + B̄ x_k:

    zoh:       λ̄ = e^{λΔ},                    B̄ = (e^{λΔ} - 1)/λ · νU
    bilinear:  λ̄ = (1 + λΔ/2)/(1 - λΔ/2),      B̄ = Δ/(1 - λΔ/2) · νU

A complex model holds one member of each conjugate pair, λ = f(w) + iω, in native discrete time λ = f(w) e^{iω}; between
the layers h stays complex, σ acts on real and imaginary part separately, and the output is 2 Re(cᵀσ(h)).

Modes "unit-norm" have the gain ν = 1/‖mode‖, which makes the norm (L¹ norm plus total variation on R) of each
single mode's kernel 1; ν is 1 for modes "plain":

    continuous, real     ∫e^{λt} + 1 + ∫|λ|e^{λt} = 1/|λ| + 2                      ν = |λ|/(1 + 2|λ|)
    continuous, complex  1/r + 1 + |λ|/r,  r = -Re λ                               ν = r/(1 + r + |λ|)
    native discrete      Σ|λ|^k + 1 + Σ|λ|^k|1-λ| = (1 + |1-λ|)/(1-|λ|) + 1        ν = (1-|λ|)/(2 - |λ| + |1-λ|)

A discretized model has the gain of the continuous one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from numerics.activations import ACTIVATIONS, Activation, activation
from numerics.arguments import check_choice, shown
from numerics.full_model import FullModel as FullModel
from numerics.model_checks import (
    CHUNK,
    COMPLEX,
    TIMES,
    broadcast,
    check_alike,
    check_dtype,
    check_memory,
    check_shape,
    check_tensor,
    checked_times,
)
from numerics.reparameterization import Reparameterization

MODES = ("plain", "unit-norm")
DISCRETIZATIONS = ("zoh", "bilinear")


@dataclass(frozen=True, eq=False)
class Layer:
    """The weights of one diagonal layer.

    Shapes: w (*batch, m) real; U (*batch, m, m_prev), whose rows are modes; omega (*batch, m) real, or None for a real
    layer. U may be complex where omega is given.
    """

    w: Tensor
    U: Tensor
    omega: Tensor | None = None


@dataclass(frozen=True, eq=False)
class DiagonalModel:
    """A diagonal state-space model with ℓ ≥ 1 layers; the equations are in the module's text.

    Shapes: c (*batch, m) for one output or (*batch, k, m), stored as the latter. The weights of all layers are
    broadcast (as views) to one batch shape. The number n of batch axes that the layers have decides how c is read: one
    axis, or n + 1 axes, mean one output; otherwise the last two axes are (k, m). So a c that all members share and that
    has several outputs is written (1, k, m).
    `reparameterization` is a text or a Reparameterization, `activation` a name or an Activation.
    Hypotheses, each checked: every weight finite; Re λ < 0, in discrete time |λ| < 1 (also for a bounded σ); one dtype,
    float64 or float32 with its complex partner, and one device.
    Raises ValueError, in one line, naming the argument and what is allowed.
    """

    layers: tuple[Layer, ...]
    c: Tensor
    reparameterization: Reparameterization
    activation: Activation = ACTIVATIONS["identity"]
    modes: str = "plain"
    time: str = "continuous"
    step_size: float | None = None
    discretization: str | None = None

    def __post_init__(self) -> None:
        _check_choices(self)
        f_time = "continuous" if self.step_size is not None else self.time
        f = self.reparameterization
        if not isinstance(f, Reparameterization):
            f = Reparameterization(f, f_time)
        if f.time != f_time:
            raise ValueError(f"reparameterization: it is for {f.time} time, {f_time} is needed")
        sigma = self.activation if isinstance(self.activation, Activation) else activation(self.activation)
        layers, c = _checked_weights(self.layers, self.c)
        for name, value in (("reparameterization", f), ("activation", sigma), ("layers", layers), ("c", c)):
            object.__setattr__(self, name, value)
        for index in range(len(layers)):
            _check_stable(self, index)

    @staticmethod
    def from_lam(
        lam: Tensor | Sequence[Tensor],
        U: Tensor | Sequence[Tensor],
        c: Tensor,
        reparameterization: Reparameterization | str = "direct",
        **settings: Any,
    ) -> DiagonalModel:
        """The model with these eigenvalues, w = f⁻¹(Re λ) on the inverse branch of theory.formula.NAMED.

        A complex λ gives ω = Im λ; in native discrete time f(w) = |λ| and ω = arg λ. `lam` and `U` are one tensor, or
        one for each layer; `settings` are the other fields of DiagonalModel. Raises ValueError where f has no inverse
        or λ is not in its range, and as DiagonalModel.
        """
        lams, weights = _one_per_layer(lam), _one_per_layer(U)
        if len(lams) != len(weights):
            raise ValueError(f"lam, U: {len(lams)} and {len(weights)} layers; equally many are needed")
        native = settings.get("time", "continuous") == "discrete" and settings.get("step_size") is None
        f = reparameterization
        if not isinstance(f, Reparameterization):
            f = Reparameterization(f, "discrete" if native else "continuous")
        layers = []
        for index, (values, weight) in enumerate(zip(lams, weights, strict=True)):
            check_tensor(f"layer {index + 1}: lam", values, 1)
            size, omega = values, None
            if values.is_complex():
                size, omega = (values.abs(), values.angle()) if native else (values.real, values.imag)
            try:
                layers.append(Layer(f.inverse(size), weight, omega))
            except ValueError as error:
                raise ValueError(f"layer {index + 1}: {error}") from None
        return DiagonalModel(tuple(layers), c, f, **settings)

    # Sizes and kinds

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.c.shape[:-2])

    @property
    def input_dim(self) -> int:
        """d."""
        return int(self.layers[0].U.shape[-1])

    @property
    def output_dim(self) -> int:
        """k."""
        return int(self.c.shape[-2])

    @property
    def hidden_dims(self) -> tuple[int, ...]:
        """m_1, ..., m_ℓ; a complex mode counts once."""
        return tuple(int(layer.w.shape[-1]) for layer in self.layers)

    @property
    def dtype(self) -> torch.dtype:
        """The real dtype."""
        return self.layers[0].w.dtype

    @property
    def device(self) -> torch.device:
        return self.c.device

    @property
    def is_linear(self) -> bool:
        """σ = id."""
        return self.activation.name == "identity"

    @property
    def is_complex(self) -> bool:
        return self.layers[0].omega is not None

    @property
    def is_discrete(self) -> bool:
        return self.time == "discrete"

    # Dynamics

    def lam(self, layer: int = 0) -> Tensor:
        """λ of a layer, before any discretization: (*batch, m), real or complex."""
        weights = self.layers[layer]
        value = self.reparameterization(weights.w)
        if weights.omega is None:
            return value
        if self.is_discrete and self.step_size is None:
            return torch.complex(value * torch.cos(weights.omega), value * torch.sin(weights.omega))
        return torch.complex(value, weights.omega)

    def gain(self, layer: int = 0) -> Tensor:
        """ν(λ) of a layer, real: (*batch, m)."""
        if self.modes == "plain":
            return torch.ones_like(self.layers[layer].w)
        value = self.reparameterization(self.layers[layer].w)
        lam = self.lam(layer)
        if self.is_discrete and self.step_size is None:
            return (1 - value.abs()) / (2 - value.abs() + (1 - lam).abs())
        return -value / (1 - value + lam.abs())  # in the real case |λ| = r, hence r/(1 + 2r)

    def transition(self, layer: int = 0) -> Tensor:
        """The factor of h: λ in continuous and native discrete time, λ̄ when discretized: (*batch, m)."""
        lam = self.lam(layer)
        if self.step_size is None:
            return lam
        z = lam * self.step_size
        return torch.exp(z) if self.discretization == "zoh" else (1 + z / 2) / (1 - z / 2)

    def drive(self, layer: int = 0) -> Tensor:
        """The matrix before the layer's input: νU, or B̄ when discretized: (*batch, m, m_prev)."""
        scale = self.gain(layer)
        if self.step_size is not None:
            lam = self.lam(layer)
            z = lam * self.step_size
            scale = scale * (torch.expm1(z) / lam if self.discretization == "zoh" else self.step_size / (1 - z / 2))
        return scale[..., None] * self.layers[layer].U

    @property
    def stability_margin(self) -> Tensor:
        """min(-Re λ) over all layers, in discrete time 1 - max|λ̄|: (*batch,).

        zoh: 1 - |λ̄| = -expm1(Δ Re λ); bilinear, z = λΔ/2: 1 - |λ̄|² = -4 Re z/|1-z|².
        """
        margins = [self._margins(index).amin(dim=-1) for index in range(len(self.layers))]
        return reduce(torch.minimum, margins)

    def _margins(self, layer: int) -> Tensor:
        """The distance of each mode from the boundary of stability: (*batch, m)."""
        value = self.reparameterization(self.layers[layer].w)
        if self.step_size is None:
            return 1 - value.abs() if self.is_discrete else -value
        if self.discretization == "zoh":
            return -torch.expm1(value * self.step_size)
        half = self.lam(layer) * (self.step_size / 2)
        return -2 * value * self.step_size / (1 - half).abs() ** 2 / (1 + self.transition(layer).abs())

    def impulse_response(self, times: Tensor | Sequence[float]) -> Tensor:
        """ρ̂ of a linear model with one layer: (*batch, T, k, d), real.

            continuous: ρ̂(t) = Σ_i c_i e^{λ_i t} ν_i U_i,     discrete: ρ̂_k = Σ_i c_i λ̄_i^k B̄_i,  k ≥ 0,

        and 2 Re of that for a complex model. `times` (T,): t ≥ 0, or step indices.
        Raises ValueError for another activation, several layers, and times that are negative or not whole steps.
        """
        if not self.is_linear or len(self.layers) > 1:
            raise ValueError(
                f"model: an impulse response needs one layer with activation identity, this one has "
                f"{len(self.layers)} with {self.activation.name}"
            )
        t = checked_times(times, self.is_discrete, self.dtype, self.device)
        drive = self.drive()
        rows = self.c.numel() // self.c.shape[-1]
        check_memory("times", rows * self.input_dim * len(t) * self.c.element_size() * 2, self.device)
        width = self.c.numel() // self.c.shape[-1] * self.hidden_dims[0]
        parts = [
            torch.matmul(self.c.unsqueeze(-3) * self.powers(part).unsqueeze(-2), drive.unsqueeze(-3))
            for part in torch.split(t, max(1, CHUNK // width))
        ]
        kernel = torch.cat(parts, dim=-3)
        return 2 * kernel.real if self.is_complex else kernel

    def powers(self, t: Tensor) -> Tensor:
        """e^{λt} or λ̄^k: (*batch, T, m)."""
        lam, t = self.lam().unsqueeze(-2), t[:, None]
        if not self.is_discrete or self.discretization == "zoh":
            rate = lam * (self.step_size or 1.0)
            if not self.is_complex:
                return torch.exp(rate * t)
            size, angle = torch.exp(rate.real * t), rate.imag
        elif not self.is_complex:
            return self.transition().unsqueeze(-2) ** t
        elif self.step_size is None:  # λ^k = f(w)^k e^{iωk}
            weights = self.layers[0]
            assert weights.omega is not None
            size, angle = self.reparameterization(weights.w).unsqueeze(-2) ** t, weights.omega.unsqueeze(-2)
        else:
            bar = self.transition().unsqueeze(-2)
            size, angle = bar.abs() ** t, bar.angle()
        phase = torch.where(size == 0, torch.zeros_like(size), angle * t)  # which may be infinite there
        return torch.complex(size * torch.cos(phase), size * torch.sin(phase))

    # Weights

    @property
    def weights(self) -> Mapping[str, tuple[Tensor, ...]]:
        """The trainable weights by group: "w", "omega" (none in a real model) and "U", a tensor per layer, and "c"."""
        omegas = tuple(layer.omega for layer in self.layers if layer.omega is not None)
        layers = self.layers
        return {"w": tuple(x.w for x in layers), "omega": omegas, "U": tuple(x.U for x in layers), "c": (self.c,)}

    def replace_weights(
        self,
        w: Tensor | Sequence[Tensor] | None = None,
        omega: Tensor | Sequence[Tensor] | None = None,
        U: Tensor | Sequence[Tensor] | None = None,
        c: Tensor | None = None,
    ) -> DiagonalModel:
        """The same model with other weights: one tensor, or one for each layer. New batch axes may be added in front
        of those there are. Raises ValueError as DiagonalModel, and where the number of layers differs."""
        given = {"w": w, "omega": omega, "U": U}
        changes: list[dict[str, Tensor]] = [{} for _ in self.layers]
        for name, value in given.items():
            if value is None:
                continue
            tensors = _one_per_layer(value)
            if len(tensors) != len(self.layers):
                raise ValueError(f"{name}: {len(tensors)} tensors for {len(self.layers)} layers")
            for change, tensor in zip(changes, tensors, strict=True):
                check_tensor(name, tensor, 1)
                change[name] = tensor
        layers = tuple(replace(layer, **change) for layer, change in zip(self.layers, changes, strict=True))
        if c is None:  # with an axis for each new batch axis, lest its outputs be taken for a batch
            new = max(max(x.w.ndim - 1, x.U.ndim - 2) for x in layers) - len(self.batch_shape)
            c = self.c[(None,) * max(0, new)]
        return replace(self, layers=layers, c=c)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> DiagonalModel:
        """The model on another device, or with another real dtype (float64 or float32)."""
        if dtype is not None:
            check_dtype("dtype", dtype)

        def move(x: Tensor) -> Tensor:
            wanted = COMPLEX[dtype] if dtype is not None and x.is_complex() else dtype
            return x.to(device=device, dtype=wanted)

        return self._map(move)

    def __getitem__(self, index: int | slice) -> DiagonalModel:
        """One member (an int), or some (a slice), of the first batch axis."""
        if not self.batch_shape:
            raise IndexError("model: it has no batch axis")
        return self._map(lambda x: x[index])

    def _map(self, function: Callable[[Tensor], Tensor]) -> DiagonalModel:
        layers = tuple(
            Layer(function(x.w), function(x.U), None if x.omega is None else function(x.omega)) for x in self.layers
        )
        return replace(self, layers=layers, c=function(self.c))


# Checks


def _check_choices(model: DiagonalModel) -> None:
    check_choice("time", model.time, TIMES)
    check_choice("modes", model.modes, MODES)
    step = model.step_size
    if step is None:
        if model.discretization is not None:
            raise ValueError(f"discretization: {model.discretization!r} needs a step_size as well")
        return
    if model.time != "discrete":
        raise ValueError(f"step_size: {step!r} is for time 'discrete', the time is {model.time!r}")
    if isinstance(step, bool) or not isinstance(step, float | int) or not 0 < step <= sys.float_info.max:
        raise ValueError(f"step_size: a positive finite number is needed, got {shown(step)}")
    if model.discretization is None:
        raise ValueError(f"discretization: a step_size needs one of {', '.join(DISCRETIZATIONS)}")
    check_choice("discretization", model.discretization, DISCRETIZATIONS)


def _checked_weights(layers: Sequence[Layer], c: Tensor) -> tuple[tuple[Layer, ...], Tensor]:
    """Layers and c broadcast to one batch shape, U and c made complex where the model is."""
    if not layers:
        raise ValueError("layers: at least one is needed")
    tensors: dict[str, Tensor] = {}
    axes: list[int] = []
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise ValueError(f"layer {index + 1}: a Layer is needed, got {type(layer).__name__}")
        width = None if index == 0 else tensors[f"layer {index}: w"].shape[-1]
        for name, value, own in (("w", layer.w, 1), ("U", layer.U, 2), ("omega", layer.omega, 1)):
            if value is not None:
                check_tensor(f"layer {index + 1}: {name}", value, own)
                tensors[f"layer {index + 1}: {name}"] = value
                axes.append(own)
        _check_layer(f"layer {index + 1}: ", layer, layers[0].omega is not None, width)
    check_tensor("c", c, 1)
    own = 1 if c.ndim in (1, 1 + max(x.ndim - a for x, a in zip(tensors.values(), axes, strict=True))) else 2
    check_shape("c", c, (layers[-1].w.shape[-1],))
    if c.is_complex() and layers[0].omega is None:
        raise ValueError("c: is complex, but the model is real: it has no omega")
    check_alike({**tensors, "c": c})
    batch = broadcast({**tensors, "c": c}, [*axes, own])
    readout = c.unsqueeze(-2) if own == 1 else c
    return tuple(_expanded(layer, batch) for layer in layers), _as_stored(readout, layers[0], batch, 2)


def _check_layer(prefix: str, layer: Layer, is_complex: bool, width: int | None) -> None:
    if (layer.omega is not None) != is_complex:
        raise ValueError(f"{prefix}omega: real and complex λ cannot be mixed; every layer or none has omega")
    if layer.w.is_complex() or (layer.omega is not None and layer.omega.is_complex()):
        raise ValueError(f"{prefix}w, omega: must be real")
    if layer.U.is_complex() and not is_complex:
        raise ValueError(f"{prefix}U: is complex, but the model is real: it has no omega")
    m = layer.w.shape[-1]
    if layer.omega is not None:
        check_shape(f"{prefix}omega", layer.omega, (m,))
    check_shape(f"{prefix}U", layer.U, (m, width))


def _as_stored(x: Tensor, first: Layer, batch: tuple[int, ...], own: int) -> Tensor:
    wanted = x.to(COMPLEX[first.w.dtype]) if first.omega is not None else x
    return wanted.expand(*batch, *x.shape[-own:])


def _expanded(layer: Layer, batch: tuple[int, ...]) -> Layer:
    m = layer.w.shape[-1]
    omega = None if layer.omega is None else layer.omega.expand(*batch, m)
    return Layer(layer.w.expand(*batch, m), _as_stored(layer.U, layer, batch, 2), omega)


def _check_stable(model: DiagonalModel, index: int) -> None:
    """Re λ < 0, or |λ| < 1; of a discretized model both, since λ̄ may round to 1."""
    prefix = f"layer {index + 1}: "
    native = model.is_discrete and model.step_size is None
    value = model.reparameterization(model.layers[index].w)
    if not bool(torch.isfinite(value).all()):
        w = float(model.layers[index].w[~torch.isfinite(value)][0])
        raise ValueError(f"{prefix}w: {w!r} has no finite real λ under {model.reparameterization.text[:60]!r}")
    bad = value.abs() >= 1 if native else value >= 0
    if bool(bad.any()):
        worst = float(value[bad].flatten()[0])
        what, limit = ("λ", "|λ| < 1") if native else ("Re λ", "Re λ < 0")
        raise ValueError(f"{prefix}lam: {what} = {worst!r}; {limit} is needed for a stable mode")
    if model.step_size is not None:
        bar = model.transition(index).abs()
        if not bool((bar < 1).all()):  # or NaN, where λΔ overflows
            worst = float(bar[~(bar < 1)].flatten()[0])
            raise ValueError(
                f"{prefix}step_size: {model.step_size!r} makes |λ̄| = {worst:g} after rounding; |λ̄| < 1 is needed"
            )


def _one_per_layer(value: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, Tensor) else (value,)
