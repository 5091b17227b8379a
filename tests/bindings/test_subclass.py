#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Subclasses in Python, as the override makes them: what is raised is told, and establish_session() may be asynchronous."""

import asyncio
import gc
import unittest
import warnings

from lines import Aqmp, Broken, Gio, GLib, Printed, greet, peer, echo, refusal, silent
import answering
import tap

FAILED = (Aqmp.error_quark(), Aqmp.Error.FAILED)
IO = Gio.io_error_quark()


class Greeted(Aqmp.Protocol):
    """Does what the peer greet() wants."""

    def __init__(self):
        super().__init__()
        self.received = []

    async def do_establish_session(self, task):
        if await self.read_message() != b'hello':
            raise Broken('this is no greeting')
        await asyncio.sleep(0.001)
        await self.write_message(b'hello yourself\n')
        await self.read_message()

    def do_message_received(self, message):
        self.received.append(message.get_data())
        return True


class TestCase(unittest.TestCase):
    def assert_error(self, domain, code, saying, function, *args):
        with self.assertRaises(GLib.Error) as context:
            function(*args)
        self.assertTrue(context.exception.matches(domain, code), repr(context.exception))
        self.assertIn(saying, context.exception.message)

    def open(self, protocol, it):
        return protocol.open(it.stream).wait(tap.BOUND)

    def echo(self, protocol):
        """A message there and back."""
        protocol.send_message(GLib.Bytes.new(b'message\n'))
        tap.wait_until(lambda: protocol.received)
        self.assertEqual(protocol.received, [b'message'])


class Asynchronous(TestCase):
    def test_establish(self):
        protocol = Greeted()
        with peer(greet) as it:
            self.open(protocol, it)
            self.echo(protocol)
            protocol.close().wait()

    def test_establish_in_asyncio(self):
        async def main():
            protocol = Greeted()
            with peer(greet) as it:
                await protocol.open(it.stream)
                await protocol.close()
        Aqmp.run(main())

    def test_establish_in_blocking_call(self):
        protocol = Greeted()
        with peer(greet) as it:
            protocol.open_sync(it.stream, None)
            self.echo(protocol)
            protocol.disconnect_sync(None)

    def test_blocking_call_inside_asyncio(self):
        """It blocks, but it does not hang."""
        async def main():
            protocol = Greeted()
            with peer(greet) as it:
                protocol.open_sync(it.stream, None)
                await protocol.close()
        Aqmp.run(main())

    def test_raises(self):
        for error, domain, code, saying in ((Broken('by the test'), *FAILED, 'establish_session() of Raising raised Broken: by the test'),
                                            (refusal(), GLib.quark_from_string('test-error'), 17, 'refused by the test'),
                                            (asyncio.CancelledError(), IO, Gio.IOErrorEnum.CANCELLED, '')):
            class Raising(Aqmp.Protocol):
                async def do_establish_session(self, task):
                    await asyncio.sleep(0)
                    raise error
            with self.subTest(type(error)), Printed() as printed, peer(silent) as it:
                self.assert_error(domain, code, saying, self.open, Raising(), it)
            self.assertEqual(printed.types, [Broken] if isinstance(error, Broken) else [])

    def test_attempt_that_is_given_up(self):
        ended = []

        class Slow(Aqmp.Protocol):
            async def do_establish_session(self, task):
                try:
                    await asyncio.sleep(tap.BOUND)
                finally:
                    ended.append(1)
        protocol = Slow()
        with peer(silent) as it:
            opening = protocol.open(it.stream)
            protocol.close().wait()
            self.assert_error(Aqmp.error_quark(), Aqmp.Error.INTERRUPTED, '', opening.wait)
            tap.wait_until(lambda: ended or protocol.get_runstate() == Aqmp.Runstate.IDLE)

        protocol = Slow(connect_timeout=20)
        ended.clear()
        with peer(silent) as it:
            self.assert_error(IO, Gio.IOErrorEnum.TIMED_OUT, '', self.open, protocol, it)
        tap.wait_until(lambda: ended)

    def test_chain_up(self):
        steps = []

        class Chaining(Aqmp.Client):
            async def do_establish_session(self, task):
                steps.append('before')
                await self.establish_session()
                steps.append(self.get_greeting().get_version_string())
        client = Chaining()
        with answering.session(client):
            self.assertEqual(client.execute('echo', a=1).wait(), {'a': 1})
        self.assertEqual(steps, ['before', '7.2.1 (test)'])

        class Bare(Aqmp.Protocol):
            async def do_establish_session(self, task):
                await self.establish_session()
        protocol = Bare()
        with peer(silent) as it:
            self.open(protocol, it)
            protocol.close().wait()

    def test_chain_up_fails(self):
        class Chaining(Aqmp.Client):
            async def do_establish_session(self, task):
                await self.establish_session()
        with peer(lambda _, file: file.write(b'{"not": "a greeting"}\n')) as it:
            self.assert_error(Aqmp.error_quark(), Aqmp.Error.GREETING, '', self.open, Chaining(), it)


class Raising(TestCase):
    """Each virtual function that can fail, with an exception that has something to say."""

    def fail_in(self, name, code=FAILED, saying=None, exception=Broken('by the test')):
        def function(self, *_):
            raise exception
        cls = type('Faulty', (Aqmp.Protocol,), {f'do_{name}': function})
        protocol = cls()
        saying = f'{name}() of Faulty raised Broken: by the test' if saying is None else saying
        with Printed() as printed, peer(echo) as it:
            if name == 'establish_session':
                self.assert_error(*code, saying, self.open, protocol, it)
            else:
                self.open(protocol, it)
                protocol.send_message(GLib.Bytes.new(b'message\n'))
                tap.wait_until(lambda: protocol.get_runstate() == Aqmp.Runstate.DISCONNECTING)
                self.assertIn(saying, protocol.get_error().message)
                self.assert_error(*code, saying, protocol.close().wait)
        self.assertEqual(protocol.get_runstate(), Aqmp.Runstate.IDLE)
        return printed.types

    def test_exception(self):
        for name in 'establish_session', 'message_received', 'filter_inbound', 'filter_outbound':
            with self.subTest(name):
                self.assertEqual(self.fail_in(name), [Broken])

    def test_error(self):
        for name in 'establish_session', 'message_received', 'filter_inbound', 'filter_outbound':
            with self.subTest(name):
                self.assertEqual(self.fail_in(name, (GLib.quark_from_string('test-error'), 17), 'refused by the test', refusal()), [])

    def test_exception_without_words(self):
        class Silent(Exception):
            pass
        self.assertEqual(self.fail_in('message_received', saying='message_received() of Faulty raised Silent', exception=Silent()),
                         [Silent])

    def test_asynchronous(self):
        """The coroutine would be true: a message that was dealt with, and a call that never returns."""
        async def function(self, message):
            return message

        for name in 'message_received', 'filter_inbound', 'filter_outbound':
            with self.subTest(name):
                self.assert_refused(name, function, 'raised TypeError: it returned a coroutine, but messages do not wait')
        self.assert_refused('message_received', lambda self, message: self.flush(), 'raised TypeError: it returned something to await (Operation)')

    def assert_refused(self, name, function, saying):
        client = type('Waiting', (Aqmp.Client,), {f'do_{name}': function})(negotiate=False, await_greeting=False)
        with warnings.catch_warnings(record=True) as warned, Printed() as printed, peer(answering.Answering()) as it:
            warnings.simplefilter('always')
            with self.assertRaises(GLib.Error):
                self.open(client, it)
                client.execute('echo').wait(tap.BOUND)
            with self.assertRaises(GLib.Error) as context:
                client.close().wait(tap.BOUND)
            self.assertIn(f'{name}() of Waiting {saying}', context.exception.message)
            gc.collect()
        self.assertEqual([str(warning.message) for warning in warned], [])
        self.assertEqual(set(printed.types), {TypeError})

    def test_in_those_that_cannot_fail(self):
        """It is printed, and the session goes on."""
        def broken(self, *_):
            raise Broken
        for name in 'do_event', 'do_runstate_changed', 'do_session_ended':
            client = type('Faulty', (Aqmp.Client,), {name: broken})()
            with self.subTest(name), Printed() as printed, answering.session(client):
                client.execute('say', text='{"event": "A"}{"return": {}, "id": ID}').wait()
                self.assertEqual(client.execute('echo', a=1).wait(), {'a': 1})
                client.close().wait()
            self.assertEqual(set(printed.types), {Broken})

    def test_subclass_of_a_subclass(self):
        class First(Aqmp.Protocol):
            def do_message_received(self, message):
                raise Broken('deep down')

        class Second(First):
            def do_message_received(self, message):
                return super().do_message_received(message)
        protocol = Second()
        with Printed() as printed, peer(echo) as it:
            self.open(protocol, it)
            protocol.send_message(GLib.Bytes.new(b'message\n'))
            tap.wait_until(lambda: protocol.get_runstate() == Aqmp.Runstate.DISCONNECTING)
            self.assertIn('of Second raised Broken: deep down', protocol.get_error().message)
            self.assert_error(*FAILED, 'deep down', protocol.close().wait)
        self.assertEqual(printed.types, [Broken])


class Filters(TestCase):
    def test_bytes(self):
        class Rot(Aqmp.Client):
            def do_filter_inbound(self, message):
                return message.get_data().replace(b'"a": 1', b'"a": 2')

            def do_filter_outbound(self, message):
                return message.get_data().replace(b'"a":3', b'"a":1')
        client = Rot()
        with answering.session(client):
            self.assertEqual(client.execute('echo', a=3).wait(), {'a': 2})

    def test_chain_up(self):
        class Counting(Aqmp.Client):
            n = 0

            def do_filter_inbound(self, message):
                self.n += 1
                return super().do_filter_inbound(message)

            def do_message_received(self, message):
                self.n += 1
                return super().do_message_received(message)
        client = Counting()
        with answering.session(client):
            client.execute('echo').wait()
        self.assertGreaterEqual(client.n, 4)


if __name__ == '__main__':
    tap.main()
