"""Lesson 4: memory functions of real architectures."""

import marimo

app = marimo.App(width="medium", app_title="Memory of real architectures")

with app.setup:
    import sys
    from pathlib import Path

    import marimo as mo

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

    from functools import partial

    from figures.demos import lesson_memory as lesson
    from figures.demos.parts import exercise, further, picture, said, side_by_side, table, title


@app.cell
def _():
    title("memory")


@app.cell
def _():
    mo.md(r"""
    The paper measures memory by one number per time: switch a constant input $x$ on at step 0 and ask how much the
    output $y$ still **changes** at step $k$, for the input that is remembered best (Definition 2.1):

    $$M(k) = \sup_{x \neq 0} \frac{|y_k - y_{k-1}|_\infty}{|x|_\infty + 1}, \qquad y = H(x \cdot 1_{k \ge 0}).$$

    For a linear layer $M$ is the size of its impulse response. The definition needs no linearity, though: any layer
    that maps sequences to sequences has a memory function. **Goal:** see which layers forget exponentially, which by a
    power law, and why the word *sup* decides it.
    """)


@app.cell
def _():
    mo.md("## Try it")


@app.cell
def _():
    chosen = mo.ui.dropdown({one.title: one.name for one in lesson.ARCHITECTURES}, value="tanh RNN", label="layer")
    hidden = mo.ui.slider(steps=list(lesson.HIDDEN), value=8, label="hidden units", show_value=True)
    size = mo.ui.slider(steps=[round(x, 3) for x in lesson.SIZES], value=1.0, label="height $|x|$", show_value=True)
    return chosen, hidden, size


@app.cell
def _(chosen):
    kind = lesson.architecture(chosen.value)
    knob = mo.ui.slider(steps=list(kind.knobs), value=kind.start, label=kind.knob, show_value=True)
    return kind, knob


@app.cell
def _(chosen, hidden, knob, size):
    mo.vstack(
        [mo.hstack([chosen, hidden], justify="start", wrap=True), mo.hstack([knob, size], justify="start", wrap=True)]
    )


@app.cell
def _(kind):
    mo.md(kind.law)


@app.cell
def _(hidden, kind, knob):
    memory = lesson.compute(kind.name, hidden.value, knob.value)
    found = lesson.finding(memory)
    said(found.verdict, found.reason)
    return found, memory


@app.cell
def _(found, memory, size):
    numbers = table(("k", "M(k)", "attained at height", "your step"), lesson.numbers(memory, size.value))
    side_by_side(
        picture(
            partial(lesson.draw_memory, memory, size.value, log_time=False),
            f"Memory function with a logarithmic height. {found.reason}",
        ),
        picture(
            partial(lesson.draw_memory, memory, size.value, log_time=True),
            f"The same memory function with both axes logarithmic. {found.reason}",
        ),
        picture(partial(lesson.draw_size, memory, size.value), "Height of the best remembered input for each step."),
        mo.vstack([mo.md("In numbers:"), numbers]),
    )


@app.cell
def _():
    mo.md(r"""
    ## What you see

    - **Blue** is $M(k)$; every point is attained by an input, whose height $|x|$ the third picture shows. **Dashed** is
      the answer to one step, to the height that you chose: it never exceeds $M$.
    - *tanh RNN* and *S4D layer*: straight lines in the first picture, the rate is that of the recurrent weight. More
      hidden units do not help; only a larger $\rho$, a smaller $r$ does. For linear layers that is the curse of memory:
      slow decay needs eigenvalues near the stability boundary.
    - *GRU* and *LSTM*: straight lines in the second picture. Each dashed answer falls exponentially, yet their upper
      envelope $M$ falls like a power law, near $1/k$: the height in the third picture grows with $k$, because larger
      inputs hold the gate open for longer. (The LSTM needs a unit whose forget gate opens about as fast as its input
      gate closes; with two or four units there is none here.)
    - *Windowed attention*: no decay at all, then nothing.

    The verdict is about the steps that were computed. No finite window excludes another decay later, so it is
    SUPPORTED at most, and INCONCLUSIVE where a power law and a sum of exponentials look alike. The weights are random:
    layers of this kind *can* remember like this, which is not yet to say that training finds such weights.
    """)


@app.cell
def _():
    exercise(
        r"""Take the GRU, and move the height $|x|$ until the dashed line touches the blue one at $k \approx 20$. What
        is the gate $z$ of the unit that remembers then? Use $h_k - h_{k-1} = z^k(1-z)\,n$ for a fixed input, and
        explain the power law. *Hint: which $z$ makes $z^k(1-z)$ largest?*""",
        r"""The derivative of $z^k(1-z)$ vanishes at $z = \frac{k}{k+1}$, so the gate that is best for $k = 20$ is
        $z \approx 0.95$, and the largest value is $\frac{1}{k+1}\left(\frac{k}{k+1}\right)^k \approx \frac{1}{e\,k}$:
        a power law. To have $1 - z \approx 1/k$ the unit needs $wx \approx \log k$, so the height grows like $\log k$,
        which is what the third picture shows; divided by $|x| + 1$, $M(k) \approx \frac{c}{k \log k}$, a little
        steeper than $1/k$. No weight is near a stability boundary: the *input* brings the gate there. For one fixed
        height, as for the S4D layer at every height, the decay is exponential.""",
    )


@app.cell
def _():
    further(
        "memory",
        ["def-2.1-kernel", "def-2.1-nonlinear-one-layer", "def-2.2-classes", "thm-3.3-sharp"],
        ["stablessm memory numerics/examples/two_layers.json --t 0,1,10,100"],
    )


@app.cell
def _():
    mo.md(
        """From Python, for any PyTorch module that maps (batch, time, d) to (batch, time, k):

```python
import torch
from numerics.torch_modules import module_memory_function

gru = torch.nn.GRU(input_size=1, hidden_size=8, batch_first=True).double()
print(module_memory_function(gru, input_dim=1, steps=40, starts=8).lower)
```"""
    )


if __name__ == "__main__":
    app.run()
