"""Statuses, reasons and details; mistakes of the caller's; what a verdict is made of."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_anchorgate.sandbox import STATUSES, Verdict, verify

DOUBLE = "def twice(x):\n    return 2 * x\n"
TESTS = ["assert twice(2) == 4", "assert twice(-3) == -6", "assert twice('ab') == 'abab'"]


def twice(code, tests=TESTS, **options):
    return verify(code, entry_point="twice", tests=tests, **options)


def test_a_right_answer_passes_and_counts_its_calls():
    verdict = twice(DOUBLE)
    assert verdict.passed, verdict
    assert (verdict.status, verdict.calls, verdict.detail) == ("passed", 3, "")
    assert verdict.duration > 0
    assert verdict.cpu_seconds > 0


def test_the_first_failing_test_is_named_with_what_was_got_and_expected():
    verdict = twice("def twice(x):\n    return 4\n")
    assert verdict.status == "failed"
    assert verdict.reason == "test 2 failed: assert twice(-3) == -6: got 4 (int)"
    assert (verdict.test, verdict.got, verdict.expected) == ("assert twice(-3) == -6", "4 (int)", "-6 (int)")
    assert "expected: -6 (int)" in verdict.detail
    assert "last call: (-3) -> 4 (int)" in verdict.detail
    assert verdict.calls == 2


def test_got_is_the_side_that_calls_the_function():
    verdict = twice("def twice(x):\n    return 5\n", ["assert 4 == twice(2)"])
    assert (verdict.got, verdict.expected) == ("5 (int)", "4 (int)")


def test_a_type_mismatch_is_said():
    verdict = twice("def twice(x):\n    return [x, x]\n", ["assert twice(2) == (2, 2)"])
    assert verdict.reason.endswith("got [2, 2] (list) where (2, 2) (tuple) was expected")


def test_an_assertion_that_is_no_comparison_shows_the_last_call():
    verdict = twice("def twice(x):\n    return 5\n", ["assert not twice(2), 'must be falsy'"])
    assert verdict.reason == "test 1 failed: assert not twice(2), 'must be falsy': must be falsy"
    assert "last call: (2) -> 5 (int)" in verdict.detail


def test_an_exception_is_named_with_its_line_in_the_code():
    verdict = twice("def twice(x):\n    y = 1\n    raise ValueError('bad ' + str(x))\n")
    assert verdict.status == "failed"
    assert (
        verdict.reason == "test 1 failed: assert twice(2) == 4: raised ValueError: bad 2 (line 3 of the code)"
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def twice(x:\n", "cannot be loaded: SyntaxError"),
        ("def thrice(x):\n    return 3 * x\n", "defines no function twice"),
        ("twice = 4\n", "twice is not a function but int"),
        ("import no_such_module\n" + DOUBLE, "ModuleNotFoundError: No module named 'no_such_module' (line 1"),
        ("", "defines no function twice"),
        ("def twice(x):\n    return '\\x1b[31m\\n::error::'\n", "'\\x1b[31m\\n::error::'"),
        (DOUBLE + "\0", "NUL character"),
        (DOUBLE + "# \udc80", "lone surrogate (U+DC80)"),
        ("#" * ((1 << 20) + 1), "larger than 1 MiB"),
        ("#" + "\u20ac" * (1 << 19), "larger than 1 MiB"),
    ],
)
def test_what_is_wrong_with_the_code_is_a_failed_verdict(code, words):
    verdict = twice(code)
    assert verdict.status == "failed"
    assert words in verdict.reason


def test_time_limits():
    spinning = twice("def twice(x):\n    while True: pass\n", cpu_seconds=1)
    assert (spinning.status, spinning.calls) == ("timeout", 0)
    assert "1 s of CPU" in spinning.reason
    sleeping = twice("import time\ndef twice(x):\n    time.sleep(60)\n", wall_seconds=0.8)
    assert sleeping.status == "timeout"
    assert sleeping.duration < 10


def test_a_hostile_value_that_keeps_the_judge_busy_is_a_timeout():
    colliding = "def twice(x):\n    return {k * ((1 << 61) - 1): 0 for k in range(60000)}\n"
    stubborn = "import gc\ndef twice(x):\n    return [k * ((1 << 61) - 1) for k in range(60000)]\n"
    assert not twice(colliding, cpu_seconds=1, wall_seconds=20).passed
    verdict = twice(stubborn, ["assert len(set(twice(2))) == 3"], cpu_seconds=1, wall_seconds=20)
    assert verdict.status == "timeout"
    assert "judge" in verdict.reason


def test_memory_and_signals():
    greedy = twice("def twice(x):\n    return len(bytearray(1 << 40))\n")
    assert greedy.status == "killed"
    assert "ran out of memory (1024 MiB)" in greedy.reason
    crashing = twice("import ctypes\ndef twice(x):\n    return ctypes.string_at(8)\n")
    assert crashing.status == "killed"
    assert "SIGSEGV" in crashing.reason


def test_candidate_born_text_is_ascii_on_one_line_and_capped():
    verdict = twice("def twice(x):\n    raise KeyError('\\u202e\\r\\n]]>' + 'x' * 100000)\n")
    assert verdict.status == "failed"
    assert len(verdict.reason) <= 2048
    assert len(verdict.detail) <= 8192
    assert verdict.reason.isascii()
    assert verdict.reason.isprintable()
    assert all(line.isprintable() for line in verdict.detail.split("\n"))
    assert "\\u202e" in verdict.reason


def test_check_form_with_prompt_body_and_helpers():
    prompt = (
        "from typing import List\n\n"
        "def step(x):\n    return x + 1\n\n"
        "def rise(xs: List[int]):\n    '''Add one to each.'''\n"
    )
    check = (
        "METADATA = {'author': 'us'}\n\n"
        "def check(candidate):\n"
        "    for n in range(4):\n"
        "        assert candidate([n, 0]) == [step(n), 1], 'wrong'\n"
    )
    options = {"entry_point": "rise", "check": check, "prompt": prompt}
    assert verify("    return [step(x) for x in xs]\n", **options).passed
    whole = "def step(x):\n    return 7\ndef rise(xs: List[int]):\n    return [step(x) for x in xs]\n"
    verdict = verify(whole, **options)
    assert verdict.status == "failed"
    assert verdict.reason.startswith(
        "check failed: assert candidate([n, 0]) == [step(n), 1], 'wrong': got [7, 7]"
    )
    stub = verify("pass\n", **options)
    assert stub.status == "failed"


def test_a_prompt_that_ends_in_a_bare_header_is_completed_by_the_body():
    verdict = verify(
        "    return -x\n", entry_point="neg", prompt="def neg(x):\n", tests=["assert neg(3) == -3"]
    )
    assert verdict.passed, verdict


def test_setup_runs_on_both_sides_and_its_instances_can_be_passed():
    setup = "class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\nP = Pair(3, Pair(4, None))\n"
    tests = ["assert total(P) == 7", "assert total(Pair(1, None)) == 1"]
    code = "def total(p):\n    return 0 if p is None else p.a + total(p.b)\n"
    assert verify(code, entry_point="total", tests=tests, setup=setup).passed


def test_expected_exceptions_can_be_tested_for():
    tests = [
        "try:\n    twice(None)\nexcept ValueError: pass\nelse:\n    raise AssertionError('no ValueError')"
    ]
    raising = "class Odd(ValueError): pass\ndef twice(x):\n    raise Odd('no')\n"
    assert twice(raising, tests).passed
    verdict = twice("def twice(x):\n    return None\n", tests)
    assert verdict.status == "failed"
    assert "no ValueError" in verdict.reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tests": ["assert True"]}, "never called the function"),
        ({"tests": ["assert twice(2) =="]}, "test 1 is not valid Python"),
        ({"tests": ["assert twice(2) == undefined_name"]}, "unknown name: name 'undefined_name'"),
        ({"tests": ["assert twice(lambda: 1) == 1"]}, "of type function cannot be passed"),
        ({"tests": ["raise SystemExit"]}, "left by SystemExit"),
        ({"tests": TESTS, "setup": "import no_such_module"}, "its setup raised ModuleNotFoundError"),
        ({"check": "x = 1"}, "defines no function check"),
    ],
)
def test_what_is_wrong_with_the_anchor_is_an_error_not_a_failure(options, words):
    verdict = verify(DOUBLE, entry_point="twice", **options)
    assert verdict.status == "error"
    assert words in verdict.reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"entry_point": "a b", "tests": TESTS}, "entry_point"),
        ({"entry_point": "class", "tests": TESTS}, "entry_point"),
        ({"entry_point": "twice"}, "either tests"),
        ({"entry_point": "twice", "tests": TESTS, "check": "def check(c): pass"}, "either tests"),
        ({"entry_point": "twice", "tests": "assert twice(1) == 2"}, "not one str"),
        ({"entry_point": "twice", "tests": [b"assert 1"]}, "tests must hold str"),
        ({"entry_point": "twice", "tests": ["assert '\0'"]}, "NUL"),
        ({"entry_point": "twice", "tests": TESTS, "cpu_seconds": 0}, "cpu_seconds"),
        ({"entry_point": "twice", "tests": TESTS, "wall_seconds": float("nan")}, "wall_seconds"),
        ({"entry_point": "twice", "tests": TESTS, "memory_mb": 8}, "memory_mb"),
    ],
)
def test_a_mistake_of_the_callers_is_a_value_error(options, words):
    with pytest.raises(ValueError, match=words):
        verify(DOUBLE, **options)


def test_a_verdict_is_plain_data():
    verdict = twice("def twice(x):\n    return 0\n")
    assert pickle.loads(pickle.dumps(verdict)) == verdict
    assert Verdict(**json.loads(json.dumps(verdict.as_dict()))) == verdict
    assert verdict.status in STATUSES


def test_nothing_is_printed(capfd):
    twice("import sys\nprint('loud')\nsys.stderr.write('loud')\n" + DOUBLE)
    assert capfd.readouterr() == ("", "")


def test_from_several_threads():
    codes = [f"def twice(x):\n    return 2 * x if {n % 2} else 0\n" for n in range(12)]
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(twice, codes))
    assert [verdict.passed for verdict in verdicts] == [bool(n % 2) for n in range(12)]


def test_the_order_of_a_set_is_the_same_in_every_run():
    code = "def order(n):\n    return ''.join({chr(97 + k) for k in range(n)})\n"
    answers = {verify(code, entry_point="order", tests=["assert order(20) == ''"]).got for _ in range(4)}
    assert len(answers) == 1
