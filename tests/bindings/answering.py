# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""A server of QMP, in a thread, that answers what a test needs and real servers do not."""

import contextlib
import json
import os
import re
import socket
import threading

import lines

GREETING = '{"QMP": {"version": {"qemu": {"micro": 1, "minor": 2, "major": 7}, "package": "test"}, "capabilities": []}}\n'


def serve(sock):
    """Much less than a server, in a process of its own: it returns the same to each command."""
    sock.sendall(GREETING.encode())
    while True:
        data = sock.recv(1 << 16)
        if not data:
            return
        sock.sendall(b''.join(b'{"return": {"status": "running"}, "id": %b}\n' % identity
                              for identity in re.findall(rb'"id": ?("[^"]*")', data)))


class Answering:
    """Returns a command's arguments to it, but for these commands:

    say     sends what is in "text", with ID and NULL replaced, and nothing else
    hang    is never answered
    leave   closes the connection
    """

    def __init__(self):
        self.seen = []

    def __call__(self, sock, _):
        sock.sendall(GREETING.encode())
        text, decoder = '', json.JSONDecoder()
        while True:
            data = sock.recv(1 << 20)
            if not data:
                return
            text += data.decode()
            while text:
                try:
                    command, end = decoder.raw_decode(text)
                except ValueError:
                    break           # the rest comes
                text = text[end:].lstrip()
                if not self._answer(sock, command):
                    return

    def _answer(self, sock, command):
        name, arguments = command.get('execute', command.get('exec-oob')), command.get('arguments')
        if name != 'qmp_capabilities':
            self.seen.append(name)
        identity = json.dumps(command['id'])
        if name == 'say':
            sock.sendall(arguments['text'].replace('ID', identity).encode())
        elif name == 'leave':
            return False
        elif name != 'hang':
            sock.sendall(f'{{"return": {json.dumps(arguments)}, "id": {identity}}}\n'.encode())
        return True


@contextlib.contextmanager
def session(client):
    """With a session of the client and such a server; gives the server."""
    server = Answering()
    with lines.peer(server) as it:
        client.open(it.stream).wait()
        try:
            yield server
        finally:
            with contextlib.suppress(lines.GLib.Error):
                client.close().wait()


@contextlib.contextmanager
def listening(directory):
    """Such a server for another process, which may connect as often as it likes; yields the path."""
    path = os.path.join(directory, 'answering.sock')

    def serve():
        with contextlib.suppress(OSError):      # closed
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(ConnectionError):
                    Answering()(connection, None)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        threading.Thread(target=serve, daemon=True).start()
        yield path
