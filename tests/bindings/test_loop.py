#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""asyncio on GLib's main loop: that asyncio works there, and GLib with it. No client is needed for that."""

import asyncio
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest
import weakref

from lines import Aqmp, Broken, Gio, GLib
import tap


def iterate_until(condition):
    tap.wait_until(condition)


class Both(unittest.TestCase):
    """Each test drives the main context with the loop of asyncio, and then is driven by whoever iterates it."""

    def run_both(self, main):
        with self.subTest('drives'):
            self.assertIs(Aqmp.run(main()), True)
        with self.subTest('is driven'):
            loop = GLib.MainLoop()
            task = Aqmp.spawn(main())
            task.add_done_callback(lambda _: loop.quit())
            loop.run()
            self.assertIs(task.result(), True)
        with self.subTest('waits'):
            self.assertIs(Aqmp.spawn(main()).wait(tap.BOUND), True)

    def test_timers(self):
        async def main():
            loop, order = asyncio.get_running_loop(), []
            loop.call_later(0.02, order.append, 3)
            loop.call_later(0.001, order.append, 2)
            loop.call_later(0.01, order.append, 'cancelled').cancel()
            loop.call_soon(order.append, 1)
            start = time.monotonic()
            await asyncio.sleep(0.03)
            self.assertGreaterEqual(time.monotonic() - start, 0.0299)
            self.assertEqual(order, [1, 2, 3])
            await asyncio.sleep(0)
            return True
        self.run_both(main)

    def test_main_context(self):
        """What GLib has to do is done while asyncio waits, and the other way round."""
        async def main():
            future, ticks = asyncio.get_running_loop().create_future(), []

            def tick():
                ticks.append(1)
                if len(ticks) == 3:
                    future.set_result(True)
                return len(ticks) < 3
            GLib.timeout_add(1, tick)
            return await asyncio.wait_for(future, tap.BOUND)
        self.run_both(main)

    def test_other_thread(self):
        async def main():
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            thread = threading.Thread(target=lambda: time.sleep(0.01) or loop.call_soon_threadsafe(future.set_result, True))
            thread.start()
            self.assertIs(await asyncio.wait_for(future, tap.BOUND), True)
            thread.join()
            return await asyncio.to_thread(lambda: True)
        self.run_both(main)

    def test_many_from_other_threads(self):
        async def main():
            loop, seen, done = asyncio.get_running_loop(), [], asyncio.Event()

            def note(i):
                seen.append(i)
                if len(seen) == 2000:
                    done.set()
            threads = [threading.Thread(target=lambda: [loop.call_soon_threadsafe(note, i) for i in range(500)]) for _ in range(4)]
            for thread in threads:
                thread.start()
            await asyncio.wait_for(done.wait(), tap.BOUND)
            for thread in threads:
                thread.join()
            return True
        self.run_both(main)

    def test_file_descriptors(self):
        async def main():
            loop, got = asyncio.get_running_loop(), []
            ours, theirs = socket.socketpair()
            with ours, theirs:
                finished = loop.create_future()
                loop.add_writer(ours, lambda: (loop.remove_writer(ours), ours.send(b'x')))
                loop.add_reader(theirs, lambda: (got.append(theirs.recv(1)), finished.done() or finished.set_result(True)))
                await asyncio.wait_for(finished, tap.BOUND)
                self.assertTrue(loop.remove_reader(theirs))
                ours.send(b'y')
                await asyncio.sleep(0.001)
            self.assertEqual(got, [b'x'])
            return True
        self.run_both(main)

    def test_streams(self):
        async def main():
            async def serve(reader, writer):
                writer.write((await reader.readline()).upper() * 100000)
                await writer.drain()
                writer.close()
            with tempfile.TemporaryDirectory() as directory:
                path = os.path.join(directory, 'socket')
                async with await asyncio.start_unix_server(serve, path):
                    reader, writer = await asyncio.open_unix_connection(path)
                    writer.write(b'line\n')
                    self.assertEqual(await reader.read(), b'LINE\n' * 100000)
                    writer.close()
                    await writer.wait_closed()
            return True
        self.run_both(main)

    def test_subprocess(self):
        async def main():
            process = await asyncio.create_subprocess_exec(sys.executable, '-c', 'print(input())', stdin=asyncio.subprocess.PIPE,
                                                           stdout=asyncio.subprocess.PIPE)
            self.assertEqual(await process.communicate(b'text\n'), (b'text\n', None))
            return process.returncode == 0
        self.run_both(main)

    def test_signals(self):
        async def main():
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            loop.add_signal_handler(signal.SIGUSR1, lambda: future.set_result(True))
            loop.call_later(0.001, os.kill, os.getpid(), signal.SIGUSR1)
            try:
                return await asyncio.wait_for(future, tap.BOUND)
            finally:
                loop.remove_signal_handler(signal.SIGUSR1)
        self.run_both(main)

    def test_cancellation(self):
        async def main():
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(tap.BOUND)
            except TimeoutError:
                pass
            task = asyncio.create_task(asyncio.sleep(tap.BOUND))
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            return True
        self.run_both(main)

    def test_mistake_in_callback(self):
        async def main():
            loop, told = asyncio.get_running_loop(), []
            loop.set_exception_handler(lambda _, context: told.append(type(context['exception'])))

            def broken():
                raise Broken
            loop.call_soon(broken)
            await asyncio.sleep(0.001)
            loop.set_exception_handler(None)
            self.assertEqual(told, [Broken])
            return True
        self.run_both(main)

    def test_exceptions(self):
        async def main():
            raise Broken('by the test')
        for wait in Aqmp.run, lambda main: Aqmp.spawn(main).wait():
            with self.assertRaisesRegex(Broken, 'by the test'):
                wait(main())

    def test_main_loop_inside_a_callback(self):
        """asyncio does not go on inside, nor does it keep the processor busy; after that it goes on."""
        async def main():
            readable, writable = os.pipe()
            loop = asyncio.get_running_loop()
            got = loop.create_future()
            loop.add_reader(readable, lambda: (os.read(readable, 1), got.done() or got.set_result(True)))
            os.write(writable, b'x')
            inner = GLib.MainLoop()
            GLib.timeout_add(50, inner.quit)
            start = time.process_time()
            inner.run()
            self.assertLess(time.process_time() - start, 0.04)
            await asyncio.wait_for(got, tap.BOUND)
            loop.remove_reader(readable)
            os.close(readable)
            os.close(writable)
            return True
        self.run_both(main)


    def test_main_loop_inside_a_callback_of_glib(self):
        """The same, while asyncio waits."""
        async def main():
            readable, writable = os.pipe()
            loop = asyncio.get_running_loop()
            got, spent, nested = loop.create_future(), [], loop.create_future()
            loop.add_reader(readable, lambda: (os.read(readable, 1), got.done() or got.set_result(True)))

            def nest():
                os.write(writable, b'x')
                inner = GLib.MainLoop()
                GLib.timeout_add(50, inner.quit)
                start = time.process_time()
                inner.run()
                spent.append(time.process_time() - start)
                nested.set_result(True)
            GLib.timeout_add(1, nest)
            await asyncio.wait_for(nested, tap.BOUND)
            await asyncio.wait_for(got, tap.BOUND)
            loop.remove_reader(readable)
            os.close(readable)
            os.close(writable)
            self.assertLess(spent[0], 0.04)
            return True
        self.run_both(main)


class Run(unittest.TestCase):
    def test_again_and_again(self):
        async def main(i):
            await asyncio.sleep(0)
            return i
        Aqmp.run(main(0))
        gc.collect()
        before = len(os.listdir('/proc/self/fd'))
        self.assertEqual([Aqmp.run(main(i)) for i in range(50)], list(range(50)))
        gc.collect()
        self.assertLessEqual(len(os.listdir('/proc/self/fd')), before)

    def test_cancels_what_is_left(self):
        cancelled = []

        async def forever():
            try:
                await asyncio.sleep(tap.BOUND)
            except asyncio.CancelledError:
                cancelled.append(1)
                raise

        async def main():
            asyncio.create_task(forever())
            await asyncio.sleep(0)
        Aqmp.run(main())
        self.assertEqual(cancelled, [1])

    def test_inside(self):
        async def nothing():
            pass

        async def main():
            inner = nothing()
            with self.assertRaisesRegex(RuntimeError, 'running event loop'):
                Aqmp.run(inner)
            inner.close()
        Aqmp.run(main())

    def test_interrupted(self):
        async def main():
            asyncio.get_running_loop().call_later(0.001, os.kill, os.getpid(), signal.SIGINT)
            await asyncio.sleep(tap.BOUND)
        with self.assertRaises(KeyboardInterrupt):
            Aqmp.run(main())

    def test_context_that_another_thread_runs(self):
        loop, failures = GLib.MainLoop(), []

        def work():
            try:
                Aqmp.run(asyncio.sleep(0))
            except RuntimeError as e:
                failures.append(str(e))
            GLib.idle_add(loop.quit)
        thread = threading.Thread(target=work)
        GLib.idle_add(thread.start)
        loop.run()
        thread.join()
        self.assertRegex(failures[0], 'Another thread runs the main context')

    def test_spawned_before(self):
        async def early():
            return True

        async def main():
            return await task
        task = Aqmp.spawn(early())
        self.assertTrue(Aqmp.run(main()))

    def test_loops_of_contexts_go_with_them(self):
        references = []

        def work():
            context = GLib.MainContext()
            context.push_thread_default()

            async def main():
                references.append(weakref.ref(asyncio.get_running_loop()))
                await asyncio.sleep(0.001)
            Aqmp.spawn(main()).wait()
            context.pop_thread_default()
        for _ in range(20):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        gc.collect()
        self.assertEqual([reference() for reference in references], [None] * 20)

    def test_task_that_nobody_keeps(self):
        finished = []

        async def main():
            await asyncio.sleep(0.002)
            finished.append(1)
        Aqmp.spawn(main())
        gc.collect()
        iterate_until(lambda: finished)

    if 'gi.events' in sys.modules:      # PyGObject 3.50
        def test_loop_of_pygobject(self):
            async def main():
                return type(asyncio.get_running_loop()).__module__
            self.assertEqual(Aqmp.run(main()), 'gi.events')


class Cost(unittest.TestCase):
    def test_idle_loop_sleeps(self):
        async def main():
            start = time.process_time()
            await asyncio.sleep(0.1)
            return time.process_time() - start
        self.assertLess(Aqmp.run(main()), 0.05)
        self.assertLess(Aqmp.spawn(main()).wait(), 0.05)


if __name__ == '__main__':
    tap.main()
