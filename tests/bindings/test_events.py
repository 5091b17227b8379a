#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Listeners, waiting and jobs in Python, in their plain introspected form, with a real QEMU and a real storage daemon."""

import contextlib
import gc
import json
import os
import shutil
import sys
import tempfile
import threading
import unittest
import weakref

from lines import Aqmp, Gio, GLib
import tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'qemu'))
import guest  # noqa: E402

from gi.repository import Json  # noqa: E402

ERROR = Aqmp.error_quark()
EXEC = Aqmp.exec_error_quark()
IO = Gio.io_error_quark()
NONE = Aqmp.ExecuteFlags.NONE
BOUND_MS = int(tap.BOUND * 1000)


def parse(value):
    return Aqmp.arguments_parse(json.dumps(value))


def plain(node):
    return json.loads(Json.to_string(node, False))


def name_and_data(event):
    text = json.loads(event.to_bytes().get_data())
    return text['event'], text.get('data')


def cancelled():
    cancellable = Gio.Cancellable()
    cancellable.cancel()
    return cancellable


class TestCase(unittest.TestCase):
    def assert_fails(self, domain, code, function, *args):
        with self.assertRaises(GLib.Error) as context:
            function(*args)
        self.assertTrue(context.exception.matches(domain, code), repr(context.exception))
        return context.exception


class Served(TestCase):
    """With a server for all tests."""

    def server(directory):
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.guest = cls.server(cls.directory.name)
        cls.path = cls.guest.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.guest.__exit__(None, None, None)
        cls.directory.cleanup()

    def setUp(self):
        self.client = Aqmp.Client(name='vm0', call_timeout=BOUND_MS)
        self.client.connect_sync(Aqmp.address_parse(self.path))

    def tearDown(self):
        if self.client:
            self.client.disconnect_sync()

    def execute(self, command, arguments=None):
        return plain(self.client.execute_sync(command, arguments and parse(arguments), NONE, None))


class Event(TestCase):
    def test_matches(self):
        event = Aqmp.Event.new('JOB', -1, parse({'id': 'a', 'info': {'b': 1, 'c': [1, {'d': None, 'e': 2}]}}))
        for subset in (None, {}, {'id': 'a'}, {'info': {'b': 1.0}}, {'info': {'c': [1, {'d': None}]}}):
            self.assertTrue(event.matches(None if subset is None else parse(subset)), subset)
        for subset in ({'id': 'b'}, {'name': 'a'}, {'info': {'b': '1'}}, {'info': {'c': [1]}}, {'info': None}):
            self.assertFalse(event.matches(parse(subset)), subset)

    def test_without_data(self):
        event = Aqmp.Event.new('STOP', -1, None)
        self.assertIsNone(event.get_data())
        self.assertTrue(event.matches(None))
        self.assertFalse(event.matches(parse({'id': 'a'})))


@unittest.skipUnless(shutil.which(guest.QEMU), f'no {guest.QEMU}')
class Listener(Served):
    server = guest.stopped

    def tearDown(self):
        if self.client:
            self.execute('stop')
        super().tearDown()

    def stop_and_go(self):
        self.execute('cont')
        self.execute('stop')

    def test_next_sync(self):
        listener = self.client.listen(['STOP', 'RESUME'])
        self.stop_and_go()
        self.assertEqual([listener.next_sync().props.name for _ in range(2)], ['RESUME', 'STOP'])
        self.assertTrue(listener.get_active())
        self.assert_fails(IO, Gio.IOErrorEnum.CANCELLED, listener.next_sync, cancelled())

    def test_next_async(self):
        listener = self.client.listen(['STOP', 'RESUME'], None)
        first = tap.Await(listener.next_async, None)
        second = tap.Await(listener.next_async, None)
        given_up = Gio.Cancellable()
        third = tap.Await(listener.next_async, given_up)
        given_up.cancel()
        self.stop_and_go()
        self.assertEqual(second.finish(listener.next_finish).props.name, 'STOP')
        self.assertEqual(first.finish(listener.next_finish).props.name, 'RESUME')
        self.assert_fails(IO, Gio.IOErrorEnum.CANCELLED, third.finish, listener.next_finish)

    def test_all_names(self):
        for names in (None, []):
            listener = self.client.listen(names)
            self.stop_and_go()
            self.assertEqual([listener.next_sync().props.name for _ in range(2)], ['RESUME', 'STOP'])

    def test_filter(self):
        class Wanted:
            pass
        wanted = Wanted()
        gone = weakref.ref(wanted)
        asked = []

        def only_stop(event, *_, wanted=wanted):
            asked.append(event.props.name)
            return event.props.name == 'STOP'

        listener = self.client.listen(None, only_stop)
        self.stop_and_go()
        self.assertEqual(asked, ['RESUME', 'STOP'])
        self.assertEqual(listener.props.n_pending, 1)
        self.assertEqual(listener.next_sync().props.name, 'STOP')
        del wanted, only_stop
        gc.collect()
        self.assertIsNotNone(gone())
        listener.stop()
        gc.collect()
        self.assertIsNone(gone())
        self.assertFalse(listener.get_active())

    def test_filter_with_data(self):
        listener = self.client.listen(['STOP', 'RESUME'], lambda event, name: event.props.name == name, 'RESUME')
        self.stop_and_go()
        self.assertEqual(listener.props.n_pending, 1)
        self.assertEqual(listener.next_sync().props.name, 'RESUME')

    def test_filter_stops(self):
        def stop(event):
            listener.stop()
            return True
        listener = self.client.listen(['RESUME'], stop)
        self.stop_and_go()
        self.assertEqual(listener.props.n_pending, 0)
        self.assert_fails(ERROR, Aqmp.Error.STATE, listener.next_sync)

    def test_properties(self):
        listener = self.client.listen(['STOP', 'RESUME'])
        notified = []
        listener.connect('notify', lambda _, pspec: notified.append(pspec.name))
        self.assertEqual((listener.props.max_pending, listener.props.history_size), (1024, 0))
        listener.props.max_pending = 1
        self.stop_and_go()
        self.assertEqual((listener.props.n_pending, listener.props.n_dropped), (1, 1))
        self.assertEqual((listener.get_n_pending(), listener.get_n_dropped()), (1, 1))
        listener.clear()
        self.assertEqual((listener.props.n_pending, listener.props.n_dropped), (0, 1))
        self.assertEqual(notified, ['max-pending'])

    def test_history(self):
        listener = self.client.listen(['STOP', 'RESUME'])
        history = listener.get_history()
        self.assertIsInstance(history, Gio.ListModel)
        self.assertEqual(history.get_item_type(), Aqmp.Event.__gtype__)
        listener.props.history_size = 3
        self.stop_and_go()
        self.stop_and_go()
        self.assertEqual([event.props.name for event in history], ['STOP', 'RESUME', 'STOP'])
        self.assertEqual(listener.props.n_pending, 4)

        changes = []
        history.connect('items-changed', lambda _, *change: changes.append(change))
        self.execute('cont')
        self.assertEqual((changes, len(history)), ([], 3))
        tap.wait_until(lambda: len(changes) == 2)
        self.assertEqual(changes, [(0, 1, 0), (2, 0, 1)])
        self.assertEqual(history[2].props.name, 'RESUME')
        listener.props.history_size = 1
        self.assertEqual([event.props.name for event in history], ['RESUME'])

    def test_lifetime(self):
        listener = self.client.listen(['RESUME', 'STOP'])
        self.stop_and_go()
        self.client.disconnect_sync()
        weak = self.client.weak_ref()
        self.client = None
        gc.collect()
        self.assertIsNone(weak())
        self.assertFalse(listener.get_active())
        self.assertEqual(listener.next_sync().props.name, 'RESUME')
        self.assertEqual(tap.Await(listener.next_async, None).finish(listener.next_finish).props.name, 'STOP')
        self.assert_fails(ERROR, Aqmp.Error.STATE, listener.next_sync)

    def test_sessions(self):
        listener = self.client.listen(['RESUME'])
        waiting = tap.Await(listener.next_async, None)
        self.client.disconnect_sync()
        self.assert_fails(ERROR, Aqmp.Error.INTERRUPTED, waiting.finish, listener.next_finish)
        self.assert_fails(ERROR, Aqmp.Error.STATE, listener.next_sync)
        self.client.connect_sync(Aqmp.address_parse(self.path))
        self.stop_and_go()
        self.assertEqual(listener.next_sync().props.name, 'RESUME')

    def test_other_thread(self):
        listener = self.client.listen(['STOP'])
        cont = tap.Await(self.client.execute_async, 'cont', None, NONE, None)
        event, _ = tap.in_thread(self.client.execute_and_wait_sync, 'stop', None, ['STOP'], None, None, BOUND_MS)
        self.assertEqual(event.props.name, 'STOP')
        self.assertEqual(tap.in_thread(listener.next_sync).props.name, 'STOP')
        cont.finish(self.client.execute_finish)

    def test_ended_by_other_thread(self):
        listener = self.client.listen(['STOP'])
        results = []
        thread = threading.Thread(target=lambda: results.append(self.client.disconnect_sync()))
        starter = self.client.listen(['RESUME'], lambda _: thread.start() or True)
        cont = tap.Await(self.client.execute_async, 'cont', None, NONE, None)
        self.assert_fails(ERROR, Aqmp.Error.INTERRUPTED, listener.next_sync)
        thread.join()
        self.assertEqual((results, starter.props.n_pending), ([True], 1))
        with contextlib.suppress(GLib.Error):  # It may have been answered before.
            cont.finish(self.client.execute_finish)
        self.client.connect_sync(Aqmp.address_parse(self.path))

    def test_wait_event(self):
        waiting = tap.Await(self.client.wait_event_async, ['STOP'], None, -1, None)
        self.stop_and_go()
        self.assertEqual(name_and_data(waiting.finish(self.client.wait_event_finish)), ('STOP', None))
        self.assert_fails(IO, Gio.IOErrorEnum.TIMED_OUT, self.client.wait_event_sync, None, None, 10)
        self.assert_fails(IO, Gio.IOErrorEnum.CANCELLED, self.client.wait_event_sync, None, None, 0, cancelled())
        self.assert_fails(IO, Gio.IOErrorEnum.INVALID_ARGUMENT, self.client.wait_event_sync, [''], None, 0)

    def test_wait_event_sync(self):
        cont = tap.Await(self.client.execute_async, 'cont', None, NONE, None)
        self.assertEqual(self.client.wait_event_sync(['RESUME'], None, BOUND_MS).props.name, 'RESUME')
        cont.finish(self.client.execute_finish)

    def test_execute_and_wait(self):
        waiting = tap.Await(self.client.execute_and_wait_async, 'cont', None, ['RESUME'], None, None, -1, None)
        event, reply = waiting.finish(self.client.execute_and_wait_finish)
        self.assertEqual((event.props.name, plain(reply)), ('RESUME', {}))

        event, reply = self.client.execute_and_wait_sync('stop', None, ['STOP'], ['RESUME'], None, BOUND_MS)
        self.assertEqual((event.props.name, plain(reply)), ('STOP', {}))

        error = self.assert_fails(ERROR, Aqmp.Error.EVENT, self.client.execute_and_wait_sync, 'cont', None, ['STOP'],
                                  ['RESUME'], None, BOUND_MS)
        self.assertIn('RESUME', error.message)
        self.assert_fails(EXEC, Aqmp.ExecError.DEVICE_NOT_FOUND, self.client.execute_and_wait_sync, 'device_del',
                          parse({'id': 'nothing'}), ['DEVICE_DELETED'], None, parse({'device': 'nothing'}), BOUND_MS)


@unittest.skipUnless(shutil.which(guest.STORAGE_DAEMON), f'no {guest.STORAGE_DAEMON}')
class Job(Served):
    server = guest.storage

    def file(self, name):
        return os.path.join(self.directory.name, name)

    def create(self, job_id, name):
        options = {'driver': 'file', 'filename': self.file(name), 'size': 65536}
        self.execute('blockdev-create', {'job-id': job_id, 'options': options})

    def test_run(self):
        job = Aqmp.Job(client=self.client, id='create0')
        self.assertEqual((job.props.client, job.props.id, job.props.status, job.props.type, job.props.error, job.props.progress),
                         (self.client, 'create0', None, None, None, 0.0))
        self.create('create0', 'run.img')
        self.assertTrue(job.run_sync())
        self.assertEqual((job.props.status, job.get_status(), job.props.progress), ('null', 'null', 1.0))
        self.assertEqual((job.props.type, job.get_job_type()), ('create', 'create'))
        # GObject's own, not the getter.
        self.assertEqual(Aqmp.Job.__gtype__.name, 'AqmpJob')
        self.assertEqual(os.path.getsize(self.file('run.img')), 65536)

    def test_backup(self):
        for name in ('source', 'target'):
            job = Aqmp.Job.new(self.client, f'create-{name}')
            self.create(f'create-{name}', f'{name}.img')
            self.assertTrue(job.run_sync(None))
            self.execute('blockdev-add', {'driver': 'file', 'node-name': name, 'filename': self.file(f'{name}.img')})

        job = Aqmp.Job.new(self.client, 'backup0')
        job.props.progress_interval = 50
        statuses = []
        job.connect('notify::status', lambda job, _: statuses.append(job.props.status))
        self.execute('blockdev-backup', {'job-id': 'backup0', 'device': 'source', 'target': 'target', 'sync': 'full',
                                         'auto-finalize': False, 'auto-dismiss': False})
        waiting = tap.Await(job.wait_status_async, 'pending', None)
        self.assertTrue(waiting.finish(job.wait_status_finish))
        self.assertEqual(job.props.status, 'pending')
        running = tap.Await(job.run_async, None)
        self.assertTrue(running.finish(job.run_finish))
        tap.wait_until(lambda: statuses and statuses[-1] == 'null')
        self.assertEqual((job.props.type, job.props.progress, job.props.error), ('backup', 1.0, None))
        for name in ('source', 'target'):
            self.execute('blockdev-del', {'node-name': name})

    def test_failure(self):
        job = Aqmp.Job.new(self.client, 'create1')
        self.create('create1', 'no/such/directory.img')
        error = self.assert_fails(ERROR, Aqmp.Error.JOB, job.run_sync)
        self.assertIn('no/such/directory', job.props.error)
        self.assertIn(job.props.error, error.message)

    def test_lifetime(self):
        job = Aqmp.Job.new(self.client, 'create2')
        self.create('create2', 'lifetime.img')
        running = tap.Await(job.run_async, None)
        weak = job.weak_ref()
        del job
        gc.collect()
        tap.wait_until(lambda: running.done)
        self.assertTrue(running.finish(weak().run_finish))
        tap.dispatch_pending()
        gc.collect()
        self.assertIsNone(weak())

    def test_unknown(self):
        job = Aqmp.Job.new(self.client, 'nothing')
        self.assert_fails(IO, Gio.IOErrorEnum.NOT_FOUND, job.run_sync)
        self.assert_fails(IO, Gio.IOErrorEnum.NOT_FOUND, job.refresh_sync)
        refreshing = tap.Await(job.refresh_async, None)
        self.assert_fails(IO, Gio.IOErrorEnum.NOT_FOUND, refreshing.finish, job.refresh_finish)
        self.assert_fails(IO, Gio.IOErrorEnum.NOT_FOUND, job.wait_status_sync, 'ready')


if __name__ == '__main__':
    tap.main()
