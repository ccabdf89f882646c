"""The Markov model against a direct reading of its definition in fractions, and against what must hold of any model."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.datasets import load_dataset
from numerics.markov import _discounts, markov_bits, markov_probabilities, text_bits

MARK = -1


class Direct:
    """The model read off its definition: dictionaries and fractions."""

    def __init__(self, train: list[int], order: int, tokens: int) -> None:
        self.tokens = tokens
        padded = [MARK] * order + train
        self.counts: list[dict[tuple[int, ...], Counter[int]]] = [defaultdict(Counter) for _ in range(order + 1)]
        for t in range(order, len(padded)):
            self.counts[order][tuple(padded[t - order : t])][padded[t]] += 1
        for k in range(order - 1, -1, -1):
            for context, following in self.counts[k + 1].items():
                for token in following:
                    self.counts[k][context[1:]][token] += 1
        self.discounts = [self._discounts(level) for level in self.counts]

    @staticmethod
    def _discounts(level: dict[tuple[int, ...], Counter[int]]) -> list[Fraction]:
        n = Counter(count for following in level.values() for count in following.values())
        if n[1] == 0:
            return [Fraction(0), *[Fraction(1, 2)] * 3]
        y = Fraction(n[1], n[1] + 2 * n[2])
        if 0 in (n[2], n[3], n[4]):
            return [Fraction(0), y, y, y]
        return [Fraction(0), *(max(y, i - (i + 1) * y * Fraction(n[i + 1], n[i])) for i in (1, 2, 3))]

    def probability(self, context: tuple[int, ...], token: int) -> Fraction:
        k = len(context)
        lower = self.probability(context[1:], token) if k else Fraction(1, self.tokens)
        if context not in self.counts[k]:
            return lower
        following, discount = self.counts[k][context], self.discounts[k]
        mass = sum((discount[min(count, 3)] for count in following.values()), Fraction(0))
        count = following[token]
        return (count - discount[min(count, 3)] + mass * lower) / sum(following.values())


texts = st.lists(st.integers(0, 2), min_size=1, max_size=60)


@settings(max_examples=25, deadline=None)
@given(train=texts, test=texts, order=st.integers(0, 4))
def test_the_probabilities_are_those_of_the_definition(train: list[int], test: list[int], order: int) -> None:
    direct = Direct(train, order, 4)
    expected = [float(direct.probability(tuple(test[max(t - order, 0) : t]), c)) for t, c in enumerate(test)]
    np.testing.assert_allclose(markov_probabilities(train, test, order, 4), expected, rtol=1e-13)


def test_all_discounts_are_met_by_a_long_text() -> None:
    train = np.random.RandomState(0).choice(8, 800, p=np.arange(1, 9) / 36).tolist()
    direct = Direct(train, 2, 9)
    assert len({tuple(level) for level in direct.discounts}) == 3
    assert len(set(direct.discounts[2])) == 4
    found = [markov_probabilities(train, [a, b, c], 2, 9)[2] for a, b, c in product(range(9), repeat=3)]
    expected = [float(direct.probability((a, b), c)) for a, b, c in product(range(9), repeat=3)]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@settings(max_examples=25, deadline=None)
@given(train=texts, context=st.lists(st.integers(0, 4), max_size=4), order=st.integers(0, 4))
def test_probabilities_sum_to_one_and_none_is_zero(train: list[int], context: list[int], order: int) -> None:
    p = np.array([markov_probabilities(train, [*context, token], order, 5)[-1] for token in range(5)])
    assert p.sum() == pytest.approx(1, rel=1e-13)
    assert (p > 0).all()


def test_order_zero_comes_to_the_entropy() -> None:
    """Of n independent tokens the mean is the entropy within a few of its standard deviations, √(Var log₂ p / n)."""
    p = np.array([0.5, 0.25, 0.125, 0.125])
    train, test = (np.random.RandomState(seed).choice(4, 40_000, p=p) for seed in (1, 2))
    deviation = math.sqrt(float(p @ np.log2(p) ** 2) - 1.75**2) / 200
    assert markov_bits(train, test, 0, 4) == pytest.approx(1.75, abs=5 * deviation)


def test_a_chain_of_order_two_is_learned_by_order_two() -> None:
    """x_t = x_{t-1} xor x_{t-2}, flipped with probability 0.11: 0.49992 bits, which a lower order cannot see."""
    random = np.random.RandomState(3)
    flips = (random.rand(2, 20_000) < 0.11).astype(int).tolist()
    train, test = ([0, 1], [0, 1])
    for text, flip in zip((train, test), flips, strict=True):
        for f in flip:
            text.append(text[-1] ^ text[-2] ^ f)
    entropy = -(0.11 * math.log2(0.11) + 0.89 * math.log2(0.89))
    deviation = math.sqrt(0.11 * 0.89 / 20_000) * math.log2(0.89 / 0.11)
    assert markov_bits(train, test, 2, 2) == pytest.approx(entropy, abs=6 * deviation)
    assert markov_bits(train, test, 1, 2) > 0.9
    assert markov_bits(train, test, 4, 2) < entropy + 0.05


def test_a_text_that_repeats_costs_almost_nothing() -> None:
    assert markov_bits([0, 1, 2] * 1000, [0, 1, 2] * 100, 2, 3) < 0.01


def test_discounts_keep_an_unseen_token_possible() -> None:
    assert _discounts(np.array([5, 7])).tolist() == [0, 0.5, 0.5, 0.5]
    assert _discounts(np.array([1, 1, 2])).tolist() == [0, 0.5, 0.5, 0.5]
    assert (_discounts(np.array([1] * 10 + [2] * 3 + [3] * 9 + [4]))[1:] > 0).all()


def test_the_bits_of_a_text_are_those_of_its_targets() -> None:
    dataset = load_dataset("text", examples=40, length=50)
    train = [*dataset.train_inputs.flatten().tolist(), int(dataset.train_targets[-1, -1])]
    targets, contexts = dataset.test_targets.flatten().tolist(), dataset.test_inputs.flatten().tolist()
    direct = Direct(train, 2, dataset.tokens)
    p = [float(direct.probability(tuple(contexts[max(i - 1, 0) : i + 1]), target)) for i, target in enumerate(targets)]
    assert text_bits(dataset, 2) == pytest.approx(-sum(map(math.log2, p)) / len(p), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: markov_bits([0, 1], [0, 2], 1, 2), "test: tokens from 0 to 1 are needed, got 2"),
        (lambda: markov_bits([0, -1], [0, 1], 1, 2), "train: tokens from 0 to 1 are needed, got -1"),
        (lambda: markov_bits([], [0, 1], 1, 2), "train: at least 1 token is needed"),
        (lambda: markov_bits([0], [1], 1, 2), "test: at least 2 tokens are needed, got 1"),
        (lambda: markov_bits([0], [1, 1], -1, 2), "order: at least 0 is needed, got -1"),
        (lambda: markov_bits([0.5], [1, 1], 1, 2), "train: a sequence of whole numbers is needed"),  # type: ignore[list-item]
        (lambda: text_bits(load_dataset("functional:airy", examples=1), 2), "dataset: a text is needed"),
    ],
)
def test_what_does_not_fit_is_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()  # type: ignore[operator]
    assert "\n" not in str(caught.value)
