"""What the direct parameterization loses by the published start, and what by f."""

from __future__ import annotations

from proofs_check.claim import Claim, Kind, Verdict
from proofs_check.claims.training_ratio import PATIENCE, RATIO, ROUTES, TESTED, mutant
from proofs_check.small_trainings import SETTING

LOSS = "Test losses after the last step; a run that diverged (a number that is not finite) is larger than any other."
UNSTABLE = ("theory.stability:characterization", "theory.stability:divergence_at_boundary")

START = Claim(
    id="training-direct-start",
    label="Theorem 3.3",
    title="At a moderate rate what direct loses it loses by its start",
    statement="At the learning rate 0.03 λ = w has a smaller test loss from λ = -1/2 than from the published +1/2, by "
    "a factor of 2 or more.",
    latex=r"\lambda = -\frac{1}{2} \text{ is below } \lambda = +\frac{1}{2}",
    hypotheses=(SETTING, "The published start has λ = +1/2 + iπn.", LOSS, TESTED),
    kind=Kind.DERIVED,
    expected=Verdict.SUPPORTED,
    parameters={"quantity": "test_loss", "orders": ("direct at 0.03 < direct@published at 0.03",), "factor": 2},
    routes=ROUTES,
    mutants=(
        mutant("the other way", orders=("direct@published at 0.03 < direct at 0.03",)),
        mutant("by a factor of a hundred", factor=100),
    ),
    theory=UNSTABLE,
    limit_seconds=PATIENCE,
)

RATE = Claim(
    id="training-direct-rate",
    label="Theorem 3.3",
    title="At a large rate direct fails by f: from the same start its gradient is far larger",
    statement="At the learning rate 0.3 the largest ratio |∂loss/∂w|/|w| of a run with λ = w from λ = -1/2 exceeds "
    "that of exp and of best (a = 1, b = 0.1) from there by a factor of 5 or more, where the start explains 2.8 and 4.",
    latex=r"\text{exp and best are below direct}",
    hypotheses=(SETTING, RATIO, TESTED),
    kind=Kind.DERIVED,
    expected=Verdict.SUPPORTED,
    parameters={
        "quantity": "gradient_over_weight",
        "orders": ("exp at 0.3 < direct at 0.3", "best:b=0.1 at 0.3 < direct at 0.3"),
        "factor": 5,
    },
    routes=ROUTES,
    mutants=(
        mutant("direct is below exp", orders=("direct at 0.3 < exp at 0.3",)),
        mutant("direct is below best", orders=("direct at 0.3 < best:b=0.1 at 0.3",)),
    ),
    theory=UNSTABLE,
    limit_seconds=PATIENCE,
)

CLAIMS = (START, RATE)
"""The order in which they build on each other."""
