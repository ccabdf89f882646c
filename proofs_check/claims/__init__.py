"""The claims, a file per statement of the paper, gathered in the paper's order."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from proofs_check.claim import Claim

MODULES = (
    "memory_function",
    "functional_properties",
    "norms",
    "curse_of_memory",
    "curse_hypotheses",
    "bounded_activation",
    "stable_integral",
    "stable_reparameterization",
    "stable_best",
    "stable_characterization",
    "stable_examples",
    "discrete_time",
    "discrete_characterization",
    "discrete_named",
    "gradient_scale",
    "gradient_discrete",
    "gradient_memory_time",
    "best_reparameterization",
    "best_discrete",
    "best_family",
    "recurrent_weights",
    "stable_approximation",
    "all_weights",
    "first_moment",
    "unit_norm",
    "unit_norm_kernels",
    "unit_norm_gradient",
    "complex_modes",
    "perturbed_sequences",
    "perturbed_repair",
    "perturbed_frequency",
    "fitted_decay",
    "fitted_margins",
    "training_ratio",
    "training_direct",
)


@cache
def all_claims() -> dict[str, Claim]:
    """Every claim by its id, in the paper's order."""
    claims: dict[str, Claim] = {}
    for name in MODULES:
        for claim in import_module(f"proofs_check.claims.{name}").CLAIMS:
            if claim.id in claims:
                raise ValueError(f"two claims have the id {claim.id}")
            claims[claim.id] = claim
    return claims
