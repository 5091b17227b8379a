#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""example.py SOURCE_ROOT CONNECT LISTEN: the examples do what they say, and fail when they cannot."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'build'))
import guest  # noqa: E402
import tap  # noqa: E402

source_root, connect, listen = sys.argv[1:]


# --- connect ---

def run(program, *arguments):
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
        process = run(connect, path)
    tap.ok(process.returncode == 1 and 'Status: odd' in process.stdout and '10 seconds' in process.stderr, name, process)


with open(os.path.join(source_root, 'examples', 'connect.c'), encoding='utf-8') as f:
    lines = len(f.readlines())
tap.ok(lines < 80, 'it has under 80 lines', lines)

if tap.have(guest.QEMU, 'QEMU'):
    with tempfile.TemporaryDirectory() as directory, guest.stopped(directory) as path:
        process = run(connect, path)
    tap.ok(process.returncode == 0 and not process.stderr and
           re.fullmatch(r'Version: \d+\.\d+\.\d+.*\nStatus: prelaunch\nEvent: RESUME\nEvent: STOP\n', process.stdout),
           'version, status and both events', process)

process = run(connect, '/nonexistent/socket')
tap.ok(process.returncode == 1 and process.stderr, 'nobody listens', process)
process = run(connect)
tap.ok(process.returncode == 1 and process.stderr, 'no address', process)
without_events('STOP does not arrive', {'cont': 'RESUME'})
without_events('RESUME does not arrive', {'stop': 'STOP'})


# --- listen ---

class Listening:
    """The program, whose lines come one after the other; it has to end by itself, and leave no socket."""

    def __init__(self, directory):
        self.path = os.path.join(directory, 'listen.sock')
        self.process = subprocess.Popen([listen, self.path], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.timer = threading.Timer(30, self.process.kill)
        self.timer.start()
        self.lines = [self.process.stdout.readline()]

    def read(self, n):
        self.lines += [self.process.stdout.readline() for _ in range(n)]

    def end(self, name, status, pattern, errors):
        rest, printed_errors = self.process.communicate()
        self.timer.cancel()
        printed = ''.join([*self.lines, rest])
        tap.ok(self.process.returncode == status and re.fullmatch(pattern, printed) and re.fullmatch(errors, printed_errors) and
               not os.path.exists(self.path), name, f'{self.process.returncode}\n{printed}\n{printed_errors}')

    def guest(self, directory):
        return guest.started([guest.QEMU, '-M', 'q35', '-accel', 'tcg', '-m', '64', '-S', '-nodefaults', '-display', 'none',
                              '-chardev', f'socket,id=qmp,path={self.path},server=off,reconnect=1',
                              '-mon', 'chardev=qmp,mode=control'], directory)


GREETED = r'Listening: /.*/listen.sock\nVersion: \d+\.\d+\.\d+.*\nStatus: prelaunch\n'

if tap.have(guest.QEMU, 'QEMU'):
    with tempfile.TemporaryDirectory() as directory:
        listening = Listening(directory)
        with listening.guest(directory) as monitor:
            listening.read(2)
            guest.execute(monitor, 'cont', 'stop', 'quit')
            listening.end('listen: events, then QEMU goes', 1, GREETED + r'Event: RESUME\nEvent: STOP\nEvent: SHUTDOWN\n',
                          r'listen: .* closed the connection\n')
    with tempfile.TemporaryDirectory() as directory:
        listening = Listening(directory)
        with listening.guest(directory):
            listening.read(2)
            listening.process.send_signal(signal.SIGINT)
            listening.end('listen: interrupted in a session', 0, GREETED, '')

with tempfile.TemporaryDirectory() as directory:
    listening = Listening(directory)
    process = run(listen, listening.path)
    tap.ok(process.returncode == 1 and 'in use' in process.stderr, 'listen: somebody listens already', process)
    listening.process.send_signal(signal.SIGTERM)
    listening.end('listen: interrupted while it listens', 0, r'Listening: /.*\n', '')
    listening = Listening(directory)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(listening.path)
        peer.sendall(b'hello')
    listening.end('listen: a peer that is no QEMU', 1, r'Listening: /.*\n', r'listen: Could not establish the session.*\n')

process = run(listen, 'localhost:4444')
tap.ok(process.returncode == 1 and 'number' in process.stderr, 'listen: a name', process)
process = run(listen)
tap.ok(process.returncode == 1 and process.stderr, 'listen: no address', process)
tap.done()
