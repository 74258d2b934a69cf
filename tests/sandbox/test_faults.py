"""A layer that is missing, a process that dies: never a pass, never a weaker run, never a hang."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from broken import faulty, one
from levels_here import LEVELS_HERE

from pytest_anchorgate.sandbox import court, launcher

EVERYTHING = os.environ.get("ANCHORGATE_SWEEP") == "all"
FAULTS = {
    "seccomp.install = lambda code: None": "self-test: starting a process was not refused",
    "seccomp.build = lambda reading: b''": "system-call filter",
    "limits._prctl = lambda option, *rest: broken() if option == 1 else None": "parent-death signal: broken",
    "limits._prctl = lambda option, *rest: broken() if option == 4 else None": "not dumpable: broken",
    "limits._prctl = lambda option, *rest: broken() if option == 38 else None": "no_new_privs: broken",
    "limits._set_rlimits = broken": "resource limits: broken",
    "limits._drop_capabilities = broken": "capabilities: broken",
    "limits.os = types.SimpleNamespace(**{**vars(os), 'setsid': broken})": "session: broken",
    "limits.os = types.SimpleNamespace(**{**vars(os), 'getppid': lambda: 99})": "the parent is gone",
}
WALLS = {
    "landlock.restrict = broken": "Landlock: broken",
    "landlock.restrict = lambda fd: None": "self-test: listing the root was not refused",
    "landlock.build = broken": "Landlock: broken",
    "landlock._known = lambda field: 0": "Landlock: ",
}
ROOTS = {
    "private_root.build = lambda folders, around: None": "seeing the sandbox's own source was not refused",
}


def named_error(verdict, words):
    assert verdict.status == "error", verdict
    assert words in verdict.reason, verdict


def cases():
    """Every fault at the best level; at the others, and in the judge, the rest with ANCHORGATE_SWEEP=all."""
    by_level = {"full": {**FAULTS, **WALLS, **ROOTS}, "standard": {**FAULTS, **WALLS}, "preloaded": FAULTS}
    for level in LEVELS_HERE:
        for number, (fault, words) in enumerate(by_level[level].items()):
            for role in ("candidate", "judge"):
                if EVERYTHING or (level == LEVELS_HERE[0] and role == "candidate") or number % 6 == 0:
                    yield pytest.param(fault, words, level, role, id=f"{level}-{role}-{fault[:60]}")


@pytest.mark.parametrize(("fault", "words", "level", "role"), list(cases()))
def test_a_layer_that_cannot_be_set_up_is_an_error_that_names_it(
    monkeypatch, tmp_path, fault, words, level, role
):
    with faulty(monkeypatch, tmp_path, fault, role):
        named_error(one(level), words)


def test_an_unknown_architecture_is_refused(monkeypatch, tmp_path):
    with faulty(monkeypatch, tmp_path, "syscalls.ARCHITECTURES = ()"):
        verdict = one()
    assert verdict.status == "refused"
    assert "no system-call table for the architecture" in verdict.reason


NO_NAMESPACES = "namespaces._unshare = lambda: (_ for _ in ()).throw(OSError(1, 'not permitted'))"
NO_LANDLOCK = "landlock.abi = lambda: 0"


@pytest.mark.skipif("full" not in LEVELS_HERE, reason="needs namespaces")
def test_a_machine_without_a_layer_offers_a_weaker_level_and_says_why(monkeypatch, tmp_path):
    with faulty(monkeypatch, tmp_path, NO_NAMESPACES) as house:
        verdict = one()
        assert (verdict.status, verdict.level) == ("passed", "standard")
        assert "not permitted" in house.missing()["full"]
        refused = one(require="full")
        assert refused.status == "refused"
        assert "the level full is required and this machine offers standard: namespaces" in refused.reason
        assert one("full").status == "refused"
    with faulty(monkeypatch, tmp_path, f"{NO_NAMESPACES}; {NO_LANDLOCK}"):
        assert one().level == "preloaded"
        assert one(require="preloaded").passed
        assert one(require="standard").status == "refused"


def test_a_level_once_offered_is_never_silently_weakened(monkeypatch, tmp_path):
    assert one().passed
    best = court.courthouse().best()
    with faulty(monkeypatch, tmp_path, f"{NO_NAMESPACES}; {NO_LANDLOCK}; seccomp.build = None") as house:
        house._best = best
        assert one().status == "error"


def test_a_candidate_that_says_another_level_is_an_error(monkeypatch, tmp_path):
    fault = """
        def confine(limits_, walls, parent, real=limits.confine):
            real(limits_, walls, parent)
            walls.level = "preloaded" if walls.level != "preloaded" else "full"
        candidate.confine = confine
    """
    with faulty(monkeypatch, tmp_path, fault):
        named_error(one(), "was ordered")


def members(court_):
    """The processes of a court: its parents, and what they started, by the kernel's own list."""
    found, todo = [], [court_.zygote.pid, court_.bench.pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            continue
    return found


SLOW = "import time\ndef probe():\n    time.sleep({})\n    return {}"
PREY = {
    # A wrong answer is no pass, wherever a blow falls, and whether it falls before or after the verdict.
    "wrong": SLOW.format(0.02, 2),
    # A right answer that cannot have been given yet when the last blow may fall: no blow is too late.
    "right, but later": SLOW.format(8, 1),
}


@pytest.mark.parametrize("prey", PREY)
def test_killed_anywhere_at_any_time_it_is_no_pass_and_no_hang(monkeypatch, prey):
    """Seeded moments; ANCHORGATE_SWEEP=all kills 200 times."""
    rounds = 100 if EVERYTHING else 8
    draw = random.Random(4)
    hit = []
    real = launcher._run

    def run(court_, request, deadline):
        def strike(wait, pick):
            time.sleep(wait)
            alive = members(court_)
            victim = alive[pick % len(alive)]
            with contextlib.suppress(ProcessLookupError):  # it ended by itself since it was listed
                os.kill(victim, signal.SIGKILL)
                hit.append(victim)

        killer = threading.Thread(target=strike, args=(draw.random() * 0.03, draw.randrange(12)))
        killer.start()
        try:
            return real(court_, request, deadline)
        finally:
            killer.join()

    monkeypatch.setattr(launcher, "_run", run)
    for _ in range(rounds):
        before, started = len(hit), time.monotonic()
        verdict = one(code=PREY[prey], wall_seconds=20)
        assert time.monotonic() - started < 7  # killed in the first moments, none is waited for
        assert verdict.status in {"error", "killed", "failed"}, verdict
        if prey != "wrong":
            assert len(hit) == before + 1
            assert verdict.calls == 0, verdict
    assert len(hit) >= rounds // 2
    monkeypatch.undo()
    assert one().passed


@pytest.mark.parametrize("who", ["candidate", "judge"])
def test_a_spare_process_that_died_is_replaced_and_nobody_notices(who):
    assert one().passed
    court_ = court.courthouse()._idle[-1]
    spare = dict(zip(("candidate", "judge"), court_._spare.children(), strict=True))
    spare[who].kill()
    assert spare[who].wait(10)
    assert one().passed


def test_a_spare_pair_serves_one_verification_and_only_with_its_own_allowance():
    assert one().passed
    court_ = court.courthouse()._idle[-1]
    first = court_._spare
    assert one().passed
    assert court.courthouse()._idle[-1] is court_
    assert court_._spare is not first
    assert not any(child.alive() for child in first.children())
    code = "def probe(): return len(bytes(300 << 20))"
    tests = [f"assert probe() == {300 << 20}"]
    assert one(code=code, tests=tests).passed
    spare = court_._spare
    assert one(code=code, tests=tests, memory_mb=200).status == "killed"
    assert court_._spare.allowance.memory_mb == 200
    assert not any(child.alive() for child in spare.children())
    assert one(code=code, tests=tests).passed


def test_waiting_takes_nothing_from_the_cpu_time():
    code = "import time\ndef probe(): return time.process_time()"
    assert one(code=code, tests=["assert probe() < 0.5"], cpu_seconds=1).passed
    time.sleep(1.5)
    assert one(code=code, tests=["assert probe() < 0.5"], cpu_seconds=1).passed


@pytest.mark.parametrize("who", ["zygote", "bench"])
def test_a_parent_that_died_is_replaced(who):
    assert one().passed
    victim = getattr(court.courthouse()._idle[-1], who)
    os.kill(victim.pid, signal.SIGKILL)
    time.sleep(0.2)
    assert one().passed


def test_many_verifications_leave_nothing_behind():
    """bench/flat.py with 10,000 is the long form of this."""
    script = Path(__file__).parents[2] / "bench" / "flat.py"
    command = [sys.executable, str(script), "150"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
