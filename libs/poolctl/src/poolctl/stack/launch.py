"""Owns the last steps before a part of the stack becomes its program: death signal, unprivileged user, capabilities.

Run as a file (`python -I -S launch.py ORDER PROGRAM ARGUMENT…`), standard library only, because it is on the way of
every start. A `preexec_fn` would do the same between fork and exec, where Python promises nothing once there are
threads.

Three things decide the order of the steps. Whatever is imported is imported before the user changes, who may not be
able to read Python. Linux forgets the parent-death signal when a process changes its user, so that comes last. And a
part that must not run as root may still lie below a directory only root can enter (a clone below `mktemp -d`, a venv
made under umask 077); instead of loosening permissions of directories that are not ours, the part keeps the one
capability to pass them.
"""

import ctypes
import json
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522


def _prctl(*arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:5]]
    if libc.prctl(*padded) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({arguments[0]}): {os.strerror(code)}")


def _keep_only(capability: int) -> None:
    """Reduces the process to one capability that outlives exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    low, high = (1 << capability, 0) if capability < 32 else (0, 1 << (capability - 32))
    # effective, permitted, inheritable; once for the low and once for the high 32 bits
    data = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    if libc.capset(header, data) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _become(user: int, group: int, capability: int | None) -> None:
    if capability is not None:
        # Without this bit access(2) judges a non-root user without its capabilities, and PostgreSQL, which looks for
        # its own binary with access(2), would not find it.
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    if capability is not None:
        _keep_only(capability)


def _main() -> None:
    order = json.loads(sys.argv[1])
    program = sys.argv[2:]
    try:
        if order["user"] is not None:
            _become(order["user"], order["group"], order["capability"])
        if sys.platform == "linux" and order["death_signal"]:
            _prctl(PR_SET_PDEATHSIG, order["death_signal"])
            if os.getppid() != order["parent"]:
                # The parent died before the signal was armed, so it would never come.
                os.kill(os.getpid(), signal.SIGKILL)
        os.umask(0o077)
        os.execv(program[0], program)  # noqa: S606
    except OSError as failure:
        sys.stderr.write(f"cannot start {program[0]}: {failure}\n")
        sys.exit(126)


if __name__ == "__main__":
    _main()
