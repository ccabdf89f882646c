"""Lesson 5: the best f from its equation, and when exp is better."""

import marimo

app = marimo.App(width="medium", app_title="The best f, and when exp is better")

with app.setup:
    import sys
    from pathlib import Path

    import marimo as mo

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

    from functools import partial

    from figures.demos import lesson_best as lesson
    from figures.demos.parts import exercise, further, picture, said, side_by_side, table, title


@app.cell
def _():
    title("best")


@app.cell
def _():
    mo.md(r"""
    Training moves the weight $w$ of a rate $\lambda = f(w) < 0$ by its gradient, and Theorem 3.6 says how large that
    can be: $|\partial_w \mathrm{Loss}| \le C\,|f'(w)|/f(w)^2$. In terms of the **memory time** $\tau = 1/|\lambda|$
    this gradient scale is simply

    $$\frac{|f'|}{f^2} = \left|\frac{d\tau}{dw}\right|.$$

    The paper asks for a scale in proportion to the weight, $f'/f^2 = 2aw$. That is $d\tau/dw = 2aw$ (for $\tau =
    -1/f$), with the solution $\tau = aw^2 + b$, or

    $$f(w) = -\frac{1}{aw^2 + b}, \qquad f(0) = -\frac1b,$$

    which the paper calls *best*. **Goal:** see in which sense it is best, and three ways in which
    $f = -e^{w+s}$ can be better.
    """)


@app.cell
def _():
    mo.md("## Try it")


@app.cell
def _():
    a = mo.ui.slider(steps=list(lesson.SCALES), value=1.0, label="best: scale $a$", show_value=True)
    b = mo.ui.slider(steps=list(lesson.FLOORS), value=0.5, label="best: shortest memory $b$", show_value=True)
    s = mo.ui.slider(steps=list(lesson.ORIGINS), value=0.0, label="exp: origin $s$", show_value=True)
    modes = mo.ui.radio([f"{kind} modes" for kind in lesson.MODES], value="plain modes", inline=True)
    mo.vstack([mo.hstack([a, b], justify="start", wrap=True), mo.hstack([s, modes], justify="start", wrap=True)])
    return a, b, modes, s


@app.cell
def _(a, b, modes, s):
    comparison = lesson.compute(a.value, b.value, s.value, modes.value.removesuffix(" modes"))
    found = [lesson.finding(lesson.window(comparison, *window)) for window in lesson.WINDOWS]
    mo.vstack([said(one.verdict, one.reason) for one in found])
    return (comparison,)


@app.cell
def _(comparison):
    start = table(
        ("f", "w", "gradient scale", "over weight"),
        [(name, *(f"{x:.3g}" for x in numbers)) for name, *numbers in lesson.at_start(comparison)],
    )
    side_by_side(
        picture(partial(lesson.draw_memory_time, comparison), "The memory time of best and exp against the weight w."),
        picture(partial(lesson.draw_scale, comparison), "The gradient scale of five f against the memory time."),
        picture(partial(lesson.draw_ratio, comparison), "The gradient scale over |w| against the memory time."),
        mo.vstack([mo.md(r"At $\lambda = -\tfrac12$, where the paper's experiments start (dotted):"), start]),
    )


@app.cell
def _():
    mo.md(r"""
    ## What you see

    - **Best does what it was made for.** With plain modes its gradient scale over $|w|$ is $2a$ for every memory time;
      of the named $f$ no other keeps it bounded. And among all $f$ with $f(0) = -1/b$ and a scale of at most $2a|w|$
      it has the longest memory at every $w$. The dots solve $f' = 2aw f^2$ step by step; the line is the formula.
    - **It never forgets fast.** $\tau \ge b$: the grey zone, $|\lambda| > 1/b$, is out of reach of best. Hence $b$ must
      be small, and with $b = 0$, which the paper allows, $f$ has a pole at $w = 0$ and is not stable.
    - **The measure depends on the origin of $w$.** $-e^{w+s}$ describes the same models for every $s$, and its gradient
      scale at a given $\tau$ is the same; but $|w|$ is not. Moving the origin divides exp's ratio at will, and a
      smaller $a$ does the same for best. Exp's pole is the place where $w = 0$ and has no meaning.
    - **Unit-norm modes turn it round.** With the gain $\nu(\lambda) = |\lambda|/(1+2|\lambda|)$ outside $U$ every mode
      has norm 1, and approximation is stable in all weights for every stable $f$, as long as $|c|$ and $|U|$ stay
      bounded. Then exp has a scale between $1/e$ and $0.7523$ for every $w$: uniform. That of best tends to 0 for long
      memory, like $4/(e|w|)$: it learns ever more slowly.
    """)


@app.cell
def _():
    exercise(
        r"""Plain modes, $a = 1$, $b = 0.5$. For which origins $s$ has exp a **smaller** gradient over weight than best
        at $\lambda = -\tfrac12$? Find one with the slider, then all by hand. Can best answer back?""",
        r"""At $\tau = 2$ the scale of exp is $\tau = 2$ and its weight is $w = \log\tfrac12 - s$, so that the ratio is
        $2/|\log\tfrac12 - s|$. For best it is $2a = 2$. Exp is smaller where $|\log\tfrac12 - s| > 1$, that is for
        $s > 1 - \log 2 = 0.307$ or $s < -1 - \log 2 = -1.693$: with the slider, $s \ge 0.5$ or $s \le -2$. Best answers
        with a smaller $a$: $2a$ is below any given number. So $|\mathrm{gradient}|/|\mathrm{weight}|$ compares origins
        and units of $w$ as much as it compares $f$; what does not depend on them is how the *scale* varies with
        $\tau$: like $\sqrt{\tau}$ for best, like $\tau$ for exp, with plain modes.""",
    )


@app.cell
def _():
    further(
        "best",
        [
            "best-ode",
            "best-extremality",
            "best-gradient-over-weight",
            "def-3.4-best-b0",
            "thm-3.6-memory-time",
            "training-ratio-origin",
            "unit-norm-exp-uniform",
        ],
        [
            "stablessm reparam best:b=0.5",
            'stablessm reparam "-exp(w+5)"',
            "stablessm train --reparam exp,best:b=0.1 --lr 1e-1 --seeds 1 --width 16 --m 8 --epochs 2",
        ],
    )


if __name__ == "__main__":
    app.run()
