"""What the processes can and cannot reach, and that nothing of them is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pytest_anchorgate.sandbox import launcher, seccomp, verify
from pytest_anchorgate.sandbox.finding import Finding
from pytest_anchorgate.sandbox.process import Child


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


@pytest.mark.parametrize("what", DENIED)
def test_denied(what):
    verdict = answer(PROBE.format(attempt=DENIED[what]))
    assert verdict.passed, verdict.reason


def test_what_the_candidate_finds_around_itself():
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
    )
    assert verdict.passed, verdict.reason


def test_reading_is_limited_to_the_standard_library(tmp_path):
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
    )
    if verdict.level == "basic":
        pytest.skip("this kernel has no Landlock: reading is open, and the verdict says so")
    assert verdict.level == "standard"
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


@pytest.mark.parametrize("role", ["candidate", "judge"])
@pytest.mark.parametrize("after", [0.0, 0.02, 0.1])
def test_a_process_of_ours_killed_at_any_moment_is_never_a_pass(monkeypatch, role, after):
    class Doomed(Child):
        def __init__(self, mine, descriptors, **limits):
            super().__init__(mine, descriptors, **limits)
            if mine == role:
                time.sleep(after)
                os.kill(self._process.pid, signal.SIGKILL)

    monkeypatch.setattr(launcher, "Child", Doomed)
    code = "import time\ndef probe():\n    time.sleep(0.5)\n    return 1"
    verdict = verify(code, entry_point="probe", tests=["assert probe() == 1"], wall_seconds=20)
    assert verdict.status in ("error", "killed"), verdict
    if role == "judge":
        assert verdict.status == "error"
        assert "SIGKILL" in verdict.reason


def test_an_interpreter_that_cannot_be_started_is_an_error(monkeypatch):
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


FAULTS = {
    "seccomp.install = lambda: None": "self-test: starting a process was not refused",
    "limits._prctl = lambda *a: (_ for _ in ()).throw(OSError(22, 'no such option'))": "parent-death signal",
    "os.uname = lambda: types.SimpleNamespace(machine='vax')": "architecture vax",
    "limits._set_rlimits = lambda l: (_ for _ in ()).throw(ValueError('no'))": "resource limits: no",
    "landlock.restrict = lambda: (_ for _ in ()).throw(OSError('no'))": "Landlock: no",
    "landlock.restrict = lambda: True": "self-test: listing the root was not refused",
    "limits._drop_capabilities = lambda l: (_ for _ in ()).throw(OSError('no'))": "capabilities: no",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_layer_that_cannot_be_set_up_is_named(fault):
    """Broken on purpose in a process of its own, which confines itself; never a weaker run."""
    script = f"""
        import os, types
        from pytest_anchorgate.sandbox import landlock, limits, seccomp
        {fault}
        try:
            limits.confine(limits.Limits(cpu_seconds=5, memory_mb=1024, parent=os.getppid()), read_all=False)
        except limits.LimitsError as error:
            print(error)
        else:
            print("confined")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, cwd=root, env={"PYTHONPATH": root}
    )
    assert FAULTS[fault] in done.stdout


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_a_well_formed_program(machine):
    """Every jump lands inside and every path ends in a return, as the kernel demands, for both tables."""
    code = seccomp.program(machine, 1234)
    count = len(code) // 8
    assert len(code) % 8 == 0
    assert count < 4096
    for at in range(count):
        operation = int.from_bytes(code[8 * at : 8 * at + 2], sys.byteorder)
        if operation & 7 == 5:
            assert at + 1 + max(code[8 * at + 2], code[8 * at + 3]) < count
    assert int.from_bytes(code[-8:-6], sys.byteorder) == 6
