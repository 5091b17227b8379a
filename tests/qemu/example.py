#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""example.py SOURCE_ROOT PROGRAM: examples/connect does what it says, and fails when it cannot."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'build'))
import guest  # noqa: E402
import tap  # noqa: E402

source_root, program = sys.argv[1:]


def run(*arguments):
    return subprocess.run([program, *arguments], timeout=30, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def serve(listener, events):
    """A server that answers each command with the status, after the events that it is told to send for it."""
    connection, _ = listener.accept()
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(b'{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, '
                           b'"capabilities": []}}\n')
        decoder = json.JSONDecoder()
        pending = ''
        while data := connection.recv(4096):
            pending += data.decode()
            while pending:
                try:
                    command, end = decoder.raw_decode(pending)
                except json.JSONDecodeError:
                    break
                pending = pending[end:].lstrip()
                if event := events.get(command['execute']):
                    connection.sendall(json.dumps({'event': event}).encode())
                connection.sendall(json.dumps({'return': {'status': 'odd'}, 'id': command['id']}).encode())


def without_events(name, events):
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(directory, 'qmp.sock')
        listener.bind(path)
        listener.listen(1)
        threading.Thread(target=serve, args=[listener, events], daemon=True).start()
        process = run(path)
    tap.ok(process.returncode == 1 and 'Status: odd' in process.stdout and '10 seconds' in process.stderr, name, process)


with open(os.path.join(source_root, 'examples', 'connect.c'), encoding='utf-8') as f:
    lines = len(f.readlines())
tap.ok(lines < 80, 'it has under 80 lines', lines)

if tap.have(guest.QEMU, 'QEMU'):
    with tempfile.TemporaryDirectory() as directory, guest.stopped(directory) as path:
        process = run(path)
    tap.ok(process.returncode == 0 and not process.stderr and
           re.fullmatch(r'Version: \d+\.\d+\.\d+.*\nStatus: prelaunch\nEvent: RESUME\nEvent: STOP\n', process.stdout),
           'version, status and both events', process)

process = run('/nonexistent/socket')
tap.ok(process.returncode == 1 and process.stderr, 'nobody listens', process)
process = run()
tap.ok(process.returncode == 1 and process.stderr, 'no address', process)
without_events('STOP does not arrive', {'cont': 'RESUME'})
without_events('RESUME does not arrive', {'stop': 'STOP'})
tap.done()
