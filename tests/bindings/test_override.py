#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""The client as Python programs use it: native values, errors, events, and each way to wait."""

import asyncio
import gc
import json
import os
import pickle
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest

from lines import Aqmp, Broken, Gio, GLib, Printed
import answering
import lines
import tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'qemu'))
import guest  # noqa: E402

ERROR = Aqmp.error_quark()


class TestCase(unittest.TestCase):
    def setUp(self):
        self.client = Aqmp.Client(name='vm0')

    def session(self):
        return answering.session(self.client)

    def assert_error(self, code, operation, saying='', domain=ERROR):
        with self.assertRaises(GLib.Error) as context:
            operation.wait(tap.BOUND)
        self.assertTrue(context.exception.matches(domain, code), repr(context.exception))
        self.assertIn(saying, context.exception.message)
        return context.exception

    def say(self, text):
        return self.client.execute('say', text=text)

    def assert_works(self):
        self.assertEqual(self.client.execute('echo', a=1).wait(tap.BOUND), {'a': 1})


class Values(TestCase):
    def test_both_ways(self):
        values = [2 ** 63 - 1, -2 ** 63, 2 ** 64 - 1, 2 ** 53 + 1, 0, -1, 0.1, -1.5e300, None, True, False, '', {}, [], [[]],
                  {'': None}, 'Grüße €', '😀', 'a\0b', '\x7f\x1f"\\/', 'x' * 300000]
        with self.session():
            for value in values:
                with self.subTest(value=repr(value)[:40]):
                    got = self.client.execute('echo', {'value': value}).wait()['value']
                    self.assertEqual((type(got), got), (type(value), value))
            self.assertEqual(self.client.execute('echo', {'values': values}).wait()['values'], values)
            self.assertEqual(self.client.execute('echo', {}).wait(), {})
            self.assertIsNone(self.client.execute('echo').wait())

    def test_integers_beyond_64_bits(self):
        with self.session():
            self.assertEqual(self.say('{"return": 340282366920938463463374607431768211456, "id": ID}').wait(), 2 ** 128)

    def test_reply_that_python_cannot_hold(self):
        with self.session():
            self.assert_error(Aqmp.Error.BAD_REPLY, self.say('{"return": ' + '1' * 5000 + ', "id": ID}'), 'Python cannot hold')
            self.assert_works()

    def test_deep_reply(self):
        with self.session():
            value = self.say('{"return": ' + '[' * 900 + ']' * 900 + ', "id": ID}').wait()
            for _ in range(899):
                value = value[0]
            self.assertEqual(value, [])

    def test_malformed_replies(self):
        with self.session():
            for reply in '{"id": ID}', '{"error": 1, "id": ID}', '{"error": {"class": "X"}, "id": ID}', \
                    '{"error": {"class": 1, "desc": ""}, "id": ID}':
                self.assert_error(Aqmp.Error.BAD_REPLY, self.say(reply))
            self.assert_works()

    def test_error_comes_before_return(self):
        with self.session():
            with self.assertRaises(Aqmp.ExecuteError):
                self.say('{"return": 1, "error": {"class": "X", "desc": "Y"}, "id": ID}').wait()

    def test_keywords(self):
        with self.session():
            self.assertEqual(self.client.execute('echo', node_name='n', class_='c', a=1).wait(), {'node-name': 'n', 'class': 'c', 'a': 1})
            self.assertEqual(self.client.execute('echo', {'a_b': 1}, a_b=2, command=3, self=4, arguments=5).wait(),
                             {'a_b': 1, 'a-b': 2, 'command': 3, 'self': 4, 'arguments': 5})
            with self.assertRaisesRegex(TypeError, "'a-b' of 'echo' was given twice"):
                self.client.execute('echo', {'a-b': 1}, a_b=2)

    def test_arguments_are_left_alone(self):
        arguments = {'a': 1}
        with self.session():
            self.client.execute('echo', arguments, b=2).wait()
        self.assertEqual(arguments, {'a': 1})

    def test_names_of_commands(self):
        with self.session() as server:
            for name in 'a"b\\', 'é', '':
                self.client.execute(name).wait()
            self.assertEqual(server.seen, ['a"b\\', 'é', ''])

    def test_raw(self):
        with self.session() as server:
            for message in ('{"execute": "a", "id": 7}', b'{"execute": "a", "id": 7}', bytearray(b' {"execute": "a", "id": 7}\n'),
                            {'execute': 'a', 'id': 7}):
                reply = self.client.execute_raw(message).wait()
                self.assertIsInstance(reply, bytes)
                self.assertEqual(json.loads(reply), {'return': None, 'id': 7})
            error = {'class': 'X', 'desc': 'Y'}
            text = '{"error": %s, "id": ID}' % json.dumps(error)
            reply = self.client.execute_raw({'execute': 'say', 'arguments': {'text': text}}).wait()
            self.assertEqual(json.loads(reply)['error'], error)
            self.assertEqual(server.seen, ['a'] * 4 + ['say'])

    def test_events(self):
        with self.session():
            with self.client.events() as events:
                self.say('{"event": "A", "data": {"n": 18446744073709551615, "s": "a\\u0000b"}, '
                         '"timestamp": {"seconds": 1, "microseconds": 2}}{"event": "B"}{"return": {}, "id": ID}').wait()
                a, b = next(events), next(events)
            self.assertEqual((a.name, a.data, a.timestamp), ('A', {'n': 2 ** 64 - 1, 's': 'a\0b'}, 1000002))
            self.assertEqual((b.name, b.data, b.timestamp), ('B', None, -1))
            self.assertIs(a.data, a.data)
            self.assertIn("A {'n': 18446744073709551615", repr(a))


class BadInput(TestCase):
    def test_arguments(self):
        circle = []
        circle.append(circle)
        with self.session():
            for kind, text, arguments in ((TypeError, "'echo' .* set is not JSON", {'a': {1}}),
                                          (TypeError, "'echo' .* bytes is not JSON", {'a': b''}),
                                          (ValueError, "'echo' .* Out of range float", {'a': float('nan')}),
                                          (ValueError, "'echo' .* Out of range float", {'a': float('inf')}),
                                          (ValueError, "'echo' .* Circular", {'a': circle}),
                                          (TypeError, "'echo' are a dict, not list", [1]),
                                          (TypeError, "'echo' are a dict, not str", '{}')):
                with self.subTest(text), self.assertRaisesRegex(kind, text):
                    self.client.execute('echo', arguments)
            self.assert_error(Aqmp.Error.INVALID_MESSAGE, self.client.execute('echo', a='\ud800'))
            self.assert_works()

    def test_commands(self):
        with self.session():
            for command in 1, None, b'echo', ['echo']:
                with self.subTest(command), self.assertRaisesRegex(TypeError, 'the name of a command is a str'):
                    self.client.execute(command)
            for message in 1, None, ['x']:
                with self.subTest(message), self.assertRaisesRegex(TypeError, 'a command is a str, bytes or a dict'):
                    self.client.execute_raw(message)
            with self.assertRaisesRegex(ValueError, 'no NUL'):
                self.client.execute_raw('{"execute": "a"}\0')
            self.assert_error(Aqmp.Error.INVALID_MESSAGE, self.client.execute_raw('{"execute": 1}'))
            self.assert_error(Aqmp.Error.INVALID_MESSAGE, self.client.execute_raw(''))
            self.assert_works()

    def test_addresses(self):
        for address in 1, None, b'/run/vm.sock':
            with self.assertRaisesRegex(TypeError, 'an address is a str, such as'):
                self.client.connect_to(address)
        with self.assertRaises(GLib.Error):
            self.client.connect_to('')
        with self.assertRaisesRegex(ValueError, 'numeric address'):
            self.client.accept_from('localhost:4444')
        self.assert_error(Gio.IOErrorEnum.NOT_FOUND, self.client.connect_to('/nowhere/qmp.sock'), 'Could not establish',
                          domain=Gio.io_error_quark())

    def test_names_of_events(self):
        with self.assertRaisesRegex(TypeError, "the name of an event is a str, not list"):
            self.client.events(['STOP'])
        with self.assertRaisesRegex(TypeError, "the name of an event is a str"):
            self.client.wait_event(1)

    def test_data_of_events(self):
        """What would be rounded, and so match another event, is refused."""
        for data in {'n': 2 ** 64 - 1}, {'a': [{'n': -2 ** 63 - 1}]}, {'a': ({'n': 2 ** 63},)}:
            for wait in (lambda: self.client.wait_event('E', data=data),
                         lambda: self.client.execute_and_wait('a', None, 'E', data=data)):
                with self.assertRaisesRegex(ValueError, 'the data cannot have an integer of more than 64 bits.*: -?[0-9]+$'):
                    wait()
        for data in [1], 'x', 1:
            with self.assertRaisesRegex(TypeError, 'the data is a dict, not'):
                self.client.wait_event(data=data)
        with self.session():
            event = self.client.wait_event('E', data={'n': 2 ** 63 - 1, 'a': [-2 ** 63]})
            self.say('{"event": "E", "data": {"n": 9223372036854775806, "a": [-9223372036854775808]}}'
                     '{"event": "E", "data": {"n": 9223372036854775807, "a": [-9223372036854775808]}}'
                     '{"return": {}, "id": ID}').wait()
            self.assertEqual(event.wait(tap.BOUND).data['n'], 2 ** 63 - 1)

    def test_kinds(self):
        for saying, function, *args in (
                ('the id of a job is a str, not NoneType', self.client.job, None),
                ('what is opened is a Gio.IOStream, .* not NoneType', self.client.open, None),
                ('there is connect_to', self.client.open, '/run/vm.sock'),
                ("a message is bytes, not str: 'text'", self.client.write_message, 'text'),
                (r"fileno\(\), unlike str: 'x'", self.client.execute_raw, '{}', ['x']),
                ('file descriptors are a list of them, not int: 1', self.client.execute_raw, '{}', 1)):
            with self.subTest(saying), self.assertRaisesRegex(TypeError, saying):
                function(*args)

        async def predicate(_):
            return False
        for where in 5, predicate:
            with self.assertRaisesRegex(TypeError, '"where" (is a function that is given an event, not int|cannot be)'):
                self.client.events(where=where)
        for timeout in 'x', True, [1]:
            with self.assertRaisesRegex(TypeError, 'a timeout is a number of seconds, or None, not'):
                self.client.wait_event(timeout=timeout)
        with self.assertRaisesRegex(ValueError, 'not NaN'):
            self.client.wait_event(timeout=float('nan'))

    def test_execute_and_wait(self):
        for names in (), None, [''], '', ['E', '']:
            with self.subTest(names), self.assertRaisesRegex(ValueError, "that completes 'a': use execute|never comes"):
                self.client.execute_and_wait('a', None, names)
        with self.assertRaisesRegex(ValueError, 'never comes'):
            self.client.execute_and_wait('a', None, 'E', failure_names=[''])
        with self.assertRaisesRegex(TypeError, 'the name of an event is a str'):
            self.client.execute_and_wait('a', None, ['E', 1])
        with self.assertRaisesRegex(TypeError, "'a' are a dict"):
            self.client.execute_and_wait('a', [1], 'E')

    def test_before_connecting(self):
        for operation in self.client.execute('a'), self.client.execute_raw('{"execute":"a"}'), self.client.wait_event('A'), \
                self.client.events().next(), self.client.flush(), self.client.execute_and_wait('a', None, 'A'):
            error = self.assert_error(Aqmp.Error.STATE, operation)
            self.assertIsInstance(error, Aqmp.StateError)
            self.assertEqual((error.state, error.required), (Aqmp.Runstate.IDLE, Aqmp.Runstate.RUNNING))
        self.assertIn('connect it first', self.assert_error(Aqmp.Error.STATE, self.client.execute('a')).message)
        self.assert_error(Aqmp.Error.STATE, self.client.accept_from())
        with self.assertRaises(Aqmp.StateError):
            next(self.client.events())

    def test_connecting_twice(self):
        with self.session():
            error = self.assert_error(Aqmp.Error.STATE, self.client.connect_to('/nowhere'))
            self.assertEqual((error.state, error.required), (Aqmp.Runstate.RUNNING, Aqmp.Runstate.IDLE))
            self.assert_works()

    def test_foreign_loop(self):
        async def main():
            await self.client.execute('a')
        with self.assertRaisesRegex(RuntimeError, r'does not run the main loop of GLib.*Aqmp\.run\(main\(\)\)'):
            asyncio.run(main())

        async def spawning():
            Aqmp.spawn(main())
        with self.assertRaisesRegex(RuntimeError, r'Aqmp\.run'):
            asyncio.run(spawning())

    def test_blocking_a_loop(self):
        async def main():
            with self.assertRaisesRegex(RuntimeError, 'use await'):
                self.client.close().wait()
        Aqmp.run(main())
        Aqmp.spawn(main()).wait()

    def test_functions_for_coroutines(self):
        async def main():
            pass
        for function in Aqmp.run, Aqmp.spawn:
            with self.assertRaisesRegex(TypeError, 'takes a coroutine'):
                function(main)

    def test_mistake_in_event_handler(self):
        with self.session():
            def broken(*_):
                raise Broken
            self.client.connect('event', broken)
            with Printed() as printed:
                self.say('{"event": "A"}{"return": {}, "id": ID}').wait()
            self.assertEqual(printed.types, [Broken])
            self.assert_works()

    def test_mistake_in_predicate(self):
        with self.session():
            def broken(_):
                raise Broken
            with self.client.events(where=broken) as events, Printed() as printed:
                self.say('{"event": "A"}{"return": {}, "id": ID}').wait()
                self.assertEqual(events.get_n_pending(), 0)
            self.assertEqual(printed.types, [Broken])
            self.assert_works()


class Errors(TestCase):
    def test_of_the_server(self):
        reply = '{"error": {"class": "%s", "desc": "Why"}, "id": "x"}'
        with self.session():
            for name, code in (('GenericError', Aqmp.ExecError.GENERIC_ERROR), ('CommandNotFound', Aqmp.ExecError.COMMAND_NOT_FOUND),
                               ('DeviceNotActive', Aqmp.ExecError.DEVICE_NOT_ACTIVE), ('KVMMissingCap', Aqmp.ExecError.KVM_MISSING_CAP),
                               ('DeviceNotFound', Aqmp.ExecError.DEVICE_NOT_FOUND), ('Novel', Aqmp.ExecError.OTHER)):
                with self.subTest(name), self.assertRaises(Aqmp.ExecuteError) as context:
                    self.say((reply % name).replace('"x"', 'ID')).wait()
                error = context.exception
                self.assertIsInstance(error, GLib.Error)
                self.assertTrue(error.matches(Aqmp.exec_error_quark(), code))
                self.assertEqual((error.error_class, error.desc, error.message, error.code), (name, 'Why', 'Why', int(code)))
                self.assertEqual(error.reply['error'], {'class': name, 'desc': 'Why'})
                self.assertEqual(str(error), f'{name}: Why')
                self.assertEqual(repr(error), f"Aqmp.ExecuteError('{name}', 'Why')")

    def test_copies(self):
        error = pickle.loads(pickle.dumps(Aqmp.ExecuteError('A', 'B', {'error': 1})))
        self.assertEqual((error.error_class, error.desc, error.reply), ('A', 'B', {'error': 1}))
        self.assertIn('state=idle, required=None', repr(Aqmp.StateError('A', Aqmp.Runstate.IDLE, None)))

    def test_session_that_fails(self):
        with self.session():
            calls = [self.client.execute('leave'), self.client.execute('a')]
            for call in calls:
                self.assert_error(Aqmp.Error.INTERRUPTED, call)
            self.assert_error(Gio.IOErrorEnum.CONNECTION_CLOSED, self.client.close(), domain=Gio.io_error_quark())

    def test_nobody_looked(self):
        told = []
        loop = self.client.execute('a').get_loop()
        loop.set_exception_handler(lambda _, context: told.append(context['message']))
        self.addCleanup(loop.set_exception_handler, None)
        call = self.client.execute('a')
        tap.wait_until(call.done)
        del call
        gc.collect()
        self.assertTrue([message for message in told if 'never retrieved' in message], told)


class Waiting(TestCase):
    """Each way to wait, and each to give up."""

    def in_each_way(self, main):
        with self.subTest('Aqmp.run'):
            Aqmp.run(main())
        with self.subTest('Aqmp.spawn and a main loop'):
            loop = GLib.MainLoop()
            task = Aqmp.spawn(main())
            task.add_done_callback(lambda _: loop.quit())
            loop.run()
            task.result()
        with self.subTest('Aqmp.spawn and wait'):
            Aqmp.spawn(main()).wait(tap.BOUND)

    def test_await(self):
        async def main():
            self.assertEqual(await self.client.execute('echo', a=1), {'a': 1})
        with self.session():
            self.in_each_way(main)

    def test_session(self):
        async def main():
            server = answering.Answering()
            with lines.peer(server) as it:
                async with self.client:
                    await self.client.open(it.stream)
                    self.assertEqual(self.client.get_runstate(), Aqmp.Runstate.RUNNING)
                self.assertEqual(self.client.get_runstate(), Aqmp.Runstate.IDLE)
        self.in_each_way(main)

    def test_gather(self):
        async def main():
            results = await asyncio.gather(self.client.execute('echo', a=1), self.client.execute('echo', a=2),
                                           self.say('{"error": {"class": "X", "desc": "Y"}, "id": ID}'), return_exceptions=True)
            self.assertEqual(results[:2], [{'a': 1}, {'a': 2}])
            self.assertIsInstance(results[2], Aqmp.ExecuteError)
        with self.session():
            self.in_each_way(main)

    def test_timeouts(self):
        async def main():
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(self.client.execute('hang'), 0.01)
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await self.client.execute('hang')
            self.assertEqual(await asyncio.wait_for(self.client.execute('echo', a=1), tap.BOUND), {'a': 1})
        with self.session():
            self.in_each_way(main)

    def test_many_at_once(self):
        async def main():
            calls = [self.client.execute('echo', i=i) for i in range(200)]
            done, pending = await asyncio.wait(calls)
            self.assertEqual((len(done), pending), (200, set()))
            self.assertEqual([call.result()['i'] for call in calls], list(range(200)))
        with self.session():
            self.in_each_way(main)

    def test_cancel_task(self):
        async def main():
            task = asyncio.ensure_future(self.client.execute('hang'))
            other = asyncio.create_task(call())
            await asyncio.sleep(0.01)
            task.cancel()
            other.cancel()
            for waited in task, other:
                with self.assertRaises(asyncio.CancelledError):
                    await waited
            self.assertEqual(await self.client.execute('echo', a=1), {'a': 1})

        async def call():
            await self.client.execute('hang')
        with self.session():
            self.in_each_way(main)

    def say_and_wait(self, text, *args, **keywords):
        return self.client.execute_and_wait('say', {'text': text, 'n': 2 ** 64 - 1}, *args, **keywords)

    def test_execute_and_wait(self):
        first = '{"event": "A"}{"event": "B", "data": {"n": 1}}{"event": "B", "data": {"n": 2}}' \
            '{"return": 18446744073709551615, "id": ID}'

        async def main():
            event, reply = await self.say_and_wait(first, ['B', 'C'], data={'n': 2})
            self.assertEqual((event.name, event.data, reply), ('B', {'n': 2}, 2 ** 64 - 1))
            event, reply = await self.say_and_wait('{"return": {}, "id": ID}{"event": "C"}', 'C', timeout=tap.BOUND)
            self.assertEqual((event.name, reply), ('C', {}))
            waiting = asyncio.ensure_future(self.say_and_wait('{"return": {}, "id": ID}', 'C'))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await waiting
            self.assertEqual(await self.client.execute('echo', a=1), {'a': 1})
        with self.session():
            self.in_each_way(main)

    def test_execute_and_wait_fails(self):
        error = '{"event": "A"}{"error": {"class": "X", "desc": "Y"}, "id": ID}'
        told = []
        loop = self.client.wait_runstate(Aqmp.Runstate.RUNNING).get_loop()
        loop.set_exception_handler(lambda _, context: told.append(context))
        self.addCleanup(loop.set_exception_handler, None)
        self.addCleanup(lambda: self.assertEqual((gc.collect(), told)[1], []))
        with self.session() as server:
            with self.assertRaises(Aqmp.ExecuteError) as context:
                self.say_and_wait(error, 'A').wait(tap.BOUND)
            self.assertEqual(context.exception.error_class, 'X')
            with self.assertRaises(Aqmp.ExecuteError):      # and nobody waits for the event
                self.say_and_wait(error, 'B').wait(tap.BOUND)
            failure = self.assert_error(Aqmp.Error.EVENT, self.say_and_wait('{"event": "F", "data": {"n": 1}}{"return": {}, "id": ID}',
                                                                           'A', failure_names='F'))
            self.assertIn('a failure by the event F: {"n":1}', failure.message)
            for call in self.say_and_wait('{"return": {}, "id": ID}', 'A', timeout=0.01), \
                    self.client.execute_and_wait('hang', None, 'A', timeout=0):
                self.assert_error(Gio.IOErrorEnum.TIMED_OUT, call, domain=Gio.io_error_quark())
            self.assertEqual(server.seen[-1], 'hang')
            self.assert_works()
            self.assert_error(Aqmp.Error.INTERRUPTED, self.client.execute_and_wait('leave', None, 'A'))

    def test_cancelled_attempt(self):
        """When it is over, the next can begin."""
        async def give_up(begin, *args):
            task = asyncio.ensure_future(begin(*args))
            await asyncio.sleep(0)
            self.assertTrue(task.cancel())
            self.assertTrue(task.cancel())
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertTrue(task.cancelled())
            self.assertFalse(task.cancel())
            self.assertEqual(self.client.get_runstate(), Aqmp.Runstate.IDLE)

        async def call(path):
            await self.client.connect_to(path)

        async def main():
            with tempfile.TemporaryDirectory() as directory, answering.listening(directory) as path:
                await give_up(self.client.connect_to, path)
                await give_up(self.client.accept_from, os.path.join(directory, 'ours.sock'))
                await give_up(call, path)
                with lines.peer(lines.silent) as it:
                    await give_up(self.client.open, it.stream)
                with self.assertRaises(TimeoutError), lines.peer(lines.silent) as it:
                    await asyncio.wait_for(self.client.open(it.stream), 0.01)
                await self.client.connect_to(path)
                await self.client.execute('echo')
                await self.client.close()
        self.in_each_way(main)

    def test_attempt_cancelled_too_late(self):
        """The session is closed that nobody wants, whenever the cancellation came."""
        async def main():
            with tempfile.TemporaryDirectory() as directory, answering.listening(directory) as path:
                for n in range(30):
                    attempt = self.client.connect_to(path)
                    for _ in range(n):
                        await asyncio.sleep(0)
                    cancelled = attempt.cancel()
                    if cancelled:
                        with self.assertRaises(asyncio.CancelledError):
                            await attempt
                        self.assertEqual(self.client.get_runstate(), Aqmp.Runstate.IDLE)
                    await asyncio.wait([attempt])
                    await self.client.close()

                attempt = self.client.connect_to(path)
                self.client.connect('runstate-changed', lambda *_: attempt.cancel())
                with self.assertRaises(asyncio.CancelledError):
                    await attempt
                self.assertEqual(self.client.get_runstate(), Aqmp.Runstate.IDLE)
        self.in_each_way(main)

    def test_cancelled_attempt_beside_another(self):
        with self.session():
            attempt = self.client.connect_to('/nowhere/qmp.sock')
            attempt.cancel()
            with self.assertRaises(asyncio.CancelledError):
                attempt.wait(tap.BOUND)
            self.assert_works()

    def test_wait_timeout_of_attempt(self):
        with lines.peer(lines.silent) as it:
            with self.assertRaises(TimeoutError):
                self.client.open(it.stream).wait(0.01)
        with self.session():
            self.assert_works()

    def test_cancelled_unsent(self):
        with self.session() as server:
            call = self.client.execute('never')
            self.assertTrue(call.cancel())
            self.assertFalse(call.cancel())
            self.assert_works()
            self.assertEqual(server.seen, ['echo'])
            with self.assertRaises(asyncio.CancelledError):
                call.wait()

    def test_operation_of_before(self):
        """What was begun without a loop can be awaited in one."""
        with self.session():
            call = self.client.execute('echo', a=1)

            async def main():
                return await call
            self.assertEqual(Aqmp.run(main()), {'a': 1})

    def test_callback(self):
        results = []
        with self.session():
            self.client.execute('echo', a=1).add_done_callback(lambda call: results.append(call.result()))
            tap.wait_until(lambda: results)
        self.assertEqual(results, [{'a': 1}])

    def test_wait_timeout(self):
        with self.session():
            call = self.client.execute('hang')
            with self.assertRaisesRegex(TimeoutError, 'hang'):
                call.wait(0.01)
            self.assertTrue(call.cancelled())
            self.assert_works()

    def test_wait_interrupted(self):
        def interrupt(*_):
            raise KeyboardInterrupt
        with self.session():
            call = self.client.execute('hang')
            previous = signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            try:
                with self.assertRaises(KeyboardInterrupt):
                    call.wait(tap.BOUND)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, previous)
            self.assertTrue(call.cancelled())
            self.assert_works()

    def test_wait_in_other_thread(self):
        async def main():
            return await asyncio.to_thread(lambda: [self.client.execute('echo', i=i).wait(tap.BOUND)['i'] for i in range(20)])
        with self.session():
            self.assertEqual(Aqmp.run(main()), list(range(20)))

            loop = GLib.MainLoop()
            results = []

            def work():
                results.append(self.client.execute('echo', a=1).wait(tap.BOUND))
                try:
                    self.client.execute('hang').wait(0.01)
                except TimeoutError as e:
                    results.append(str(e))
                GLib.idle_add(loop.quit)
            thread = threading.Thread(target=work)
            GLib.idle_add(thread.start)     # the main loop runs by then
            loop.run()
            thread.join()
            self.assertEqual(results[0], {'a': 1})
            self.assertIn('hang', results[1])

    def test_context_of_a_thread(self):
        results = []

        def work():
            context = GLib.MainContext()
            context.push_thread_default()
            try:
                client = Aqmp.Client()
                with answering.session(client):
                    async def main():
                        await asyncio.sleep(0.001)
                        return await client.execute('echo', a=1)
                    results.extend([client.execute('echo', a=1).wait(), Aqmp.run(main()), Aqmp.spawn(main()).wait()])
            finally:
                context.pop_thread_default()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(2 * tap.BOUND)
        self.assertEqual(results, [{'a': 1}] * 3)

    def test_wait_inside_handler(self):
        heard = []

        def on_event(client, event):
            heard.append((event.name, client.execute('echo', a=1).wait(tap.BOUND)))
        self.client.connect('event', on_event)
        with self.session():
            self.say(TWO_EVENTS).wait(tap.BOUND)
            self.assertEqual(sorted(heard), [('A', {'a': 1}), ('B', {'a': 1})])

    def test_wait_inside_virtual_function(self):
        class Asking(Aqmp.Client):
            answer = None

            def do_message_received(self, message):
                if self.answer is None and b'"event"' in message.get_data():
                    self.answer = self.execute('echo', a=1).wait(tap.BOUND)
                return super().do_message_received(message)
        self.client = Asking()
        with self.session():
            self.say(TWO_EVENTS).wait(tap.BOUND)
            self.assertEqual(self.client.answer, {'a': 1})

    def test_repr(self):
        self.assertRegex(repr(self.client), r"<Client 'vm0' idle at 0x")
        self.assertRegex(repr(Aqmp.Client()), r'<Client idle at 0x')
        with self.session():
            call = self.client.execute('echo')
            self.assertEqual(repr(call), '<Aqmp.Operation echo: pending>')
            call.wait()
            self.assertEqual(repr(call), '<Aqmp.Operation echo: finished>')
            self.assertIn('7.2.1 (test)', repr(self.client.get_greeting()))
            self.assertRegex(repr(self.client), r'running')
            call = self.client.execute('echo')
            call.cancel()
            self.assertEqual(repr(call), '<Aqmp.Operation echo: cancelled>')
        call = self.client.execute('echo')
        tap.wait_until(call.done)
        self.assertIn('<Aqmp.Operation echo: failed: ', repr(call))
        self.assertEqual(repr(self.client.job('j')), "<Aqmp.Job 'j' None>")
        self.assertIsInstance(call.exception(), Aqmp.StateError)


TWO_EVENTS = '{"event": "A", "data": {"n": 1}}{"event": "B", "data": {"n": 2}}{"return": {}, "id": ID}'


class Events(TestCase):
    def test_async_for(self):
        async def main():
            names = []
            async with self.client.events() as events:
                await self.say(TWO_EVENTS)
                async for event in events:
                    names.append(event.name)
                    if len(names) == 2:
                        break
            self.assertEqual(names, ['A', 'B'])
            self.assertFalse(events.get_active())
        with self.session():
            Aqmp.run(main())
            Aqmp.spawn(main()).wait()

    def test_those_that_are_wanted(self):
        with self.session(), self.client.events('B') as b, self.client.events(where=lambda event: event.data['n'] == 1) as one:
            self.say(TWO_EVENTS).wait()
            self.assertEqual([listener.get_n_pending() for listener in (b, one)], [1, 1])
            self.assertEqual([next(b).name, next(one).name], ['B', 'A'])

    def test_bounded(self):
        with self.session(), self.client.events(max_pending=1) as events:
            self.say(TWO_EVENTS).wait()
            self.assertEqual((events.get_n_dropped(), next(events).name), (1, 'B'))

    def test_end_of_the_session(self):
        async def main():
            events = self.client.events()
            names = []

            async def collect():
                async for event in events:
                    names.append(event.name)
            task = asyncio.create_task(collect())
            await self.say(TWO_EVENTS)
            await self.client.close()
            await task
            self.assertEqual(names, ['A', 'B'])
            self.assertEqual(list([event async for event in events]), [])
        with self.session():
            Aqmp.run(main())

    def test_left_over_at_the_end(self):
        with self.session():
            events = self.client.events()
            self.say(TWO_EVENTS).wait()
        self.assertEqual([event.name for event in events], ['A', 'B'])

    def test_failure_of_the_session(self):
        async def main():
            async for _ in events:
                self.client.execute('leave').add_done_callback(lambda call: call.exception())
        with self.session():
            events = self.client.events()
            task = Aqmp.spawn(main())
            self.say(TWO_EVENTS).wait()
            self.assert_error(Gio.IOErrorEnum.CONNECTION_CLOSED, task, domain=Gio.io_error_quark())

    def test_listener_as_in_c(self):
        with self.session():
            listener = self.client.listen(['A'], None)
            self.say(TWO_EVENTS).wait()
            self.assertEqual(next(listener).name, 'A')
        with self.assertRaises(GLib.Error):
            next(listener)

    def test_stopped_while_waiting(self):
        async def main():
            async for _ in events:
                pass
        with self.session():
            events = self.client.events()
            task = Aqmp.spawn(main())
            tap.dispatch_pending()
            events.stop()
            self.assertIsNone(task.wait(tap.BOUND))

    def test_nothing_is_lost_by_giving_up(self):
        async def main():
            events = self.client.events()
            names = []
            for i in range(30):
                task = asyncio.ensure_future(anext(events))
                await asyncio.sleep(0)
                call = self.say('{"event": "E%d"}{"return": {}, "id": ID}' % i)
                call.add_done_callback(lambda _: task.cancel())
                event = self.client.wait_event('E%d' % i)
                event.add_done_callback(lambda _: task.cancel())
                await asyncio.wait([task])
                await call
                names.append((await task if not task.cancelled() else await events.next()).name)
                await event
            self.assertEqual(names, [f'E{i}' for i in range(30)])
        with self.session():
            Aqmp.run(main())

    def test_wait_event(self):
        with self.session():
            wait = self.client.wait_event('A', 'B', data={'n': 2})
            self.say(TWO_EVENTS).wait()
            self.assertEqual(wait.wait().name, 'B')
            self.assert_error(Gio.IOErrorEnum.TIMED_OUT, self.client.wait_event('C', timeout=0.01), domain=Gio.io_error_quark())

    def test_signal(self):
        heard = []
        with self.session():
            self.client.connect('event::B', lambda _, event: heard.append(event.data))
            self.say(TWO_EVENTS).wait()
        self.assertEqual(heard, [{'n': 2}])


@unittest.skipUnless(shutil.which(guest.QEMU), f'no {guest.QEMU}')
class Qemu(TestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        running = guest.stopped(directory.name)
        self.path = running.__enter__()
        self.addCleanup(running.__exit__, None, None, None)

    def test_schema(self):
        with self.client:
            self.client.connect_to(self.path).wait()
            raw = self.client.execute_raw({'execute': 'query-qmp-schema'}).wait()
            self.assertGreater(len(raw), 150000)
            self.assertEqual(self.client.execute('query-qmp-schema').wait(), json.loads(raw)['return'])

    def test_descriptors(self):
        ours, theirs = socket.socketpair()
        with ours, theirs, self.client:
            self.client.connect_to(self.path).wait()
            self.assertIn(b'"return": {}', self.client.execute_raw({'execute': 'getfd', 'arguments': {'fdname': 'a'}}, [theirs]).wait())
            theirs.close()
            self.client.execute('closefd', fdname='a').wait()
            self.assertEqual(ours.recv(1), b'')

    def test_out_of_band(self):
        with self.client:
            self.client.connect_to(self.path).wait()
            self.assertEqual(self.client.execute_oob('query-yank').wait(), self.client.execute('query-yank').wait())

    def test_context_manager_after_a_failure(self):
        with self.assertRaises(GLib.Error), self.client:
            self.client.connect_to(self.path).wait()
            self.client.execute('quit').wait()
            self.client.execute('query-status').wait()
        self.assertEqual(self.client.get_runstate(), Aqmp.Runstate.IDLE)


class Listening(TestCase):
    def test_accept(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'qmp.sock')

            def connect():
                peer = socket.socket(socket.AF_UNIX)
                with peer:
                    peer.connect(path)
                    answering.Answering()(peer, None)
            accepting = self.client.accept_from(path)
            thread = threading.Thread(target=connect)
            thread.start()
            accepting.wait(tap.BOUND)
            self.assert_works()
            self.client.close().wait()
            thread.join()

    def test_cancelled(self):
        accepting = self.client.accept_from('127.0.0.1:0')
        accepting.cancel()
        self.client.wait_runstate(Aqmp.Runstate.DISCONNECTING).wait(tap.BOUND)
        tap.wait_until(lambda: self.client.get_runstate() == Aqmp.Runstate.IDLE)

    def test_wait_runstate(self):
        waiting = self.client.wait_runstate(Aqmp.Runstate.IDLE)
        with self.session():
            self.assertNotEqual(waiting.wait(), Aqmp.Runstate.IDLE)


if __name__ == '__main__':
    tap.main()
