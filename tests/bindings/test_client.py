#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""The client in Python, in its plain introspected form, with a real QEMU."""

import json
import os
import shutil
import sys
import tempfile
import unittest

from lines import Aqmp, Broken, Gio, GLib, Printed, refusal
import tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'qemu'))
import guest  # noqa: E402

from gi.repository import Json  # noqa: E402

EXEC = Aqmp.exec_error_quark()


def connect(client, path):
    return tap.Await(client.connect_async, Aqmp.address_parse(path), None).finish(client.connect_finish)


def disconnect(client):
    return tap.Await(client.disconnect_async, None).finish(client.disconnect_finish)


def begin(client, command, arguments=None, cancellable=None):
    arguments = None if arguments is None else Aqmp.arguments_parse(json.dumps(arguments))
    return tap.Await(client.execute_async, command, arguments, Aqmp.ExecuteFlags.NONE, cancellable)


def execute(client, command, arguments=None):
    """What the command returns, as Python has it."""
    return json.loads(Json.to_string(begin(client, command, arguments).finish(client.execute_finish), False))


def execute_raw(client, message):
    return tap.Await(client.execute_raw_async, json.dumps(message), None, None).finish(client.execute_raw_finish).get_data()


class Filtering(Aqmp.Client):
    """A client that does to messages what a test wants."""

    inbound = outbound = None

    def do_filter_inbound(self, message):
        return self.inbound(message) if self.inbound else Aqmp.Client.do_filter_inbound(self, message)

    def do_filter_outbound(self, message):
        return self.outbound(message) if self.outbound else Aqmp.Client.do_filter_outbound(self, message)


@unittest.skipUnless(shutil.which(guest.QEMU), f'no {guest.QEMU}')
class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.guest = guest.stopped(cls.directory.name)
        cls.path = cls.guest.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.guest.__exit__(None, None, None)
        cls.directory.cleanup()

    def assert_fails(self, domain, code, function, *args):
        with self.assertRaises(GLib.Error) as context:
            function(*args)
        self.assertTrue(context.exception.matches(domain, code), repr(context.exception))
        return context.exception

    def session(self, client=None):
        """A client with a session that runs, until the test is over."""
        client = client or Aqmp.Client(name='vm0')
        self.assertTrue(connect(client, self.path))
        self.addCleanup(self.end, client)
        return client

    def end(self, client):
        if client.get_runstate() == Aqmp.Runstate.RUNNING:
            self.assertTrue(disconnect(client))
        self.assertEqual(client.get_runstate(), Aqmp.Runstate.IDLE)

    # --- sessions ---

    def test_states(self):
        client = Aqmp.Client()
        states, notified = [], []
        client.connect('runstate-changed', lambda _, runstate: states.append(runstate))
        client.connect('notify::runstate', lambda client, _: notified.append(client.props.runstate.value_nick))
        connect(client, self.path)
        self.assertTrue(disconnect(client))
        self.assertEqual(states, [Aqmp.Runstate.CONNECTING, Aqmp.Runstate.RUNNING, Aqmp.Runstate.DISCONNECTING,
                                  Aqmp.Runstate.IDLE])
        self.assertEqual(notified, ['connecting', 'running', 'disconnecting', 'idle'])

    def test_properties(self):
        client = Aqmp.Client(name='vm0', call_timeout=1234, connect_timeout=2345, flush_timeout=3456,
                             max_message_size=2 ** 33, await_greeting=False, negotiate=False, enable_oob=False)
        self.assertEqual([client.props.name, client.props.call_timeout, client.props.connect_timeout,
                          client.props.flush_timeout, client.props.max_message_size, client.props.await_greeting,
                          client.props.negotiate, client.props.enable_oob],
                         ['vm0', 1234, 2345, 3456, 2 ** 33, False, False, False])
        client.props.name = 'vm1'
        client.set_call_timeout(0)
        self.assertEqual((client.get_name(), client.get_call_timeout()), ('vm1', 0))
        self.assertEqual((client.props.runstate, client.props.greeting, client.props.stream, client.props.oob_enabled,
                          client.props.queued_bytes), (Aqmp.Runstate.IDLE, None, None, False, 0))

    def test_enums(self):
        self.assertEqual([runstate.value_nick for runstate in map(Aqmp.Runstate, range(4))],
                         ['idle', 'connecting', 'running', 'disconnecting'])
        self.assertEqual(int(Aqmp.Error.FAILED), 0)
        self.assertEqual(int(Aqmp.Error.SCHEMA), 11)
        self.assertEqual(int(Aqmp.ExecError.OTHER), 5)
        self.assertEqual(int(Aqmp.ExecuteFlags.NONE), 0)

    def test_greeting(self):
        client = self.session()
        greeting = client.get_greeting()
        version = (greeting.get_major(), greeting.get_minor(), greeting.get_micro())
        self.assertGreaterEqual(version, (7, 2, 0))
        self.assertTrue(greeting.get_version_string().startswith('%d.%d.%d' % version))
        self.assertIn(greeting.get_package(), greeting.get_version_string())
        self.assertIn('oob', greeting.get_capabilities())
        self.assertTrue(greeting.has_capability('oob'))
        self.assertFalse(greeting.has_capability('levitation'))
        self.assertTrue(client.get_oob_enabled())
        self.assertEqual(execute(client, 'query-version')['qemu']['major'], version[0])

    def test_failed_attempt(self):
        client = Aqmp.Client()
        error = self.assert_fails(Gio.io_error_quark(), Gio.IOErrorEnum.NOT_FOUND, connect, client, '/nowhere/qmp.sock')
        self.assertTrue(error.message.startswith('Could not establish the connection'), error.message)
        self.assertEqual(client.get_runstate(), Aqmp.Runstate.IDLE)
        self.session(client)

    def test_wrong_state(self):
        client = Aqmp.Client()
        domain, code = Aqmp.error_quark(), Aqmp.Error.STATE
        self.assert_fails(domain, code, execute, client, 'query-status')
        self.session(client)
        self.assert_fails(domain, code, connect, client, self.path)

    def test_busy_monitor(self):
        self.session()
        second = Aqmp.Client(connect_timeout=100)
        self.assert_fails(Gio.io_error_quark(), Gio.IOErrorEnum.TIMED_OUT, connect, second, self.path)

    # --- commands ---

    def test_execute(self):
        client = self.session()
        self.assertIs(execute(client, 'query-status')['running'], False)
        self.assertEqual(execute(client, 'qom-get', {'path': '/machine', 'property': 'type'}), 'pc-q35-7.2-machine')
        self.assertGreater(len(execute(client, 'query-qmp-schema')), 100)
        node = begin(client, 'query-status').finish(client.execute_finish)
        self.assertEqual(node.get_object().get_boolean_member('running'), False)

    def test_execute_full(self):
        client = self.session()
        result = tap.Await(client.execute_full_async, 'query-status', None, None, Aqmp.ExecuteFlags.NONE, 10000, None)
        self.assertFalse(result.finish(client.execute_full_finish).get_object().get_boolean_member('running'))

    def test_execute_raw(self):
        client = self.session()
        reply = json.loads(execute_raw(client, {'execute': 'query-status', 'id': 2 ** 64 - 1}))
        self.assertEqual(reply['id'], 2 ** 64 - 1)
        self.assertIs(reply['return']['running'], False)
        # An error of the server is a reply like others.
        reply = json.loads(execute_raw(client, {'execute': 'levitate'}))
        self.assertEqual(reply['error']['class'], 'CommandNotFound')
        # What a string in C cannot hold.
        message = {'execute': 'human-monitor-command', 'arguments': {'command-line': 'no\0such'}}
        self.assertIn('no\0such', json.loads(execute_raw(client, message))['return'])

    def test_many_at_once(self):
        client = self.session()
        calls = [begin(client, 'human-monitor-command', {'command-line': f'help no{i}'}) for i in range(100)]
        for i, call in enumerate(calls):
            self.assertEqual(call.finish(client.execute_finish).get_string(), f"unknown command: 'no{i}'\r\n")

    def test_server_errors(self):
        client = self.session()
        for code, name, command, arguments in (
                (Aqmp.ExecError.COMMAND_NOT_FOUND, 'CommandNotFound', 'levitate', None),
                (Aqmp.ExecError.GENERIC_ERROR, 'GenericError', 'qom-list', None),
                (Aqmp.ExecError.DEVICE_NOT_FOUND, 'DeviceNotFound', 'device_del', {'id': 'nothing'}),
                (Aqmp.ExecError.DEVICE_NOT_ACTIVE, 'DeviceNotActive', 'balloon', {'value': 1048576})):
            with self.subTest(name):
                error = self.assert_fails(EXEC, code, execute, client, command, arguments)
                self.assertEqual(Aqmp.exec_error_get_class(error), name)
                # PyGObject has built it anew, and dropped the reply.
                self.assertIsNone(Aqmp.exec_error_get_reply(error))
        self.assertEqual(self.assert_fails(EXEC, Aqmp.ExecError.DEVICE_NOT_FOUND, execute, client, 'device_del',
                                           {'id': 'nothing'}).message, "Device 'nothing' not found")

    def test_class_of_errors_made_here(self):
        for code, name in ((Aqmp.ExecError.KVM_MISSING_CAP, 'KVMMissingCap'), (Aqmp.ExecError.OTHER, 'Other')):
            self.assertEqual(Aqmp.exec_error_get_class(GLib.Error.new_literal(EXEC, 'made here', code)), name)
        self.assertIsNone(Aqmp.exec_error_get_class(refusal()))

    def test_arguments(self):
        self.assertEqual(Aqmp.arguments_parse('{"a": [1, {"b": null}]}').get_members(), ['a'])
        self.assert_fails(Aqmp.error_quark(), Aqmp.Error.PARSE, Aqmp.arguments_parse, "{'a': 1}")
        self.assert_fails(Aqmp.error_quark(), Aqmp.Error.UNEXPECTED_TYPE, Aqmp.arguments_parse, '[1]')

    def test_invalid_message(self):
        client = self.session()
        call = tap.Await(client.execute_raw_async, '{"execute": 1}', None, None)
        self.assert_fails(Aqmp.error_quark(), Aqmp.Error.INVALID_MESSAGE, call.finish, client.execute_raw_finish)
        self.assertEqual(execute(client, 'query-name'), {})

    def test_cancelled(self):
        client = self.session()
        cancellable = Gio.Cancellable()
        call = begin(client, 'query-status', cancellable=cancellable)
        cancellable.cancel()
        self.assert_fails(Gio.io_error_quark(), Gio.IOErrorEnum.CANCELLED, call.finish, client.execute_finish)
        self.assertEqual(execute(client, 'query-name'), {})

    def test_disconnect_with_call_pending(self):
        client = self.session()
        call = begin(client, 'query-status')
        ending = tap.Await(client.disconnect_async, None)
        try:
            call.finish(client.execute_finish)
        except GLib.Error as error:
            self.assertTrue(error.matches(Aqmp.error_quark(), Aqmp.Error.INTERRUPTED), repr(error))
        self.assertTrue(ending.finish(client.disconnect_finish))

    # --- events ---

    def test_events(self):
        client = self.session()
        stops, everything = [], []
        client.connect('event::STOP', lambda _, event: stops.append(event))
        client.connect('event', lambda _, event: everything.append(event.props.name))
        execute(client, 'cont')
        execute(client, 'stop')
        execute(client, 'cont')
        execute(client, 'system_powerdown')
        execute(client, 'stop')
        self.assertEqual([event.get_name() for event in stops], ['STOP', 'STOP'])
        self.assertEqual(everything, ['RESUME', 'STOP', 'RESUME', 'POWERDOWN', 'STOP'])
        self.assertLess(abs(stops[0].get_timestamp() - GLib.get_real_time()), 60 * GLib.USEC_PER_SEC)
        self.assertIsNone(stops[0].get_data())
        self.assertEqual(json.loads(stops[0].to_bytes().get_data())['event'], 'STOP')

    def test_mistake_in_event_handler(self):
        client = self.session()

        def on_stop(*_):
            raise Broken

        client.connect('event::STOP', on_stop)
        with Printed() as printed:
            execute(client, 'cont')
            execute(client, 'stop')
        self.assertEqual(printed.types, [Broken])
        self.assertEqual(execute(client, 'query-name'), {})

    # --- a subclass ---

    def test_filters(self):
        client = Filtering()
        seen = []
        client.outbound = lambda message: seen.append(json.loads(message.get_data())) or message
        client.inbound = lambda message: GLib.Bytes.new(message.get_data().replace(b'false', b'"no"'))
        self.session(client)
        self.assertEqual(execute(client, 'query-status')['running'], 'no')
        self.assertEqual([message['execute'] for message in seen], ['qmp_capabilities', 'query-status'])

    def test_filter_that_raises(self):
        client = self.session(Filtering())

        def broken(_):
            raise Broken

        client.outbound = broken
        with Printed() as printed:
            error = self.assert_fails(Aqmp.error_quark(), Aqmp.Error.INTERRUPTED, execute, client, 'query-status')
        self.assertEqual(printed.types, [Broken])
        self.assertIn('filter_outbound()', error.message)
        self.assert_fails(Aqmp.error_quark(), Aqmp.Error.FAILED, disconnect, client)
        client.outbound = None
        self.assertTrue(connect(client, self.path))
        self.assertEqual(execute(client, 'query-name'), {})

    def test_filter_that_changes_the_id(self):
        client = self.session(Filtering())
        client.outbound = lambda message: GLib.Bytes.new(message.get_data().replace(b'aqmp-', b'other-'))
        self.assert_fails(Aqmp.error_quark(), Aqmp.Error.INTERRUPTED, execute, client, 'query-status')
        self.assert_fails(Aqmp.error_quark(), Aqmp.Error.INVALID_MESSAGE, disconnect, client)


@unittest.skipUnless(shutil.which(guest.QEMU), f'no {guest.QEMU}')
class Killed(unittest.TestCase):
    def test_calls_pending(self):
        client = Aqmp.Client()
        with tempfile.TemporaryDirectory() as directory:
            with guest.stopped(directory) as path:
                self.assertTrue(connect(client, path))
            # It is dead by now; and buried.
            call = begin(client, 'query-status')
            with self.assertRaises(GLib.Error) as context:
                call.finish(client.execute_finish)
            self.assertTrue(context.exception.matches(Aqmp.error_quark(), Aqmp.Error.INTERRUPTED))
            self.assertTrue(client.get_error().matches(Gio.io_error_quark(), Gio.IOErrorEnum.CONNECTION_CLOSED))
            with self.assertRaises(GLib.Error) as context:
                disconnect(client)
            self.assertTrue(context.exception.matches(Gio.io_error_quark(), Gio.IOErrorEnum.CONNECTION_CLOSED))
        with tempfile.TemporaryDirectory() as directory, guest.stopped(directory) as path:
            self.assertTrue(connect(client, path))
            self.assertEqual(execute(client, 'query-name'), {})
            self.assertEqual(execute(client, 'quit'), {})
            tap.wait_until(lambda: client.get_runstate() == Aqmp.Runstate.DISCONNECTING)
            self.assertTrue(disconnect(client))


if __name__ == '__main__':
    tap.main()
