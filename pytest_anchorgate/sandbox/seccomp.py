"""The system-call filter of this floor: what a generated function never needs, and could do harm with, fails.

A denylist of classic BPF over `struct seccomp_data`, assembled here and installed through ctypes
(https://docs.kernel.org/userspace-api/seccomp_filter.html). No new processes (threads only), no programs, no
sockets beyond a socketpair, no writable files, no signals to others, no SysV or POSIX IPC, no keyrings, no
tracing, no namespaces. The next floor turns it into an allowlist.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_LOAD, _JUMP_EQUAL, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH = 0, 4
_PR_SET_SECCOMP, _FILTER = 22, 2
_CLONE_THREAD = 0x10000
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what opening and closing streams asks for.
_IOCTL_ALLOWED = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
_PRCTL_ALLOWED = (15, 16, 0x53564D41)

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}

# name: (x86-64, aarch64); -1 where the architecture lacks the call.
_DENIED = {
    **{"fork": (57, -1), "vfork": (58, -1), "execve": (59, 221), "execveat": (322, 281)},
    **{"socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201)},
    **{"sendmsg": (46, 211), "sendmmsg": (307, 269)},
    **{"kill": (62, 129), "tkill": (200, 130), "pidfd_send_signal": (424, 424)},
    **{"rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240)},
    **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271)},
    **{
        "kcmp": (312, 272),
        "pidfd_open": (434, 434),
        "pidfd_getfd": (438, 438),
        "process_madvise": (440, 440),
    },
    **{"shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "shmdt": (67, 197)},
    **{"semget": (64, 190), "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192)},
    **{"msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187)},
    **{"mq_open": (240, 180), "mq_unlink": (241, 181)},
    **{"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)},
    **{"io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427)},
    **{"unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39)},
    **{"pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429)},
    **{"fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433)},
    **{"mount_setattr": (442, 442), "bpf": (321, 280), "perf_event_open": (298, 241)},
    **{"userfaultfd": (323, 282), "memfd_create": (319, 279), "memfd_secret": (447, 447)},
    **{"chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452)},
    **{"chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54)},
    **{"utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88)},
    **{"setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463)},
    **{"removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16)},
    **{"removexattrat": (466, 466), "open_tree_attr": (467, 467), "file_setattr": (469, 469)},
    **{"truncate": (76, 45), "creat": (85, -1), "unlink": (87, -1), "unlinkat": (263, 35), "rmdir": (84, -1)},
    **{"rename": (82, -1), "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, -1)},
    **{"mkdirat": (258, 34), "link": (86, -1), "linkat": (265, 37), "symlink": (88, -1)},
    **{"symlinkat": (266, 36), "mknod": (133, -1), "mknodat": (259, 33)},
    **{"setpgid": (109, 154), "setpriority": (141, 140), "sched_setaffinity": (203, 122)},
    **{"sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274)},
    **{"flock": (73, 32), "personality": (135, 92), "name_to_handle_at": (303, 264)},
    **{"open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "acct": (163, 89), "syslog": (103, 116)},
    **{"reboot": (169, 142), "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273)},
    **{"delete_module": (176, 106), "swapon": (167, 224), "swapoff": (168, 225), "sethostname": (170, 161)},
    **{"setdomainname": (171, 162), "iopl": (172, -1), "ioperm": (173, -1), "vhangup": (153, 58)},
}
# glibc falls back to the older call when these are unknown; their flags lie in memory that a filter cannot
# read.
_UNKNOWN = {"clone3": (435, 435), "openat2": (437, 437)}
_CLONE, _OPEN, _OPENAT = (56, 220), (2, -1), (257, 56)
_SENDTO, _TGKILL, _PRLIMIT, _PRCTL, _IOCTL = (44, 206), (234, 131), (302, 261), (157, 167), (16, 29)


class SeccompError(OSError):
    """The filter cannot be built or installed on this machine."""


def install() -> None:
    """Install the filter for this process, after no_new_privs and while it has one thread.

    Raises:
        SeccompError: The architecture is unknown, or the kernel refuses.
    """
    machine = platform_machine()
    if machine not in _AUDIT_ARCH:
        raise SeccompError(f"no system-call table for the architecture {machine}")
    code = program(machine, os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    wanted = Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(wanted), 0, 0) != 0:
        raise SeccompError(f"the kernel refused the system-call filter: {os.strerror(ctypes.get_errno())}")


def platform_machine() -> str:
    """The kernel's name of the architecture, without importing `platform`."""
    return os.uname().machine


def program(machine: str, pid: int) -> bytes:
    """The BPF program for an architecture and the process that will run under it."""
    column = _COLUMN[machine]
    body = [
        _op(_LOAD, _ARCH),
        _op(_JUMP_EQUAL, _AUDIT_ARCH[machine], 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NR),
    ]
    if machine == "x86_64":  # the x32 calls share the architecture's number and start here
        body += [_op(_JUMP_GE, 0x40000000, 0, 1), _op(_RETURN, _KILL)]
    for numbers, code in [(_DENIED, errno.EPERM), (_UNKNOWN, errno.ENOSYS)]:
        for pair in numbers.values():
            if pair[column] >= 0:
                body += [_op(_JUMP_EQUAL, pair[column], 0, 1), _op(_RETURN, _ERRNO | code)]
    allow, deny = _op(_RETURN, _ALLOW), _op(_RETURN, _ERRNO | errno.EPERM)
    read_only = _op(_RETURN, _ERRNO | errno.EACCES)
    body += _when(_CLONE[column], 0, [_op(_JUMP_SET, _CLONE_THREAD, 0, 1), allow, deny])
    body += _when(_OPEN[column], 1, [_op(_JUMP_SET, _WRITING, 0, 1), read_only, allow])
    body += _when(_OPENAT[column], 2, [_op(_JUMP_SET, _WRITING, 0, 1), read_only, allow])
    body += _when(_SENDTO[column], 4, [_op(_JUMP_EQUAL, 0, 1, 0), deny, *_high_zero(4)])
    body += _when(_TGKILL[column], 0, [_op(_JUMP_EQUAL, pid, 0, 1), allow, deny])
    body += _when(_PRLIMIT[column], 2, [_op(_JUMP_EQUAL, 0, 1, 0), deny, *_high_zero(2)])
    for call, argument, allowed in ((_IOCTL, 1, _IOCTL_ALLOWED), (_PRCTL, 0, _PRCTL_ALLOWED)):
        known = [op for value in allowed for op in (_op(_JUMP_EQUAL, value, 0, 1), allow)]
        body += _when(call[column], argument, [*known, deny])
    return b"".join([*body, allow])


def _when(number: int, argument: int, then: list[bytes]) -> list[bytes]:
    """For one call: load the low half of an argument and run `then`, which always returns."""
    if number < 0:
        return []
    return [_op(_JUMP_EQUAL, number, 0, len(then) + 1), _op(_LOAD, 16 + 8 * argument), *then]


def _high_zero(argument: int) -> list[bytes]:
    """Allow only if the high half of the (pointer) argument is zero too."""
    deny = _op(_RETURN, _ERRNO | errno.EPERM)
    return [_op(_LOAD, 20 + 8 * argument), _op(_JUMP_EQUAL, 0, 1, 0), deny, _op(_RETURN, _ALLOW)]


def _op(code: int, k: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, k)
