# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""A QEMU, or a storage daemon, for tests that are scripts."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess

QEMU = 'qemu-system-x86_64'
STORAGE_DAEMON = 'qemu-storage-daemon'

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent():
    """A test that crashes leaves nobody behind."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _qemu_monitor(chardev):
    return ['-mon', f'chardev={chardev},mode=control']


def _storage_monitor(chardev):
    return ['--monitor', f'chardev={chardev}']


def _wait_until_ready(connection):
    """A server accepts connections in one thread while another still sets up the monitor, and a client that comes between may never
    be greeted. One more monitor, which is connected from the beginning, tells when that is over."""
    connection.settimeout(60)
    with connection.makefile('rw') as file:
        if 'QMP' not in file.readline():
            raise RuntimeError('The server has not started')
        file.write(json.dumps({'execute': 'qmp_capabilities'}))
        file.flush()
        while 'return' not in json.loads(file.readline()):
            pass


@contextlib.contextmanager
def _running(command, path, monitor=_qemu_monitor, **kwargs):
    """A QEMU with one more monitor, at the path; it gets a socket that listens already: nobody waits to connect."""
    # Criticals of its own, which the storage daemon has when a client comes at the wrong moment, must not end it.
    env = {name: value for name, value in os.environ.items() if name != 'G_DEBUG'}
    ready, ready_for_it = socket.socketpair()
    with socket.socket(socket.AF_UNIX) as listener, ready, ready_for_it:
        listener.bind(path)
        listener.listen(1)
        process = subprocess.Popen(
            [*command,
             '--chardev', f'socket,id=guest,server=on,wait=off,fd={listener.fileno()}', *monitor('guest'),
             # No socket to it: those are counted by query-yank.
             '--chardev', 'stdio,id=ready,signal=off', *monitor('ready')],
            stdin=ready_for_it, stdout=ready_for_it, pass_fds=[listener.fileno()], preexec_fn=_die_with_parent, env=env, **kwargs)
        # Its end is the end of the wait.
        ready_for_it.close()
        try:
            _wait_until_ready(ready)
        except BaseException:
            process.kill()
            process.wait()
            raise
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def stopped(directory):
    """A guest started with -S; yields the path of its monitor."""
    path = os.path.join(directory, 'qmp.sock')
    with _running([QEMU, '-M', 'q35', '-accel', 'tcg', '-m', '64', '-S', '-nodefaults', '-display', 'none'], path):
        yield path


@contextlib.contextmanager
def storage(directory):
    """A storage daemon; yields the path of its monitor."""
    path = os.path.join(directory, 'storage.sock')
    with _running([STORAGE_DAEMON], path, _storage_monitor):
        yield path


@contextlib.contextmanager
def started(command, directory, **kwargs):
    """A QEMU started with this command; it listens, where it is told to, when the context is entered. Yields the path of one
    more monitor."""
    path = os.path.join(directory, 'started.sock')
    with _running(command, path, **kwargs):
        yield path


@contextlib.contextmanager
def _monitor(path):
    """A connection, as a file, that was greeted: by then QEMU has set up everything that its command line asks for."""
    with socket.socket(socket.AF_UNIX) as monitor, monitor.makefile('rw') as file:
        monitor.settimeout(60)
        monitor.connect(path)
        if 'QMP' not in file.readline():
            raise RuntimeError('QEMU has not started')
        yield file


def execute(path, *commands):
    """Has the monitor at the path execute commands, one after the other; their replies do not matter."""
    with _monitor(path) as file:
        for command in ['qmp_capabilities', *commands]:
            file.write(json.dumps({'execute': command}))
            file.flush()
            while 'event' in json.loads(file.readline()):
                pass


def free_port():
    """A TCP port that is free now, on each of the addresses of this host."""
    with socket.socket(socket.AF_INET6) as probe:
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        probe.bind(('::', 0))
        return probe.getsockname()[1]
