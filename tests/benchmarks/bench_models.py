"""Seconds and tightness of brackets: perturbed errors, memory functions, the limit of approximation, in one run.

python -m tests.benchmarks.bench_models
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from numerics.curse import curse_table
from numerics.expsum import explicit_model
from numerics.hankel import limit_table
from numerics.memory import memory_function
from numerics.models import DiagonalModel
from numerics.perturbation import linear_perturbed_error, search_window
from numerics.perturbation_ball import Ball, moved, random_moves, scaled
from numerics.targets import parse_target

RANDOM_DRAWS = 10_000
BETA = 0.1


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _layered(seed: int = 0, m: int = 64, d: int = 8) -> DiagonalModel:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rates = [-torch.exp(1.5 * draw(m)) for _ in range(2)]
    return DiagonalModel.from_lam(rates, [draw(m, d), draw(m, m) / m**0.5], draw(m), activation="tanh")


def bracket() -> list[tuple[str, str, str]]:
    """E_m(β) of a model with m = 64: seconds, and the lower end beside a random search by the same quadrature."""
    target = parse_target("polynomial:p=1.5")
    model = explicit_model(target, 64, "exp")
    betas = [0.01 * 1.3**k for k in range(20)]
    whole = _seconds(lambda: linear_perturbed_error(model, target, betas))
    one = _seconds(lambda: linear_perturbed_error(model, target, [BETA]))
    found = linear_perturbed_error(model, target, [BETA]).lower.item()
    region = Ball(groups=("w", "U", "c"))
    view = search_window(model, [target], region, torch.tensor([BETA], dtype=torch.float64))
    generator, worst, spent = torch.Generator().manual_seed(0), 0.0, 0.0
    for _ in range(RANDOM_DRAWS // 100):
        move = random_moves(model, region, (100,), generator)
        tried = moved(model, scaled(move, torch.full((100,), BETA, dtype=torch.float64)))
        start = time.perf_counter()
        worst = max(worst, float(view.error(tried).max()))
        spent += time.perf_counter() - start
    return [
        ("bracket of E_m(β), m = 64, all groups, 20 values of β", f"{whole:.1f} s", "under 15 s"),
        (f"worst of {RANDOM_DRAWS:,} random perturbations / lower end", f"{worst / found:.3f}", "at most 1"),
        (f"one bracket beside evaluating {RANDOM_DRAWS:,} random perturbations", f"{one / spent:.3f}", "at most 0.1"),
    ]


def tightness() -> list[tuple[str, str, str]]:
    """The largest upper/lower over explicit models of polynomial targets, β up to min(half the margin, 1)."""
    rows = []
    for groups in (["w"], ["U", "c"], ["w", "U", "c"]):
        worst = 0.0
        for f in ("direct", "exp", "softplus"):
            for p in (1.5, 2.0, 3.0):
                target = parse_target(f"polynomial:p={p}")
                for m in (4, 8, 16, 32):
                    model = explicit_model(target, m, f)
                    top = min(model.stability_margin.item() / 2, 1.0)
                    for ball in ("joint", "block"):
                        betas = [top * share for share in (0.001, 0.01, 0.1, 0.3, 1.0)]
                        error = linear_perturbed_error(model, target, betas, ball=ball, groups=groups)
                        worst = max(worst, float((error.upper / error.lower).max()))
        rows.append(
            (f"largest upper/lower, groups {','.join(groups)}, explicit models", f"{worst:.3f}", "at most 1.25")
        )
    return rows


def others() -> list[tuple[str, str, str]]:
    """Memory function, limit of approximation, the table of the curse."""
    model, times = _layered(), torch.logspace(-2, 2, 200, dtype=torch.float64)
    polynomial = parse_target("polynomial:p=2")
    dims = [2, 4, 8, 16, 32, 64, 128, 256]
    table = _seconds(lambda: curse_table(polynomial, dims, ["direct", "exp"], [0.01, 0.1]))
    return [
        (
            "memory function, two tanh layers, m = 64, d = 8, 200 times",
            f"{_seconds(lambda: memory_function(model, times)):.1f} s",
            "under 5 s",
        ),
        ("lower bound of E_m(0), m = 1..64", f"{_seconds(lambda: limit_table(polynomial, range(1, 65))):.1f} s", ""),
        ("E(β) over m = 2..256, two f, two sets of groups, two β", f"{table:.0f} s", ""),
    ]


def main() -> None:
    """Prints the table."""
    for what, measured, aim in (*bracket(), *tightness(), *others()):
        print(f"{what:75} {measured:>10}  {aim}", flush=True)


if __name__ == "__main__":
    main()
