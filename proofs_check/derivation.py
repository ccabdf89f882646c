"""The written derivations behind a claim: the docstrings of the functions in theory/ that it names."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module


def derivation(reference: str) -> str:
    """The docstring of a function given as `module:function`. Raises ValueError where there is none."""
    module, _, function = reference.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError):
        raise ValueError(f"theory reference {reference!r}: there is no such function") from None
    text = inspect.getdoc(found)
    if not text:
        raise ValueError(f"theory reference {reference!r}: the function has no docstring")
    return text


def derivations(references: Sequence[str]) -> list[tuple[str, str]]:
    """Each reference with its derivation; a missing one is said in its place, since a report must not fail on it."""
    found = []
    for reference in references:
        try:
            found.append((reference, derivation(reference)))
        except ValueError as error:
            found.append((reference, str(error)))
    return found
