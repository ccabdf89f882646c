"""Lesson 1: the curse of memory."""

import marimo

app = marimo.App(width="medium", app_title="The curse of memory")

with app.setup:
    import sys
    from pathlib import Path

    import marimo as mo

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

    from figures.demos import lesson_curse as lesson
    from figures.demos.parts import bracket, exercise, further, said, shared_picture, side_by_side, table, title, told
    from proofs_check.claim import Verdict


@app.cell
def _():
    title("curse")


@app.cell
def _():
    mo.md(r"""
    ## One mode

    A state-space model with one state, $\dot h = \lambda h + U x$, $y = c\,h$, answers a short impulse by

    $$\rho(t) = c\,U\,e^{\lambda t}, \qquad \lambda < 0 .$$

    This is its **memory**: after the time $\tau = 1/|\lambda|$ about a third of the impulse is left. A long memory
    means a rate $\lambda$ close to $0$, and $0$ is the **boundary of stability**: from there on nothing decays.

    Weights are never exact. Rounding, noise or one step of an optimizer moves them by up to $\beta$. How much does that
    cost? The **perturbed error** is the worst that can happen,

    $$E(\beta) = \sup_{|\tilde\lambda - \lambda| \le \beta}\; \|\rho - \tilde\rho\|,$$

    where $\|k\|$ is $\int_0^\infty |k|\,dt$ plus the total variation of $k$.

    Here the model is its own target, so $E(0) = 0$, and $cU = |\lambda|$, so that $\int\rho = 1$ for every $\lambda$.
    **Drag $\lambda$ to the boundary** and keep $\beta$ where it is.
    """)


@app.cell
def _():
    rate = mo.ui.slider(steps=lesson.RATES, value=-1.0, label=r"Rate $\lambda$", show_value=True, full_width=True)
    beta = mo.ui.slider(steps=lesson.RADII, value=0.05, label=r"Perturbation $\beta$", show_value=True, full_width=True)
    mo.vstack([rate, beta])
    return beta, rate


@app.cell
def _(beta, rate):
    side_by_side(
        shared_picture(
            lesson.draw_memory,
            rate.value,
            beta.value,
            alt=f"Memory for λ = {rate.value:g}, and for all λ within {beta.value:g} of it",
        ),
        shared_picture(
            lesson.draw_error,
            rate.value,
            beta.value,
            alt=f"Perturbed error against β for λ = {rate.value:g}: infinite from β = {-rate.value:g} on",
        ),
    )


@app.cell
def _(beta, rate):
    here = lesson.error_of_mode(rate.value, beta.value)
    told(
        rf"$\lambda = {rate.value:g}$, memory time $\tau = {-1 / rate.value:.3g}$, $\beta = {beta.value:g}$: "
        rf"$E(\beta) \in$ **{bracket(here.lower, here.upper)}**"
        if here.upper < float("inf")
        else rf"$\lambda = {rate.value:g}$, $\beta = {beta.value:g} \ge |\lambda|$: **E(β) = ∞**. The ball holds a "
        r"$\tilde\lambda \ge 0$, whose memory never fades.",
        good=here.upper < float("inf"),
    )


@app.cell
def _():
    mo.md(r"""
    The first part of the norm can be computed by hand: $\int|\rho-\tilde\rho|\,dt =
    |\lambda|\left(\frac{1}{|\lambda|-\beta} - \frac{1}{|\lambda|}\right) = \frac{\beta}{|\lambda|-\beta}$.
    It has a wall at $\beta = |\lambda|$: **the longer the memory, the less the weights may move.**

    ## Many modes for a slow memory

    Could several modes share the work, none of them slow? Take a target that forgets slower than any exponential,
    $\rho(t) = (1+t)^{-3/2}$, and sums of $m$ modes that come closer and closer to it. **Drag $m$.**
    """)


@app.cell
def _():
    size = mo.ui.slider(steps=lesson.SIZES, value=2, label="Modes $m$", show_value=True, full_width=True)
    mo.vstack([size])
    return (size,)


@app.cell
def _(size):
    some = lesson.approximations(size.value)
    side_by_side(
        shared_picture(
            lesson.draw_rates,
            some,
            alt=f"The rates of the models with up to {size.value} modes: the slowest comes ever closer to 0",
        ),
        shared_picture(
            lesson.draw_sequence,
            some,
            alt=f"Perturbed errors of the models with up to {size.value} modes: the walls move to 0",
        ),
    )
    return (some,)


@app.cell
def _(some):
    table(
        ["$m$", "error $E_m(0)$", r"infinite from $\beta = \min\lvert\lambda_i\rvert$ on"],
        [[str(one.m), bracket(one.points[0].lower, one.points[0].upper, 4), f"{one.margin:.3g}"] for one in some],
    )


@app.cell
def _():
    said(
        Verdict.PROVED,
        r"Without reparameterization, a sequence of models with bounded weights, $E(0) = 0$ and $E$ finite up to "
        r"$\beta_0$ has a target that forgets exponentially: $|\rho(t)| \le C\,e^{-\beta_0 t}$ (Theorem 3.3). "
        r"For $(1+t)^{-3/2}$ no $\beta_0 > 0$ is left. This is the **curse of memory**.",
    )


@app.cell
def _():
    exercise(
        r"""A device forgets like $\rho(t) = e^{-0.2\,t}$, and a sequence of direct models with bounded weights
        approximates it, $E_m(0) \to 0$. Up to which $\beta_0$ can $E$ stay finite? Check it with the first
        two sliders.""",
        r"""At most up to $\beta_0 = 0.2$. By the theorem $e^{-0.2 t} \le C e^{-\beta_0 t}$ for all $t$, which fails for
        $\beta_0 > 0.2$. The single mode with $\lambda = -0.2$ shows that every $\beta < 0.2$ is reached:
        $E(0.1)$ is finite; at $\beta = 0.2$ itself the ball touches the boundary and $E = \infty$.""",
    )


@app.cell
def _():
    further(
        "curse",
        ["thm-3.3-one-layer", "thm-3.3-boundary", "sequence-vanilla-curse"],
        ["stablessm curse --target polynomial:p=1.5 --m 2,4,8,16 --reparam direct"],
    )


if __name__ == "__main__":
    app.run()
