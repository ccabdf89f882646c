"""The routes of the claims on fitted models against each other: balls hold the floats, two optima are one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import quad

from numerics.decay_bounds import theta_norm
from numerics.enclosure import precision
from numerics.memory import memory_function
from proofs_check.claims.fitted_decay import BITS, _Balls, _times, fitted_models
from proofs_check.claims.fitted_margins import _stationary_margin, fits

MODELS = fitted_models(False)


def test_every_kind_of_model_is_there() -> None:
    models = [model for _, model in MODELS]
    assert {model.reparameterization.name for model in models} >= {"direct", "exp", "softplus", "best", "tanh"}
    assert {model.modes for model in models} == {"plain", "unit-norm"}
    assert {model.input_dim for model in models} == {1, 2}
    assert {model.is_complex for model in models} == {model.is_discrete for model in models} == {True, False}
    assert {len(model.layers) for model in models} == {1, 2}


@pytest.mark.parametrize("place", range(len(MODELS)), ids=lambda place: MODELS[place][0])
def test_balls_hold_what_floating_point_finds(place: int) -> None:
    model = MODELS[place][1]
    with precision(BITS):
        balls = _Balls(model)
        for time in _times(model)[:5]:
            bracket = memory_function(model, [float(time)])
            memory = balls.memory(time)
            assert float(bracket.lower[0]) <= memory.upper
            assert memory.lower <= float(bracket.upper[0])
            assert memory.width() <= 1e-25 * memory.upper
        values = balls.quantities(Fraction(1))
        norms = np.prod([np.linalg.norm(model.drive(i).numpy(), 2) for i in range(len(model.layers))])
        rate = float(model.stability_margin)
        stated = {"C": np.linalg.norm(model.c.numpy()), "U": norms, "theta": float(theta_norm(model))}
        stated["r"] = -np.log1p(-rate) if model.is_discrete else rate
        for name, value in stated.items():
            assert values[name].lower == pytest.approx(float(value), rel=1e-12), name
            assert values[name].width() <= 1e-25 * values[name].upper


def test_the_chain_is_the_convolution_of_its_layers() -> None:
    """The kernel k of one layer twice: (k * k)(t)."""
    chain = MODELS[-1][1]
    first = chain.layers[0]
    lam, weights = first.w.numpy(), chain.c[0].numpy() * first.U[:, 0].numpy()

    def kernel(t: float) -> float:
        return float(np.exp(lam * t) @ weights)

    stated = quad(lambda s: kernel(2.5 - s) * kernel(s), 0, 2.5, epsrel=1e-12)[0]
    assert float(memory_function(chain, [2.5]).upper[0]) == pytest.approx(stated, rel=1e-10)


@pytest.mark.parametrize(("p", "m"), [(2, 1), (2, 2), (2, 4), (3, 2), (3, 4)])
def test_the_conditions_of_optimality_are_met_by_the_fits(p: int, m: int) -> None:
    """A fit's rates are known to the square root of its tolerance."""
    (model,) = fits(m, (float(p),))
    assert _stationary_margin(p, m) == pytest.approx(float(-model.lam().max()), rel=1e-5)
