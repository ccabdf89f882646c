"""Lesson 6: fit a target live."""

import marimo

app = marimo.App(width="medium", app_title="Fit a target live")

with app.setup:
    import sys
    from pathlib import Path

    import marimo as mo

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

    from functools import partial

    from figures.demos import lesson_fit as lesson
    from figures.demos.parts import exercise, further, picture, said, side_by_side, table, title


@app.cell
def _():
    title("fit")


@app.cell
def _():
    mo.md(r"""
    A task with memory is a kernel $\rho$: the output is $\int_0^\infty \rho(s)\,x_{t-s}\,ds$. A linear state-space
    model with $m$ modes has the kernel

    $$\hat\rho(t) = \sum_{i=1}^m c_i U_i\, e^{\lambda_i t}, \qquad \lambda_i = f(w_i) < 0.$$

    Each move below fits such a model anew, with the best rates and weights that are found for
    $\int (\rho - \hat\rho)^2$. **Goal:** see what a fit pays for a long memory, and what no fit can do.
    """)


@app.cell
def _():
    mo.md("## Try it")


@app.cell
def _():
    tried = []  # the fits of this visit
    wanted = mo.ui.dropdown({one.title: one.spec for one in lesson.GOALS}, value=lesson.GOALS[1].title, label="target")
    f = mo.ui.dropdown(list(lesson.REPARAMS), value="exp", label="$f$")
    kind = mo.ui.radio(["real modes", "pairs of oscillating modes"], value="real modes", inline=True)
    return f, kind, tried, wanted


@app.cell
def _(kind):
    pairs = kind.value != "real modes"
    most = lesson.MOST_PAIRS if pairs else lesson.MOST_MODES
    m = mo.ui.slider(1, most, 1, value=2, label=f"number of {'pairs' if pairs else 'modes'} $m$", show_value=True)
    return m, pairs


@app.cell
def _(f, kind, m, wanted):
    mo.vstack([mo.hstack([wanted, f], justify="start", wrap=True), mo.hstack([m, kind], justify="start", wrap=True)])


@app.cell
def _(f, m, pairs, tried, wanted):
    fitted = lesson.compute(wanted.value, f.value, m.value, pairs)
    tried.append(fitted)
    found = lesson.finding(fitted)
    so_far = tuple(dict.fromkeys(tried))
    said(found.verdict, f"{found.reason} {lesson.goal(wanted.value).about}")
    return fitted, so_far


@app.cell
def _(fitted, so_far):
    side_by_side(
        picture(partial(lesson.draw_kernel, fitted), "The target and the fitted kernel against time."),
        picture(partial(lesson.draw_memory, fitted), "Memory functions of target and model, and the sharp bound."),
        picture(
            partial(lesson.draw_errors, fitted, so_far), "Errors of the fits so far, and the least possible error."
        ),
        mo.vstack([mo.md("In numbers:"), table(("this fit", ""), lesson.numbers(fitted))]),
    ) if fitted.error is not None else None


@app.cell
def _():
    mo.md(r"""
    ## What you see

    - **The kernel**: grey is wanted, coloured is what the model learned.
    - **Memory**: $\mathcal{M}(\hat H)(t) = |\hat\rho(t)|$ never exceeds the dashed bound of Theorem 3.3 in its sharp
      form, $|c|\,|U|\,e^{-rt}$ (twice that for pairs), where the **margin** $r = \min_i|\mathrm{Re}\,\lambda_i|$ is the
      distance to the stability boundary. The model remembers until about $1/r$ and then forgets exponentially. A power
      law does not: it leaves every such bound, so that more accuracy at late times needs a smaller $r$. That is the
      curse of memory.
    - **Errors**: in the norm of Definition 2.5, $\int|\rho-\hat\rho|$ plus the total variation of $\rho - \hat\rho$.
      The grey region is empty for *every* stable linear model with that many states, however it is trained: its edge is
      a sum of Hankel singular values of $\rho$ and $\rho'$.
    - **The choice of $f$** changes nothing here as long as $f$ reaches the rates that are needed: the best kernel is
      the same. `best:b=2` reaches only $|\lambda| \le 1/2$. What $f$ changes is how far $w$ may move before the model
      breaks: for `direct`, $E_m(\beta)$ is finite only for $\beta < r$.
    """)


@app.cell
def _():
    exercise(
        """Take the power law $(1+t)^{-1.5}$ with real modes and `direct`. By which factor do the error and the margin
        shrink from $m = 2$ to $m = 8$? How large may a perturbation of the weights be at $m = 8$? Then fit the shift:
        why does the error not go to 0?""",
        f"""{lesson.answer()}

        The shift jumps twice by 1. Every $\\hat\\rho$ is smooth for $t > 0$, so the total variation of
        $\\rho - \\hat\\rho$ is at least the sum of the jumps, 2, for every $m$: in this norm a target with a jump is
        never approximated.""",
    )


@app.cell
def _():
    further(
        "fit",
        ["fitted-decay-bound", "thm-3.3-sharp", "fitted-margin-shrinks", "norms-shift-jump"],
        [
            "stablessm fit --target polynomial:p=1.5 --reparam direct,exp --m 2,4,8 --seeds 1",
            "stablessm fit --target airy --complex --reparam exp --m 2,4 --seeds 1",
            "stablessm limit --target polynomial:p=1.5 --m 1,2,4,8 --fitted",
        ],
    )


if __name__ == "__main__":
    app.run()
