"""Lesson 2: why one reparameterizes."""

import marimo

app = marimo.App(width="medium", app_title="Why reparameterize?")

with app.setup:
    import sys
    from pathlib import Path

    import marimo as mo

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

    from figures.demos import lesson_reparameterize as lesson
    from figures.demos.parts import bracket, exercise, further, said, shared_picture, side_by_side, table, title
    from proofs_check.claim import Verdict


@app.cell
def _():
    title("reparameterize")


@app.cell
def _():
    mo.md(r"""
    ## The same drag in w

    If the rate $\lambda < 0$ of a mode is a weight itself, a move by $\beta \ge |\lambda|$ carries it over the
    boundary, and the perturbed error is infinite. So let the weight be another number $w$, and

    $$\lambda = f(w) .$$

    | name | $f(w)$ | range of $\lambda$ |
    |---|---|---|
    | direct | $w$ | all of $\mathbb{R}$ |
    | exp | $-e^{w}$ | $(-\infty, 0)$ |
    | best | $-1/(w^2 + b)$, here $b = 0.1$ | $[-1/b, 0)$ |

    Now a move of $w$ by $\beta$ never leaves the stable side under exp and best. What it does to the memory time
    $\tau = 1/|\lambda|$ is told by the bars. The mode is $\rho(t) = |\lambda|\,e^{\lambda t}$, its own target,
    as before. **Drag $\tau$ to longer memories.**
    """)


@app.cell
def _():
    time = mo.ui.slider(steps=lesson.TIMES, value=5, label=r"Memory time $\tau$", show_value=True, full_width=True)
    beta = mo.ui.slider(steps=lesson.RADII, value=0.1, label=r"Perturbation $\beta$", show_value=True, full_width=True)
    moving = mo.ui.radio(options=list(lesson.MOVING), value="w alone", label="What moves", inline=True)
    mo.vstack([time, beta, moving])
    return beta, moving, time


@app.cell
def _(beta, moving, time):
    side_by_side(
        shared_picture(
            lesson.draw_reach,
            time.value,
            beta.value,
            alt=f"Memory times that moves of w by {beta.value:g} make of τ = {time.value}, for direct, exp and best",
            left=0.75,
        ),
        shared_picture(
            lesson.draw_errors,
            time.value,
            moving.value,
            beta.value,
            alt=f"Perturbed error against β for τ = {time.value}, with {moving.value}",
        ),
    )


@app.cell
def _(beta, moving, time):
    found = {f: lesson.error(f, time.value, moving.value, beta.value) for f in lesson.FS}
    table(
        [rf"$\tau = {time.value}$, $\beta = {beta.value:g}$", *lesson.FS],
        [[r"$E(\beta)$", *(bracket(point.lower, point.upper) for point in found.values())]],
    )


@app.cell
def _(moving):
    if moving.value == "w alone":
        _remark = said(
            Verdict.PROVED,
            r"With a stable $f$ and $w$ alone moving, $E(\beta)$ stays bounded however long the memory. "
            r"For exp it tends to $e^\beta - 1$, the modulus $g^*(\beta)$ of exp, as $\tau \to \infty$. "
            r"For direct the wall comes closer.",
        )
    elif "unit-norm" in moving.value:
        _remark = said(
            Verdict.PROVED,
            r"The gain $\nu(\lambda) = |\lambda|/(1+2|\lambda|)$ outside $U$ makes every mode's norm 1. Then "
            r"$E(\beta)$ is bounded in **all** weights, for every stable $f$, as long as $|c|$ and $|U|$ are.",
        )
    else:
        _remark = said(
            Verdict.REFUTED,
            r"*A stable f makes the approximation stable in all weights*, as Theorem 3.5 is printed. Moving "
            r"$c$ and $U$ together costs at least $\frac{\beta^2}{2}(2 + \tau)$, whatever $f$ is: the curse is back.",
        )
    mo.vstack([_remark])


@app.cell
def _():
    mo.md(r"""
    ## What makes f stable?

    Definition 3.4 asks that the cost of a move, measured against the memory itself, is bounded for all $w$ at once, by
    a $g(\beta)$ that goes to $0$ with $\beta$:

    $$|f(w)| \int_0^\infty \big|e^{f(\tilde w)t} - e^{f(w)t}\big|\,dt \;=\; \Big|\frac{f(w)}{f(\tilde w)} - 1\Big|
    \;\le\; g(\beta) \quad\text{for } |\tilde w - w| \le \beta .$$

    So it is the **ratio** of memory times that counts, which is what the bars show on their logarithmic axis:
    $f < 0$ is stable exactly where $\log|f|$ is uniformly continuous. For exp the bar has the same length
    everywhere, $2\beta$; for best it becomes shorter, since $\log|f|$ flattens; for direct it has no end from
    $\tau = 1/\beta$ on.
    """)


@app.cell
def _():
    exercise(
        r"""For exp, $\beta = 0.3$ and $w$ alone moving: what is the limit of $E(\beta)$ as $\tau \to \infty$?
        Then let all weights move, at $\tau = 1000$: compare with $\frac{\beta^2}{2}(2+\tau)$. Does it matter whether
        $f$ is exp or best?""",
        r"""$e^{0.3} - 1 = 0.3499$; at $\tau = 1000$ it is 0.3501 already. With all weights moving, the
        bound is $0.045 \cdot 1002 = 45.09$; exp and best both cost about 60: the cost comes from $c$ and $U$, not
        from $f$. With the unit-norm mode it is gone.""",
    )


@app.cell
def _():
    further(
        "reparameterize",
        [
            "def-3.4-least-modulus",
            "def-3.4-exp",
            "def-3.4-best",
            "thm-3.5-recurrent-only",
            "thm-3.5-all-weights",
            "all-weights-lower-bound",
            "unit-norm-bound",
        ],
        [
            "stablessm reparam exp --beta 0.1,0.3,1",
            "stablessm reparam best:b=0.1 --beta 0.1,0.3,1",
            "stablessm curse --target polynomial:p=1.5 --m 4,8,16 --reparam exp,best:b=0.02 --modes plain,unit-norm",
        ],
    )


if __name__ == "__main__":
    app.run()
