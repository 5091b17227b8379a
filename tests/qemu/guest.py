# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""A QEMU for tests that are scripts."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess

QEMU = 'qemu-system-x86_64'

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent():
    """A test that crashes leaves nobody behind."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def stopped(directory):
    """A guest started with -S; yields the path of its monitor. QEMU gets a socket that listens already: nobody waits."""
    path = os.path.join(directory, 'qmp.sock')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        process = subprocess.Popen(
            [QEMU, '-M', 'q35', '-accel', 'tcg', '-m', '64', '-S', '-nodefaults', '-display', 'none',
             '-chardev', f'socket,id=qmp,server=on,wait=off,fd={listener.fileno()}', '-mon', 'chardev=qmp,mode=control'],
            stdin=subprocess.DEVNULL, pass_fds=[listener.fileno()], preexec_fn=_die_with_parent)
    try:
        yield path
    finally:
        process.kill()
        process.wait()
