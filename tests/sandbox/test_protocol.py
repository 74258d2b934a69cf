"""What a pass needs beyond the asserts, arguments edited in place, and words for what the sandbox denied."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from broken import one
from levels_here import LEVELS_HERE

from pytest_anchorgate.sandbox import court, verify


def sort(code, tests, inout=(0,), **options):
    return verify(code, entry_point="sort", tests=tests, inout=inout, **options)


IN_PLACE = "def sort(xs):\n    xs.sort()\n"
TESTS = ["xs = [3, 1, 2]\nassert sort(xs) is None\nassert xs == [1, 2, 3]"]


def test_arguments_edited_in_place_come_back_if_the_task_says_so():
    assert sort(IN_PLACE, TESTS).passed
    verdict = sort("def sort(xs):\n    return None\n", TESTS)
    assert verdict.reason.startswith("test 1 failed: assert xs == [1, 2, 3]: got [3, 1, 2] (list)")


def test_otherwise_they_are_copies():
    assert sort(IN_PLACE, TESTS, inout=()).status == "failed"


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("def sort(d):\n    d['b'] = d.pop('a')\n", "d = {'a': 1}\nsort(d)\nassert d == {'b': 1}"),
        ("def sort(s):\n    s.add(2)\n", "s = {1}\nsort(s)\nassert s == {1, 2}"),
        ("def sort(b):\n    b += b'x'\n", "b = bytearray(b'a')\nsort(b)\nassert b == b'ax'"),
        ("def sort(n):\n    n += 1\n", "n = 1\nsort(n)\nassert n == 1"),
        ("def sort():\n    return 1\n", "assert sort() == 1"),
    ],
)
def test_of_every_kind(code, test):
    verdict = sort(code, [test])
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize(
    "final", ["(1, 2, 3)", "None", "type('L', (list,), {'__eq__': lambda a, b: True})([9])", "object()"]
)
def test_they_come_back_as_plain_data_of_their_own_type(final):
    code = (
        "import sys\n"
        "def sort(xs):\n"
        f"    frame = sys._getframe(1)\n    frame.f_locals['args'][0][:] = [0]\n    args = ({final},)\n"
        "    import ctypes\n"
        "    frame.f_locals['args'] = args\n"
        "    ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))\n"
    )
    assert not sort(code, TESTS).passed


def test_too_few_calls_are_no_pass():
    tests = ["if probe() == 1: probe()"]
    assert one(tests=tests, min_calls=2).passed
    verdict = one(code="def probe(): return 2", tests=tests, min_calls=2)
    assert verdict.status == "failed"
    assert verdict.reason == "only 1 calls came back where a right solution answers 2"


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_calls": 0},
        {"min_calls": True},
        {"inout": [-1]},
        {"inout": "0"},
        {"level": "high"},
        {"require": ""},
    ],
)
def test_wrong_arguments_are_the_callers(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        one(**wrong)


@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("open('/etc/passwd')", "needed open('/etc/passwd'), denied by the sandbox"),
        ("open('/tmp/x', 'w')", "needed open('/tmp/x', 'w'), denied by the sandbox"),
        ("os.fork()", "needed os.fork(), denied by the sandbox"),
        ("socket.socket()", "needed socket.socket(), denied by the sandbox"),
    ],
)
def test_what_the_sandbox_denied_is_said(line, words, level):
    verdict = one(level, f"import os, socket\ndef probe():\n    {line}\n    return 1\n")
    if "passwd" in line and level == "full":  # in a private root
        words = words.replace("denied by", "which is not there in")
    if sys.version_info < (3, 11):  # without columns the whole line is named
        words = words.partition(", ")[2]
    assert verdict.status == "failed"
    assert words in verdict.reason


def test_several_threads_at_once():
    def job(number):
        code = f"def probe():\n    return {number}\n"
        return one(code=code, tests=[f"assert probe() == {number % 10}"]).passed

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(job, range(40))) == [number < 10 for number in range(40)]


def test_courts_outlive_the_thread_that_opened_them():
    thread = threading.Thread(target=one)
    thread.start()
    thread.join()
    assert one().passed
    parents = {c.zygote.pid for c in court.courthouse()._idle}
    time.sleep(0.1)
    assert one().passed
    assert {c.zygote.pid for c in court.courthouse()._idle} == parents


def test_a_fork_of_this_process_gets_courts_of_its_own():
    assert one().passed
    here = court.courthouse()
    child = os.fork()
    if child == 0:
        try:
            fine = one().passed and court.courthouse() is not here
            court.close()
        finally:
            os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert one().passed
    assert court.courthouse() is here


def test_the_same_code_draws_the_same_random_numbers_in_every_run():
    code = "import random\ndef probe():\n    return [random.random(), hash('a'), list({'a', 'b', 'c'})]\n"
    first = one(code=code, tests=["assert probe() == 0"]).got
    assert first
    assert one(code=code, tests=["assert probe() == 0"]).got == first
