"""What the direct parameterization loses by the published start, and what by f."""

from __future__ import annotations

from proofs_check.claim import Claim, Kind, Verdict
from proofs_check.claims.training_ratio import PATIENCE, ROUTES, TESTED, mutant
from proofs_check.small_trainings import SETTING

LOSS = "Test losses after the last step; a run that diverged (a number that is not finite) is larger than any other."
UNSTABLE = ("theory.stability:characterization", "theory.stability:divergence_at_boundary")

START = Claim(
    id="training-direct-start",
    label="Theorem 3.3",
    title="At a moderate rate what direct loses it loses by its start",
    statement="At the learning rate 0.03 λ = w has a smaller test loss from λ = -1/2 than from the published +1/2, by "
    "a factor of 2 or more, and from -1/2 one within a factor of 1.5 of that of exp.",
    latex=r"\text{direct from } +\frac{1}{2} \text{ is above direct from } -\frac{1}{2}, \text{ which is as exp}",
    hypotheses=(
        SETTING,
        "The published start has λ = +1/2 + iπn.",
        LOSS,
        TESTED,
        "Within a factor is what an interval of 95 % or more says.",
    ),
    kind=Kind.DERIVED,
    expected=Verdict.SUPPORTED,
    parameters={
        "quantity": "test_loss",
        "orders": ("direct at 0.03 < direct@published at 0.03", "direct at 0.03 ~ exp at 0.03"),
        "factor": 2,
        "within": 1.5,
    },
    routes=ROUTES,
    mutants=(
        mutant("the other way", orders=("direct@published at 0.03 < direct at 0.03",)),
        mutant("by a factor of a hundred", factor=100),
        mutant("the published start is as exp", orders=("direct@published at 0.03 ~ exp at 0.03",)),
    ),
    theory=UNSTABLE,
    limit_seconds=PATIENCE,
)

RATE = Claim(
    id="training-direct-rate",
    label="Theorem 3.3",
    title="At a large rate what direct loses it loses by f",
    statement="At the learning rate 0.3 λ = w, though it starts at λ = -1/2, ends with a larger test loss than exp and "
    "than best (a = 1, b = 0.1).",
    latex=r"\text{exp and best are below direct}",
    hypotheses=(SETTING, LOSS, TESTED),
    kind=Kind.DERIVED,
    expected=Verdict.SUPPORTED,
    parameters={
        "quantity": "test_loss",
        "orders": ("exp at 0.3 < direct at 0.3", "best:b=0.1 at 0.3 < direct at 0.3"),
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
