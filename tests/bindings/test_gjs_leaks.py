#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""100,000 commands in JavaScript leave no more memory behind than 100,000 asynchronous calls of GIO; nor do fewer of other kinds. Each
kind is measured in a process of its own, which leaks.js is."""

import os
import shutil
import socket
import subprocess
import threading
import unittest

import answering
import tap

# Bytes: the heap of SpiderMonkey grows by a megabyte at a time. A single object that each call leaks is more.
SOME_STEPS = 64

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'leaks.js')


def bytes_left(kind, count=50000):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=answering.serve, args=[theirs])
        thread.start()
        process = subprocess.Popen(['gjs', '-m', SCRIPT, kind, str(count), str(ours.fileno())], pass_fds=[ours.fileno()],
                                   stdout=subprocess.PIPE)
        ours.close()                # the end of the process is that of the thread
        try:
            output, _ = process.communicate(timeout=100)
        finally:
            process.kill()
            process.wait()
            thread.join()
    print(f'# {kind}: {float(output):.0f} bytes a call')
    return float(output)


@unittest.skipUnless(shutil.which('gjs'), 'no gjs')
class Leaks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.allowed = max(0, bytes_left('gio', 100000)) + SOME_STEPS

    def check(self, kind, count=50000, more=0):
        """What leaks does so each time; but when the heap of a busy machine is collected, and grows, is chance."""
        left = []
        while not left or min(left) >= self.allowed + more:
            self.assertLess(len(left), 3, f'{kind} leaves {left} bytes a call, allowed are {self.allowed + more}')
            left.append(bytes_left(kind, count))

    def test_execute(self):
        self.check('execute', 100000)

    def test_garbage_that_is_left_to_the_library(self):
        """It does not hang, and what there is of it is bounded."""
        self.check('uncollected', 20000, 9 * SOME_STEPS)

    def test_arguments(self):
        self.check('arguments')

    def test_cancelled(self):
        self.check('cancelled')

    def test_events(self):
        self.check('events')


if __name__ == '__main__':
    tap.main()
