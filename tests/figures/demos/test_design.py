"""Questions about formulas: good, bad and hostile ones, from any thread, and within a limited time."""

from __future__ import annotations

import math
import threading

import pytest

from figures.demos import lesson_design
from figures.demos.clerk import BETAS, POINTS, answer
from figures.demos.desk import Desk, ask
from proofs_check.claim import Verdict

HOSTILE = [
    ("__import__('os').system('touch /tmp/hacked')", "unexpected"),
    ("w" * 10**6, "1000000 characters"),
    ("w**w**w**w", "not real at w = -1"),
    ("", "it ends where"),
    ("c*w", "unknown name 'c'"),
    ("<img src=x onerror=alert(1)>", "unexpected '<'"),
    ("((((" * 30 + "w", "nested deeper"),
    ("1/0*w", "division by zero"),
    ('w"}\n{"asked": "values"', "unexpected"),
]


def test_the_verdict_on_every_example() -> None:
    unstable = {"waves, ever faster", "too steep", "touches 0"}
    expected = {name: name not in unstable for name in lesson_design.EXAMPLES}
    found = {name: lesson_design.decision(text, 1.0, 0.5) for name, text in lesson_design.EXAMPLES.items()}
    assert {name: one["stable"] for name, one in found.items()} == expected
    for one in found.values():
        assert lesson_design.verdict(one) in (Verdict.ENCLOSED, Verdict.REFUTED)
        assert [row["beta"] for row in one["modulus"]] == [float(beta) for beta in BETAS]
        assert len(one["scale"]) == len(POINTS) == len(lesson_design.grid())
    waves = lesson_design.statement(found["waves, ever faster"])
    assert "is not stable: log|f| oscillates ever faster" in waves
    assert "f(w)/f(w̃) tends to 7.3891." in waves


def test_the_answers_of_the_exercise() -> None:
    waves, constant, pole = (
        lesson_design.decision(text, 1.0, 0.5) for text in ("-(3 + sin(w**2))/2", "-1/(1 + abs(w))", "-1/w**2")
    )
    assert (waves["stable"], constant["stable"], pole["stable"]) == (False, True, False)
    assert set(constant["scale"]) == {1.0}


def test_constants_reach_the_formula() -> None:
    for a, b in ((1.0, 0.5), (2.0, 0.1)):
        row = lesson_design.decision("-1/(a*w**2 + b)", a, b)["modulus"][-1]
        exact = (1 + math.sqrt(1 + 4 * b / a)) * a / (2 * b)
        assert row["g"][0] <= exact <= row["g"][1]
        assert row["g"][1] <= exact * (1 + 1e-6)
    assert ask("values", "best:b=0.1", "1", "0.5")["expression"] == "-1/(w**2 + 1/10)"
    assert ask("values", "-exp(w)", "3", "3")["expression"] == "-exp(w)"


def test_values_are_those_of_f() -> None:
    f = lesson_design.values("-1/w**2", 1.0, 1.0)["f"]
    assert f[0] == pytest.approx(-1 / 36)
    assert f[len(f) // 2] is None
    assert lesson_design.decision("-1/(1 + abs(w))", 1.0, 1.0)["scale"] == [1.0] * len(POINTS)


@pytest.mark.parametrize(("text", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_formula_gets_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="formula: ") as raised:
        lesson_design.decision(text, 1.0, 1.0)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 200
    assert "\n" not in str(raised.value)


def test_a_late_answer_is_not_waited_for_and_the_next_question_is_answered() -> None:
    desk = Desk(clerks=1, limit=0.01)
    with pytest.raises(ValueError, match=r"formula: no answer within 0\.01 s; try a simpler one"):
        desk.ask("decision", "-exp(w)", {})
    desk._limit = 60.0
    try:
        assert desk.ask("decision", "-exp(w)", {})["verdict"] == "ENCLOSED"
    finally:
        desk.close()


def test_a_clerk_that_dies_is_replaced() -> None:
    desk = Desk(clerks=1, limit=60.0)
    try:
        desk.ask("values", "w", {})
        desk._idle[0].kill()
        desk._idle[0].wait()
        with pytest.raises(ValueError, match="it could not be examined"):
            desk.ask("values", "w", {})
        assert desk.ask("values", "w", {})["expression"] == "w"
    finally:
        desk.close()


def test_threads_may_ask_at_the_same_time() -> None:
    texts = [f"-exp(w) - {k}" for k in range(6)]
    found: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda text=text: found.update({text: ask("decision", text, "1", "1")["verdict"]}))
        for text in texts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found == dict.fromkeys(texts, "ENCLOSED")


def test_a_clerk_answers_a_line_with_a_line() -> None:
    line = answer('{"asked": "values", "text": "-exp(w)", "constants": {}}')
    assert line.startswith('{"expression": "-exp(w)", "f": [')
    assert answer('{"asked": "decision", "text": "2*x", "constants": {}}').startswith(
        '{"error": "formula: unknown name'
    )
