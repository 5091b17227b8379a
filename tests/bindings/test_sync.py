#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Blocking calls and out-of-band execution in Python, in their plain introspected form, with a real QEMU.

No main loop runs but where a test runs one.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from lines import Aqmp, Broken, Gio, GLib, Line, Printed, cut_off, echo, greet, peer, refusal, silent
import tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'qemu'))
import guest  # noqa: E402

EXEC = Aqmp.exec_error_quark()
IO = Gio.io_error_quark()
STATE = (Aqmp.error_quark(), Aqmp.Error.STATE)
NONE, OOB = Aqmp.ExecuteFlags.NONE, Aqmp.ExecuteFlags.OOB
BOUND_MS = int(tap.BOUND * 1000)


def cancelled():
    cancellable = Gio.Cancellable()
    cancellable.cancel()
    return cancellable


def execute_raw(client, message, fd_list=None):
    return json.loads(client.execute_raw_sync(json.dumps(message), fd_list, None).get_data())


class TestCase(unittest.TestCase):
    def setUp(self):
        """Whoever ran the main context would dispatch this."""
        self.trap = GLib.idle_add(self.spring, priority=GLib.PRIORITY_HIGH)
        self.sprung = 0
        self.addCleanup(self.disarm)

    def spring(self):
        self.sprung += 1
        return GLib.SOURCE_CONTINUE

    def disarm(self):
        """From here on the main context may be run; until here nobody did."""
        if self.trap:
            GLib.source_remove(self.trap)
            self.trap = 0
            self.assertEqual(self.sprung, 0)

    def assert_fails(self, domain, code, function, *args):
        with self.assertRaises(GLib.Error) as context:
            function(*args)
        self.assertTrue(context.exception.matches(domain, code), repr(context.exception))
        return context.exception


class Filtering(Aqmp.Client):
    """A client that does to messages what a test wants."""

    inbound = None

    def do_filter_inbound(self, message):
        if self.inbound:
            self.inbound(message)
        return message


@unittest.skipUnless(shutil.which(guest.QEMU), f'no {guest.QEMU}')
class Client(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.guest = guest.stopped(cls.directory.name)
        cls.path = cls.guest.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.guest.__exit__(None, None, None)
        cls.directory.cleanup()

    def session(self, client=None, **properties):
        client = client or Aqmp.Client(name='vm0', call_timeout=BOUND_MS, **properties)
        self.assertIs(client.connect_sync(Aqmp.address_parse(self.path), None), True)
        self.addCleanup(self.end, client)
        return client

    def end(self, client):
        if client.get_runstate() == Aqmp.Runstate.RUNNING:
            self.assertIs(client.disconnect_sync(None), True)
        self.assertEqual(client.get_runstate(), Aqmp.Runstate.IDLE)

    def assert_works(self, client):
        self.assertFalse(client.execute_sync('query-status', None, NONE, None).get_object().get_boolean_member('running'))

    # --- every function ---

    def test_session(self):
        client = Aqmp.Client()
        states = []
        client.connect('runstate-changed', lambda _, runstate: states.append((runstate, threading.current_thread())))
        self.assertIs(client.connect_sync(Aqmp.address_parse(self.path), None), True)
        self.assertEqual(client.get_greeting().get_major(), 7)
        self.assert_works(client)
        self.assertIs(client.flush_sync(None), True)
        self.assertIs(client.disconnect_sync(None), True)
        self.assertEqual(states, [(runstate, threading.current_thread()) for runstate in (
            Aqmp.Runstate.CONNECTING, Aqmp.Runstate.RUNNING, Aqmp.Runstate.DISCONNECTING, Aqmp.Runstate.IDLE)])

    def test_execute(self):
        client = self.session()
        arguments = Aqmp.arguments_parse('{"path": "/machine", "property": "type"}')
        self.assertEqual(client.execute_sync('qom-get', arguments, NONE, None).get_string(), 'pc-q35-7.2-machine')
        self.assertEqual(client.execute_full_sync('qom-get', arguments, None, NONE, BOUND_MS, None).get_string(),
                         'pc-q35-7.2-machine')
        reply = execute_raw(client, {'execute': 'query-status', 'id': 2 ** 64 - 1})
        self.assertEqual((reply['id'], reply['return']['running']), (2 ** 64 - 1, False))
        self.assertEqual(execute_raw(client, {'execute': 'levitate'})['error']['class'], 'CommandNotFound')

    def test_what_may_be_left_out(self):
        client = Aqmp.Client()
        self.assertTrue(client.connect_sync(Aqmp.address_parse(self.path)))
        self.assertEqual(client.execute_sync('query-name', None, NONE).get_object().get_size(), 0)
        self.assertEqual(client.execute_full_sync('query-name', None, None, NONE, -1).get_object().get_size(), 0)
        self.assertIn('return', json.loads(client.execute_raw_sync('{"execute": "query-name"}').get_data()))
        self.assertTrue(client.flush_sync())
        self.assertTrue(client.disconnect_sync())

    def test_open(self):
        connection = Gio.SocketClient().connect(Aqmp.address_parse(self.path), None)
        client = Aqmp.Client()
        self.assertIs(client.open_sync(connection, None), True)
        self.addCleanup(self.end, client)
        self.assert_works(client)

    def test_descriptors(self):
        client = self.session()
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        ours.settimeout(tap.BOUND)
        fds = Gio.UnixFDList()
        with theirs:
            fds.append(theirs.fileno())
        arguments = Aqmp.arguments_parse('{"fdname": "ours"}')
        client.execute_full_sync('getfd', arguments, fds, NONE, -1, None)
        self.assertEqual(execute_raw(client, {'execute': 'closefd', 'arguments': {'fdname': 'ours'}})['return'], {})
        self.assertEqual(execute_raw(client, {'execute': 'getfd', 'arguments': {'fdname': 'ours'}}, fds)['return'], {})
        self.assertEqual(execute_raw(client, {'execute': 'closefd', 'arguments': {'fdname': 'ours'}})['return'], {})
        del fds
        self.assertEqual(ours.recv(1), b'')

    # --- exceptions ---

    def test_server_errors(self):
        client = self.session()
        error = self.assert_fails(EXEC, Aqmp.ExecError.COMMAND_NOT_FOUND, client.execute_sync, 'levitate', None, NONE, None)
        self.assertEqual(Aqmp.exec_error_get_class(error), 'CommandNotFound')
        arguments = Aqmp.arguments_parse('{"id": "nothing"}')
        error = self.assert_fails(EXEC, Aqmp.ExecError.DEVICE_NOT_FOUND, client.execute_full_sync, 'device_del', arguments,
                                  None, NONE, -1, None)
        self.assertEqual(error.message, "Device 'nothing' not found")
        self.assert_works(client)

    def test_cancelled(self):
        client = Aqmp.Client()
        self.assert_fails(IO, Gio.IOErrorEnum.CANCELLED, client.connect_sync, Aqmp.address_parse(self.path), cancelled())
        self.assertEqual(client.get_runstate(), Aqmp.Runstate.IDLE)
        client = self.session()
        for function, *args in ((client.execute_sync, 'query-name', None, NONE),
                                (client.execute_full_sync, 'query-name', None, None, NONE, -1),
                                (client.execute_raw_sync, '{"execute": "query-name"}', None),
                                (client.flush_sync,)):
            with self.subTest(function.__name__):
                self.assert_fails(IO, Gio.IOErrorEnum.CANCELLED, function, *args, cancelled())
                self.assert_works(client)

    def test_cancelled_disconnect(self):
        client = self.session()
        self.assert_fails(IO, Gio.IOErrorEnum.CANCELLED, client.disconnect_sync, cancelled())
        # It goes on all the same.
        self.assertIs(client.disconnect_sync(None), True)

    def test_wrong_state(self):
        client = Aqmp.Client()
        self.assert_fails(*STATE, client.execute_sync, 'query-name', None, NONE, None)
        self.assert_fails(*STATE, client.flush_sync, None)
        self.assert_fails(*STATE, client.accept_sync, None)
        self.assertIs(client.disconnect_sync(None), True)
        client = self.session()
        error = self.assert_fails(*STATE, client.connect_sync, Aqmp.address_parse(self.path), None)
        self.assertIn('running', error.message)

    def test_nobody_there(self):
        error = self.assert_fails(IO, Gio.IOErrorEnum.NOT_FOUND, Aqmp.Client().connect_sync,
                                  Aqmp.address_parse('/nowhere/qmp.sock'), None)
        self.assertTrue(error.message.startswith('Could not establish the connection'), error.message)

    def test_busy_monitor(self):
        self.session()
        second = Aqmp.Client(connect_timeout=100)
        self.assert_fails(IO, Gio.IOErrorEnum.TIMED_OUT, second.connect_sync, Aqmp.address_parse(self.path), None)

    def test_invalid_message(self):
        client = self.session()
        self.assert_fails(Aqmp.error_quark(), Aqmp.Error.INVALID_MESSAGE, client.execute_raw_sync, '{"execute": 1}', None, None)
        self.assert_works(client)

    # --- what is called ---

    def test_events_and_callbacks(self):
        client = self.session()
        told = []
        client.connect('event', lambda _, event: told.append(event.props.name))
        client.execute_sync('cont', None, NONE, None)
        client.execute_async('query-name', None, NONE, None, lambda *_: told.append('called back'))
        client.execute_sync('stop', None, NONE, None)
        self.assertEqual(told, [])
        self.disarm()
        tap.dispatch_pending()
        self.assertEqual(told, ['RESUME', 'called back', 'STOP'])

    def test_in_callback(self):
        client = self.session()
        results = []

        def on_name(client, result):
            client.execute_finish(result)
            results.append(client.execute_sync('query-status', None, NONE, None).get_object().get_string_member('status'))

        client.execute_async('query-name', None, NONE, None, on_name)
        self.disarm()
        tap.wait_until(lambda: results)
        self.assertIn(results[0], ('prelaunch', 'paused'))

    def test_in_handlers(self):
        client = Aqmp.Client()
        results = []

        def on_runstate_changed(client, runstate):
            if runstate == Aqmp.Runstate.RUNNING:
                results.append(client.execute_sync('query-name', None, NONE, None))

        client.connect('runstate-changed', on_runstate_changed)
        self.session(client)
        self.assertEqual(len(results), 1)

    def test_virtual_functions(self):
        client = self.session(Filtering())
        threads, errors = [], []

        def inbound(_):
            threads.append(threading.current_thread())
            for function, *args in ((client.execute_sync, 'query-name', None, NONE, None), (client.flush_sync, None),
                                    (client.disconnect_sync, None)):
                errors.append(self.assert_fails(*STATE, function, *args))

        client.inbound = inbound
        self.assert_works(client)
        client.inbound = None
        self.assertEqual(threads, [threading.current_thread()])
        self.assertTrue(all('use the asynchronous form' in error.message for error in errors) and len(errors) == 3)

    # --- threads ---

    def test_other_thread(self):
        client = self.session()
        self.disarm()
        self.assertEqual(tap.in_thread(execute_raw, client, {'execute': 'query-name', 'id': 'ours'})['id'], 'ours')
        self.assert_fails(EXEC, Aqmp.ExecError.COMMAND_NOT_FOUND, tap.in_thread, client.execute_sync, 'levitate', None, NONE,
                          None)
        self.assertTrue(tap.in_thread(client.flush_sync, None))
        self.assertTrue(tap.in_thread(client.disconnect_sync, None))

    def test_other_thread_and_nobody_serves(self):
        client = self.session()
        errors = []

        def run():
            errors.append(self.assert_fails(IO, Gio.IOErrorEnum.TIMED_OUT, client.execute_full_sync, 'query-name', None, None,
                                            NONE, 1, None))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.assertEqual(len(errors), 1)
        self.assert_works(client)

    def test_session_of_thread(self):
        """With a context of its own, so that the main loop has nothing to do with it."""
        results = []

        def run():
            context = GLib.MainContext.new()
            context.push_thread_default()
            client = Aqmp.Client()
            client.connect('runstate-changed', lambda *_: results.append(threading.current_thread()))
            client.connect_sync(Aqmp.address_parse(self.path), None)
            results.append(execute_raw(client, {'execute': 'query-name'}))
            client.disconnect_sync(None)
            context.pop_thread_default()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.assertEqual([result for result in results if result is thread], [thread] * 4)
        self.assertEqual([list(result)[0] for result in results if result is not thread], ['return'])

    # --- out of band ---

    def test_out_of_band(self):
        self.assertEqual(int(OOB), 1)
        client = self.session()
        self.assertTrue(client.get_oob_enabled())
        instances = client.execute_sync('query-yank', None, OOB, None).get_array()
        self.assertEqual(instances.get_object_element(0).get_string_member('type'), 'chardev')
        self.assertEqual(client.execute_full_sync('query-yank', None, None, OOB, -1, None).get_array().get_length(), 1)
        self.assertEqual(len(execute_raw(client, {'exec-oob': 'query-yank'})['return']), 1)
        call = tap.Await(client.execute_async, 'query-yank', None, OOB, None)
        self.disarm()
        self.assertEqual(call.finish(client.execute_finish).get_array().get_length(), 1)

    def test_which_are_possible_out_of_band(self):
        client = self.session()
        schema = execute_raw(client, {'execute': 'query-qmp-schema'})['return']
        # The manual lists them.
        self.assertEqual(sorted(entry['name'] for entry in schema if entry.get('allow-oob')),
                         ['migrate-pause', 'migrate-recover', 'query-yank', 'yank'])

    def test_out_of_band_error(self):
        client = self.session()
        for command in ('query-name', 'migrate-pause'):
            error = self.assert_fails(EXEC, Aqmp.ExecError.GENERIC_ERROR, client.execute_sync, command, None, OOB, None)
            self.assertEqual(Aqmp.exec_error_get_class(error), 'GenericError')
        self.assert_works(client)

    def test_out_of_band_not_negotiated(self):
        client = self.session(enable_oob=False)
        self.assertFalse(client.get_oob_enabled())
        self.assert_fails(IO, Gio.IOErrorEnum.NOT_SUPPORTED, client.execute_sync, 'query-yank', None, OOB, None)
        self.assert_fails(IO, Gio.IOErrorEnum.NOT_SUPPORTED, client.execute_raw_sync, '{"exec-oob": "query-yank"}', None, None)
        self.assert_works(client)

    def test_out_of_band_overtakes(self):
        """A server that never says anything keeps QEMU busy; and more commands than it reads are behind that."""
        client = self.session()
        done = []
        path = os.path.join(self.directory.name, 'nbd.sock')
        arguments = json.dumps({'driver': 'nbd', 'node-name': 'silent', 'server': {'type': 'unix', 'path': path}})
        with socket.socket(socket.AF_UNIX) as server:
            server.settimeout(tap.BOUND)
            server.bind(path)
            server.listen()
            calls = [tap.Await(client.execute_async, 'blockdev-add', Aqmp.arguments_parse(arguments), NONE, None)]
            calls += [tap.Await(client.execute_async, 'query-name', None, NONE, None) for _ in range(20)]
            client.flush_sync(None)
            connection, _ = server.accept()
            with connection:
                done.append(client.execute_sync('query-yank', None, OOB, None).get_array().get_length())
                self.assert_fails(IO, Gio.IOErrorEnum.TIMED_OUT, client.execute_full_sync, 'query-name', None, None, NONE, 10,
                                  None)
        self.disarm()
        self.assertEqual(done, [2])
        self.assert_fails(EXEC, Aqmp.ExecError.GENERIC_ERROR, calls[0].finish, client.execute_finish)
        for call in calls[1:]:
            self.assertEqual(call.finish(client.execute_finish).get_object().get_size(), 0)


@unittest.skipUnless(shutil.which(guest.QEMU), f'no {guest.QEMU}')
class Listening(TestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.path = os.path.join(self.directory, 'qmp.sock')

    def start(self):
        context = guest.started([guest.QEMU, '-M', 'none', '-S', '-display', 'none',
                                 '-chardev', f'socket,id=qmp,path={self.path},server=off,reconnect=1',
                                 '-mon', 'chardev=qmp,mode=control'], self.directory, stderr=subprocess.DEVNULL)
        self.addCleanup(context.__exit__, None, None, None)
        context.__enter__()

    def test_accept(self):
        client = Aqmp.Client(call_timeout=BOUND_MS)
        client.start_server(Aqmp.address_parse(self.path))
        self.start()
        self.assertIs(client.accept_sync(None), True)
        self.assertEqual(execute_raw(client, {'execute': 'query-status'})['return']['status'], 'prelaunch')
        self.assertIs(client.disconnect_sync(None), True)

    def test_start_server_and_accept(self):
        client = Aqmp.Client(call_timeout=BOUND_MS)
        # It comes back every second.
        self.start()
        self.assertIs(client.start_server_and_accept_sync(Aqmp.address_parse(self.path), None), True)
        self.assertEqual(execute_raw(client, {'execute': 'query-status'})['return']['status'], 'prelaunch')
        self.assertEqual(execute_raw(client, {'execute': 'quit'})['return'], {})
        self.assertIs(client.disconnect_sync(None), True)

    def test_cancelled(self):
        client = Aqmp.Client()
        self.assert_fails(IO, Gio.IOErrorEnum.CANCELLED, client.start_server_and_accept_sync, Aqmp.address_parse(self.path),
                          cancelled())
        client.start_server(Aqmp.address_parse(self.path))
        cancellable = Gio.Cancellable()
        timer = threading.Timer(0.01, cancellable.cancel)
        timer.start()
        self.assert_fails(IO, Gio.IOErrorEnum.CANCELLED, client.accept_sync, cancellable)
        timer.join()
        self.assertEqual((client.get_runstate(), os.path.exists(self.path)), (Aqmp.Runstate.IDLE, False))


class Lines(TestCase):
    """A subclass of the protocol itself."""

    def test_session(self):
        line = Line()
        with peer(echo) as it:
            self.assertIs(line.open_sync(it.stream, None), True)
            line.send(b'one\n')
            self.assertIs(line.flush_sync(None), True)
            self.assertIs(line.disconnect_sync(None), True)
        # The echo may come in time, or not.
        self.assertEqual([name for name, _ in line.calls if name not in ('filter_inbound', 'message_received')],
                         ['runstate_changed', 'establish_session', 'runstate_changed', 'filter_outbound', 'session_ended',
                          'runstate_changed', 'runstate_changed'])

    def test_handshake(self):
        """What establish_session() begins goes on while the call blocks."""
        def establish(line, _, task):
            def on_read(line, result):
                line.received.append(line.read_message_finish(result).get_data())
                line.write_message_async(GLib.Bytes.new(b'hello yourself\n'), None, on_written)

            def on_written(line, result):
                line.write_message_finish(result)
                task.return_boolean(True)

            line.read_message_async(None, on_read)
            return True

        line = Line({'establish_session': establish}, connect_timeout=BOUND_MS)
        with peer(greet) as it:
            self.assertIs(line.open_sync(it.stream, None), True)
            self.assertEqual(line.received, [b'hello'])
            self.assertIs(line.disconnect_sync(None), True)

    def test_refused(self):
        def refuse(*_):
            raise refusal()

        line = Line({'establish_session': refuse})
        with peer(silent) as it:
            error = self.assert_fails(GLib.quark_from_string('test-error'), 17, line.open_sync, it.stream, None)
        self.assertTrue(error.message.startswith('Could not establish the session'), error.message)
        self.assertEqual(line.get_runstate(), Aqmp.Runstate.IDLE)

    def test_mistake(self):
        def mistake(*_):
            raise Broken

        line = Line({'filter_outbound': mistake})
        with peer(silent) as it, Printed() as printed:
            line.open_sync(it.stream, None)
            line.send(b'one\n')
            self.assert_fails(Aqmp.error_quark(), Aqmp.Error.INTERRUPTED, line.flush_sync, None)
            self.assert_fails(Aqmp.error_quark(), Aqmp.Error.FAILED, line.disconnect_sync, None)
        self.assertEqual(printed.types, [Broken])

    def test_peer_leaves(self):
        line = Line()
        with peer(cut_off) as it:
            line.open_sync(it.stream, None)
            line.send(b'one\n')
            line.flush_sync(None)
            it.join()
            self.disarm()
            line.wait_failed()
            self.assert_fails(IO, Gio.IOErrorEnum.CONNECTION_CLOSED, line.disconnect_sync, None)

    def test_timeout(self):
        tasks = []
        line = Line({'establish_session': lambda _, __, task: tasks.append(task) or True}, connect_timeout=10)
        with peer(silent) as it:
            self.assert_fails(IO, Gio.IOErrorEnum.TIMED_OUT, line.open_sync, it.stream, None)


if __name__ == '__main__':
    tap.main()
