"""Activations: values, slopes and Lipschitz constants against mpmath, and the kinks."""

from collections.abc import Callable

import mpmath
import pytest
import torch

from numerics.activations import ACTIVATIONS, activation

EPS = torch.finfo(torch.float64).eps
POINTS = [-30.0, -7.5, -2.0, -1.0, -0.3, -1e-9, 0.0, 1e-9, 0.3, 1.0, 1.5, 6.0, 30.0]
REFERENCE: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "identity": lambda x: x,
    "tanh": mpmath.tanh,
    "hardtanh": lambda x: min(max(x, mpmath.mpf(-1)), mpmath.mpf(1)),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "gelu": lambda x: x * mpmath.ncdf(x),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}
KINKS = {"relu": [0.0], "hardtanh": [-1.0, 1.0]}


def test_every_activation_has_a_reference() -> None:
    assert list(ACTIVATIONS) == list(REFERENCE)


@pytest.mark.parametrize("name", REFERENCE)
def test_values_and_slopes(name: str) -> None:
    sigma = activation(name)
    x = torch.tensor(POINTS, dtype=torch.float64)
    with mpmath.workdps(30):
        values = torch.tensor([float(REFERENCE[name](mpmath.mpf(p))) for p in POINTS], dtype=torch.float64)
    # erfc and exp lose |x| times the rounding of their argument: their condition number is below 2x² ≤ 1800
    torch.testing.assert_close(sigma(x), values, rtol=4000 * EPS, atol=0)
    smooth = [p for p in POINTS if p not in KINKS.get(name, [])]
    with mpmath.workdps(50):
        slopes = [float(mpmath.diff(REFERENCE[name], mpmath.mpf(p), h=mpmath.mpf(10) ** -20)) for p in smooth]
    found = sigma.slope(torch.tensor(smooth, dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor(slopes, dtype=torch.float64), rtol=4000 * EPS, atol=4 * EPS)


@pytest.mark.parametrize("name", REFERENCE)
def test_the_slope_is_what_autograd_gives_also_at_kinks(name: str) -> None:
    sigma = activation(name)
    x = torch.tensor([*POINTS, *KINKS.get(name, [])], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(sigma(x).sum(), x)
    torch.testing.assert_close(sigma.slope(x.detach()), gradient, rtol=1e-12, atol=4 * EPS)
    for kink in KINKS.get(name, []):
        assert float(sigma.slope(torch.tensor(kink, dtype=torch.float64))) == 0.0


@pytest.mark.parametrize("name", REFERENCE)
def test_the_lipschitz_constant_is_the_largest_slope_rounded_up(name: str) -> None:
    sigma = activation(name)
    grid = torch.linspace(-8, 8, 100_001, dtype=torch.float64)
    largest = float(sigma.slope(grid).abs().max())
    assert largest <= sigma.lipschitz
    assert sigma.lipschitz - largest <= 1e-8  # the grid misses the maximum by at most (1.6e-4)²/8 |σ'''|
    with mpmath.workdps(30):
        exact = mpmath.ncdf(mpmath.sqrt(2)) + mpmath.sqrt(2) * mpmath.npdf(mpmath.sqrt(2))
    if name == "gelu":
        assert exact <= mpmath.mpf(sigma.lipschitz) <= exact * (1 + 8 * EPS)


@pytest.mark.parametrize("name", REFERENCE)
def test_bounded_and_at_zero(name: str) -> None:
    sigma = activation(name)
    far = sigma(torch.tensor([-1e6, 1e6], dtype=torch.float64)).abs().max()
    assert sigma.bounded == bool(far <= 1)
    assert sigma.at_zero == float(sigma(torch.zeros((), dtype=torch.float64)))


@pytest.mark.parametrize("name", REFERENCE)
def test_complex_numbers_part_by_part(name: str) -> None:
    sigma = activation(name)
    h = torch.tensor([0.5 - 2j, -1.5 + 0.25j], dtype=torch.complex128)
    assert torch.equal(sigma(h), torch.complex(sigma.function(h.real), sigma.function(h.imag)))


@pytest.mark.parametrize(("name", "hint"), [("Tanh", "did you mean tanh"), ("swish-42", "known: identity"), ("", "''")])
def test_an_unknown_name(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        activation(name)


def test_the_negative_tail_of_gelu_keeps_its_digits() -> None:
    with mpmath.workdps(30):
        exact = float(mpmath.mpf(-20) * mpmath.ncdf(-20))
    assert float(activation("gelu")(torch.tensor(-20.0, dtype=torch.float64))) == pytest.approx(exact, rel=1e-12, abs=0)
