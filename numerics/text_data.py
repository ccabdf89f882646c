"""Texts as sequences of tokens for language modelling: reading, the alphabet, the split by position.

The embedded text is the Python distribution's own documentation, the topics of pydoc_data in alphabetical order. Many
of its paragraphs stand in several topics ("if" is part of "compound"); each is kept where it comes first, since the
last tenth, the validation text, would otherwise repeat what was trained on.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from numerics.arguments import check_choice, check_count, shown_path
from numerics.model_checks import check_memory

Tokens = NDArray[np.int64]

TOKENS = ("character", "byte")
LENGTH = 256
"""Tokens of a sequence where nothing else is asked for."""
TRAINING_SHARE = (9, 10)
"""The first nine tenths of a text are trained on, the rest is validation."""
_LEAST = 20
"""Tokens of a text: then there is something to predict in both parts."""
UNKNOWN = "<unknown>"
"""The last token of a character alphabet: every character of the validation text that the training text has not."""


@dataclass(frozen=True, eq=False)
class TokenText:
    """A text as two runs of tokens; `unknown`: how many of the validation tokens are UNKNOWN; source: one line."""

    training: Tokens
    validation: Tokens
    alphabet: tuple[str, ...]
    unknown: int
    source: str


def token_text(file: str | None, tokens: str) -> TokenText:
    """The embedded text, or that of a file: UTF-8 characters, or bytes of any file. Raises ValueError, in one line."""
    check_choice("tokens", tokens, TOKENS)
    content = embedded_text().encode() if file is None else _content(file)
    check_memory("text", 24 * len(content), torch.device("cpu"))
    where = (
        f"pydoc_data.topics of Python {platform.python_version()}, each paragraph once, PSF licence"
        if file is None
        else shown_path(Path(file))
    )
    if tokens == "byte":
        codes = np.frombuffer(content, dtype=np.uint8).astype(np.int64)
        alphabet = tuple(chr(b) if 32 <= b < 127 else f"<0x{b:02X}>" for b in range(256))
    else:
        codes = np.frombuffer(_decoded(content, file).encode("utf-32-le"), dtype="<u4").astype(np.int64)
        alphabet = ()
    if len(codes) < _LEAST:
        raise ValueError(f"text: {where} has {len(codes)} {tokens}s; at least {_LEAST} are needed")
    training, validation = np.split(codes, [len(codes) * TRAINING_SHARE[0] // TRAINING_SHARE[1]])
    unknown = 0
    if tokens == "character":
        known = np.unique(training)
        alphabet = (*map(chr, known.tolist()), UNKNOWN)
        training, validation = _places(training, known), _places(validation, known)
        unknown = int((validation == len(known)).sum())
    source = f"{where}, {len(codes)} {tokens}s, sha256 {hashlib.sha256(content).hexdigest()}"
    if unknown:
        source += f", {unknown} of the {len(validation)} validation characters unknown"
    return TokenText(training, validation, alphabet, unknown, source)


def embedded_text() -> str:
    """The topics of pydoc_data, every paragraph once. Raises ValueError where the distribution has left them out."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise ValueError(
            "text: this Python has no pydoc_data.topics, the embedded text; give a file, as in text:FILE"
        ) from None
    paragraphs = (part.strip("\n") for name in sorted(topics) for part in topics[name].split("\n\n"))
    return "\n\n".join(dict.fromkeys(part for part in paragraphs if part.strip()))


def next_token_sequences(tokens: Tokens, length: int) -> tuple[Tokens, Tokens]:
    """Inputs and targets (n, length), target t the token after input t; sequences follow one another, the rest is cut.

    Every token but the first is a target once (but for the rest), so that mean losses are those of the text.
    """
    count = (len(tokens) - 1) // length
    used = count * length
    return tokens[:used].reshape(count, length), tokens[1 : used + 1].reshape(count, length)


def text_sequences(text: TokenText, length: int | None) -> tuple[Tokens, Tokens, Tokens, Tokens]:
    """Inputs and targets of training and of validation. Raises ValueError where there is not one sequence of each."""
    length = LENGTH if length is None else length
    check_count("length", length, 1)
    have, most = len(text.training) + len(text.validation), min(len(text.training), len(text.validation)) - 1
    if most < length:
        raise ValueError(
            f"text: {have} tokens, of which {len(text.validation)} for validation, are too few for sequences of "
            f"{length}; at most length={most} is possible"
        )
    return *next_token_sequences(text.training, length), *next_token_sequences(text.validation, length)


def _places(codes: Tokens, known: Tokens) -> Tokens:
    """The place of every code in the sorted alphabet; len(known) where it is not there."""
    place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return np.where(known[place] == codes, place, len(known))


def _content(file: str) -> bytes:
    path = Path(file)
    try:
        if "\0" in file or (path.exists() and not path.is_file()):  # a folder; a pipe never ends
            raise ValueError(f"text: {shown_path(path)} is not a file")
        check_memory("text", 25 * path.stat().st_size, torch.device("cpu"))
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"text: {shown_path(path)}: {error.strerror or 'it cannot be read'}") from None
    if not content:
        raise ValueError(f"text: {shown_path(path)} is empty")
    return content


def _decoded(content: bytes, file: str | None) -> str:
    name = "pydoc_data.topics" if file is None else shown_path(Path(file))
    hint = "for any file give byte tokens"
    if b"\0" in content:
        raise ValueError(f"text: {name} is not a text, it has null characters; {hint}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"text: {name} is not UTF-8 text, from byte {error.start} on; {hint}") from None
    if not text:
        raise ValueError(f"text: {name} is empty")
    return text
