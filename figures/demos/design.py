"""Lesson 3: design your own reparameterization."""

import marimo

app = marimo.App(width="medium", app_title="Design your own f(w)")

with app.setup:
    import sys
    from pathlib import Path

    import marimo as mo

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

    from figures.demos import lesson_design as lesson
    from figures.demos.parts import (
        exercise,
        further,
        message,
        picture,
        said_plainly,
        side_by_side,
        table,
        title,
    )


@app.cell
def _():
    title("design")


@app.cell
def _():
    mo.md(r"""
    ## Is it stable?

    A reparameterization is a function $f$ with $\lambda = f(w)$. It is **stable** (Definition 3.4) if a move of $w$ by
    up to $\beta$ changes the memory by a bounded share, the same bound for every $w$, which goes to $0$ with $\beta$:

    $$\sup_w \sup_{|\tilde w - w| \le \beta} \Big|\frac{f(w)}{f(\tilde w)} - 1\Big| \;\le\; g(\beta) \to 0 .$$

    Type a formula and press Enter, or choose one. You may use $w$, the constants $a$ and $b$, numbers, `+ - * / **`,
    parentheses, and exp, log, sqrt, abs, sin, cos, tan, tanh, sinh, cosh, atan, softplus, sigmoid, relu.
    """)


@app.cell
def _():
    example = mo.ui.dropdown(options=lesson.EXAMPLES, value="best, with a and b", label="Start from")
    return (example,)


@app.cell
def _(example):
    formula = mo.ui.text(value=example.value, label="f(w) =", full_width=True)
    a = mo.ui.slider(steps=lesson.SETTINGS, value=1.0, label="Constant a", show_value=True)
    b = mo.ui.slider(steps=lesson.SETTINGS, value=0.5, label="Constant b", show_value=True)
    mo.vstack([example, formula, mo.hstack([a, b], justify="start", wrap=True, gap=2)])
    return a, b, formula


@app.cell
def _(a, b, formula):
    seen, _problem = lesson.tried(lesson.values, formula.value, a.value, b.value)
    if seen is None:
        _view = message(f"{_problem}. Change the formula and go on.")
    else:
        _view = side_by_side(
            picture(lambda figure: lesson.draw_f(figure, seen), f"f against w for f(w) = {seen['expression']}"),
            picture(lambda figure: lesson.draw_logarithm(figure, seen), "log|f| against w"),
        )
    mo.vstack([_view])
    return (seen,)


@app.cell
def _(a, b, formula, seen):
    found, _problem = None, ""
    if seen is not None:
        found, _problem = lesson.tried(lesson.decision, formula.value, a.value, b.value)
    if found is not None:
        _view = said_plainly(lesson.verdict(found), lesson.statement(found))
    else:
        _view = message(f"{_problem}. Change the formula and go on.") if _problem else mo.md("")
    mo.vstack([_view])
    return (found,)


@app.cell
def _(found):
    _views = []
    if found is not None:
        _modulus = picture(lambda figure: lesson.draw_modulus(figure, found), "Least modulus g against β, with exp's")
        _scale = picture(lambda figure: lesson.draw_scale(figure, found), "Gradient scale |f'|/f² against w")
        _views.append(side_by_side(_modulus, _scale))
    if found is not None and found["modulus"]:
        _heads = [r"$\beta$", *(f"{row['beta']:g}" for row in found["modulus"])]
        _views.append(table(_heads, [[r"$g^*(\beta)$", *(lesson.modulus_text(row) for row in found["modulus"])]]))
    mo.vstack(_views)


@app.cell
def _():
    mo.md(r"""
    ## How to read it

    - **The verdict** is about all of $\mathbb{R}$, tails included: `ENCLOSED` is shown by ball arithmetic, `REFUTED`
      comes with a counterexample, `INCONCLUSIVE` means that the rules do not decide. It is never a guess from the
      picture.
    - $f$ is stable exactly where it is constant, or $f < 0$ everywhere and $\log|f|$ is **uniformly continuous**: no
      matter how far out, a move by $\beta$ changes $\log|f|$ by at most $\omega(\beta) \to 0$. The least modulus is
      $g^*(\beta) = e^{\omega(\beta)} - 1$. A slope that stays bounded is enough.
    - The **gradient scale** $|f'|/f^2$ is how large the gradient of the loss with respect to $w$ can be, up to a factor
      that does not depend on $f$ (Theorem 3.6).
      For $-1/(aw^2+b)$ it is $2a|w|$: proportional to the weight. That is why the paper calls it best.
    """)


@app.cell
def _():
    exercise(
        r"""1. Take `-1/(a*w**2 + b)` and make $b$ small. What happens to $g^*$? What if you leave $b$ out?
        2. Find an $f$ that is bounded, $-2 \le f \le -1$, but **not** stable.
        3. Find an $f$ whose gradient scale is the same for every $w$.""",
        r"""1. $g^*$ grows: $g^*(\beta) = \beta\left(\beta + \sqrt{\beta^2 + 4b/a}\right) a/(2b)$, so the smaller
        $b$, the less stable. `-1/w**2` has a pole at $0$: not stable. The paper's condition $b \ge 0$ should
        read $b > 0$.
        2. For example `-(3 + sin(w**2))/2`: its waves become ever faster, so that $\log|f|$ is not uniformly
        continuous.
        3. $|f'|/f^2 = |d\tau/dw|$ with the memory time $\tau = 1/|f|$. So $\tau$ must have a slope of constant size:
        `-1/(1 + abs(w))`. It is stable as well.""",
    )


@app.cell
def _():
    further(
        "design",
        [
            "def-3.4-characterization-sufficient",
            "def-3.4-characterization-necessary",
            "def-3.4-best",
            "def-3.4-best-b0",
            "def-3.4-bounded-oscillation-not-sufficient",
            "thm-3.6-kernel-equality",
            "best-family",
        ],
        [
            'stablessm reparam "-1/(a*w**2+b)" --set a=1 --set b=0.5 --beta 0.1,0.5',
            'stablessm reparam "-exp(sin(w**2))"',
        ],
    )


if __name__ == "__main__":
    app.run()
