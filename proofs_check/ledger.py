"""The ledger: every claim with the verdict it got, the verdict expected, and the fate of its falsified variants."""

from __future__ import annotations

import difflib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from numerics.cores import usable_cores
from proofs_check.claim import Claim, Variant, Verdict
from proofs_check.outcome import Outcome, RouteResult
from proofs_check.pool import Pool
from proofs_check.worker import Task, load_claims

__all__ = ["ClaimResult", "LedgerResult", "Outcome", "RouteResult", "VariantResult", "load_claims", "select", "verify"]

CLAIMS = "proofs_check.claims:all_claims"
FULL_PATIENCE = 4.0
"""The full level may take this many times `Claim.limit_seconds`."""
PACKAGES = ("stablessm", "numpy", "scipy", "sympy", "mpmath", "python-flint", "z3-solver", "matplotlib")

Level = Literal["quick", "full"]


@dataclass(frozen=True)
class VariantResult:
    """A mutant or a control, with its outcome; None where it was not run."""

    variant: Variant
    outcome: Outcome | None

    @property
    def verdict(self) -> Verdict | None:
        return None if self.outcome is None else self.outcome.verdict

    @property
    def killed(self) -> bool:
        """For a mutant: refuted, or left INCONCLUSIVE as declared in advance; a crash or a time-out kills nothing."""
        if self.outcome is None:
            return False
        declared = self.variant.inconclusive_because is not None and not self.outcome.crashed
        return self.verdict is Verdict.REFUTED or (self.verdict is Verdict.INCONCLUSIVE and declared)

    @property
    def held(self) -> bool:
        """For a control: affirmed."""
        return self.verdict is not None and self.verdict.holds is True


@dataclass(frozen=True)
class ClaimResult:
    """A claim with its outcome and those of its variants."""

    claim: Claim
    outcome: Outcome
    mutants: tuple[VariantResult, ...]
    controls: tuple[VariantResult, ...]

    @property
    def killed(self) -> int | None:
        """How many mutants were killed; None unless all were run."""
        return _count(self.mutants, [mutant.killed for mutant in self.mutants])

    @property
    def held(self) -> int | None:
        """How many controls held; None unless all were run."""
        return _count(self.controls, [control.held for control in self.controls])

    @property
    def wrong(self) -> bool:
        """A decided verdict that is not the expected one, a mutant that was affirmed, or a control that was refuted."""
        decided = self.outcome.verdict is not Verdict.INCONCLUSIVE
        return (
            (decided and self.outcome.verdict is not self.claim.expected)
            or any(mutant.held for mutant in self.mutants)
            or any(control.verdict is Verdict.REFUTED for control in self.controls)
        )

    @property
    def undecided(self) -> bool:
        """Something that should have been decided was not: a verdict, a route that crashed, a mutant or a control."""
        return (
            (self.outcome.verdict is Verdict.INCONCLUSIVE and self.claim.expected is not Verdict.INCONCLUSIVE)
            or self.outcome.crashed
            or any(mutant.outcome is not None and not mutant.killed for mutant in self.mutants)
            or any(control.outcome is not None and not control.held for control in self.controls)
        )

    @property
    def as_expected(self) -> bool:
        return not (self.wrong or self.undecided)


@dataclass(frozen=True)
class LedgerResult:
    """A run of the ledger. `interrupted` is the signal that ended it early; then unfinished claims are left out."""

    claims: tuple[ClaimResult, ...]
    unfinished: tuple[str, ...]
    level: Level
    seed: int
    jobs: int
    seconds: float
    versions: Mapping[str, str]
    interrupted: int | None = None

    @property
    def as_expected(self) -> bool:
        """Every verdict is the expected one and no mutant survived, in a run that came to its end."""
        return self.exit_code() == 0

    def exit_code(self) -> int:
        """0 as expected; 1 a wrong verdict or a survivor; 3 something unexpectedly INCONCLUSIVE; 128 + signal."""
        if self.interrupted is not None:
            return 128 + self.interrupted
        if any(result.wrong for result in self.claims):
            return 1
        return 3 if any(result.undecided for result in self.claims) else 0


def verify(
    ids: Sequence[str] = (),
    *,
    level: Level = "quick",
    mutants: bool = False,
    jobs: int | None = None,
    seed: int = 0,
    loader: str = CLAIMS,
    on_progress: Callable[[int, int, Task, Outcome], None] | None = None,
) -> LedgerResult:
    """Check the claims (all of them without `ids`) in parallel; with `mutants`, their mutants and controls too.

    `loader` names the function that gives the claims, as `module:function`, since every worker process loads them
    anew. `on_progress(done, total, task, outcome)` is called after each task. Raises ValueError for an unknown id.
    """
    start = time.perf_counter()
    claims = select(load_claims(loader), ids)
    tasks = _tasks(claims, mutants)
    jobs = min(jobs or usable_cores(), len(tasks))
    outcomes: dict[Task, Outcome] = {}

    def keep(task: Task, outcome: Outcome) -> None:
        outcomes[task] = outcome
        if on_progress is not None:
            on_progress(len(outcomes), len(tasks), task, outcome)

    pool = Pool(claims, loader, jobs, level == "full", seed, FULL_PATIENCE if level == "full" else 1.0)
    interrupted = pool.run(tasks, keep)
    finished = [claim for claim in claims.values() if Task(claim.id) in outcomes]
    return LedgerResult(
        tuple(_result(claim, outcomes) for claim in finished),
        tuple(id for id in claims if Task(id) not in outcomes),
        level,
        seed,
        jobs,
        time.perf_counter() - start,
        versions(),
        interrupted,
    )


def select(claims: Mapping[str, Claim], ids: Sequence[str]) -> dict[str, Claim]:
    """The claims with these ids, in the ledger's order; all of them without ids. ValueError for an unknown id."""
    for wanted in ids:
        if wanted not in claims:
            near = difflib.get_close_matches(wanted, claims, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "`stablessm claims` lists the ids"
            raise ValueError(f"unknown claim id {wanted[:60]!r}; {hint}")
    return {id: claim for id, claim in claims.items() if not ids or id in ids}


def versions() -> dict[str, str]:
    """Python, platform and the libraries that a verdict may depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _tasks(claims: Mapping[str, Claim], mutants: bool) -> list[Task]:
    """The claims themselves first, so that an interrupted run reports as many as it can; long limits lead."""
    ordered = sorted(claims.values(), key=lambda claim: -claim.limit_seconds)
    tasks = [Task(claim.id) for claim in ordered]
    if mutants:
        tasks += [Task(claim.id, "control", index) for claim in ordered for index in range(len(claim.controls))]
        tasks += [Task(claim.id, "mutant", index) for claim in ordered for index in range(len(claim.mutants))]
    return tasks


def _result(claim: Claim, outcomes: Mapping[Task, Outcome]) -> ClaimResult:
    mutants = [VariantResult(v, outcomes.get(Task(claim.id, "mutant", i))) for i, v in enumerate(claim.mutants)]
    controls = [VariantResult(v, outcomes.get(Task(claim.id, "control", i))) for i, v in enumerate(claim.controls)]
    return ClaimResult(claim, outcomes[Task(claim.id)], tuple(mutants), tuple(controls))


def _count(variants: Sequence[VariantResult], passed: Sequence[bool]) -> int | None:
    return None if any(variant.outcome is None for variant in variants) else sum(passed)
