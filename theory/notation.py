"""The symbols of the paper, with the assumptions that every SymPy derivation here relies on."""

import sympy as sp

w = sp.Symbol("w", real=True)
"""Trainable recurrent weight; the recurrent eigenvalue is λ = f(w)."""
w_tilde = sp.Symbol("w_tilde", real=True)
"""Perturbed weight, |w̃ - w| ≤ β."""
lam = sp.Symbol("lambda", negative=True)
"""Stable real eigenvalue λ < 0."""
lam_tilde = sp.Symbol("lambda_tilde", negative=True)
"""Perturbed eigenvalue λ̃ < 0."""
tau = sp.Symbol("tau", positive=True)
"""Memory time τ = 1/|λ|."""
t = sp.Symbol("t", nonnegative=True)
"""Time."""
s = sp.Symbol("s", nonnegative=True)
"""Time lag, the variable of a kernel ρ(s)."""
beta = sp.Symbol("beta", positive=True)
"""Radius β of the weight perturbation, or a decay rate where the text says so."""
omega = sp.Symbol("omega", real=True)
"""Imaginary part of a complex eigenvalue λ = -r + iω."""
r = sp.Symbol("r", positive=True)
"""Decay rate r = -Re λ."""
a = sp.Symbol("a", positive=True)
b = sp.Symbol("b", positive=True)
"""Parameters of the best reparameterization f(w) = -1/(a w² + b)."""
n = sp.Symbol("n", integer=True, positive=True)
"""Index of a sequence of counterexamples."""
