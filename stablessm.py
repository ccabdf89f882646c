"""The command line of stablessm: parses arguments, calls a room, prints.

Exit codes: 0 as expected or decided; 1 a wrong verdict; 2 bad input; 3 INCONCLUSIVE; 130 or 143 interrupted.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from numerics.models import DiagonalModel, FullModel
    from proofs_check.outcome import Outcome
    from proofs_check.worker import Task

T = TypeVar("T")

VALUE_OPTIONS = ("--set", "--time", "--beta")
"""The options of `reparam` that take a value."""

_OUT_OF_RANGE = "model, target: their numbers are too large or too small for double precision"

MOST_BETAS = 20
"""Of `reparam`, which encloses the least g at each."""
MOST_NUMBERS = 1000
LARGEST_DIM = 4096
SAID_AFTER = 30.0
"""Seconds after which `train` says how long it will take."""

_FORMATS = "pdf, svg, png, tex, md, csv"

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Jobs = Annotated[str | None, typer.Option(metavar="N", show_default="usable cores", help="Number of worker processes.")]
ModelFile = Annotated[str, typer.Argument(metavar="MODEL", help="A model, .json or .safetensors.")]
OneTarget = Annotated[str, typer.Option(metavar="SPEC", help="A kernel, as polynomial:p=1.5 or a sum with +.")]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 100},
)


class Level(StrEnum):
    """How thorough a verification is."""

    quick = "quick"
    full = "full"


class Time(StrEnum):
    """Continuous time, dh/dt = λh, or discrete time, h_{k+1} = λh_k."""

    continuous = "continuous"
    discrete = "discrete"


class Ball(StrEnum):
    """The shape of the ball of perturbed weights: |δ| ≤ β for all weights together, or for each group."""

    joint = "joint"
    block = "block"


class Rule(StrEnum):
    """Where a sequence of models comes from: a quadrature rule for the target's measure, or a fit."""

    explicit = "explicit"
    fitted = "fitted"


class Fitting(StrEnum):
    """How models are fitted: their best rates by variable projection, or all weights by gradient descent."""

    optimal = "optimal"
    gradient = "gradient"


class Loss(StrEnum):
    """What is made small: of the kernel's error the L² or the W^{1,∞} norm, or the mean square on sequences."""

    l2 = "l2"
    w1inf = "w1inf"
    sequences = "sequences"


class Table(StrEnum):
    """What a table of training runs compares: reparameterizations over learning rates, or best over its a and b."""

    lr = "lr"
    grid = "grid"


def _by_level(about: str, *name: str) -> Any:
    """An option with a whole number whose default is that of the level."""
    return typer.Option(*name, metavar="N", show_default="by level", help=about)


BallKind = Annotated[Ball, typer.Option(help="β bounds all weights together, or each group by itself.")]
GroupList = Annotated[
    str | None, typer.Option(metavar="G1,G2,...", show_default="all", help="Any of w, omega, U, c (or A, B, C).")
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print("stablessm", version("stablessm"))
        except PackageNotFoundError:
            print("stablessm (not installed)")
        raise typer.Exit


@app.callback(invoke_without_command=True, epilog="Example: stablessm --seed 7 verify --level full --mutants")
def common(
    context: typer.Context,
    seed: Annotated[str, typer.Option(metavar="N", help="Seed of every random number.")] = "0",
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Verify the theory of StableSSM (Wang & Li, ICML 2024) and judge reparameterizations λ = f(w)."""
    context.obj = parse_count("--seed", seed, least=0)
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(epilog="Example: stablessm verify --mutants --out build/verify")
def verify(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Claims to check; all without.")] = None,
    level: Annotated[Level, typer.Option(help="quick: under a minute; full: more digits, more cases.")] = Level.quick,
    mutants: Annotated[bool, typer.Option("--mutants", help="Check falsified variants too; all must fail.")] = False,
    jobs: Jobs = None,
    out: Annotated[Path, typer.Option(help="Folder for report.json, .md and .html.")] = Path("build/verify"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the ledger as JSON.")] = False,
) -> int:
    """Check the paper's statements and write a report."""
    from proofs_check import ledger, report, text

    processes = _jobs(jobs)
    with _checking_input():
        ledger.select(ledger.load_claims(ledger.CLAIMS), ids or ())
        report.check_writable(out)
    with _progress(quiet=as_json) as on_progress:
        result = ledger.verify(
            ids or (),
            level=level.value,
            mutants=mutants,
            jobs=processes,
            seed=context.obj,
            loader=ledger.CLAIMS,
            on_progress=on_progress,
        )
    try:
        paths = report.write_reports(result, out)
    except OSError as error:
        raise BadInput(f"--out {str(out)!r}: the report could not be written: {error.strerror}") from None
    if as_json:
        _print_json(report.as_json(result))
    else:
        _print_lines(text.ledger_lines(result, _width()))
        _print_lines([f"Report: {paths[-1]}"])
    return result.exit_code()


@app.command(epilog='Example: stablessm reparam "-1/(a*w**2+b)" --set a=1 --set b=0.1')
def reparam(
    formula: Annotated[str, typer.Argument(metavar="EXPR", help="A formula in w, or a name: exp, best:a=1:b=0.1.")],
    constants: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A constant.")] = None,
    time: Annotated[Time, typer.Option(help="Time of the state space model.")] = Time.continuous,
    beta: Annotated[
        str | None, typer.Option(metavar="B1,B2,...", help="Weight perturbations at which to give the least g.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> int:
    """Decide whether λ = f(w) is stable.

    The answer is rigorous, in the sense of Definition 3.4 of the paper.

    A leading minus belongs to the formula: stablessm reparam "-exp(w)".
    """
    values = parse_constants(constants or ())
    betas = () if beta is None else parse_numbers("--beta", beta, most=MOST_BETAS)
    from proofs_check.decide import decide

    with _checking_input():
        answer = decide(formula, time=time.value, values=values, betas=betas).as_json()
    if as_json:
        _print_json(answer)
    else:
        from proofs_check.text import decision_lines

        _print_lines(decision_lines(answer))
    return 3 if answer["verdict"] == "INCONCLUSIVE" else 0


@app.command(epilog="Example: stablessm claims thm-3.3-sharp")
def claims(
    claim_id: Annotated[str | None, typer.Argument(metavar="ID", help="The claim to show in full.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the claims, or show one in full."""
    from proofs_check import ledger, report, text

    with _checking_input():
        found = ledger.select(ledger.load_claims(ledger.CLAIMS), [claim_id] if claim_id is not None else [])
    if claim_id is not None:
        claim = found[claim_id]
        if as_json:
            _print_json(report.full_claim_json(claim))
        else:
            _print_lines(text.claim_lines(claim))
    elif as_json:
        _print_json({"claims": [report.claim_json(claim) for claim in found.values()]})
    else:
        _print_lines(text.list_lines(list(found.values()), _width()))


@app.command(epilog="Example: stablessm memory model.json --t 0,1,10,100")
def memory(
    context: typer.Context,
    model: ModelFile,
    times: Annotated[str, typer.Option("--t", metavar="T1,T2,...", help="Times; whole steps in discrete time.")],
    as_json: AsJson = False,
) -> None:
    """Bracket the memory function M(t) of a model.

    M(t) = sup |d/dt y_t|/(|x|_∞ + 1) over inputs x that start at time 0 and stay constant; in discrete time
    M(k) = sup |y_k - y_{k-1}|/(|x|_∞ + 1).
    """
    wanted = parse_numbers("--t", times, zero=True)
    from numerics.memory import memory_function

    with _computing():
        found = _read_one(model)
        answer = _defined(memory_function(found, [float(t) for t in wanted], seed=context.obj).as_json())
    if as_json:
        _print_json(answer)
    else:
        from proofs_check.tables import memory_lines

        _print_lines(memory_lines(answer, found, _width()))


@app.command(epilog="Example: stablessm perturb model.json --target polynomial:p=1.5 --beta 0,0.01,0.1")
def perturb(
    context: typer.Context,
    model: ModelFile,
    target: Annotated[str, typer.Option(metavar="SPEC,...", help="A kernel for each input, as polynomial:p=1.5.")],
    beta: Annotated[str, typer.Option(metavar="B1,B2,...", help="Sizes of the perturbation.")],
    ball: BallKind = Ball.joint,
    groups: GroupList = None,
    as_json: AsJson = False,
) -> None:
    """Bracket the perturbed error E(β) of a model.

    E(β) is the largest distance from the target, in the norm of the paper, over all weights within β of the model's.
    """
    betas, some = parse_numbers("--beta", beta, zero=True), parse_words("--groups", groups)
    from numerics.perturbed_error import perturbed_error
    from numerics.targets import parse_targets

    with _computing():
        targets, found = parse_targets(target), _read_one(model)
        radii = [float(b) for b in betas]
        error = perturbed_error(found, targets, radii, ball=ball.value, groups=some, seed=context.obj)
        answer = _defined(error.as_json())
    if as_json:
        _print_json(answer)
    else:
        from proofs_check.tables import error_lines

        _print_lines(error_lines(answer, found, targets, _width()))


@app.command(epilog="Example: stablessm curse --target polynomial:p=1.5 --m 4,8,16 --reparam direct,exp,best:b=0.1")
def curse(
    context: typer.Context,
    target: OneTarget,
    dims: Annotated[str, typer.Option("--m", metavar="M1,M2,...", help="Numbers of modes.")] = "4,8,16,32",
    reparam: Annotated[
        str, typer.Option(metavar="F1,F2,...", help="Reparameterizations, names or formulas.")
    ] = "direct,exp,best",
    beta: Annotated[str, typer.Option(metavar="B1,B2,...", help="Sizes of the perturbation.")] = "0.01,0.1",
    sequence: Annotated[Rule, typer.Option(help="A quadrature rule for the target, or a fit.")] = Rule.explicit,
    modes: Annotated[str, typer.Option(metavar="KIND,...", help="Any of plain, unit-norm.")] = "plain",
    groups: Annotated[
        str | None, typer.Option(metavar="G1,G2,...", show_default="w, and w,U,c", help="Weights that move together.")
    ] = None,
    ball: BallKind = Ball.joint,
    as_json: AsJson = False,
) -> int:
    """Show E(β) as models grow, and judge whether they are stable.

    For every f a sequence of models with more and more modes approximates one target; the verdict says whether it is a
    stable approximation. From finitely many m it is SUPPORTED at most, unless a theorem closes it.
    """
    sizes, fs = _distinct("--m", parse_dims(dims)), parse_words("--reparam", reparam)
    betas = _distinct("--beta", [float(b) for b in parse_numbers("--beta", beta, zero=True)])
    kinds, some = parse_words("--modes", modes), parse_words("--groups", groups)
    from numerics.curse import curse_table
    from numerics.targets import parse_target
    from proofs_check.curse_verdicts import curse_verdicts

    with _computing(), _bar() as on_progress:
        kernel = parse_target(target)
        result = curse_table(
            kernel,
            sizes,
            fs or (),
            betas,
            modes=kinds or (),
            groups=some,
            sequence=sequence.value,
            ball=ball.value,
            seed=context.obj,
            on_progress=on_progress,
        )
    rows, verdicts = (tuple(item.as_json() for item in items) for items in (result.rows, curse_verdicts(result)))
    answer = _defined({"rows": rows, "verdicts": verdicts, "notes": result.notes})
    if as_json:
        _print_json(answer)
    else:
        from proofs_check.tables import curse_lines

        _print_lines(curse_lines(answer, kernel, sequence.value, ball.value, _width()))
    return 3 if any(found["verdict"] == "INCONCLUSIVE" for found in verdicts) else 0


@app.command(epilog="Example: stablessm fit --target polynomial:p=1.5 --reparam exp,best --m 4,8 --out runs/a")
def fit(
    context: typer.Context,
    target: Annotated[
        str | None, typer.Option(metavar="SPEC,...", help="Kernels, as polynomial:p=1.5; each a target of its own.")
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="D", show_default="1", help="Inputs of a target: D kernels each, in order.")
    ] = None,
    reparam: Annotated[
        str | None,
        typer.Option(metavar="F1,F2,...", show_default="direct,exp,softplus,best", help="Names or formulas."),
    ] = None,
    dims: Annotated[
        str | None, typer.Option("--m", metavar="M1,M2,...", show_default="4,8,16,32", help="Numbers of modes.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N", show_default="8", help="Starts: N seeds from the seed of stablessm on.")
    ] = None,
    mode: Annotated[
        Fitting | None, typer.Option(show_default="optimal", help="Best rates by variable projection, or training.")
    ] = None,
    loss: Annotated[
        Loss | None, typer.Option(show_default="l2", help="Norm of the kernel's error, or white-noise sequences.")
    ] = None,
    modes: Annotated[
        str | None, typer.Option(metavar="KIND,...", show_default="plain", help="Any of plain, unit-norm.")
    ] = None,
    is_complex: Annotated[bool | None, typer.Option("--complex", help="Complex modes, λ = f(w) + iω.")] = None,
    time: Annotated[Time | None, typer.Option(show_default="continuous", help="Time of the models.")] = None,
    step_size: Annotated[
        str | None, typer.Option(metavar="X", show_default="1", help="Time of a step: discrete time, sequences.")
    ] = None,
    horizon: Annotated[
        str | None, typer.Option(metavar="T", show_default="all times", help="End of the loss, or number of steps.")
    ] = None,
    rates: Annotated[
        str | None, typer.Option("--lr", metavar="X1,X2,...", show_default="0.01", help="Learning rates (gradient).")
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(metavar="NAME,...", show_default="adam", help="Any of sgd, adam, adamw (gradient).")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="N", show_default="100, gradient 2000", help="Steps at most.")
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(metavar="N", show_default="16 to 512", help="Fits of one m that run, and are kept, as one."),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(metavar="FILE", help='All of the above as JSON: {"target": [...], "m": [4, 8], ...}.')
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:1.")] = "auto",
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder that keeps finished fits: an ended run goes on there.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="WHERE", help="local:2 for two processes; tcp://host:8786 for dask workers.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Fit models to targets and compare what they learned with what the theory allows.

    Every combination of target, f, m and seed is a row: its errors, stability margin, the measured decay of its memory
    and how near the bound of Theorem 3.3 comes to it. Exit code 3: every fit diverged.
    """
    given = {
        "--target": target, "--inputs": inputs, "--reparam": reparam, "--m": dims, "--seeds": seeds, "--mode": mode,
        "--loss": loss, "--modes": modes, "--complex": is_complex, "--time": time, "--step-size": step_size,
        "--horizon": horizon, "--lr": rates, "--optimizer": optimizer, "--steps": steps, "--batch": batch,
    }  # fmt: skip
    asked = None if sweep is not None else _asked(given, context.obj)
    from numerics.fit_grid import read_sweep, sweep_of_json
    from numerics.sweep import json_rows, run_sweep

    with _computing(), _said(), _bar() as on_progress:
        if sweep is None:
            grid = sweep_of_json(asked or {})
        else:
            beside = next((option for option, value in given.items() if value is not None), None)
            if beside is not None:
                raise BadInput(f"--sweep: the grid is in the file; {beside} cannot be given beside it")
            if context.obj:
                raise BadInput(f"--seed '{context.obj}': the seeds are in the file of --sweep")
            grid = read_sweep(sweep)
        try:
            found = run_sweep(grid, folder=out, cluster=cluster, device=device, on_progress=on_progress)
        except KeyboardInterrupt:
            raise _interrupted("units", out) from None
    from proofs_check.fit_report import fit_answers

    rows = json_rows(found)
    answer = {"rows": rows, "answers": fit_answers(rows), "asked": grid.as_json()}
    if as_json:
        _print_json(answer)
    else:
        from proofs_check.fit_tables import fit_lines

        _print_lines(fit_lines(answer, _width()))
    return 3 if all(row["result"] == "diverged" for row in rows) else 0


@app.command(epilog="Example: stablessm train --reparam direct,exp,best:b=0.1 --lr 5e-3,5e-2 --out runs/a --curves")
def train(
    context: typer.Context,
    table: Annotated[Table, typer.Option(help="f over learning rates, or best over its constants a and b.")] = Table.lr,
    data: Annotated[
        str, typer.Option(metavar="NAME", help="digits, mnist, cifar10, functional:TARGET, text or text:FILE.")
    ] = "digits",
    reparam: Annotated[
        str | None,
        typer.Option(
            metavar="F1,F2,...",
            show_default="direct,softplus,exp,best:b=0.1",
            help="Names or formulas; direct@published starts at Re λ = +1/2.",
        ),
    ] = None,
    modes: Annotated[
        str, typer.Option(metavar="KIND,...", help="Any of plain, unit-norm, dc, lru; every f with each.")
    ] = "plain",
    time: Annotated[Time, typer.Option(help="Time of the layers.")] = Time.continuous,
    rates: Annotated[
        str | None, typer.Option("--lr", metavar="X1,X2,...", show_default="by level", help="Learning rates.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N", show_default="by level", help="N seeds from the seed of stablessm on.")
    ] = None,
    level: Annotated[Level, typer.Option(help="quick: small, a minute for digits; full: all rates.")] = Level.quick,
    optimizer: Annotated[
        str, typer.Option(metavar="NAME,...", help="Any of sgd, adam, adamw; a table for each.")
    ] = "adamw",
    epochs: Annotated[str | None, _by_level("Passes through the training data.")] = None,
    batch: Annotated[str | None, _by_level("Sequences of a step.")] = None,
    width: Annotated[str | None, _by_level("Channels of a layer.")] = None,
    dims: Annotated[str | None, _by_level("Complex modes of a channel.", "--m")] = None,
    depth: Annotated[str | None, _by_level("Layers.")] = None,
    examples: Annotated[str | None, _by_level("Training sequences at most.")] = None,
    length: Annotated[str | None, _by_level("Length of sequences, of texts and functionals.")] = None,
    tokens: Annotated[str, typer.Option(metavar="KIND", help="character or byte, of texts.")] = "character",
    dtype: Annotated[str, typer.Option(metavar="NAME", help="float32 or float64.")] = "float32",
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:1.")] = "auto",
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder that keeps finished runs: an ended table goes on there.")
    ] = None,
    curves: Annotated[
        bool, typer.Option("--curves", help="Draw gradient over weight and loss against steps into DIR.")
    ] = False,
    curves_at: Annotated[
        str | None, typer.Option(metavar="X1,X2", show_default="see below", help="The learning rates to draw.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Train layers with every f at every learning rate, and see which f keep training stable.

    The table has the layout of the paper's Table 2. Exit code 3: every run diverged.

    Curves are drawn at the learning rate with the least test loss and at the next larger one, if --curves-at names no
    others.
    """
    given = {"--seeds": seeds, "--epochs": epochs, "--batch": batch, "--width": width, "--m": dims, "--depth": depth}
    asked: dict[str, Any] = _counted({**given, "--examples": examples, "--length": length})
    asked |= {"columns": parse_words("--reparam", reparam), "gains": parse_words("--modes", modes)}
    asked["learning_rates"] = None if rates is None else _rates("--lr", rates)
    drawn_at = () if curves_at is None else _rates("--curves-at", curves_at)
    if (curves or drawn_at) and out is None:
        raise BadInput("--curves: a folder for the curves is needed, as in --curves --out runs/a")
    from figures.published import published
    from numerics.training import train_table
    from numerics.training_presets import prepared_tables, table_folders
    from proofs_check.train_answer import training_answer

    names = parse_words("--optimizer", optimizer) or ()
    with _computing(), _said(), _bar() as bar:
        tables, dataset = prepared_tables(
            names, table=table.value, data=data, level=level.value, time=time.value, seed=context.obj, tokens=tokens,
            dtype=dtype, **asked,
        )  # fmt: skip
        if curves or drawn_at:
            from figures.training_curves import check_curves

            check_curves(drawn_at, tables[0])
        folders = table_folders(out, tables)
        try:
            found = [
                train_table(runs, dataset, folder=folder, device=device, progress=bar or _estimate())
                for runs, folder in zip(tables, folders, strict=True)
            ]
        except KeyboardInterrupt:
            raise _interrupted("runs", out) from None
        answer = training_answer(tables, dataset, found, published(dataset.name))
        files: list[Path] = []
        if curves or drawn_at:
            from figures.training_curves import draw_curves

            for records, folder in zip(found, folders, strict=True):
                files += draw_curves(records, folder or Path(), drawn_at)
    if as_json:
        _print_json({**answer, "files": [str(path) for path in files]})
    else:
        from proofs_check.train_tables import train_lines

        _print_lines(train_lines(answer, _width()))
        _print_lines(f"Curves: {path}" for path in files if path.suffix == ".png")
    return 3 if all(row["result"] == "diverged" for row in answer["rows"]) else 0


@app.command(epilog="Example: stablessm limit --target polynomial:p=2 --m 1,2,4,8 --fitted")
def limit(
    context: typer.Context,
    target: OneTarget,
    dims: Annotated[str, typer.Option("--m", metavar="M1,M2,...", help="Numbers of states.")] = "1,2,4,8",
    fitted: Annotated[
        bool, typer.Option("--fitted", help="Show beside it the errors of fitted and of explicit models.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how close m states can come to a target.

    E_m(0) of every stable linear model with m states is at least error_lower, by the Hankel singular values of the
    target and of its derivative.
    """
    sizes = parse_dims(dims)
    from numerics.hankel import limit_table
    from numerics.targets import parse_target

    with _computing(), _bar() as on_progress:
        kernel = parse_target(target)
        if fitted:
            from numerics.limit_comparison import limit_comparison  # needs torch

            answer = limit_comparison(kernel, sizes, seed=context.obj, on_progress=on_progress).as_json()
        else:
            answer = limit_table(kernel, sizes).as_json()
        answer = _defined(answer)
    if as_json:
        _print_json(answer)
    else:
        from proofs_check.tables import limit_lines

        _print_lines(limit_lines(answer, kernel, _width()))


@app.command(epilog="Example: stablessm bench --quick")
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Smaller sizes: under 40 s in place of 3 min.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the fitter beside named alternatives, in one run.

    Optimal mode against Adam in a loop, SciPy's least squares and pyMOR's TF-IRKA (with the extra stablessm[bench]);
    gradient mode against the loop; large batches. Nothing else should run meanwhile.
    """
    from numerics.benchmark_rows import FULL, QUICK
    from numerics.fit_benchmark import run_benchmark

    with _computing(), _bar() as on_progress:
        answer = _defined(run_benchmark(QUICK if quick else FULL, on_progress=on_progress).as_json())
    if as_json:
        _print_json(answer)
    else:
        from proofs_check.bench_lines import bench_lines

        _print_lines(bench_lines(answer, _width()))


@app.command(epilog="Example: stablessm figures modulus table-1 --format pdf,tex --out build/figures")
def figures(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Figures to make; all without.")] = None,
    level: Annotated[Level, typer.Option(help="quick: all in 3 minutes; full: more points, more runs.")] = Level.quick,
    out: Annotated[Path, typer.Option(help="Folder for data, pictures, tables and captions.")] = Path("build/figures"),
    formats: Annotated[
        str | None, typer.Option("--format", metavar="F1,F2,...", show_default="all", help=f"Any of {_FORMATS}.")
    ] = None,
    redraw: Annotated[bool, typer.Option("--redraw", help="Draw the data in the folder again, whatever made them.")] = (
        False
    ),
    jobs: Jobs = None,
    list_only: Annotated[bool, typer.Option("--list", help="List the figures and make none.")] = False,
    as_json: AsJson = False,
) -> int:
    """Make the figures and tables of the paper, and of what follows from it.

    Data that the same code has computed before, at the same level and seed, are not computed again. Exit code 1: the
    data of a figure refute what it says.
    """
    wanted, processes = parse_words("--format", formats), _jobs(jobs)
    from figures import drawing, figure_text
    from figures.figure import figure_kind

    with _checking_input():
        if list_only:
            answers = [figure_kind(name).as_json() for name in drawing.chosen(names or ())]
        else:
            with _bar() as on_figure, _going_on("figures", out):
                drawn = drawing.draw_figures(
                    names or (), out, level=level.value, seed=context.obj, formats=wanted or drawing.ALL_FORMATS,
                    redraw=redraw, jobs=processes, on_figure=on_figure,
                )  # fmt: skip
            answers = [figure.as_json() for figure in drawn]
    if as_json:
        _print_json({"figures": answers})
    else:
        lines = figure_text.list_lines(answers) if list_only else figure_text.drawn_lines(answers, str(out))
        _print_lines(lines)
    return int(any(answer.get("verdict") == "REFUTED" for answer in answers))


@app.command(epilog="Example: stablessm report --mutants --out build/report")
def report(
    context: typer.Context,
    level: Annotated[Level, typer.Option(help="Of figures and statements; quick: 4 minutes.")] = Level.quick,
    mutants: Annotated[bool, typer.Option("--mutants", help="Check falsified variants too; all must fail.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for report.html and report.pdf.")] = Path("build/report"),
    figures: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the figures; made where the data are not there.")
    ] = Path("build/figures"),
    jobs: Jobs = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ledger, the figures and the files as JSON.")] = (
        False
    ),
) -> int:
    """Gather verdicts, figures and tables into one page, report.html, and report.pdf.

    Exit codes as those of verify, and 1 where the data of a figure refute what it says.
    """
    processes = _jobs(jobs)
    from figures import drawing, report_page
    from proofs_check import ledger
    from proofs_check import report as ledger_report

    with _checking_input():
        ledger_report.check_writable(out, report_page.FILES)
        ledger_report.check_writable(figures, (), "--figures")
        with _bar() as on_figure, _going_on("figures", figures):
            drawn = drawing.draw_figures(
                (), figures, level=level.value, seed=context.obj, jobs=processes, on_figure=on_figure
            )
    with _progress(quiet=as_json) as on_progress:
        result = ledger.verify(
            level=level.value, mutants=mutants, jobs=processes, seed=context.obj, on_progress=on_progress
        )
    with _checking_input():
        paths = report_page.write_report(result, drawing.kept_figures(figures), out)
    if as_json:
        files = [str(path) for path in paths]
        answers = [figure.as_json() for figure in drawn]
        _print_json({"ledger": ledger_report.as_json(result), "figures": answers, "files": files})
    else:
        _print_lines([ledger_report.state_line(result), *(f"Report: {path}" for path in paths)])
    return result.exit_code() or int(any(figure.finding.verdict.name == "REFUTED" for figure in drawn))


@app.command(epilog="Example: stablessm demo curse")
def demo(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The demo to open; a page of all without.")] = None,
    port: Annotated[str, typer.Option(metavar="N", help="Where to serve; the next free one if it is in use.")] = "2718",
    host: Annotated[str, typer.Option(help="0.0.0.0: for everybody who can reach this machine.")] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="List the demos and serve none.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Serve the interactive lessons on this machine and open a browser; Ctrl-C ends it."""
    from figures.demos import server

    number = parse_count("--port", port, least=0)
    with _checking_input():
        demos = server.DEMOS if name is None else (server.demo(name),)
        if not (list_only or as_json):
            return server.serve(name, port=number, host=host, open_browser=not no_browser)
    if as_json:
        _print_json({"demos": [{"name": one.name, "title": one.title, "about": one.about} for one in demos]})
    else:
        _print_lines(f"{one.name:<16}{one.title}{'' if one.title.endswith('?') else '.'} {one.about}" for one in demos)


# Arguments


class BadInput(Exception):
    """What the user gave cannot be used; the message names the argument, its value and what is allowed."""


@contextmanager
def _checking_input() -> Iterator[None]:
    """The rooms say ValueError for bad input; elsewhere a ValueError is a defect and keeps its traceback."""
    try:
        yield
    except ValueError as error:
        raise BadInput(str(error)) from None


@contextmanager
def _computing() -> Iterator[None]:
    """Where the numbers given are computed with: an overflow is bad input, and numpy does not warn of it."""
    with warnings.catch_warnings(), _checking_input():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            yield
        except OverflowError:
            raise BadInput(_OUT_OF_RANGE) from None


@contextmanager
def _said() -> Iterator[None]:
    """What the rooms warn of, as lines on standard error."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"note: {message}", file=sys.stderr, flush=True)
        yield


def _interrupted(what: str, out: str | None) -> typer.Abort:
    """What is kept of a computation that ended early."""
    kept = f"finished {what} are kept in {out!r}, the same command goes on"
    return typer.Abort(f"interrupted; {'nothing is kept without --out' if out is None else kept}")


@contextmanager
def _going_on(what: str, out: Path) -> Iterator[None]:
    """Says at an interruption what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise _interrupted(what, str(out)) from None


def _defined(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, which may hold "inf" but no NaN."""
    if "NaN" in json.dumps(answer):
        raise BadInput(_OUT_OF_RANGE)
    return answer


def parse_count(option: str, text: str, least: int) -> int:
    """A whole number of at least `least` and at most nine digits."""
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) < least:
        raise BadInput(f"{option} {_quoted(text)}: a whole number of at least {least} is needed")
    return int(text)


def _jobs(text: str | None) -> int | None:
    return None if text is None else parse_count("--jobs", text, least=1)


def parse_constants(settings: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=1/2"]` as a mapping of texts; what a value may be is the formula parser's matter."""
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or not value:
            raise BadInput(f"--set {_quoted(setting)}: NAME=VALUE is needed, as in --set a=0.5")
        if name in values:
            raise BadInput(f"--set {_quoted(setting)}: {_quoted(name)} already has a value")
        values[name] = value
    return values


def parse_numbers(option: str, text: str, *, zero: bool = False, most: int = MOST_NUMBERS) -> tuple[Fraction, ...]:
    """`"0.1,0.5"` as exact fractions, each finite and positive, or 0 where `zero` allows it."""
    wanted = "a finite number of at least 0" if zero else "a positive number"
    betas = []
    for number in _parts(option, text, most):
        # the short exponent keeps Fraction from writing out a number with a billion digits
        plain = re.fullmatch(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", number, re.ASCII) and len(number) <= 60
        value = Fraction(number) if plain else Fraction(-1)
        if not (0 < _as_float(value) < math.inf or (zero and value == 0)):
            raise BadInput(f"{option} {_quoted(text)}: {_quoted(number)} is not {wanted}; write {option} 0.1,0.5")
        betas.append(value)
    return tuple(betas)


def parse_dims(text: str) -> tuple[int, ...]:
    """`"4,8"` as whole numbers from 1 to LARGEST_DIM."""
    sizes = tuple(parse_count("--m", part, least=1) for part in _parts("--m", text, MOST_NUMBERS))
    if max(sizes) > LARGEST_DIM:
        raise BadInput(f"--m {_quoted(text)}: {max(sizes)} is too large; at most {LARGEST_DIM} is allowed")
    return sizes


def _asked(given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The options of `fit` as the axes of a sweep."""
    option = {name: value for name, value in given.items() if value is not None}
    if "--target" not in option:
        raise BadInput("--target: a kernel is needed, as in --target polynomial:p=1.5; or --sweep FILE")
    count = parse_count("--seeds", option.get("--seeds", "8"), least=1)
    asked: dict[str, Any] = {
        "target": parse_specs(option["--target"], parse_count("--inputs", option.get("--inputs", "1"), least=1)),
        "reparam": parse_words("--reparam", option.get("--reparam", "direct,exp,softplus,best")),
        "m": _distinct("--m", parse_dims(option.get("--m", "4,8,16,32"))),
        "seeds": range(seed, seed + count),
        "complex": option.get("--complex", False),
    }
    asked |= {name: option[f"--{name}"].value for name in ("mode", "loss", "time") if f"--{name}" in option}
    asked |= {
        name: parse_words(f"--{name}", option[f"--{name}"]) for name in ("modes", "optimizer") if f"--{name}" in option
    }
    for name in ("steps", "batch"):
        if f"--{name}" in option:
            asked[name] = parse_count(f"--{name}", option[f"--{name}"], least=1)
    for text, name in (("--step-size", "step_size"), ("--horizon", "horizon")):
        if text in option:
            (asked[name],) = (float(value) for value in parse_numbers(text, option[text], most=1))
    if "--lr" in option:
        asked["learning_rate"] = [float(rate) for rate in parse_numbers("--lr", option["--lr"])]
    return asked


def _counted(given: Mapping[str, str | None]) -> dict[str, Any]:
    """The options of `train` that are whole numbers, by the names of the table; --m is its number of modes."""
    names = {option: {"--m": "modes"}.get(option, option[2:]) for option in given}
    return {names[option]: parse_count(option, text, least=1) for option, text in given.items() if text is not None}


def _rates(option: str, text: str) -> tuple[float, ...]:
    return _distinct(option, [float(rate) for rate in parse_numbers(option, text)])


def parse_specs(text: str, inputs: int) -> list[list[str]]:
    """`"airy,exponential"` as targets of so many kernels each; a comma between double quotes belongs to a file name."""
    specs = [part.strip() for part in re.split(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', text)]
    if len(specs) % inputs:
        raise BadInput(f"--target: {len(specs)} kernels do not make targets of {inputs} inputs each (--inputs)")
    return [specs[start : start + inputs] for start in range(0, len(specs), inputs)]


def parse_words(option: str, text: str | None) -> tuple[str, ...] | None:
    """`"w,U,c"` as words, none of them empty or given twice; None where the option is not given."""
    if text is None:
        return None
    words = _distinct(option, _parts(option, text, MOST_NUMBERS))
    if "" in words:
        raise BadInput(f"{option} {_quoted(text)}: names separated by single commas are needed")
    return words


def _parts(option: str, text: str, most: int) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > most:
        raise BadInput(f"{option} {_quoted(text)}: {len(parts)} entries; at most {most} are allowed")
    return parts


def _distinct(option: str, values: Sequence[T]) -> tuple[T, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise BadInput(f"{option}: {_quoted(str(value))} is given twice")
    return tuple(values)


def _read_one(path: str) -> DiagonalModel | FullModel:
    from numerics.model_files import read_model

    model = read_model(path)
    if model.batch_shape:
        raise BadInput(f"{_quoted(Path(path).name)}: one model is needed, this is a batch of shape {model.batch_shape}")
    return model


def _as_float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")


def separate_formula(arguments: Sequence[str]) -> list[str]:
    """The arguments with the formula of `reparam` put behind `--`, where its leading minus is no option.

    Only a token that begins with one minus, and is not the value of an option before it, is taken for a formula;
    `--jsno` stays a mistyped option.
    """
    command = _command_position(arguments)
    if command is None or arguments[command] != "reparam":
        return list(arguments)
    options: list[str] = []
    formulas: list[str] = []
    rest = iter(arguments[command + 1 :])
    for token in rest:
        if token == "--":
            formulas += rest
        elif token.startswith("--"):
            options.append(token)
            if token in VALUE_OPTIONS:
                value = next(rest, None)
                if value is None:
                    raise BadInput(f"{token}: a value is needed; see stablessm reparam --help")
                options.append(value)
        else:
            formulas.append(token)
    return [*arguments[: command + 1], *options, *(["--", *formulas] if formulas else [])]


def _command_position(arguments: Sequence[str]) -> int | None:
    skip = False
    for position, token in enumerate(arguments):
        if skip or token.startswith("-"):
            skip = token == "--seed" and not skip
        else:
            return position
    return None


# Printing


def _print_lines(lines: Iterable[str]) -> None:
    try:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not written again at exit
        raise BadInput(f"the output cannot be written: {error.strerror or error}") from None


def _print_json(value: Any) -> None:
    _print_lines([json.dumps(value, indent=1, allow_nan=False)])


def _width() -> int | None:
    """The width of the terminal; None where the output goes elsewhere, so that no line breaks there."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@contextmanager
def _progress(quiet: bool) -> Iterator[Any]:
    """The bar for claims; where there is none a line per finished task, or nothing when `quiet`."""

    def line(done: int, total: int, task: Task, outcome: Outcome) -> None:
        part = "" if task.part == "claim" else f" {task.part} {task.index + 1}"
        print(f"[{done}/{total}] {task.claim_id}{part}: {outcome.verdict.name}", file=sys.stderr, flush=True)

    with _bar() as bar:
        if bar is None:
            yield None if quiet else line
        else:
            yield lambda done, total, task, outcome: bar(done, total, task.claim_id)


@contextmanager
def _bar() -> Iterator[Callable[[int, int, str], None] | None]:
    """A progress bar with an estimate on a terminal, else None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("left {task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task("loading", total=None)
        yield lambda done, total, label: bar.update(row, completed=done, total=total, description=label)


def _estimate() -> Callable[[int, int, str], None]:
    """Says once, on standard error, what a long computation will take, where there is no terminal for a bar."""
    begun, first = monotonic(), -1

    def tell(done: int, total: int, label: str) -> None:
        nonlocal begun, first
        spent = monotonic() - begun
        if first < 0:
            begun, first = monotonic(), done
        elif done > first and spent > SAID_AFTER:
            left = spent * (total - done) / (done - first)
            if left > 2 * SAID_AFTER:
                print(
                    f"note: {done} of {total} steps done, about {left / 60:.0f} more minutes",
                    file=sys.stderr,
                    flush=True,
                )
            begun = math.inf

    return tell


# The entry


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; bad input is one line on standard error and code 2."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch is several times faster so, while its tensors are small
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by >&-
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # λ on a terminal that knows only ASCII
    try:
        given = separate_formula(sys.argv[1:] if arguments is None else arguments)
        code = app(given, prog_name="stablessm", standalone_mode=False)
        if code == 130:  # what Typer makes of an interrupt, without a word
            raise typer.Abort
        sys.stdout.flush()
    except typer.TyperException as error:
        return _fail(_explain(error))
    except BadInput as error:
        return _fail(str(error))
    except (KeyboardInterrupt, typer.Abort) as stop:
        _fail(str(stop) or "interrupted")
        return 130
    except (BrokenPipeError, SystemExit):  # Typer itself turns a broken pipe into SystemExit, and nothing else
        # the reader has gone, as in `stablessm claims | head -1`; nothing may be flushed into its pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return int(code or 0)


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _explain(error: Any) -> str:
    """The library's message in one line, with a near match for a mistyped option."""
    message: str = error.format_message().replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    option = getattr(error, "option_name", None)
    if context is None:
        return message
    if option and type(error).__name__ == "NoSuchOption":
        allowed = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
        near = difflib.get_close_matches(option, allowed, n=1)
        hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(allowed)}"
        if option == "--seed":
            hint = "it goes before the command, as in: stablessm --seed 7 verify"
        return f"no such option {_quoted(option)}; {hint}"
    return message


if __name__ == "__main__":
    raise SystemExit(main())
