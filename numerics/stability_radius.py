"""How far a matrix is from instability: the complex and the real stability radius, as brackets.

A is stable where its eigenvalues have Re < 0 (continuous time) or modulus < 1 (discrete time). Its radius is the norm
of the smallest perturbation D for which A + D has an eigenvalue z on the boundary (z = iω, or z = e^{iθ}). The upper
end is an explicit D, returned; the lower end comes from branch and bound over the boundary.

Complex D (Van Loan): r_C = min_z σ_min(A - z), spectral and Frobenius norm alike, reached by D = -σ u v* of rank one.
Second-order bounds between two nodes. Continuous: (A - iω)*(A - iω) = A*A + ω·i(A - A*) + ω², so σ_min² - ω² is a
concave function of ω, the least eigenvalue of an affine Hermitian family, and lies above its chords. Discrete:
(A - z)*(A - z) = A*A + 1 - L(z) with L real-linear in z, and a point of an arc of length δ ≤ π is αz_1 + βz_2 with α, β
≥ 0 and 1 ≤ α + β ≤ 1/cos(δ/2), so that σ_min² ≥ ασ_1² + βσ_2² - (α + β - 1)(|A|² + 1).
These know only the scale |A| and need pieces shorter than r_C; where r_C is tiny (A far from normal) a bound from the
middle z of a piece takes over. With R = (A - z)⁻¹ and z' = z + δ, R(z') = R + δR² + Σ_{2≤k<K} δᵏRᵏ⁺¹ + δᴷRᴷR(z'), so

    1/σ_min(A - z') = |R(z')| ≤ (max_± |R ± dR²| + e + Σ_{2≤k<K} hᵏ|Rᵏ⁺¹|)/(1 - hᴷ|Rᴷ|),   hᴷ|Rᴷ| < 1,

h half of the piece's length, |τ| ≤ h: δ = iτ (d = ih, e = 0), or δ = e^{iθ}(e^{iτ} - 1), which is within τ²/2 of
e^{iθ}iτ (d = ih e^{iθ}, e = h²|R²|/2), and |R + (τ/h)dR²| is convex in τ.

Real D (Qiu et al. 1995): with z = p + i√(ab) and P(a, b) = [[A - p, a], [-b, A - p]],

    min { |D|_2 : D real, A + D has the eigenvalue z } = max_{ab = (Im z)²} σ_{2n-1}(P(a, b)),    Im z ≠ 0,

and σ_n(A - z) for real z. Every (a, b) gives a lower bound: if (A + D)(x + iy) = z(x + iy), then P(a, b) + diag(D, D)
has the null vectors (x, gy) and (y, -gx), g = √(b/a), independent as x and y are; so σ_{2n-1}(P) ≤ |diag(D, D)|_2 =
|D|_2. Over a piece of the boundary b is held fixed and p and a = (Im z)²/b vary by at most the half-width that is
subtracted; the choice of b makes the bound good, never wrong.
A real D with (A + D)X = XW, X = [x y], W = [[Re z, Im z], [-Im z, Re z]], has least norm (spectral and Frobenius) for
D = (XW - AX)X⁺; its norm is minimised over x, y and z.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Time = Literal["continuous", "discrete"]
Norm = Literal["spectral", "frobenius"]

_EPS = float(np.finfo(np.float64).eps)
_GOLDEN = (5**0.5 - 1) / 2
_POWERS = 12  # K of the bound by the resolvent
_CHUNK = 2**21  # entries of the matrices decomposed at once


@dataclass(frozen=True)
class StabilityRadius:
    """lower ≤ radius ≤ upper; A + `perturbation` has the eigenvalue `crossing` on the boundary, to rounding.

    upper is the norm of `perturbation` (n, n). Both ends allow for the rounding of the singular values.
    """

    lower: float
    upper: float
    perturbation: NDArray[np.float64] | ComplexArray
    crossing: complex
    norm: Norm


def complex_stability_radius(matrix: ArrayLike, time: Time = "continuous", *, rel_tol: float = 1e-9) -> StabilityRadius:
    """min { |D| : D complex, A + D not stable }, a bracket of relative width `rel_tol` up to rounding.

    r_C = min_{ω} σ_min(A - iω), or min_{θ} σ_min(A - e^{iθ}); the spectral and the Frobenius radius are equal.
    Hypotheses: A stable. Source: Van Loan 1985; the bounds between nodes are derived in the module's text.
    Shapes: matrix (n, n), real or complex. Raises: ValueError for a matrix that is not square, finite and stable, for
    an unknown `time` and for rel_tol outside (0, 1).
    """
    a, size = _checked(matrix, time, rel_tol)
    nodes = _boundary_nodes(a, time, size)
    values = _least_singular_value(a, _point(nodes, time)) ** 2
    left, right, at_left, at_right = nodes[:-1], nodes[1:], values[:-1], values[1:]
    best, where, lowest = float(values.min()), float(nodes[values.argmin()]), np.inf
    for _ in range(200):
        bound, goal = _between(right - left, at_left, at_right, time, size), best * (1 - rel_tol) ** 2
        weak = bound < goal
        bound[weak] = np.maximum(bound[weak], _by_resolvent(a, time, left[weak], right[weak]))
        open_ = (bound < goal) & (right - left > 8 * _EPS * (1 + np.abs(left)))
        lowest = min(lowest, float(bound[~open_].min(initial=np.inf)))
        if not open_.any():
            break
        left, right, at_left, at_right = left[open_], right[open_], at_left[open_], at_right[open_]
        middle = 0.5 * (left + right)
        value = _least_singular_value(a, _point(middle, time)) ** 2
        if value.min() < best:
            best, where = float(value.min()), float(middle[value.argmin()])
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        at_left, at_right = np.concatenate([at_left, value]), np.concatenate([value, at_right])
    else:
        lowest = min(lowest, float(_between(right - left, at_left, at_right, time, size).min()))
    z = complex(_point(np.array([where]), time)[0])
    u, s, vh = np.linalg.svd(a - z * np.eye(len(a)))
    perturbation = -s[-1] * np.outer(u[:, -1], vh[-1])
    slack = 16 * len(a) * _EPS * (size + abs(z))
    lower = max(0.0, min(lowest, best)) ** 0.5 - slack
    return StabilityRadius(max(lower, 0.0), float(s[-1]) + slack, perturbation, z, "spectral")


def real_stability_radius(
    matrix: ArrayLike,
    time: Time = "continuous",
    norm: Norm = "spectral",
    *,
    rel_tol: float = 1e-3,
    max_cells: int = 20_000,
) -> StabilityRadius:
    """min { |D| : D real, A + D not stable } in the spectral or the Frobenius norm.

    Spectral: a bracket of relative width `rel_tol`, wider when `max_cells` pieces of the boundary do not suffice.
    Frobenius: the lower end is the spectral one (|D|_F ≥ |D|_2, and |D|_F ≤ √2|D|_2 for the optimal D, of rank ≤ 2: the
    ends differ by at most a factor √2 beyond `rel_tol`, unless the search for the upper end failed).
    Hypotheses: A real and stable. Source: Qiu et al. 1995; derived in the module's text.
    Shapes: matrix (n, n). Raises: ValueError as `complex_stability_radius`, and for a complex matrix or unknown norm.
    """
    a, size = _checked(matrix, time, rel_tol)
    if np.iscomplexobj(a):
        raise ValueError("matrix: must be real for the real stability radius, got complex entries")
    if norm not in ("spectral", "frobenius"):
        raise ValueError(f"norm: must be 'spectral' or 'frobenius', got {norm!r}")
    outer = complex_stability_radius(a, time, rel_tol=1e-6)
    family = _Family(a, time, size, max(outer.lower, _EPS * size))
    candidates = [_real_crossing(a, z) for z in ((0.0,) if time == "continuous" else (1.0, -1.0))]
    at_real_points = min(float(np.linalg.norm(d, 2)) for d, _ in candidates)
    nodes = _boundary_nodes(a, time, size, at_least=33)
    candidates += [pair for s in _promising(family, nodes) for pair in _polished(family, s, norm)]
    order = 2 if norm == "spectral" else "fro"
    perturbation, z = min(candidates, key=lambda pair: float(np.linalg.norm(pair[0], order)))  # type: ignore[arg-type]
    spectral = min(float(np.linalg.norm(d, 2)) for d, _ in candidates)
    slack = 32 * len(a) * _EPS * (size + 1)
    lower = min(at_real_points, _branch_and_bound(family, nodes, min(spectral, at_real_points), rel_tol, max_cells))
    upper = float(np.linalg.norm(perturbation, order))  # type: ignore[arg-type]
    return StabilityRadius(max(lower - slack, outer.lower), upper + slack, perturbation, z, norm)


def _checked(matrix: ArrayLike, time: Time, rel_tol: float) -> tuple[NDArray[Any], float]:
    """The matrix in double precision, and its spectral norm."""
    a = np.array(matrix)
    a = a.astype(np.complex128 if np.iscomplexobj(a) else np.float64)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or not a.size:
        raise ValueError(f"matrix: must be square and not empty, got shape {a.shape}")
    if not np.all(np.isfinite(a)):
        raise ValueError("matrix: must be finite, got a NaN or an infinity")
    if time not in ("continuous", "discrete"):
        raise ValueError(f"time: must be 'continuous' or 'discrete', got {time!r}")
    if not 0 < rel_tol < 1:
        raise ValueError(f"rel_tol: must lie in (0, 1), got {rel_tol}")
    eigenvalues = np.linalg.eigvals(a)
    worst = float(eigenvalues.real.max()) if time == "continuous" else float(np.abs(eigenvalues).max())
    if worst >= (0 if time == "continuous" else 1):
        name, limit = ("spectral abscissa", "< 0") if time == "continuous" else ("spectral radius", "< 1")
        raise ValueError(f"matrix: must be stable, {name} {limit}, got {worst:.6g}")
    return a, float(np.linalg.norm(a, 2))


def _point(s: Array, time: Time) -> ComplexArray:
    """The boundary: iω or e^{iθ}."""
    return np.asarray(1j * s if time == "continuous" else np.exp(1j * s), dtype=np.complex128)


def _boundary_nodes(a: NDArray[Any], time: Time, size: float, at_least: int = 17) -> Array:
    """First nodes: a uniform grid and the eigenvalues' own places. Beyond |ω| = 2|A|, σ_min(A - iω) ≥ |A| ≥ σ_min(A).

    Half of the boundary for real A (σ(A - z) = σ(A - z̄)).
    """
    eigenvalues = np.linalg.eigvals(a)
    places = eigenvalues.imag if time == "continuous" else np.angle(eigenvalues)
    end = 2 * size if time == "continuous" else np.pi
    start = -end if np.iscomplexobj(a) else 0.0
    return np.unique(np.concatenate([np.linspace(start, end, at_least), np.clip(places, start, end)]))


def _least_singular_value(a: NDArray[Any], z: ComplexArray) -> Array:
    """σ_min(A - z) for each z (N,)."""
    n, step = len(a), max(1, _CHUNK // a.size)
    eye = np.eye(n)
    pieces = [z[i : i + step, None, None] for i in range(0, len(z), step)]
    values: list[NDArray[Any]] = [np.linalg.svd(a - piece * eye, compute_uv=False)[:, -1] for piece in pieces]
    return np.concatenate(values)


def _between(width: Array, at_left: Array, at_right: Array, time: Time, size: float) -> Array:
    """A lower bound of σ_min² on each piece of the boundary, from its values at the ends (see the module's text)."""
    smaller = np.minimum(at_left, at_right)
    if time == "discrete":
        return np.where(width < 3, smaller - (1 / np.cos(0.5 * np.minimum(width, 3)) - 1) * (size**2 + 1), 0.0)
    square = width**2  # the least value of chord - s(1 - s)δ² over 0 ≤ s ≤ 1
    difference = np.abs(at_right - at_left)
    inner = 0.5 * (at_left + at_right) - 0.25 * square - 0.25 * difference**2 / np.maximum(square, 1e-300)
    return np.where(difference >= square, smaller, inner)


def _by_resolvent(a: NDArray[Any], time: Time, left: Array, right: Array) -> Array:
    """A lower bound of σ_min² on each piece from the powers of R at its middle (see the module's text), 0 for none."""
    eye, step = np.eye(len(a)), max(1, _CHUNK // a.size)
    bounds = [np.zeros(0)]
    for i in range(0, len(left), step):
        z, half = _point(0.5 * (left + right)[i : i + step], time), 0.5 * (right - left)[i : i + step]
        inverse = np.linalg.inv(a - z[:, None, None] * eye)
        norm = np.linalg.norm(inverse, axis=(1, 2))
        unit, reach = inverse / norm[:, None, None], half * norm  # with R = norm·unit, hᵏRᵏ⁺¹ = norm·reachᵏ·unitᵏ⁺¹
        power = unit @ unit
        turn = (1j * reach * (1.0 if time == "continuous" else z))[:, None, None] * power
        ends = [np.linalg.svd(unit + sign * turn, compute_uv=False)[:, 0] for sign in (1, -1)]
        total, factor = np.maximum(*ends), reach
        if time == "discrete":
            total = total + 0.5 * half * reach * np.linalg.norm(power, axis=(1, 2))
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(2, _POWERS):
                power, factor = power @ unit, factor * reach
                total = total + factor * np.linalg.norm(power, axis=(1, 2))
            rest = 1 - factor * reach * np.linalg.norm(power, axis=(1, 2))
            bounds.append(np.where(rest > 0, np.maximum(rest, 0) / (norm * total), 0.0) ** 2)
    return np.concatenate(bounds)


@dataclass(frozen=True)
class _Family:
    """The matrices P(a, b) of a real A. Beyond b = (|A - p|² + (Im z)²)/r_C, σ_{2n-1}(P) ≤ |(A-p)² + ab|/b < r_C."""

    a: Array
    time: Time
    size: float
    radius: float

    def coordinates(self, s: Array) -> tuple[Array, Array]:
        """Re z and |Im z|."""
        z = _point(s, self.time)
        return (np.zeros_like(s) if self.time == "continuous" else z.real), np.abs(z.imag)

    def second_smallest(self, shift: Array, above: Array, below: Array) -> Array:
        """σ_{2n-1}([[A - shift, above], [-below, A - shift]]), batched over (N,)."""
        n = len(self.a)
        eye, step = np.eye(n), max(1, _CHUNK // (4 * n * n))
        values = []
        for i in range(0, len(shift), step):
            p, up, down = (x[i : i + step, None, None] for x in (shift, above, below))
            block = self.a - p * eye
            rows = np.concatenate([block, up * eye], axis=2), np.concatenate([-down * eye, block], axis=2)
            values.append(np.linalg.svd(np.concatenate(rows, axis=1), compute_uv=False)[:, -2])
        return np.concatenate(values)

    def best_below(self, shift: Array, imag: Array, rounds: int) -> tuple[Array, Array]:
        """max_b σ_{2n-1}(P((Im z)²/b, b)) and its b ≥ Im z: golden section on log b (a quasi-concave function)."""
        largest = ((self.size + 1) ** 2 + imag**2) / self.radius
        low, high = np.log(np.maximum(imag, 1e-6 * self.radius)), np.log(largest)

        def value(log_b: Array) -> Array:
            b = np.exp(log_b)
            return self.second_smallest(shift, imag**2 / b, b)

        first, second = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        at_first, at_second = value(first), value(second)
        for _ in range(rounds):
            keep_left = at_first >= at_second
            low, high = np.where(keep_left, low, first), np.where(keep_left, second, high)
            new = np.where(keep_left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
            at_new = value(new)
            first, second = np.where(keep_left, new, second), np.where(keep_left, first, new)
            at_first, at_second = np.where(keep_left, at_new, at_second), np.where(keep_left, at_first, at_new)
        bottom = np.log(np.maximum(imag, 1e-6 * self.radius))  # the end γ = 1 is a frequent optimum
        at_bottom = value(bottom)
        best = np.maximum(np.maximum(at_first, at_second), at_bottom)
        log_b = np.where(best == at_bottom, bottom, np.where(at_first >= at_second, first, second))
        return best, np.exp(log_b)


def _branch_and_bound(family: _Family, nodes: Array, upper: float, rel_tol: float, max_cells: int) -> float:
    """A lower bound of the real radius over the pairs z, z̄ with Im z ≠ 0."""
    target = upper * (1 - rel_tol)
    left, right, below, lowest, used = nodes[:-1], nodes[1:], None, np.inf, 0
    while True:
        shift, half_shift, square, half_square = _hulls(family, left, right)
        imag = np.sqrt(square)
        if below is None:
            bound = np.full(len(left), -np.inf)
        else:
            b = np.maximum(below, imag)
            bound = family.second_smallest(shift, square / b, b) - half_shift - half_square / b
        weak = bound < target
        if weak.any():
            _, b = family.best_below(shift[weak], imag[weak], 16)
            b = np.maximum(b, 1e-300)
            again = family.second_smallest(shift[weak], square[weak] / b, b) - half_shift[weak] - half_square[weak] / b
            bound[weak] = np.maximum(bound[weak], again)
            below = np.full(len(left), np.nan) if below is None else below.copy()
            below[weak] = b
        used += len(left)
        weak = bound < target
        lowest = min(lowest, float(bound[~weak].min(initial=np.inf)))
        count = int(weak.sum())
        if not count or used + 2 * count > max_cells:
            return min(lowest, float(bound[weak].min(initial=np.inf)))
        assert below is not None
        middle = 0.5 * (left[weak] + right[weak])
        below = np.tile(below[weak], 2)
        left, right = np.concatenate([left[weak], middle]), np.concatenate([middle, right[weak]])


def _hulls(family: _Family, left: Array, right: Array) -> tuple[Array, Array, Array, Array]:
    """Centre and half-width of Re z and of (Im z)² over each piece."""
    p_left, q_left = family.coordinates(left)
    p_right, q_right = family.coordinates(right)
    low, high = np.minimum(q_left, q_right) ** 2, np.maximum(q_left, q_right) ** 2
    if family.time == "discrete":
        high = np.where((left < np.pi / 2) & (right > np.pi / 2), 1.0, high)
    return 0.5 * (p_left + p_right), 0.5 * np.abs(p_left - p_right), 0.5 * (low + high), 0.5 * (high - low)


def _real_crossing(a: Array, z: float) -> tuple[Array, complex]:
    """The smallest D that puts the real eigenvalue z: -σ u vᵀ."""
    u, s, vh = np.linalg.svd(a - z * np.eye(len(a)))
    return -s[-1] * np.outer(u[:, -1], vh[-1]), complex(z)


def _promising(family: _Family, nodes: Array, count: int = 3) -> list[float]:
    """Places of the smallest local minima of the real radius at z, refined."""
    from scipy.optimize import minimize_scalar  # slow to import

    inner = np.unique(np.concatenate([nodes, 0.5 * (nodes[1:] + nodes[:-1])]))[1:-1]
    values, _ = family.best_below(*family.coordinates(inner), 12)
    padded = np.concatenate([[np.inf], values, [np.inf]])
    minima = np.flatnonzero((values <= padded[:-2]) & (values <= padded[2:]))
    minima = minima[np.argsort(values[minima])][:count]

    def radius_at(s: float) -> float:
        return float(family.best_below(*family.coordinates(np.array([s])), 30)[0][0])

    found = []
    for index in minima:
        ends = nodes[0] if index == 0 else inner[index - 1], nodes[-1] if index + 1 == len(inner) else inner[index + 1]
        found.append(float(minimize_scalar(radius_at, bounds=ends, method="bounded", options={"maxiter": 30}).x))
    return found


def _polished(family: _Family, s: float, norm: Norm) -> list[tuple[Array, complex]]:
    """Real perturbations that put the eigenvalue z(s), or one near it: from singular vectors, then optimised."""
    from scipy.optimize import minimize  # slow to import

    a, n = family.a, len(family.a)
    if n == 1:
        return []  # a real 1 × 1 matrix has real eigenvalues
    shift, imag = family.coordinates(np.array([s]))
    _, below = family.best_below(shift, imag, 60)
    b, block = float(below[0]), a - float(shift[0]) * np.eye(n)
    above = float(imag[0]) ** 2 / b
    vh = np.linalg.svd(np.block([[block, above * np.eye(n)], [-b * np.eye(n), block]]))[2]
    gamma = (above / b) ** 0.5
    found = []
    for row in (vh[-1], vh[-2], vh[-1] + vh[-2]):
        start = np.append(np.concatenate([row[:n], gamma * row[n:]]), s)
        for power in (1,) if norm == "frobenius" else (1, 4, 16, 64):
            found.append(_explicit(family, start))
            start = minimize(_objective(family, power), start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
        found.append(_explicit(family, start))
    return [pair for pair in found if _reaches(family, *pair)]


def _reaches(family: _Family, perturbation: Array, z: complex) -> bool:
    """Is z an eigenvalue of A + D, to rounding? Not where x and y were too nearly parallel."""
    if not np.all(np.isfinite(perturbation)):
        return False
    moved = family.a + perturbation
    least = _least_singular_value(moved, np.array([z]))[0]
    return bool(least <= 16 * len(moved) * _EPS * (np.linalg.norm(moved, 2) + abs(z)))


def _rotation(family: _Family, s: float) -> tuple[Array, Array, complex]:
    """W(z), dW/ds and z."""
    z = complex(_point(np.array([s]), family.time)[0])
    slope = 1j if family.time == "continuous" else 1j * z
    return (
        np.array([[z.real, z.imag], [-z.imag, z.real]]),
        np.array([[slope.real, slope.imag], [-slope.imag, slope.real]]),
        z,
    )


def _explicit(family: _Family, point: Array) -> tuple[Array, complex]:
    """D = (XW - AX)X⁺ from (x, y, s)."""
    x = point[:-1].reshape(2, -1).T
    w, _, z = _rotation(family, float(point[-1]))
    return (x @ w - family.a @ x) @ np.linalg.pinv(x), z


def _objective(family: _Family, power: int) -> Callable[[Array], tuple[float, Array]]:
    """(σ_1^{2p} + σ_2^{2p})^{1/2p} of D = -KXᵀ, K = (AX - XW)(XᵀX)⁻¹, with its gradient in (x, y, s).

    With F = ∂|D|/∂D, M = FX(XᵀX)⁻¹ and N = KᵀM: ∂/∂X = -(AᵀM - MWᵀ) + X(N + Nᵀ) - FᵀK and ∂/∂s = <M, XW'>.
    """

    def evaluate(point: Array) -> tuple[float, Array]:
        x = point[:-1].reshape(2, -1).T
        w, slope, _ = _rotation(family, float(point[-1]))
        inverse = np.linalg.pinv(x.T @ x)
        k = (family.a @ x - x @ w) @ inverse
        u, sigma, vh = np.linalg.svd(-k @ x.T, full_matrices=False)
        u, sigma, vh = u[:, :2], sigma[:2], vh[:2]
        scale = max(float(sigma[0]), 1e-300)
        value = scale * float(np.sum((sigma / scale) ** (2 * power))) ** (0.5 / power)
        f = (u * (sigma / value) ** (2 * power - 1)) @ vh
        m = f @ x @ inverse
        inner = k.T @ m
        gradient = -(family.a.T @ m - m @ w.T) + x @ (inner + inner.T) - f.T @ k
        return value, np.append(gradient.T.ravel(), np.sum(m * (x @ slope)))

    return evaluate
