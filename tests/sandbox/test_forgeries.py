"""Wrong programs that try to look right. None may pass, and the reason says how each one failed."""

import textwrap

import pytest

from pytest_anchorgate.sandbox import verify

# The task: triple a number. Every program below gets it wrong on purpose.
TESTS = ["assert triple(2) == 6", "assert triple(5) == 15", "assert not triple(0)"]

# technique: (program, words that the reason must hold)
CASES = {
    "leaves with os._exit(0) in the call": (
        "import os\ndef triple(x): os._exit(0)",
        "left its process (exit status 0)",
    ),
    "leaves with os._exit(0) at import": ("import os\nos._exit(0)", "left its process (exit status 0)"),
    "sys.exit in the call": ("import sys\ndef triple(x): sys.exit(0)", "raised SystemExit"),
    "sys.exit at import": ("raise SystemExit(None)", "cannot be loaded: SystemExit"),
    "a base exception past except Exception": ("def triple(x): raise KeyboardInterrupt", "KeyboardInterrupt"),
    "a test framework's skip": (
        "import unittest\ndef triple(x): raise unittest.SkipTest('later')",
        "raised SkipTest",
    ),
    "an atexit hook that exits cleanly, then a crash": (
        "import atexit, os\natexit.register(os._exit, 0)\ndef triple(x): raise SystemExit(1)",
        "SystemExit",
    ),
    "a C-level exit": ("import ctypes\ndef triple(x): ctypes.CDLL(None)._exit(0)", "exit status 0"),
    "a timer thread that exits": (
        """
        import os, threading, time
        threading.Thread(target=lambda: (time.sleep(0.05), os._exit(0)), daemon=True).start()
        def triple(x): time.sleep(30)
        """,
        "exit status 0",
    ),
    "replaced by another program": (
        "import os\ndef triple(x): os.execv('/bin/true', ['true'])",
        "PermissionError",
    ),
    "a child that carries on while the parent exits": (
        "import os\ndef triple(x):\n    if os.fork(): os._exit(0)\n    return 3 * x",
        "PermissionError",
    ),
    "an object equal to everything": (
        """
        class Any:
            __eq__ = lambda s, o: True
            __ne__ = lambda s, o: False
            __bool__ = lambda s: False
            __hash__ = None
        def triple(x): return Any()
        """,
        "not plain data",
    ),
    "a number equal to everything": (
        """
        class Any(int):
            def __eq__(self, other): return True
            def __bool__(self): return False
        def triple(x): return Any(0)
        """,
        "got 0 (int)",
    ),
    "a text equal to everything": (
        """
        class T(str):
            __eq__ = lambda s, o: True
            __hash__ = str.__hash__
        def triple(x): return T("6")
        """,
        "'6' (str)",
    ),
    "a class whose metaclass says equal": (
        "class M(type):\n    __eq__ = lambda c, o: True\nclass K(metaclass=M): pass\ndef triple(x): return K",
        "type M",
    ),
    "a class property that lies": (
        """
        class L:
            __class__ = property(lambda s: int)
            __eq__ = lambda s, o: True
            __index__ = lambda s: 6
        def triple(x): return L()
        """,
        "not plain data",
    ),
    "mock.ANY": ("from unittest.mock import ANY\ndef triple(x): return ANY", "_ANY"),
    "MagicMock with its own equality": (
        """
        from unittest.mock import MagicMock
        def triple(x):
            m = MagicMock(); m.__eq__ = lambda s, o: True; m.__bool__ = lambda s: False
            return m
        """,
        "equals nothing",
    ),
    "code in __reduce__": (
        """
        class R:
            def __reduce__(self): return (exec, ("raise SystemExit(0)",))
        def triple(x): return R()
        """,
        "type R",
    ),
    "an equal object inside a real list": (
        "class A:\n    __eq__ = lambda s, o: True\ndef triple(x): return [A()]",
        "(list)",
    ),
    "walks frames for the answer": (
        """
        import sys
        def triple(x):
            f = sys._getframe()
            while f:
                for scope in (f.f_locals, f.f_globals):
                    for name in ("expected", "right", "comparators", "tests", "check", "job"):
                        if name in scope: return scope[name]
                f = f.f_back
        """,
        "got None",
    ),
    "searches the heap for the tests": (
        """
        import gc, re
        def triple(x):
            for o in gc.get_objects():
                for v in gc.get_referents(o):
                    if isinstance(v, str) and "== 6" in v and "triple(2)" in v and "get_referents" not in v:
                        return 6
            return -1
        """,
        "got -1",
    ),
    "patched builtins and operators": (
        """
        import builtins, operator
        operator.eq = lambda a, b: True
        builtins.AssertionError = type("Quiet", (Exception,), {})
        builtins.bool = builtins.repr = builtins.all = lambda *a: True
        def triple(x): return -x
        """,
        "got -2 (int)",
    ),
    "poisoned modules": (
        """
        import sys, types
        class Yes(types.ModuleType):
            def __getattr__(self, name): return lambda *a, **k: True
        for name in ("struct", "ast", "operator", "json", "select", "random"):
            sys.modules[name] = Yes(name)
        def triple(x): return True
        """,
        "got True (bool)",
    ),
    "the slot of int's comparison overwritten in memory": (
        """
        import gc
        def triple(x):
            try:
                slots = gc.get_referents(int.__dict__)[0]
                slots["__eq__"] = lambda a, b: True
            except Exception:
                pass
            return 1
        """,
        "got 1 (int)",
    ),
    "success printed to every descriptor": (
        """
        import os
        for fd in range(0, 64):
            try: os.write(fd, b"1 passed in 0.01s\\n{\\"status\\": \\"passed\\"}\\n")
            except OSError: pass
        def triple(x): os._exit(0)
        """,
        "broke the protocol",
    ),
    "a forged reply ahead of time": (
        """
        import os, struct
        os.write(3, struct.pack("<cII", b"V", 1, 5) + b"s" + bytes(4))
        def triple(x): return 0
        """,
        "broke the protocol",
    ),
    "a thread that keeps writing to the channel": (
        """
        import os, struct, threading
        def spam():
            while True: os.write(3, struct.pack("<cII", b"V", 2, 1) + b"N")
        def triple(x):
            threading.Thread(target=spam, daemon=True).start()
            return 6
        """,
        "failed",
    ),
    "an enormous frame announced": (
        "import os\ndef triple(x): os.write(3, b'V' + b'\\xff' * 8); os._exit(0)",
        "a frame of 4294967295 bytes",
    ),
    "garbage in a well-framed reply": (
        """
        import os, struct
        def triple(x):
            os.write(3, struct.pack("<cII", b"V", 2, 2) + b"??")
            os._exit(0)
        """,
        "not plain data: unknown tag",
    ),
    "the channel closed": ("import os\ndef triple(x):\n    os.close(3); os._exit(0)", "left its process"),
    "a list that holds itself": ("def triple(x):\n    a = []; a.append(a); return a", "containing itself"),
    "ten million items": ("def triple(x): return [0] * 10_000_000", "too many"),
    "an endless iterator where a number is due": (
        "import itertools\ndef triple(x): return itertools.repeat(6)",
        "equals nothing",
    ),
    "text of its own that never ends": (
        "class E(Exception):\n    __str__ = lambda s: 'x' * 10**7\ndef triple(x): raise E",
        "raised E: xxx",
    ),
    "special methods that leave": (
        """
        import os
        class H:
            def __getattribute__(self, name): os._exit(0)
            def __repr__(self): os._exit(0)
            __eq__ = __hash__ = __len__ = __iter__ = __repr__
        def triple(x): return H()
        """,
        "type H",
    ),
    "a trailing decorator for the code that follows": (
        "def triple(x): return None\n@(lambda check: lambda candidate: None)\n",
        "SyntaxError",
    ),
    "a coroutine": ("async def triple(x): return 3 * x", "type coroutine"),
    "the answer printed": ("def triple(x): print(3 * x)", "got None"),
    "the answer as text": ("def triple(x): return str(3 * x)", "'6' (str)"),
    "the answer in a list": ("def triple(x): return [3 * x]", "[6] (list)"),
    "the recursion limit lowered": (
        "import sys\nsys.setrecursionlimit(40)\ndef triple(x): return 0",
        "failed",
    ),
}


@pytest.mark.parametrize("technique", CASES)
def test_forgery(technique):
    code, words = CASES[technique]
    options = {"entry_point": "triple", "tests": TESTS, "cpu_seconds": 4, "wall_seconds": 20}
    verdict = verify(textwrap.dedent(code), **options)
    assert verdict.status == "failed"
    assert words in f"failed: {verdict.reason}"


def test_stopping_itself_is_a_timeout():
    code = "import signal\nsignal.raise_signal(signal.SIGSTOP)\ndef triple(x): return 3 * x"
    assert verify(code, entry_point="triple", tests=TESTS, wall_seconds=1.5).status == "timeout"


def test_an_exception_that_ends_iteration_cannot_end_a_loop_over_the_cases():
    code = "def triple(x): raise StopIteration"
    tests = ["assert all(map(lambda case: triple(case) == 3 * case, range(5)))"]
    verdict = verify(code, entry_point="triple", tests=tests)
    assert verdict.status == "failed"
    assert "raised StopIteration" in verdict.reason


SWALLOWING = """
def check(candidate):
    for case in (1, 2, 3):
        try:
            good = candidate(case) == 3 * case
        except{}:
            good = True
        assert good
"""


@pytest.mark.parametrize("clause", ["", " Exception", " BaseException"])
def test_a_breach_cannot_be_swallowed_by_a_careless_test(clause):
    hangs_up = "import os\ndef triple(x): os._exit(0)"
    breaks = "import os, struct\ndef triple(x):\n    os.write(3, struct.pack('<cII', b'V', 9, 1) + b'N')"
    too_large = "def triple(x): return 'x' * (5 << 20)"
    for code in (hangs_up, breaks, too_large):
        verdict = verify(code, entry_point="triple", check=SWALLOWING.format(clause))
        assert verdict.status == "failed", verdict


def test_endless_iterators_are_bounded_even_if_the_test_swallows():
    code = "import itertools\ndef triple(x): return itertools.count()"
    check = "def check(candidate):\n    try: list(candidate(1))\n    except BaseException: pass\n"
    verdict = verify(code, entry_point="triple", check=check, cpu_seconds=30, wall_seconds=60)
    assert verdict.status == "failed"
    assert "more than 100000 items" in verdict.reason


def test_the_verifiers_helper_comes_from_the_prompt_not_from_the_code():
    prompt = "def shift(x):\n    return x + 1\n\ndef unshift(x):\n    '''Undo shift.'''\n"
    check = "def check(candidate):\n    for n in range(5):\n        assert candidate(shift(n)) == n\n"
    forged = "def shift(x): return x\ndef unshift(x): return x\n"
    verdict = verify(forged, entry_point="unshift", check=check, prompt=prompt)
    assert verdict.status == "failed"
    assert verify("def unshift(x): return x - 1\n", entry_point="unshift", check=check, prompt=prompt).passed


def test_dying_after_the_last_call_is_no_pass():
    code = """
import os, threading, time
def triple(x):
    if x == 0:
        threading.Thread(target=lambda: os._exit(0)).start()
    return 3 * x
"""
    slow = [*TESTS, "import time\ntime.sleep(0.3)"]
    verdict = verify(code, entry_point="triple", tests=slow)
    assert verdict.status == "failed"
    assert "left its process" in verdict.reason


def test_unasked_bytes_after_the_last_call_are_no_pass():
    code = """
import os, threading, time
def triple(x):
    if x == 0:
        threading.Thread(target=lambda: (time.sleep(0.1), os.write(3, b"V" + bytes(8)))).start()
    return 3 * x
"""
    verdict = verify(code, entry_point="triple", tests=[*TESTS, "import time\ntime.sleep(0.4)"])
    assert verdict.status == "failed"
    assert "nobody asked for" in verdict.reason
