"""Memory functions of five architectures: what lesson 4 computes and draws.

For a module in discrete time M(k) = sup_x |y_k - y_{k-1}|_∞/(|x| + 1) under the step u_k = x·1_{k≥0} (Definition 2.1).
The supremum is searched: every value is a lower end, attained by an input. How it decays is judged on the steps that
were computed, so that a verdict is SUPPORTED at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from figures.demos.lesson_axes import titled_axes
from figures.figure import Finding
from numerics.arguments import shown
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEED = 0
SIZES = tuple(10 ** (i / 4) for i in range(-8, 9))
"""Heights |x| of a step that a reader can choose."""
HIDDEN = (2, 4, 8, 12)
_COLOUR, _STEP, _GUIDE = "#0072B2", "#D55E00", "#777777"
_ROUNDS, _FLOOR = 2, 4.0
_WIDE = 30.0
"""Heights that differ by a larger factor get a logarithmic axis."""


@dataclass(frozen=True)
class Architecture:
    """One of numerics.example_modules, its knob, and the decay that one expects of it.

    guide: the exponential rate of a step for a knob, or None where the guide line is 1/k.
    """

    name: str
    title: str
    knob: str
    knobs: tuple[float, ...]
    start: float
    steps: int
    law: str

    def guide(self, knob: float) -> float | None:
        return {"rnn": -math.log(knob) if 0 < knob < 1 else None, "s4d": knob}.get(self.name)

    def warmup(self, knob: float) -> int:
        """Zeros before the step: as many as attention looks back; the others are at rest from the start."""
        return int(knob) if self.name == "attention" else 1


ARCHITECTURES = (
    Architecture(
        "rnn", "tanh RNN", "largest eigenvalue $\\rho$ of $W$", (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93), 0.8, 128,
        "$h_k = \\tanh(Wh_{k-1} + Ux_k)$ with a symmetric $W$. Since $\\tanh$ never stretches a distance and $W$ "
        "shrinks it by $\\rho$, $|h_k - h_{k-1}| \\le \\rho^k\\,|U||x|$ for **every** $x$: exponential decay.",
    ),
    Architecture(
        "gru", "GRU", "bias of the update gate", (-1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3), 0, 128,
        "$h_k = z h_{k-1} + (1-z)n$, and **the input sets the gate** $z = \\sigma(b + w x + \\dots)$. For each "
        "fixed $x$ it stays below 1: exponential decay; but the supremum may take another $x$ for every $k$.",
    ),
    Architecture(
        "lstm", "LSTM", "bias of the forget gate", (-1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3), 0, 128,
        "$c_k = f c_{k-1} + i g$, and **the input sets the gates** $f$ and $i$. Each fixed $x$ gives exponential "
        "decay; but the supremum may take another $x$ for every $k$.",
    ),
    Architecture(
        "s4d", "S4D layer", "decay $r$ of the state in a step", (0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5), 0.1, 128,
        "A linear state $h_k = e^{-r}h_{k-1} + \\dots$ between maps that act on each time by itself. The input cannot "
        "change $r$, so that the memory decays like $e^{-rk}$: the curse of memory is about making $r$ small.",
    ),
    Architecture(
        "attention", "windowed attention", "window $L$", (2, 4, 8, 12, 16, 24, 32), 16, 48,
        "$y_k$ is a weighted mean over the last $L$ inputs. Nothing older is seen, and nothing within the window has "
        "to decay: the memory ends instead of fading.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """lower[k] ≤ M(k), attained by a step of height size[k] (one of the two signs), up to doubt[k]; k = 0, 1, …"""

    architecture: str
    hidden: int
    knob: float
    lower: tuple[float, ...]
    doubt: tuple[float, ...]
    size: tuple[float, ...]

    @property
    def seen(self) -> int:
        """How many steps there are until M is lost in rounding for good."""
        alive = [
            k for k, (value, doubt) in enumerate(zip(self.lower, self.doubt, strict=True)) if value > _FLOOR * doubt
        ]
        return alive[-1] + 1 if alive else 0


def architecture(name: str) -> Architecture:
    """The architecture of a name. Raises ValueError for one that does not exist."""
    for one in ARCHITECTURES:
        if one.name == name:
            return one
    raise ValueError(
        f"architecture {shown(name)}: no such one; allowed: {', '.join(one.name for one in ARCHITECTURES)}"
    )


@lru_cache(maxsize=512)
def compute(name: str, hidden: int, knob: float, seed: int = SEED) -> Memory:
    """The memory function of an architecture with so many hidden units, by numerics.torch_modules.

    One input: the directions of a search are ±1, so that one start is enough and sizes are what is searched.
    """
    from numerics.example_modules import example_module
    from numerics.torch_modules import module_memory_function

    kind = architecture(name)
    module = example_module(name, hidden, knob, seed)
    found = module_memory_function(module, 1, kind.steps, starts=1, iterations=_ROUNDS, warmup=kind.warmup(knob))
    sizes = found.inputs.abs().amax(dim=1)
    return Memory(name, hidden, knob, *(tuple(x.tolist()) for x in (found.lower, found.rounding_estimate, sizes)))


@lru_cache(maxsize=2048)
def response(name: str, hidden: int, knob: float, size: float, seed: int = SEED) -> tuple[float, ...]:
    """|y_k - y_{k-1}|/(|x| + 1) for the steps of height ±size, the larger of the two at each k; below M(k)."""
    from numerics.example_modules import example_module, step_responses

    kind = architecture(name)
    module = example_module(name, hidden, knob, seed)
    return tuple(step_responses(module, [size], kind.steps, warmup=kind.warmup(knob))[0].tolist())


def numbers(memory: Memory, size: float) -> tuple[tuple[str, str, str, str], ...]:
    """(k, M(k), the height that attains it, the answer to the step of the chosen height) at a few steps."""
    step = response(memory.architecture, memory.hidden, memory.knob, size)
    places = [k for k in (1, 3, 10, 30, 100) if k < memory.seen]
    return tuple((str(k), f"{memory.lower[k]:.3g}", f"{memory.size[k]:.3g}", f"{step[k]:.3g}") for k in places)


@lru_cache(maxsize=512)
def finding(memory: Memory) -> Finding:
    """How M(k) decays on its window: an exponential, a power law, an end, or what keeps it open."""
    from numerics.decay import estimate_decay

    end, top = memory.seen, max(memory.lower)
    if end < len(memory.lower) and memory.lower[end - 1] > 1e-6 * top:
        return Finding(Verdict.SUPPORTED, f"The memory ends: M(k) is 0, up to rounding, from k = {end} on.")
    found = estimate_decay(range(1, len(memory.lower)), memory.lower[1:], errors=memory.doubt[1:])
    window = f"on the steps {found.window[0]:g} to {found.window[1]:g}"
    if found.rate_interval:
        low, high = found.rate_interval
        return Finding(
            Verdict.SUPPORTED, f"Exponential decay {window}, like e⁻ʳᵏ with r between {low:.3g} and {high:.3g}."
        )
    if found.exponent_interval:
        low, high = found.exponent_interval
        return Finding(Verdict.SUPPORTED, f"A power law {window}, like k⁻ᵖ with p between {low:.3g} and {high:.3g}.")
    return Finding(Verdict.INCONCLUSIVE, f"This window cannot tell: {found.reason}.")


def draw_memory(memory: Memory, size: float, figure: Figure, *, log_time: bool) -> None:
    """M(k) with the answer to one step below it; log-log, where power laws are straight, or semi-log, exponentials."""
    straight = "both axes logarithmic: a power law is straight" if log_time else "an exponential is straight"
    ax = titled_axes(figure, straight)
    last = memory.seen
    step = response(memory.architecture, memory.hidden, memory.knob, size)
    lower, times = memory.lower[1:last], range(1, last)
    ax.plot(times, lower, color=_COLOUR, linewidth=1.6, label="$M(k)$: the best remembered $x$ for each $k$")
    ax.plot(times, step[1:last], color=_STEP, linestyle="--", label=f"the step to $|x| = {size:.3g}$")
    _guide(memory, ax)
    ax.set(yscale="log", xlabel="step $k$", ylabel="memory", ylim=(max(min(lower) / 3, 1e-15), max(lower) * 3))
    if log_time:
        ax.set_xscale("log")
    ax.minorticks_off()
    ended = memory.architecture == "attention"
    if ended:
        ax.axvline(last, color=_GUIDE, linewidth=0.9, linestyle=":")
        ax.set_xlim(right=last * 1.3)
    ax.legend(loc="upper left" if ended else "lower left" if log_time else "upper right")


def _guide(memory: Memory, ax: Axes) -> None:
    """A line with the slope that one expects, through M at the middle of the window."""
    if memory.architecture == "attention" or memory.seen < 4:
        return
    rate = architecture(memory.architecture).guide(memory.knob)
    middle, times = memory.seen // 2, range(1, memory.seen)
    height = memory.lower[middle] * 2.5
    values = [height * (middle / k if rate is None else math.exp(-rate * (k - middle))) for k in times]
    label = "slope of $1/k$" if rate is None else f"slope of $e^{{-{rate:.3g}k}}$"
    ax.plot(times, values, color=_GUIDE, linestyle=":", linewidth=0.9, label=label)


def draw_size(memory: Memory, size: float, figure: Figure) -> None:
    """The height of the step that attains M(k)."""
    ax = titled_axes(figure, "the height $|x|$ that is remembered best")
    last = memory.seen
    ax.plot(range(1, last), memory.size[1:last], ".", color=_COLOUR, markersize=3.5)
    ax.axhline(size, color=_STEP, linestyle="--", linewidth=0.9)
    ax.set(xlabel="step $k$", ylabel="height $|x|$")
    if max(memory.size[1:last]) > _WIDE * min(memory.size[1:last]):
        ax.set_yscale("log")
    ax.minorticks_off()
