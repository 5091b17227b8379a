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

# For 25,000 calls: of what SpiderMonkey gives back, more or less stays. A single object that is leaked is more.
SOME_PAGES = 60

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'leaks.js')


def bytes_left(kind, count=25000):
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
        cls.allowed = bytes_left('gio', 100000)

    def test_execute(self):
        # Some pages more or less, now and then.
        self.assertLess(bytes_left('execute', 100000), self.allowed + 8)

    def test_garbage_that_is_left_to_the_library(self):
        # It does not hang; what is not collected yet may be some megabytes.
        self.assertLess(bytes_left('uncollected', 60000), self.allowed + 1000)

    def test_arguments(self):
        self.assertLess(bytes_left('arguments'), self.allowed + SOME_PAGES)

    def test_cancelled(self):
        self.assertLess(bytes_left('cancelled'), self.allowed + SOME_PAGES)

    def test_events(self):
        self.assertLess(bytes_left('events'), self.allowed + SOME_PAGES)


if __name__ == '__main__':
    tap.main()
