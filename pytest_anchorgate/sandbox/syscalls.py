"""System-call numbers of x86-64 and aarch64, and which of them a generated function may use.

Whatever is not named here is denied. Numbers: arch/x86/entry/syscalls/syscall_64.tbl and
scripts/syscall.tbl of the kernel's sources; -1 where an architecture lacks the call.
"""

from __future__ import annotations

import errno

ARCHITECTURES = ("x86_64", "aarch64")
# The newest call that the tables were checked against; above it everything is unknown (ENOSYS), so that a
# C library falls back to what it used before.
NEWEST = 469

# Memory, threads, time, reading, waiting, and asking about oneself.
ALLOWED: dict[str, tuple[int, int]] = {
    **{"read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "pread64": (17, 67)},
    **{"pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66), "preadv": (295, 69)},
    **{"mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214)},
    **{"mremap": (25, 216), "madvise": (28, 233), "membarrier": (324, 283)},
    **{"futex": (202, 98), "futex_waitv": (449, 449), "set_robust_list": (273, 99), "rseq": (334, 293)},
    **{"set_tid_address": (218, 96), "sched_yield": (24, 124), "getcpu": (309, 168)},
    **{"rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139)},
    **{"rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133)},
    **{"sigaltstack": (131, 132), "pause": (34, -1), "restart_syscall": (219, 128)},
    **{"poll": (7, -1), "ppoll": (271, 73), "select": (23, -1), "pselect6": (270, 72)},
    **{"epoll_create": (213, -1), "epoll_create1": (291, 20), "epoll_ctl": (233, 21)},
    **{"epoll_wait": (232, -1), "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441)},
    **{"eventfd2": (290, 19), "timerfd_create": (283, 85), "timerfd_settime": (286, 86)},
    **{"timerfd_gettime": (287, 87), "pipe": (22, -1), "pipe2": (293, 59)},
    **{"dup": (32, 23), "dup2": (33, -1), "dup3": (292, 24)},
    **{"nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113)},
    **{"clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, -1), "times": (100, 153)},
    **{"getitimer": (36, 102), "setitimer": (38, 103), "alarm": (37, -1)},
    **{"getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getsid": (124, 156)},
    **{"getpgrp": (111, -1), "getpgid": (121, 155), "getuid": (102, 174), "geteuid": (107, 175)},
    **{"getgid": (104, 176), "getegid": (108, 177), "getresuid": (118, 148), "getresgid": (120, 150)},
    **{"getgroups": (115, 158), "getrlimit": (97, 163), "getrusage": (98, 165), "uname": (63, 160)},
    **{"sysinfo": (99, 179), "sched_getaffinity": (204, 123), "getpriority": (140, 141)},
    **{"getrandom": (318, 278), "umask": (95, 166), "exit": (60, 93), "exit_group": (231, 94)},
    **{"fstat": (5, 80), "stat": (4, -1), "lstat": (6, -1), "newfstatat": (262, 79), "statx": (332, 291)},
    **{"access": (21, -1), "faccessat": (269, 48), "faccessat2": (439, 439)},
    **{"readlink": (89, -1), "readlinkat": (267, 78), "getcwd": (79, 17), "chdir": (80, 49)},
    **{"fchdir": (81, 50), "getdents": (78, -1), "getdents64": (217, 61)},
    **{"statfs": (137, 43), "fstatfs": (138, 44)},
    **{"recvfrom": (45, 207), "shutdown": (48, 210), "getsockname": (51, 204), "getpeername": (52, 205)},
    **{"getsockopt": (55, 209)},
}
# glibc falls back to the older call when these are unknown, and treats EPERM as the answer. The flags of
# clone3 and openat2 lie in memory that a filter cannot read. https://github.com/moby/moby/issues/42680
UNKNOWN: dict[str, tuple[int, int]] = {
    "clone3": (435, 435),
    "openat2": (437, 437),
    "mseal": (462, 462),
}
# Allowed for some arguments only: the rules are in seccomp.py.
CLONE, OPEN, OPENAT = (56, 220), (2, -1), (257, 56)
SENDTO, SOCKETPAIR, TGKILL = (44, 206), (53, 199), (234, 131)
PRLIMIT, PRCTL, IOCTL, FCNTL = (302, 261), (157, 167), (16, 29), (72, 25)

# What the parent of the candidates needs by number, before any filter.
PIVOT_ROOT = (155, 41)
CAPGET, CAPSET = (125, 90), (126, 91)
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442


def column(machine: str) -> int:
    """Which number of a pair belongs to an architecture; raises OSError for one without a table."""
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no system-call table for the architecture {machine}")
    return ARCHITECTURES.index(machine)
