"""Memory functions by simulation: rates of layered models under Heaviside inputs, and their supremum from below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Start = Literal["equilibrium", "zero"]

_RTOL = 1e-9


@dataclass(frozen=True)
class LayeredModel:
    """ℓ diagonal state-space layers with a pointwise activation.

    dh⁽ˡ⁾/dt = Λ_l h⁽ˡ⁾ + U_l σ(h⁽ˡ⁻¹⁾),  the first layer driven by x,  ŷ = cᵀσ(h⁽ℓ⁾).

    Shapes: lam[l] (m_l,), weights[l] (m_l, m_{l-1}) with m_0 = d, readout (m_ℓ,). `sigma` and `slope` (σ') act
    pointwise. Raises ValueError for shapes that do not fit and for an eigenvalue that is not negative. Source: the
    paper's model.
    """

    lam: tuple[Array, ...]
    weights: tuple[Array, ...]
    readout: Array
    sigma: Callable[[Array], Array]
    slope: Callable[[Array], Array]

    def __post_init__(self) -> None:
        if not self.lam or len(self.lam) != len(self.weights):
            raise ValueError(f"lam, weights: equally many layers are needed, got {len(self.lam)}, {len(self.weights)}")
        for index, (lam, weight) in enumerate(zip(self.lam, self.weights, strict=True)):
            if not np.all(lam < 0):
                raise ValueError(f"lam: layer {index} has an eigenvalue that is not negative: {lam}")
            width = weight.shape[1] if index == 0 else self.lam[index - 1].size
            if weight.shape != (lam.size, width):
                raise ValueError(f"weights: layer {index} has shape {weight.shape}, expected {(lam.size, width)}")
        if self.readout.shape != self.lam[-1].shape:
            raise ValueError(f"readout: has shape {self.readout.shape}, expected {self.lam[-1].shape}")

    @property
    def input_dim(self) -> int:
        """d."""
        return int(self.weights[0].shape[1])

    @property
    def gain(self) -> float:
        """|c|_2 Π_l |U_l|_2 with spectral norms."""
        return float(np.linalg.norm(self.readout) * np.prod([np.linalg.norm(weight, 2) for weight in self.weights]))

    @property
    def decay_rate(self) -> float:
        """min_l min_i |λ_i|, the β of the bound."""
        return float(min(np.min(-lam) for lam in self.lam))


def _initial_states(model: LayeredModel, count: int, start: Start) -> list[Array]:
    """The states at t = 0, (N, m_l) each: 0, or for l ≥ 2 the rest state -U_l σ(h⁽ˡ⁻¹⁾)/λ_l under x = 0."""
    states = [np.zeros((count, model.lam[0].size))]
    for lam, weight in zip(model.lam[1:], model.weights[1:], strict=True):
        rest = model.sigma(states[-1]) @ weight.T / -lam
        states.append(rest if start == "equilibrium" else np.zeros_like(rest))
    return states


def _derivatives(model: LayeredModel, states: list[Array], inputs: Array) -> list[Array]:
    drives = [inputs, *(model.sigma(state) for state in states[:-1])]
    layers = zip(states, drives, model.lam, model.weights, strict=True)
    return [lam * state + drive @ weight.T for state, drive, lam, weight in layers]


def heaviside_rates(
    model: LayeredModel, inputs: Array, times: Array, *, start: Start = "equilibrium", rtol: float = _RTOL
) -> Array:
    """d/dt ŷ_t under the inputs x·1_{t≥0}, by integrating the layers' equations.

    d/dt ŷ = Σ_i c_i σ'(h_i) dh_i/dt, the right-hand side standing for dh/dt: no difference quotient is formed.

    Shapes: inputs (N, d), times (T,) increasing from t ≥ 0; result (N, T). Each input is solved in a batch whose
    step obeys the most demanding one. Raises ValueError for bad shapes or times and for an activation that
    overflows, RuntimeError when the solver fails.
    """
    if inputs.ndim != 2 or inputs.shape[1] != model.input_dim:
        raise ValueError(f"inputs: shape (N, {model.input_dim}) is needed, got {inputs.shape}")
    if times.ndim != 1 or times.size == 0 or times[0] < 0 or np.any(np.diff(times) <= 0):
        raise ValueError(f"times: must increase from t >= 0, got {times}")
    count = inputs.shape[0]
    initial = _initial_states(model, count, start)
    cuts = np.cumsum([state.size for state in initial])[:-1]

    def unpack(flat: Array) -> list[Array]:
        pieces = np.split(flat, cuts)
        return [piece.reshape(count, -1) for piece in pieces]

    def field(_: float, flat: Array) -> Array:
        return np.concatenate([d.ravel() for d in _derivatives(model, unpack(flat), inputs)])

    flat = np.concatenate([state.ravel() for state in initial])
    # Each state has its own scale, that of its input, so that a small input is resolved as well as a large one.
    scale = np.abs(inputs).max(axis=1, keepdims=True)
    floor = np.minimum(scale, 1.0) + 1e-300
    atol = rtol * np.concatenate([np.broadcast_to(floor, state.shape).ravel() for state in initial])
    horizon = max(float(times[-1]), 1e-12)
    from scipy.integrate import solve_ivp  # slow to import

    solution = solve_ivp(field, (0.0, horizon), flat, method="DOP853", t_eval=times, rtol=rtol, atol=atol)
    if not solution.success:
        raise RuntimeError(f"the solver failed: {solution.message}")
    rates = np.empty((count, times.size))
    for column, flat_state in enumerate(solution.y.T):
        states = unpack(flat_state)
        last = _derivatives(model, states, inputs)[-1]
        rates[:, column] = (model.slope(states[-1]) * last) @ model.readout
    if not np.all(np.isfinite(rates)):
        raise ValueError(f"sigma, slope: not finite at a state of size {np.abs(solution.y).max():.1e}")
    return rates


@dataclass(frozen=True)
class MemoryEstimate:
    """A lower estimate of M at each time: the largest ratio seen, the input that gave it, and the solver's error.

    Shapes: value (T,), inputs (T, d), error (T,) from a second solve at a hundredfold tolerance.
    """

    value: Array
    inputs: Array
    error: Array


def memory_estimate(
    model: LayeredModel,
    times: Array,
    rng: np.random.Generator,
    *,
    draws: int = 48,
    rounds: int = 2,
    start: Start = "equilibrium",
) -> MemoryEstimate:
    """M(Ĥ)(t) = sup_{x≠0} |d/dt ŷ_t(u^x)|/(|x|_∞ + 1), estimated from below by a search over x.

    Directions are random signs, random Gaussians and the sign pattern of U_1's rows; sizes run over eight decades.
    Then each time's best input is varied for `rounds` rounds. Every ratio is a lower bound up to the solver's
    error.

    Shapes: times (T,). Raises as `heaviside_rates`, and ValueError for draws < 1.
    """
    if draws < 1:
        raise ValueError(f"draws: at least 1 is needed, got {draws}")
    dim = model.input_dim
    directions = np.concatenate(
        [
            np.sign(rng.normal(size=(draws // 2 + 1, dim))),
            rng.normal(size=(draws // 2 + 1, dim)),
            np.sign(model.weights[0]),
            np.sign(-model.weights[0]),
            np.ones((1, dim)),
        ]
    )
    directions[~directions.any(axis=1)] = 1.0
    directions /= np.abs(directions).max(axis=1, keepdims=True)
    candidates = directions * 10.0 ** rng.uniform(-4, 4, size=(directions.shape[0], 1))
    candidates = np.concatenate([candidates, 1e4 * directions[-1:], 1e-4 * directions[-1:]])
    best = np.full(times.size, -np.inf)
    best_inputs = np.zeros((times.size, dim))
    for step in range(rounds + 1):
        if step:
            noise = rng.normal(size=(3, *best_inputs.shape))
            factors = 10.0 ** (rng.normal(size=(3, times.size, 1)) / 2**step)
            spread = np.abs(best_inputs).max(axis=1, keepdims=True) / 4**step
            candidates = ((best_inputs + spread * noise) * factors).reshape(-1, dim)
        norms = np.abs(candidates).max(axis=1, keepdims=True)
        ratios = np.abs(heaviside_rates(model, candidates, times, start=start)) / (norms + 1)
        winners = ratios.argmax(axis=0)
        top = ratios[winners, np.arange(times.size)]
        better = top > best
        best_inputs[better] = candidates[winners[better]]
        best[better] = top[better]
    coarse = heaviside_rates(model, best_inputs, times, start=start, rtol=100 * _RTOL)
    fine = heaviside_rates(model, best_inputs, times, start=start)
    norms = np.abs(best_inputs).max(axis=1) + 1
    error = np.abs(np.diagonal(coarse - fine)) / norms
    return MemoryEstimate(best, best_inputs, error)
