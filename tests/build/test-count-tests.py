#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""test-count-tests.py COUNT_TESTS: what scripts/count-tests makes of Meson's logs."""

import json
import os
import subprocess
import sys
import tempfile

import tap

count_tests = sys.argv[1]

PASSING = 'TAP version 13\n1..2\nok 1 /a\n# ok 7 is a comment\nok 2 /b\n'


def check(name, logs, expected, status):
    """Each log is a list of tests, each of those a tuple (Meson's result, output); or None if the file is absent."""
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for i, log in enumerate(logs):
            paths.append(os.path.join(directory, f'{i}.json'))
            if log is not None:
                with open(paths[-1], 'w', encoding='utf-8') as f:
                    for result, output in log:
                        f.write(json.dumps({'name': 'suite / test', 'result': result, 'stdout': output}) + '\n')
        process = subprocess.run([sys.executable, count_tests, *paths], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
    tap.ok(process.stdout == expected + '\n' and process.returncode == status, name,
           f'expected {expected!r} and {status}, got {process}')


check('points, not tests, are counted', [[('OK', PASSING), ('OK', PASSING)]], '4 passed, 0 failed, 0 skipped', 0)
check('several logs are added up', [[('OK', PASSING)], [('OK', PASSING)]], '4 passed, 0 failed, 0 skipped', 0)
check('a skipped point', [[('OK', '1..2\nok 1 /a # SKIP no QEMU\nok 2 /b\n')]], '1 passed, 0 failed, 1 skipped', 0)
check('all points skipped', [[('SKIP', '1..1\nok 1 /a # skip\n'), ('OK', PASSING)]], '2 passed, 0 failed, 1 skipped', 0)
check('a whole test skipped', [[('SKIP', '1..0 # SKIP no\n'), ('SKIP', ''), ('OK', PASSING)]],
      '2 passed, 0 failed, 2 skipped', 0)
check('an expected failure is no failure', [[('OK', '1..2\nok 1 a\nnot ok 2 b # TODO later\n')]],
      '1 passed, 0 failed, 1 skipped', 0)
check('a failed point', [[('FAIL', '1..2\nnot ok 1 - /a\nok 2 /b\n')]], '1 passed, 1 failed, 0 skipped', 1)
check('a skipped point that failed has failed', [[('FAIL', '1..2\nnot ok 1 /a # SKIP no\nok 2 /b\n')]],
      '1 passed, 1 failed, 0 skipped', 1)
check('a crash', [[('ERROR', '1..3\nok 1 /a\n')]], '1 passed, 1 failed, 0 skipped', 1)
check('an assertion that aborts is one failure', [[('ERROR', '1..3\nok 1 /a\nnot ok /b - ERROR\nBail out!\n')]],
      '1 passed, 1 failed, 0 skipped', 1)
check('all points passed and the exit status says no', [[('ERROR', PASSING)]], '2 passed, 1 failed, 0 skipped', 1)
check('a time-out', [[('TIMEOUT', '1..2\nok 1 /a\n')]], '1 passed, 1 failed, 0 skipped', 1)
check('interrupted', [[('INTERRUPT', ''), ('OK', PASSING)]], '2 passed, 1 failed, 0 skipped', 1)
check('exit status alone', [[('OK', ''), ('OK', 'hello\n'), ('OK', None)]], '3 passed, 0 failed, 0 skipped', 0)
check('exit status alone, failing', [[('OK', ''), ('FAIL', 'oh\n')]], '1 passed, 1 failed, 0 skipped', 1)
check('points of an inner TAP do not count', [[('OK', '1..1\n    ok 1 - inner\n    not ok 2\nok 1 outer\n')]],
      '1 passed, 0 failed, 0 skipped', 0)
check('fewer points than planned', [[('FAIL', '1..3\nok 1 /a\nok 2 /b\n')]], '2 passed, 1 failed, 0 skipped', 1)
check('an absent log: the configuration did not build', [[('OK', PASSING)], None], '2 passed, 1 failed, 0 skipped', 1)
check('an empty log', [[('OK', PASSING)], []], '2 passed, 1 failed, 0 skipped', 1)
check('a configuration that skipped everything ran no test', [[('OK', PASSING)], [('SKIP', '1..0 # SKIP no\n')]],
      '2 passed, 1 failed, 1 skipped', 1)
check('no log at all', [], '0 passed, 1 failed, 0 skipped', 1)
tap.done()
