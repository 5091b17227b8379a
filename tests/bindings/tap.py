# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""unittest, told as TAP; and waiting, with a bound, for what a main loop does."""

import faulthandler
import os
import sys
import threading
import time
import traceback
import unittest

try:
    from gi.repository import GLib
except ImportError:
    if os.environ.get('AQMP_TEST_REQUIRE_ALL'):
        sys.exit('python3-gi is missing and AQMP_TEST_REQUIRE_ALL is set')
    print('1..0 # SKIP no python3-gi')
    sys.exit()

BOUND = 10 * float(os.environ.get('AQMP_TEST_TIMEOUT_SCALE', '1'))


def wait_until(condition):
    """Iterates the default main context until condition() is true."""
    deadline = time.monotonic() + BOUND
    context = GLib.MainContext.default()
    # Wakes the context up once: at the deadline, for whatever else there is to wait for.
    source = GLib.timeout_add(int(BOUND * 1000), lambda: GLib.SOURCE_REMOVE)
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError('waited in vain')
        context.iteration(True)
    if time.monotonic() < deadline:
        GLib.source_remove(source)


def dispatch_pending():
    """Dispatches what is ready, without waiting for more."""
    context = GLib.MainContext.default()
    for _ in range(1000):
        if not context.iteration(False):
            return
    raise AssertionError('something is always ready')


def in_thread(function, *args):
    """What it returns or raises in a thread of its own, while this one runs the main context."""
    results = []

    def run():
        try:
            results.append((function(*args), None))
        except Exception as e:  # raised again by whoever waits
            results.append((None, e))
        GLib.MainContext.default().wakeup()

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: results)
    thread.join()
    result, error = results[0]
    if error:
        raise error
    return result


class Await:
    """A callback for one asynchronous call: Await(object.foo_async, arguments...).finish(object.foo_finish)."""

    def __init__(self, begin, *args):
        self.result = None
        self.n_calls = 0
        begin(*args, self._done)

    def _done(self, source, result, *_):
        self.n_calls += 1
        self.result = result

    @property
    def done(self):
        return self.result is not None

    def finish(self, finish):
        wait_until(lambda: self.done)
        result, self.result = self.result, None
        return finish(result)


class _Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self._told = False

    def _line(self, word, test, comment=''):
        """Once for each test, whatever becomes of its parts."""
        if self._told:
            return
        self._told = True
        print(f'{word} {self.testsRun} {test.id().partition(".")[2]}{comment}', flush=True)

    def _bad(self, test, err):
        self._line('not ok', test)
        for line in ''.join(traceback.format_exception(*err)).splitlines():
            print(f'# {line}', flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line('ok', test)

    def addError(self, test, err):
        super().addError(test, err)
        self._bad(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._bad(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            print(f'# {subtest}', flush=True)
            self._bad(test, err)

    def addSkip(self, test, reason):
        if os.environ.get('AQMP_TEST_REQUIRE_ALL'):
            super().addFailure(test, (AssertionError, AssertionError(reason), None))
            self._line('not ok', test)
            print(f'# {reason}, and AQMP_TEST_REQUIRE_ALL is set', flush=True)
        else:
            super().addSkip(test, reason)
            self._line('ok', test, f' # SKIP {reason}')


def main():
    faulthandler.enable()
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__'])
    result = _Result()
    suite.run(result)
    print(f'1..{result.testsRun}', flush=True)
    sys.exit(0 if result.wasSuccessful() else 1)
