# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""A protocol of lines whose virtual functions do what a test tells them to, and peers for it."""

import contextlib
import socket
import sys
import threading

import tap

import gi
gi.require_version('Aqmp', '1')
from gi.repository import Aqmp, Gio, GLib  # noqa: E402


def refusal():
    """What a virtual function raises that knows how to: an error of a domain that the library has nothing to do with."""
    return GLib.Error.new_literal(GLib.quark_from_string('test-error'), 'refused by the test', 17)


class Broken(Exception):
    """What a virtual function raises that has a mistake in it."""


class Line(Aqmp.Protocol):
    """Each virtual function does what behaviours['its name'] does, given a function that chains up, or else chains up."""

    def __init__(self, behaviours=None, **properties):
        super().__init__(**properties)
        self.behaviours = behaviours or {}
        self.received = []
        self.calls = []

    def _run(self, name, parent, *args):
        self.calls.append((name, self.get_runstate().value_nick))
        behaviour = self.behaviours.get(name)
        return behaviour(self, lambda *other: parent(self, *(other or args)), *args) if behaviour else parent(self, *args)

    def do_establish_session(self, task):
        return self._run('establish_session', Aqmp.Protocol.do_establish_session, task)

    def do_message_received(self, message):
        self.received.append(message.get_data())
        return self._run('message_received', Aqmp.Protocol.do_message_received, message)

    def do_filter_inbound(self, message):
        return self._run('filter_inbound', Aqmp.Protocol.do_filter_inbound, message)

    def do_filter_outbound(self, message):
        return self._run('filter_outbound', Aqmp.Protocol.do_filter_outbound, message)

    def do_session_ended(self, cause):
        return self._run('session_ended', self._session_ended, cause)

    def do_runstate_changed(self, runstate):
        return self._run('runstate_changed', Aqmp.Protocol.do_runstate_changed, runstate)

    def do_event(self, event):
        return self._run('event', Aqmp.Protocol.do_event, event)

    @staticmethod
    def _session_ended(self, cause):
        """Chains up. PyGObject 3.42 cannot give None where an error goes."""
        if cause is not None:
            Aqmp.Protocol.do_session_ended(self, cause)

    # --- one step after the other ---

    def open(self, peer):
        return tap.Await(self.open_async, peer.stream, None).finish(self.open_finish)

    def disconnect_and_wait(self):
        return tap.Await(self.disconnect_async, None).finish(self.disconnect_finish)

    def send(self, line):
        return self.send_message(GLib.Bytes.new(line))

    def wait_received(self, n):
        tap.wait_until(lambda: len(self.received) >= n)

    def wait_failed(self):
        tap.wait_until(lambda: self.get_runstate() == Aqmp.Runstate.DISCONNECTING)


class Bare(Aqmp.Protocol):
    """Implements nothing."""


class Peer:
    """The other end of a socket pair, in a thread that runs script(socket, file) and then closes it."""

    def __init__(self, script):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.stream = Gio.Socket.new_from_fd(ours.detach()).connection_factory_create_connection()
        self.failure = None
        self._script = script
        self._socket = theirs
        self._socket.settimeout(tap.BOUND)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            with self._socket, self._socket.makefile('rwb', buffering=0) as file:
                self._script(self._socket, file)
        except (BrokenPipeError, ConnectionResetError):
            pass
        except Exception as e:  # told by whoever waits for the thread
            self.failure = e

    def join(self):
        self._thread.join(2 * tap.BOUND)
        if self._thread.is_alive() or self.failure:
            raise AssertionError(f'the peer failed: {self.failure}')


def echo(_, file):
    for line in file:
        file.write(line)


def cut_off(_, file):
    """Answers the first line with one and a half."""
    file.readline()
    file.write(b'whole\nhal')


def reset(sock, _):
    """Leaves what it is sent unread."""
    sock.recv(1, socket.MSG_PEEK)


def silent(_, file):
    file.read()


def greet(_, file):
    """Greets, wants an answer, and then echoes."""
    file.write(b'hello\n')
    if file.readline() == b'hello yourself\n':
        file.write(b'welcome\n')
    echo(_, file)


@contextlib.contextmanager
def peer(script):
    it = Peer(script)
    try:
        yield it
    finally:
        it.stream.close()
        it.join()


@contextlib.contextmanager
def listening(path, script):
    """Runs script(socket, file) with each peer that connects to the path, for those that are other processes."""
    def run(connection):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError), connection, connection.makefile('rwb', buffering=0) as file:
            script(connection, file)

    def accept():
        with contextlib.suppress(OSError):      # closed
            while True:
                threading.Thread(target=run, args=[listener.accept()[0]], daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        threading.Thread(target=accept, daemon=True).start()
        yield path


class Printed:
    """The exceptions that PyGObject had to print, as there was nobody to raise them to."""

    def __init__(self):
        self.types = []

    def __enter__(self):
        self._hook = sys.excepthook
        sys.excepthook = self._on_exception
        return self

    def __exit__(self, *_):
        sys.excepthook = self._hook

    def _on_exception(self, kind, _, __):
        self.types.append(kind)
        # Python has kept them, and with their frames everything that was local there.
        for name in ('last_type', 'last_value', 'last_traceback'):
            if hasattr(sys, name):
                delattr(sys, name)
