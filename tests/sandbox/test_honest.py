"""Honest programs that are written in unusual ways: every one must pass."""

import textwrap

import pytest

from pytest_anchorgate.sandbox import verify

CASES = {
    "deep recursion with the limit raised": (
        """
        import sys
        sys.setrecursionlimit(30000)
        def f(n):
            return 0 if n == 0 else 1 + f(n - 1)
        """,
        ["assert f(6000) == 6000"],
    ),
    "a namedtuple equals the tuple": (
        """
        from collections import namedtuple
        Result = namedtuple("Result", "low high")
        def f(xs):
            return Result(min(xs), max(xs))
        """,
        ["assert f([3, 1, 2]) == (1, 3)"],
    ),
    "a dataclass with string annotations inside": (
        """
        from __future__ import annotations
        from dataclasses import dataclass, field, asdict
        @dataclass(order=True)
        class Item:
            weight: float
            tags: list[str] = field(default_factory=list)
        def f(ws):
            return [asdict(item)["weight"] for item in sorted(map(Item, ws))]
        """,
        ["assert f([2.5, 1.0]) == [1.0, 2.5]"],
    ),
    "a generator is consumed by the test": (
        """
        def f(n):
            for k in range(n):
                yield k * k
        """,
        [
            "assert list(f(5)) == [0, 1, 4, 9, 16]",
            "assert sum(f(4)) == 14",
            "assert next(iter(f(0)), None) is None",
        ],
    ),
    "an endless generator is taken from lazily": (
        """
        def f():
            a, b = 0, 1
            while True:
                yield a
                a, b = b, a + b
        """,
        ["from itertools import islice\nassert list(islice(f(), 8)) == [0, 1, 1, 2, 3, 5, 8, 13]"],
    ),
    "decorators and functools": (
        """
        import functools
        def shout(g):
            @functools.wraps(g)
            def inner(*args, **kwargs):
                return g(*args, **kwargs).upper()
            return inner
        @shout
        def f(text, *, mark="!"):
            return text + mark
        """,
        ["assert f('hi') == 'HI!'", "assert f('hi', mark='?') == 'HI?'"],
    ),
    "lru_cache and mutual recursion": (
        """
        from functools import lru_cache
        @lru_cache(maxsize=None)
        def f(n):
            return n if n < 2 else f(n - 1) + f(n - 2)
        """,
        ["assert f(90) == 2880067194370816120"],
    ),
    "Decimal and Fraction answers": (
        """
        from decimal import Decimal
        from fractions import Fraction
        def f(kind):
            return Decimal("3") if kind else Fraction(1, 4)
        """,
        ["assert f(1) == 3", "assert f(0) == 0.25", "assert abs(f(0) - 0.25) < 1e-9"],
    ),
    "closures and nonlocal": (
        """
        def make():
            count = 0
            def inner(step):
                nonlocal count
                count += step
                return count
            return inner
        f = make()
        """,
        ["assert f(2) == 2", "assert f(3) == 5"],
    ),
    "asyncio inside": (
        """
        import asyncio
        async def work(x):
            await asyncio.sleep(0.001)
            return x + 1
        async def both(x):
            return await asyncio.gather(work(x), work(x + 1))
        def f(x):
            return list(asyncio.run(both(x)))
        """,
        ["assert f(1) == [2, 3]"],
    ),
    "threads and a queue": (
        """
        import queue, threading
        def f(xs):
            out = queue.Queue()
            threads = [threading.Thread(target=lambda v=v: out.put(v * v)) for v in xs]
            for t in threads: t.start()
            for t in threads: t.join()
            return sorted(out.get() for _ in xs)
        """,
        ["assert f([3, 1, 2]) == [1, 4, 9]"],
    ),
    "a callable object with state": (
        """
        class Counter:
            def __init__(self): self.seen = {}
            def __call__(self, key):
                self.seen[key] = self.seen.get(key, 0) + 1
                return self.seen[key]
        f = Counter()
        """,
        ["assert f('a') == 1", "assert f('a') == 2"],
    ),
    "subclasses of builtins as answers": (
        """
        from collections import Counter, OrderedDict, defaultdict
        from enum import IntEnum
        class Words(list):
            def __iter__(self): return reversed(list(super().__iter__()))
        class Level(IntEnum):
            HIGH = 3
        def f(kind):
            d = defaultdict(list); d["a"].append(1)
            known = {"c": Counter("aab"), "o": OrderedDict(x=1), "d": d, "l": Words("ab"), "e": Level.HIGH}
            return known[kind]
        """,
        [
            "assert f('c') == {'a': 2, 'b': 1}",
            "assert f('c').most_common(1) == [('a', 2)]",
            "assert f('o') == {'x': 1}",
            "assert f('d') == {'a': [1]}",
            "assert f('l') == ['a', 'b']",
            "assert f('e') == 3",
        ],
    ),
    "None, booleans and identity": (
        """
        def f(x):
            return None if x is None else x is True
        """,
        ["assert f(None) is None", "assert f(True) is True", "assert f(1) is False"],
    ),
    "floats keep nan, infinity and the sign of zero": (
        """
        def f(name):
            return {"nan": float("nan"), "inf": float("inf"), "zero": -0.0}[name]
        """,
        [
            "import math\nassert math.isnan(f('nan'))",
            "assert f('inf') == float('inf')",
            "assert str(f('zero')) == '-0.0'",
        ],
    ),
    "large integers, complex numbers, bytes, nested containers": (
        """
        def f(x):
            return (x ** 3000, complex(0, -0.0), bytes([0, 255]), {frozenset({1}): [range(3), {2}]})
        """,
        ["assert f(7) == (7 ** 3000, 0j, b'\\x00\\xff', {frozenset({1}): [range(3), {2}]})"],
    ),
    "strange text": (
        """
        def f(s):
            return s[::-1]
        """,
        ["assert f('a\\u0301\\U0001f600') == '\\U0001f600\\u0301a'", "assert f('\\udc80x') == 'x\\udc80'"],
    ),
    "a main guard that would exit, prints, reads of standard input": (
        """
        import sys
        def f(x):
            print("working on", x)
            sys.stderr.write("still working")
            return x if sys.stdin.readline() == "" else None
        if __name__ == "__main__":
            sys.exit(1)
        """,
        ["assert f(5) == 5"],
    ),
    "pickle and deepcopy of own classes": (
        """
        import copy, pickle
        class Point:
            def __init__(self, x): self.x = x
        def f(x):
            return copy.deepcopy(pickle.loads(pickle.dumps(Point(x)))).x
        """,
        ["assert f(4) == 4"],
    ),
    "shadowed builtins at module level": (
        """
        list = max = len = None
        def f(xs):
            return [x for x in xs if x]
        """,
        ["assert f([0, 1, 2]) == [1, 2]"],
    ),
    "in-place sorting of the argument, which is then returned": (
        """
        def f(xs):
            xs.sort(key=lambda x: -x)
            return xs
        """,
        ["data = [1, 3, 2]\nassert f(data) == [3, 2, 1]\nassert data == [1, 3, 2]"],
    ),
    "exceptions as control flow and a custom error": (
        """
        class Empty(ValueError): pass
        def f(xs):
            try:
                return xs[0]
            except IndexError as error:
                raise Empty("nothing") from error
        """,
        [
            "assert f([1]) == 1",
            "try:\n    f([])\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'nothing'",
        ],
    ),
    "many standard modules, some with shared libraries": (
        """
        import array, base64, bisect, bz2, calendar, cmath, copy, csv, ctypes, dataclasses, difflib, enum
        import fractions, functools, hashlib, heapq, html, inspect, io, itertools, json, lzma, math, numbers
        import operator, queue, random, re, secrets, sqlite3, statistics, string, struct, textwrap, threading
        import time, timeit, typing, unicodedata, uuid, xml.etree.ElementTree, zlib, zoneinfo
        def f(text):
            packed = lzma.compress(bz2.compress(zlib.compress(text.encode())))
            back = zlib.decompress(bz2.decompress(lzma.decompress(packed))).decode()
            row = sqlite3.connect(":memory:").execute("select upper(?)", (back,)).fetchone()
            return row[0], hashlib.sha256(b"").hexdigest()[:8]
        """,
        ["assert f('ab') == ('AB', 'e3b0c442')"],
    ),
    "dates": (
        """
        from datetime import date, datetime, timedelta, timezone
        def f(n):
            day, moment = date(2024, 2, 28), datetime(2024, 1, 1, tzinfo=timezone.utc)
            return day + timedelta(days=n), moment, timedelta(n)
        """,
        [
            "import datetime as d\nassert f(1) == (d.date(2024, 2, 29), "
            "d.datetime(2024, 1, 1, tzinfo=d.timezone.utc), d.timedelta(1))"
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_honest_program(name):
    code, tests = CASES[name]
    verdict = verify(textwrap.dedent(code), entry_point="f", tests=tests)
    assert verdict.passed, f"{verdict.status}: {verdict.reason}"
