#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Subclasses of Protocol in Python: sessions, and each virtual function doing what it should not, in each state."""

import os
import socket
import tempfile
import threading
import unittest

from lines import (Aqmp, Bare, Broken, Gio, GLib, Line, Printed, cut_off, echo, greet, peer, refusal, reset, silent)
import tap

FAILED = (Aqmp.error_quark(), Aqmp.Error.FAILED)
STATE = (Aqmp.error_quark(), Aqmp.Error.STATE)
INTERRUPTED = (Aqmp.error_quark(), Aqmp.Error.INTERRUPTED)
REFUSED = (GLib.quark_from_string('test-error'), 17)
CLOSED = (Gio.io_error_quark(), Gio.IOErrorEnum.CONNECTION_CLOSED)


# --- What a virtual function can do; called with the object, how to chain up, and the arguments ---

def raise_error(*_):
    raise refusal()


def raise_exception(*_):
    raise Broken('by the test')


def return_nothing(*_):
    return None


def return_false(*_):
    return False


def return_wrong_type(*_):
    return object()


def chain_up(_, parent, *__):
    return parent()


# What a vfunc that can fail does wrong: the error that has to come of it.
FAULTS = {
    'raises-glib-error': (raise_error, REFUSED),
    'raises-exception': (raise_exception, FAILED),
    'returns-nothing': (return_nothing, FAILED),
}

# A vfunc whose result counts for nothing does nothing wrong by it.
OTHER = {
    'raises-glib-error': raise_error,
    'raises-exception': raise_exception,
    'returns-nothing': return_nothing,
    'returns-false': return_false,
    'chains-up': chain_up,
}


class Case(unittest.TestCase):
    def assert_fails(self, expected, function, *args, saying=None):
        with self.assertRaises(GLib.Error) as context:
            function(*args)
        self.assert_matches(context.exception, expected, saying)
        return context.exception

    def assert_matches(self, error, expected, saying=None):
        self.assertTrue(error.matches(*expected), f'{error!r}')
        if expected is FAILED and saying:
            self.assertIn(f'{saying}()', error.message)

    def assert_works(self, protocol):
        """An object that has failed can do it all again."""
        self.assertEqual(protocol.get_runstate(), Aqmp.Runstate.IDLE)
        protocol.behaviours = {}
        protocol.received.clear()
        with peer(echo) as it:
            self.assertTrue(protocol.open(it))
            protocol.send(b'again\n')
            protocol.wait_received(1)
            self.assertEqual(protocol.received, [b'again'])
            self.assertTrue(protocol.disconnect_and_wait())

    def assert_failed_session(self, protocol, expected, saying=None):
        """The session has failed, says why, and is over after disconnect."""
        protocol.wait_failed()
        self.assert_matches(protocol.get_error(), expected, saying)
        tap.dispatch_pending()
        self.assertEqual(protocol.get_runstate(), Aqmp.Runstate.DISCONNECTING)
        self.assertIsNone(protocol.get_stream())
        self.assert_fails(expected, protocol.disconnect_and_wait, saying=saying)
        self.assertIsNone(protocol.get_error())
        self.assert_works(protocol)


class Sessions(Case):
    def test_echo(self):
        protocol = Line(name='echo')
        states = []
        protocol.connect('runstate-changed', lambda _, runstate: states.append(runstate.value_nick))
        with peer(echo) as it:
            self.assertTrue(protocol.open(it))
            for i in range(100):
                self.assertTrue(protocol.send(b'line %d\r\n' % i))
            protocol.wait_received(100)
            self.assertTrue(tap.Await(protocol.flush_async, None).finish(protocol.flush_finish))
            self.assertTrue(protocol.disconnect_and_wait())
        self.assertEqual(protocol.received, [b'line %d' % i for i in range(100)])
        self.assertEqual(states, ['connecting', 'running', 'disconnecting', 'idle'])

    def test_echo_over_a_socket_file(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
            path = os.path.join(directory, 'echo.sock')
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(tap.BOUND)

            def serve():
                connection, _ = listener.accept()
                with connection, connection.makefile('rwb', buffering=0) as file:
                    echo(connection, file)

            thread = threading.Thread(target=serve)
            thread.start()
            protocol = Line()
            self.assertTrue(tap.Await(protocol.connect_async, Aqmp.address_parse(path), None).finish(protocol.connect_finish))
            protocol.send(b'over a file\n')
            protocol.wait_received(1)
            self.assertTrue(protocol.disconnect_and_wait())
            thread.join()

    def test_binary_and_last_line_without_ending(self):
        protocol = Line()
        with peer(lambda _, file: file.write(b'a\0b\n\n\xff\r\nlast')) as it:
            protocol.open(it)
            protocol.wait_received(4)
            self.assertEqual(protocol.received, [b'a\0b', b'', b'\xff', b'last'])
            self.assert_failed_session(protocol, CLOSED)

    def test_cut_off(self):
        protocol = Line()
        with peer(cut_off) as it:
            protocol.open(it)
            protocol.send(b'go on\n')
            protocol.wait_failed()
            self.assertEqual(protocol.received, [b'whole', b'hal'])
            self.assert_failed_session(protocol, CLOSED)

    def test_reset(self):
        protocol = Line()
        with peer(reset) as it:
            protocol.open(it)
            protocol.send(b'unread\n')
            self.assert_failed_session(protocol, CLOSED)

    def test_bare_subclass(self):
        protocol = Bare()
        with peer(echo) as it:
            self.assertTrue(tap.Await(protocol.open_async, it.stream, None).finish(protocol.open_finish))
            self.assertTrue(protocol.send_message(GLib.Bytes.new(b'taken by nobody\n')))
            self.assertTrue(tap.Await(protocol.disconnect_async, None).finish(protocol.disconnect_finish))

    def test_fail(self):
        protocol = Line()
        with peer(echo) as it:
            protocol.open(it)
            protocol.fail(refusal())
            self.assert_failed_session(protocol, REFUSED)

    def test_require_runstate(self):
        protocol = Line()
        self.assertTrue(protocol.require_runstate(Aqmp.Runstate.IDLE))
        error = self.assert_fails(STATE, protocol.require_runstate, Aqmp.Runstate.RUNNING)
        self.assertIn('Line', error.message)
        self.assertIn('idle', error.message)
        self.assert_fails(STATE, protocol.send, b'too early\n')

    def test_wait_runstate(self):
        protocol = Line()
        waiting = tap.Await(protocol.wait_runstate_async, Aqmp.Runstate.IDLE, None)
        with peer(echo) as it:
            protocol.open(it)
            self.assertEqual(waiting.finish(protocol.wait_runstate_finish), (True, Aqmp.Runstate.CONNECTING))
            self.assertTrue(protocol.disconnect_and_wait())

    def test_event(self):
        protocol = Line()
        heard = []
        protocol.connect('event::KNOCK', lambda _, event: heard.append(event.get_name()))
        with peer(echo) as it:
            protocol.open(it)
            protocol.emit_event(Aqmp.Event.new('KNOCK', -1, Aqmp.arguments_parse('{"times": 3}')))
            protocol.emit_event(Aqmp.Event.new('BELL', -1, None))
            protocol.disconnect_and_wait()
        self.assertEqual(heard, ['KNOCK'])
        self.assertEqual(protocol.calls.count(('event', 'running')), 2)


# --- The handshake ---

def handshake(protocol, _, task):
    """Reads the greeting, answers it, and reads what the peer makes of that: all in callbacks."""
    def greeted(_, result):
        greeting = protocol.read_message_finish(result)
        protocol.received.append(greeting.get_data())
        protocol.write_message_async(GLib.Bytes.new(b'hello yourself\n'), None, answered)

    def answered(_, result):
        protocol.write_message_finish(result)
        protocol.read_message_async(None, welcomed)

    def welcomed(_, result):
        protocol.received.append(protocol.read_message_finish(result).get_data())
        task.return_boolean(True)

    protocol.read_message_async(None, greeted)
    return True


class Handshake(Case):
    def test_read_and_write(self):
        protocol = Line({'establish_session': handshake})
        with peer(greet) as it:
            self.assertTrue(protocol.open(it))
            protocol.send(b'after\n')
            protocol.wait_received(3)
            self.assertTrue(protocol.disconnect_and_wait())
        self.assertEqual(protocol.received, [b'hello', b'welcome', b'after'])
        # What is read by the handshake passes the filter, but is not received.
        self.assertEqual(protocol.calls.count(('filter_inbound', 'connecting')), 2)
        self.assertEqual(protocol.calls.count(('filter_outbound', 'connecting')), 1)
        self.assertEqual(protocol.calls.count(('message_received', 'running')), 1)

    def test_returned_later(self):
        def establish(_, __, task):
            GLib.timeout_add(20, task.return_boolean, True)
            return True

        protocol = Line({'establish_session': establish})
        with peer(echo) as it:
            self.assertTrue(protocol.open(it))
            self.assertTrue(protocol.disconnect_and_wait())
        self.assert_works(protocol)

    def test_error_returned_later(self):
        def establish(_, __, task):
            GLib.timeout_add(20, task.return_error, refusal())
            return True

        protocol = Line({'establish_session': establish})
        with peer(echo) as it:
            self.assert_fails(REFUSED, protocol.open, it)
        self.assert_works(protocol)

    def test_false_returned_later(self):
        def establish(_, __, task):
            GLib.timeout_add(20, task.return_boolean, False)
            return True

        protocol = Line({'establish_session': establish})
        with peer(echo) as it:
            self.assert_fails(FAILED, protocol.open, it, saying='establish_session')
        self.assert_works(protocol)

    def test_dropped(self):
        protocol = Line({'establish_session': lambda *_: True})
        with peer(silent) as it:
            self.assert_fails(FAILED, protocol.open, it, saying='establish_session')
        self.assert_works(protocol)

    def test_dropped_later(self):
        def establish(protocol, _, task):
            protocol.kept = task
            GLib.timeout_add(20, lambda: delattr(protocol, 'kept'))
            return True

        protocol = Line({'establish_session': establish})
        with peer(silent) as it:
            self.assert_fails(FAILED, protocol.open, it, saying='establish_session')
        self.assert_works(protocol)

    def test_returned_and_raised(self):
        def establish(_, __, task):
            task.return_boolean(True)
            raise refusal()

        protocol = Line({'establish_session': establish})
        with peer(echo) as it:
            self.assert_fails(REFUSED, protocol.open, it)
        self.assert_works(protocol)

    def test_returned_twice(self):
        """The second time is GLib's to complain of; it changes nothing."""
        def establish(_, __, task):
            task.return_boolean(True)
            GLib.test_expect_message('GLib-GIO', GLib.LogLevelFlags.LEVEL_CRITICAL, '*ever_returned*')
            task.return_error(refusal())
            GLib.test_assert_expected_messages_internal('', '', 0, '')
            return True

        protocol = Line({'establish_session': establish})
        with peer(echo) as it:
            self.assertTrue(protocol.open(it))
            self.assertTrue(protocol.disconnect_and_wait())
        self.assert_works(protocol)

    def test_raised_while_reading(self):
        def establish(protocol, _, task):
            protocol.kept = task
            protocol.pending = tap.Await(protocol.read_message_async, None)
            raise refusal()

        protocol = Line({'establish_session': establish})
        with peer(silent) as it:
            self.assert_fails(REFUSED, protocol.open, it)
            self.assert_fails(INTERRUPTED, protocol.pending.finish, protocol.read_message_finish)
        # Too late: nobody listens.
        protocol.kept.return_boolean(True)
        tap.dispatch_pending()
        self.assert_works(protocol)

    def test_kept_for_ever(self):
        def establish(protocol, _, task):
            protocol.kept = task
            return True

        protocol = Line({'establish_session': establish}, connect_timeout=50)
        with peer(silent) as it:
            self.assert_fails((Gio.io_error_quark(), Gio.IOErrorEnum.TIMED_OUT), protocol.open, it)
        self.assertTrue(protocol.kept.get_cancellable().is_cancelled())
        protocol.kept.return_boolean(True)
        tap.dispatch_pending()
        protocol.set_connect_timeout(30000)
        self.assert_works(protocol)

    def test_disconnected_meanwhile(self):
        def establish(protocol, _, task):
            protocol.kept = task
            protocol.pending = tap.Await(protocol.read_message_async, None)
            return True

        protocol = Line({'establish_session': establish})
        with peer(silent) as it:
            opening = tap.Await(protocol.open_async, it.stream, None)
            self.assertTrue(protocol.disconnect_and_wait())
            self.assert_fails(INTERRUPTED, opening.finish, protocol.open_finish)
            self.assert_fails(INTERRUPTED, protocol.pending.finish, protocol.read_message_finish)
        protocol.kept = None
        self.assert_works(protocol)

    def test_peer_leaves(self):
        protocol = Line({'establish_session': handshake})
        with peer(lambda *_: None) as it, Printed():
            self.assert_fails(CLOSED, protocol.open, it)
        self.assert_works(protocol)

    def test_only_then(self):
        protocol = Line()
        self.assert_fails(STATE, tap.Await(protocol.read_message_async, None).finish, protocol.read_message_finish)
        with peer(echo) as it:
            protocol.open(it)
            self.assert_fails(STATE, tap.Await(protocol.read_message_async, None).finish, protocol.read_message_finish)
            self.assert_fails(STATE, tap.Await(protocol.write_message_async, GLib.Bytes.new(b'x\n'), None).finish,
                              protocol.write_message_finish)
            protocol.disconnect_and_wait()

    def test_mistake_in_a_callback(self):
        """The task goes with the callback that should have returned it."""
        def establish(protocol, _, task):
            def greeted(_, result):
                protocol.read_message_finish(result)
                raise Broken(task)
            protocol.read_message_async(None, greeted)
            return True

        protocol = Line({'establish_session': establish}, connect_timeout=3000)
        with peer(greet) as it, Printed() as printed:
            opening = tap.Await(protocol.open_async, it.stream, None)
            tap.wait_until(lambda: printed.types)
            self.assertEqual(printed.types, [Broken])
            self.assert_fails(FAILED, opening.finish, protocol.open_finish, saying='establish_session')
        self.assert_works(protocol)


# --- Each virtual function, each fault, each state ---

def establish_session_fault(behaviour, expected):
    def test(self):
        protocol = Line({'establish_session': behaviour})
        with peer(echo) as it, Printed() as printed:
            error = self.assert_fails(expected, protocol.open, it, saying='establish_session')
            self.assertTrue(error.message.startswith('Could not establish the session'), error.message)
            self.assertEqual(printed.types, [Broken] if behaviour is raise_exception else [])
        self.assertIn(('session_ended', 'disconnecting'), protocol.calls)
        self.assert_works(protocol)
    return test


def filter_fault_connecting(name):
    def make(behaviour, expected):
        def test(self):
            protocol = Line({'establish_session': handshake, name: behaviour})
            with peer(greet) as it, Printed():
                error = self.assert_fails(expected, protocol.open, it, saying=name)
                self.assertTrue(error.message.startswith('Could not establish the session'), error.message)
                # What the handshake waited for does not come.
                tap.dispatch_pending()
            self.assertIn((name, 'connecting'), protocol.calls)
            self.assertNotIn(('message_received', 'running'), protocol.calls)
            self.assert_works(protocol)
        return test
    return make


def fault_running(name):
    def make(behaviour, expected):
        def test(self):
            protocol = Line()
            with peer(echo) as it, Printed():
                protocol.open(it)
                protocol.send(b'fine\n')
                protocol.wait_received(1)
                protocol.behaviours = {name: behaviour}
                protocol.send(b'not fine\n')
                protocol.send(b'too late\n')
                protocol.wait_failed()
                self.assertIn((name, 'running'), protocol.calls)
                self.assertNotIn(b'too late', protocol.received)
                self.assert_failed_session(protocol, expected, saying=name)
        return test
    return make


def fault_disconnecting(name):
    """While what is queued is flushed, which goes through the filter, messages are still received."""
    def make(behaviour, expected):
        def test(self):
            def talk(sock, file):
                # After the disconnect has begun; and nothing is read, so that the flush cannot end.
                sock.recv(1, socket.MSG_PEEK)
                file.write(b'meanwhile\n')
                over.wait(tap.BOUND)

            over = threading.Event()
            protocol = Line()
            with peer(silent if name == 'filter_outbound' else talk) as it, Printed():
                protocol.open(it)
                if name != 'filter_outbound':
                    protocol.send(b' ' * 4000000 + b'\n')
                protocol.behaviours = {name: behaviour}
                protocol.send(b'not fine\n')
                ending = tap.Await(protocol.disconnect_async, None)
                self.assert_fails(expected, ending.finish, protocol.disconnect_finish, saying=name)
                over.set()
                self.assertIn((name, 'disconnecting'), protocol.calls)
            self.assert_works(protocol)
        return test
    return make


def void_fault(name):
    """Nothing comes of it but what Python prints."""
    def make(behaviour):
        def test(self):
            for expected in (None, CLOSED):
                protocol = Line({name: behaviour})
                states = []
                protocol.connect('runstate-changed', lambda _, runstate: states.append(runstate.value_nick))
                with peer(echo if expected is None else cut_off) as it, Printed() as printed:
                    self.assertTrue(protocol.open(it))
                    protocol.emit_event(Aqmp.Event.new('KNOCK', -1, None))
                    protocol.send(b'go on\n')
                    protocol.wait_received(1)
                    if expected is None:
                        self.assertTrue(protocol.disconnect_and_wait())
                    else:
                        protocol.wait_failed()
                        self.assert_fails(expected, protocol.disconnect_and_wait)
                    called = [state for called, state in protocol.calls if called == name]
                    raised = {raise_error: [GLib.Error], raise_exception: [Broken]}.get(behaviour, [])
                    self.assertEqual(printed.types, raised * len(called))
                self.assertEqual(called, {
                    'session_ended': ['disconnecting'],
                    'runstate_changed': ['connecting', 'running', 'disconnecting', 'idle'],
                    'event': ['running'],
                }[name])
                self.assertEqual(states, ['connecting', 'running', 'disconnecting', 'idle'])
                self.assert_works(protocol)
        return test
    return make


def void_fault_in_failed_attempt(name):
    def make(behaviour):
        def test(self):
            protocol = Line({name: behaviour, 'establish_session': raise_error})
            with peer(echo) as it, Printed():
                self.assert_fails(REFUSED, protocol.open, it)
            self.assertIn((name, 'disconnecting'), protocol.calls)
            self.assert_works(protocol)
        return test
    return make


def add_faults(make, name, faults):
    class Faults(Case):
        pass

    for fault, arguments in faults.items():
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        setattr(Faults, f'test_{fault}', make(*arguments))
    Faults.__name__ = Faults.__qualname__ = name
    globals()[name] = Faults


WRONG_BYTES = {**FAULTS, 'returns-wrong-type': (return_wrong_type, FAILED)}
BOOLEAN = {**FAULTS, 'refuses': (return_false, FAILED)}

add_faults(establish_session_fault, 'EstablishSession', BOOLEAN)
add_faults(filter_fault_connecting('filter_inbound'), 'FilterInboundConnecting', WRONG_BYTES)
add_faults(fault_running('filter_inbound'), 'FilterInboundRunning', WRONG_BYTES)
add_faults(fault_disconnecting('filter_inbound'), 'FilterInboundDisconnecting', WRONG_BYTES)
add_faults(filter_fault_connecting('filter_outbound'), 'FilterOutboundConnecting', WRONG_BYTES)
add_faults(fault_running('filter_outbound'), 'FilterOutboundRunning', WRONG_BYTES)
add_faults(fault_disconnecting('filter_outbound'), 'FilterOutboundDisconnecting', WRONG_BYTES)
add_faults(fault_running('message_received'), 'MessageReceivedRunning', BOOLEAN)
add_faults(fault_disconnecting('message_received'), 'MessageReceivedDisconnecting', BOOLEAN)
add_faults(void_fault('session_ended'), 'SessionEnded', OTHER)
add_faults(void_fault('runstate_changed'), 'RunstateChanged', OTHER)
add_faults(void_fault('event'), 'Event', OTHER)
add_faults(void_fault_in_failed_attempt('session_ended'), 'SessionEndedOfFailedAttempt', OTHER)
add_faults(void_fault_in_failed_attempt('runstate_changed'), 'RunstateChangedOfFailedAttempt', OTHER)


class Replacing(Case):
    def test_inbound(self):
        protocol = Line({'filter_inbound': lambda _, __, message: GLib.Bytes.new(message.get_data().upper())})
        with peer(echo) as it:
            protocol.open(it)
            protocol.send(b'quiet\n')
            protocol.wait_received(1)
            protocol.disconnect_and_wait()
        self.assertEqual(protocol.received, [b'QUIET'])

    def test_outbound(self):
        protocol = Line({'filter_outbound': lambda _, __, message: GLib.Bytes.new(b'> ' + message.get_data())})
        with peer(echo) as it:
            protocol.open(it)
            for word in (b'one\n', b'two\n', b'three\n'):
                protocol.send(word)
            protocol.wait_received(3)
            protocol.disconnect_and_wait()
        self.assertEqual(protocol.received, [b'> one', b'> two', b'> three'])

    def test_handshake(self):
        protocol = Line({'establish_session': handshake,
                         'filter_inbound': lambda _, __, message: GLib.Bytes.new(b'[%s]' % message.get_data()),
                         'filter_outbound': lambda _, __, message: GLib.Bytes.new(message.get_data().lower())})
        with peer(greet) as it:
            self.assertTrue(protocol.open(it))
            protocol.disconnect_and_wait()
        self.assertEqual(protocol.received, [b'[hello]', b'[welcome]'])

    def test_chaining_up_with_another_message(self):
        protocol = Line({'filter_inbound': lambda _, parent, __: parent(GLib.Bytes.new(b'another'))})
        with peer(echo) as it:
            protocol.open(it)
            protocol.send(b'one\n')
            protocol.wait_received(1)
            protocol.disconnect_and_wait()
        self.assertEqual(protocol.received, [b'another'])

    def test_nothing_left(self):
        """An empty message is a message."""
        protocol = Line({'filter_inbound': lambda *_: GLib.Bytes.new(b'')})
        with peer(echo) as it:
            protocol.open(it)
            protocol.send(b'one\n')
            protocol.wait_received(1)
            protocol.disconnect_and_wait()
        self.assertEqual(protocol.received, [b''])


class InsideVirtualFunctions(Case):
    """A virtual function can do anything, in any state."""

    def check(self, name, action, expected):
        def behaviour(protocol, parent, *_):
            if protocol.get_runstate() == Aqmp.Runstate.RUNNING:
                action(protocol)
            return parent()

        protocol = Line({name: behaviour})
        with peer(echo) as it:
            protocol.open(it)
            protocol.emit_event(Aqmp.Event.new('KNOCK', -1, None))
            if protocol.get_runstate() == Aqmp.Runstate.RUNNING:
                protocol.send(b'go\n')
            if expected:
                protocol.wait_failed()
                self.assert_failed_session(protocol, expected)
            else:
                tap.wait_until(lambda: protocol.get_runstate() == Aqmp.Runstate.IDLE)
                self.assert_works(protocol)

    def test_fail(self):
        for name in ('filter_inbound', 'filter_outbound', 'message_received', 'event', 'runstate_changed'):
            with self.subTest(name):
                self.check(name, lambda protocol: protocol.fail(refusal()), REFUSED)

    def test_disconnect(self):
        for name in ('filter_inbound', 'filter_outbound', 'message_received', 'event', 'runstate_changed'):
            with self.subTest(name):
                self.check(name, lambda protocol: protocol.disconnect_async(None, None), None)

    def test_send(self):
        protocol = Line({'message_received': lambda protocol, parent, message:
                         len(protocol.received) < 50 and protocol.send(message.get_data() + b'.\n') or parent()})
        with peer(echo) as it:
            protocol.open(it)
            protocol.send(b'\n')
            protocol.wait_received(50)
            protocol.disconnect_and_wait()
        self.assertEqual(protocol.received[-1], b'.' * 49)


if __name__ == '__main__':
    tap.main()
