"""Formulas of LaTeX as one line of text: fractions with a slash, Greek letters and signs as characters."""

from __future__ import annotations

import re

GREEK = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ"},
    **{"kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ"},
    **{"varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ"},
    **{"Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω"},
}
SIGNS = {
    **{"pm": "±", "infty": "∞", "ge": "≥", "le": "≤", "ne": "≠", "approx": "≈", "times": "×", "cdot": "·", "to": "→"},
    **{"in": "∈", "sum": "∑", "int": "∫", "Vert": "‖", "partial": "∂", "sim": "∼", "propto": "∝"},
}
_OTHERS = {
    **{"geq": "≥", "leq": "≤", "neq": "≠", "vert": "|", "dots": "…", "ldots": "…", "quad": " ", "infin": "∞"},
    **{"prime": "'", "phi": "φ"},
}
"""Second names, and what stands otherwise in a text."""
_TOKEN = re.compile(r"\\([A-Za-z]+|.)|([{}^_])|([^\\{}^_]+)", re.DOTALL)
_SIMPLE = re.compile(r"[\w.]*")


def plain_formula(formula: str) -> str:
    r"""The formula as text: \frac{e^{w}}{2 a} as e^w/(2 a), \lambda as λ. Unknown commands lose their backslash."""
    tokens = [match.group(0) for match in _TOKEN.finditer(formula)]
    text, _ = _sequence(tokens, 0)
    return re.sub(r"\s+", " ", text).replace(" )", ")").strip()


def _sequence(tokens: list[str], at: int) -> tuple[str, int]:
    """What stands up to the closing brace or the end, and the place behind it."""
    parts: list[str] = []
    while at < len(tokens) and tokens[at] != "}":
        if tokens[at] in "^_":
            group, after = _group(tokens, at + 1)
            parts = [*parts[:-1], *(part.rstrip() for part in parts[-1:]), tokens[at] + _enclosed(group)]
            at = after
        else:
            part, at = _group(tokens, at, whole=True)
            parts.append(part)
    return "".join(parts), at + 1


def _group(tokens: list[str], at: int, whole: bool = False) -> tuple[str, int]:
    """One group in braces, command or text; of a text without braces the first sign alone, unless it is `whole`."""
    if at >= len(tokens):
        return "", at
    token = tokens[at]
    if token == "{":
        return _sequence(tokens, at + 1)
    if token.startswith("\\"):
        return _command(token[1:], tokens, at + 1)
    if not whole and len(token) > 1:
        tokens[at] = token[1:]
        return token[0], at
    return token, at + 1


def _command(name: str, tokens: list[str], at: int) -> tuple[str, int]:
    if name in ("frac", "dfrac", "tfrac"):
        above, at = _group(tokens, at)
        below, at = _group(tokens, at)
        return f"{_enclosed(above)}/{_enclosed(below)}", at
    if name == "sqrt":
        inside, at = _group(tokens, at)
        return f"sqrt({inside})", at
    if name in ("left", "right", "mathrm", "operatorname", "mathsf", "displaystyle"):
        return "", at
    if name in ("|", ",", ";", "!", " ", ":"):
        return {"|": "‖", "!": ""}.get(name, " "), at
    return GREEK.get(name) or SIGNS.get(name) or _OTHERS.get(name) or name, at


def _enclosed(text: str) -> str:
    text = text.strip()
    return text if _SIMPLE.fullmatch(text) else f"({text})"
