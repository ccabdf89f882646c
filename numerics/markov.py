"""The order-n Markov model of a text, what a language model is held against: interpolated modified Kneser-Ney.

For a context h of k tokens, h' the same without its oldest, a token c and T tokens in all

    p_k(c | h) = (N_k(hc) - D(N_k(hc)) + M_k(h) p_{k-1}(c | h')) / N_k(h),   p_{-1}(c) = 1/T,

N_k(hc) at the highest order is how often hc stands in the training text, below it how many different tokens stand
before hc there; N_k(h) = Σ_c N_k(hc), and M_k(h) = Σ_c D(N_k(hc)) is what the discounts took, so that
Σ_c p_k(c | h) = 1. An h that is not in the training text has p_k = p_{k-1}. Discounts of each order, from n_i, the
number of hc with N_k(hc) = i:

    D(0) = 0,  D(i) = i - (i+1) Y n_{i+1}/n_i for i = 1, 2,  D(i) = 3 - 4 Y n_4/n_3 for i ≥ 3,   Y = n_1/(n_1 + 2 n_2),

D(1) = Y, and Y where another is smaller or one of n_1, ..., n_4 is 0; 1/2 where n_1 = 0. Source: Chen and Goodman, An
empirical study of smoothing techniques for language modeling, 1998; that a count of 0 stays possible: Y > 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numerics.arguments import check_count, shown

if TYPE_CHECKING:
    from numerics.datasets import Dataset

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


class _Counts(NamedTuple):
    """Of the pairs hc of one order: sorted codes h · T + c, and N_k(hc)."""

    codes: Whole
    counts: Whole


def markov_bits(train: Sequence[int] | Whole, test: Sequence[int] | Whole, order: int, tokens: int) -> float:
    """Mean -log2 p over the test tokens after the first, in bits a token; the first is context alone.

    Raises ValueError as `markov_probabilities`, and for fewer than 2 test tokens.
    """
    p = markov_probabilities(train, test, order, tokens)
    if len(p) < 2:
        raise ValueError(f"test: at least 2 tokens are needed, got {len(p)}")
    return float(-np.log2(p[1:]).mean())


def text_bits(dataset: Dataset, order: int) -> float:
    """`markov_bits` of a text data set: of the same targets as a language model's loss, over log 2, is the mean.

    The Markov model sees the tokens before a sequence too, which the language model does not.
    """
    if dataset.task != "language":
        raise ValueError(f"dataset: a text is needed, got {shown(dataset.name)}")
    parts = ((dataset.train_inputs, dataset.train_targets), (dataset.test_inputs, dataset.test_targets))
    train, test = (np.append(inputs.flatten().numpy(), int(targets[-1, -1])) for inputs, targets in parts)
    return markov_bits(train, test, order, dataset.tokens)


def markov_probabilities(train: Sequence[int] | Whole, test: Sequence[int] | Whole, order: int, tokens: int) -> Array:
    """p(test_t | the `order` tokens before it) for every t, by the model of the training tokens; (len(test),).

    Where fewer tokens stand before, p_k of so many. Tokens are whole numbers from 0 to tokens - 1.
    Raises ValueError for others, an empty training text, an order below 0.
    """
    check_count("order", order, 0)
    check_count("tokens", tokens, 1)
    train, test = _checked("train", train, tokens), _checked("test", test, tokens)
    if not len(train):
        raise ValueError("train: at least 1 token is needed")
    both, begin = np.concatenate((train, test)), len(train)
    contexts = _contexts(both, begin, order, tokens)
    counted = _counted(contexts, both, begin, tokens)
    p = np.full(len(test), 1 / tokens)
    for k, (context, counts) in enumerate(zip(contexts, counted, strict=True)):
        finer = _interpolated(context[begin:], test, counts, p, tokens)
        p = np.where(np.arange(len(test)) >= k, finer, p)
    return p


def _checked(name: str, given: Sequence[int] | Whole, tokens: int) -> Whole:
    values = np.asarray(given)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
        raise ValueError(f"{name}: a sequence of whole numbers is needed, got {values.dtype} {values.shape}")
    outside = values[(values < 0) | (values >= tokens)]
    if len(outside):
        raise ValueError(f"{name}: tokens from 0 to {tokens - 1} are needed, got {outside[0]}")
    return values.astype(np.int64)


def _contexts(both: Whole, begin: int, order: int, tokens: int) -> list[Whole]:
    """For k = 0, ..., order a number for the k tokens before each; before a text stands a mark that is no token."""
    context = np.zeros(len(both), dtype=np.int64)
    found = [context]
    for k in range(1, order + 1):
        older = np.full(len(both), tokens)
        older[k:begin], older[begin + k :] = both[: max(begin - k, 0)], both[begin : max(len(both) - k, begin)]
        _, context = np.unique(context * (tokens + 1) + older, return_inverse=True)
        found.append(context)
    return found


def _counted(contexts: list[Whole], both: Whole, begin: int, tokens: int) -> list[_Counts]:
    """N_k of every order, from the training tokens, those before `begin`."""
    pairs = [context[:begin] * tokens + both[:begin] for context in contexts]
    counted = [_Counts(*np.unique(pairs[-1], return_counts=True))]
    for lower, upper in zip(pairs[-2::-1], pairs[:0:-1], strict=True):
        _, first = np.unique(upper, return_index=True)  # each longer context once
        counted.append(_Counts(*np.unique(lower[first], return_counts=True)))
    return counted[::-1]


def _discounts(counts: Whole) -> Array:
    """D(0), ..., D(3)."""
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    if not n[1]:
        return np.array([0.0, 0.5, 0.5, 0.5])
    y = n[1] / (n[1] + 2 * n[2])
    if not n[1:5].all():
        return np.array([0.0, y, y, y])
    i = np.arange(1, 4)
    return np.concatenate(([0.0], np.maximum(i - (i + 1) * y * n[i + 1] / n[i], y)))


def _interpolated(context: Whole, token: Whole, counted: _Counts, lower: Array, tokens: int) -> Array:
    """p_k at the given contexts and tokens from p_{k-1} there."""
    codes, counts = counted
    discounts = _discounts(counts)
    known, start = np.unique(codes // tokens, return_index=True)
    total = np.add.reduceat(counts, start)
    mass = np.add.reduceat(discounts[np.minimum(counts, 3)], start)
    pair, place = context * tokens + token, np.minimum(np.searchsorted(known, context), len(known) - 1)
    at = np.minimum(np.searchsorted(codes, pair), len(codes) - 1)
    count = np.where(codes[at] == pair, counts[at], 0)
    p = (count - discounts[np.minimum(count, 3)] + mass[place] * lower) / total[place]
    return np.where(known[place] == context, p, lower)
