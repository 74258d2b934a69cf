"""What the processes can and cannot reach, and that nothing of them is left behind."""

import os
import sys
import textwrap
from pathlib import Path

import pytest
from levels_here import LEVELS_HERE

from pytest_anchorgate.sandbox import court, seccomp, syscalls, verify
from pytest_anchorgate.sandbox.finding import Finding


def answer(body, tests=("assert probe() == 'denied'",), **options):
    """Run a probe that returns what happened."""
    return verify(textwrap.dedent(body), entry_point="probe", tests=tests, **options)


def children():
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += (task / "children").read_text().split()
    return found


DENIED = {
    "fork": "os.fork()",
    "exec": "os.execv('/bin/true', ['true'])",
    "subprocess": "__import__('subprocess').run(['/bin/true'])",
    "write a file": "open('/tmp/anchorgate-probe', 'w')",
    "append to a file": "open('/dev/null', 'a')",
    "make a folder": "os.mkdir('/tmp/anchorgate-probe')",
    "remove a file": "os.unlink('/tmp/anchorgate-probe')",
    "rename": "os.rename('/tmp/anchorgate-a', '/tmp/anchorgate-b')",
    "truncate": "os.truncate('/tmp/anchorgate-probe', 0)",
    "chmod": "os.chmod('/', 0o755)",
    "utime": "os.utime('/')",
    "tcp": "__import__('socket').socket()",
    "unix socket": "__import__('socket').socket(__import__('socket').AF_UNIX)",
    "udp": "__import__('socket').socket(type=__import__('socket').SOCK_DGRAM)",
    "a pair's datagram sent elsewhere": (
        "(lambda s: s.socketpair(type=s.SOCK_DGRAM)[0].connect('\\0elsewhere'))(__import__('socket'))"
    ),
    "signal the parent": "os.kill(os.getppid(), 0)",
    "signal everybody": "os.kill(-1, signal.SIGCONT)",
    "leave the parent-death signal": "prctl(1, 0, 0, 0, 0)",
    "become dumpable": "prctl(4, 1, 0, 0, 0)",
    "shared memory": "call(ctypes.CDLL(None, use_errno=True).shmget, 77, 4096, 0o1600)",
    "a keyring": "call(ctypes.CDLL(None, use_errno=True).keyctl, 0, -3, 0)",
    "file attributes": "__import__('fcntl').ioctl(os.open(os.__file__, os.O_RDONLY), 0x40086602, bytes(8))",
    "memfd": "os.memfd_create('x')",
    "namespaces": "call(ctypes.CDLL(None, use_errno=True).unshare, 0x10000000)",
    "ptrace": "call(ctypes.CDLL(None, use_errno=True).ptrace, 0, 0, 0, 0)",
    "raise a limit": "resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))",
    "become another user": "call(ctypes.CDLL(None, use_errno=True).setuid, 12345)",
    "lock a file": "__import__('fcntl').flock(3, 2)",
    "lock a part of a file": "__import__('fcntl').lockf(os.open(os.devnull, os.O_RDONLY), 1)",
    "a file by its path only": "os.open('/', os.O_PATH)",
    "limits of another process": "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)",
    "sockets that are not local": "__import__('socket').socketpair(__import__('socket').AF_INET)",
    "watch a folder": "call(ctypes.CDLL(None, use_errno=True).inotify_init)",
    "extended attributes": "os.setxattr('/', 'user.x', b'x')",
    "io_uring": "call(ctypes.CDLL(None, use_errno=True).syscall, 425, 8, 0)",
    "a call that is not in the table": "call(ctypes.CDLL(None, use_errno=True).syscall, 2000, 0)",
}
PROBE = """
import ctypes, os, resource, signal
def call(function, *args):
    if function(*args) == -1:
        raise OSError(ctypes.get_errno(), "no")
def prctl(*args):
    call(ctypes.CDLL(None, use_errno=True).prctl, *args)
def probe():
    try:
        {attempt}
    except (OSError, ValueError, AttributeError):
        return "denied"
    return "done"
"""


@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize("what", DENIED)
def test_denied(what, level):
    verdict = answer(PROBE.format(attempt=DENIED[what]), level=level)
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("level", LEVELS_HERE)
def test_threads_and_pairs_of_sockets_work(level):
    verdict = answer(
        """
        import asyncio, queue, threading, time
        async def later(x):
            await asyncio.sleep(0.001)
            return x
        async def both():
            return await asyncio.gather(later(1), asyncio.to_thread(lambda: 2))
        def probe():
            box = queue.Queue()
            threading.Thread(target=box.put, args=(3,)).start()
            return asyncio.run(both()) + [box.get(timeout=9)]
        """,
        ["assert probe() == [1, 2, 3]"],
        level=level,
    )
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("level", LEVELS_HERE)
def test_what_the_candidate_finds_around_itself(level):
    verdict = answer(
        """
        import os, resource, sys
        def probe():
            limits = (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_AS)
            return {
                "environment": sorted(os.environ),
                "cwd": os.getcwd(),
                "descriptors": [fd for fd in range(256) if is_open(fd)],
                "session": os.getsid(0) == os.getpid(),
                "limits": [resource.getrlimit(limit) for limit in limits],
                "path": [entry for entry in sys.path if "site-packages" in entry or "anchorgate" in entry],
                "modules": [name for name in sys.modules if "anchorgate" in name or name == "site"],
                "flags": (sys.flags.no_site, sys.flags.no_user_site, sys.flags.dont_write_bytecode),
                "name": __name__,
            }
        def is_open(fd):
            try:
                os.fstat(fd)
                return True
            except OSError:
                return False
        """,
        [
            "seen = probe()",
            "assert set(seen['environment']) <= {'PYTHONHASHSEED', 'TZ', 'LC_CTYPE'}",
            "assert seen['cwd'] == '/'",
            "assert seen['descriptors'] == [0, 1, 2, 3]",
            "assert seen['session']",
            "assert seen['limits'] == [(0, 0), (0, 0), (64, 64), (512 << 20, 512 << 20)]",
            "assert seen['path'] == []",
            "assert seen['modules'] == []",
            "assert seen['flags'] == (1, 1, 1)",
            "assert seen['name'] == 'candidate'",
        ],
        memory_mb=512,
        level=level,
    )
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("level", LEVELS_HERE)
def test_reading_is_limited_to_the_standard_library(tmp_path, level):
    secret = tmp_path / "anchors.jsonl"
    secret.write_text("expected")
    package = Path(pytest.__file__)
    paths = [secret, tmp_path, package, "/", "/etc/passwd", "/proc/self/maps", f"/proc/{os.getpid()}/mem"]
    verdict = answer(
        """
        import json, os
        def probe(paths):
            read = []
            for path in paths:
                try:
                    os.close(os.open(path, os.O_RDONLY))
                    read.append(path)
                except OSError:
                    pass
            return read
        """,
        [f"assert probe({[str(path) for path in paths]!r}) == []"],
        level=level,
    )
    assert verdict.level == level
    assert verdict.passed, verdict.reason


@pytest.mark.skipif("full" not in LEVELS_HERE, reason="needs namespaces")
def test_at_the_level_full_nothing_else_can_even_be_seen(tmp_path):
    paths = ["/home", "/proc", "/sys", "/tmp", "/etc/passwd", "/bin/sh", str(tmp_path), pytest.__file__]
    paths = [path for path in paths if not os.__file__.startswith(path)]
    verdict = answer(
        """
        import os
        def probe(paths):
            return [path for path in paths if os.path.exists(path)], os.getpid() > 1, os.getppid()
        """,
        [f"assert probe({paths!r}) == ([], True, 1)"],
        level="full",
    )
    assert verdict.passed, verdict.reason


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_and_no_descriptor_is_left():
    codes = [
        "def probe(): return 1",
        "import os\ndef probe(): os._exit(0)",
        "import threading, time\n"
        "def probe():\n"
        "    for _ in range(5): threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "    return 1",
        "import signal\n"
        "for s in (1, 2, 15, 24): signal.signal(s, signal.SIG_IGN)\n"
        "def probe():\n"
        "    while True: pass",
    ]
    verify(codes[0], entry_point="probe", tests=["assert probe() == 1"])
    before = sorted(os.listdir("/proc/self/fd")), children()  # noqa: PTH208
    for code in codes:
        verify(code, entry_point="probe", tests=["assert probe() == 1"], cpu_seconds=1, wall_seconds=3)
    assert (sorted(os.listdir("/proc/self/fd")), children()) == before  # noqa: PTH208


def test_an_interpreter_that_cannot_be_started_is_an_error(monkeypatch):
    monkeypatch.setattr(court, "_house", court.Courthouse())
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    verdict = answer("def probe(): return 1")
    assert verdict.status == "error"
    assert "could not be run" in verdict.reason


def test_another_platform_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    verdict = answer("def probe(): return 1")
    assert verdict.status == "refused"
    assert "Linux" in verdict.reason


def test_a_finding_needs_the_nonce_and_its_exact_shape():
    nonce = b"n" * 32
    plain = Finding("passed", "fine", calls=3).to_plain(nonce)
    again = Finding.from_plain(dict(plain), nonce)
    assert again is not None
    assert again.to_plain(nonce) == plain
    for change in ({"nonce": b"m" * 32}, {"kind": "perfect"}, {"calls": True}, {"reason": None}, {"more": 1}):
        assert Finding.from_plain(plain | change, nonce) is None
    assert Finding.from_plain([], nonce) is None
    assert Finding.from_plain({"nonce": nonce}, nonce) is None


@pytest.mark.parametrize("reading", [True, False])
@pytest.mark.parametrize("machine", syscalls.ARCHITECTURES)
def test_the_filter_is_a_well_formed_program(machine, reading):
    """Every jump lands inside and every path ends in a return, as the kernel demands, for both tables."""
    code = seccomp.program(machine, reading=reading)
    count = len(code) // 8
    assert len(code) % 8 == 0
    assert count < 4096
    for at in range(count):
        operation = int.from_bytes(code[8 * at : 8 * at + 2], sys.byteorder)
        if operation & 7 == 5:
            assert at + 1 + max(code[8 * at + 2], code[8 * at + 3]) < count
    assert int.from_bytes(code[-8:-6], sys.byteorder) == 6
