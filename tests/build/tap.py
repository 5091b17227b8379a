# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""TAP for the script tests."""

import os
import shlex
import shutil
import subprocess
import sys

_count = 0
_failed = False


def ok(passed, name, diagnosis=''):
    """One test point; the diagnosis is shown if it failed."""
    global _count, _failed
    _count += 1
    print(f'{"ok" if passed else "not ok"} {_count} {name}', flush=True)
    if not passed:
        _failed = True
        for line in str(diagnosis).splitlines():
            print(f'# {line}', flush=True)
    return passed


def skip(reason, name):
    """A test point that says nothing here."""
    global _count
    _count += 1
    print(f'ok {_count} {name} # SKIP {reason}', flush=True)
    return False


def missing(what, name):
    """A test point that cannot run because something is not installed: skipped, unless everything has to be there."""
    if os.environ.get('AQMP_TEST_REQUIRE_ALL'):
        return ok(False, name, f'{what} is missing and AQMP_TEST_REQUIRE_ALL is set')
    return skip(f'no {what}', name)


def have(program, name):
    """Whether a program is there; if not, the test point is dealt with."""
    return shutil.which(program) is not None or missing(program, name)


def run(command, name, expect='', **kwargs):
    """One test point: the command succeeds and its output contains what is expected."""
    kwargs.setdefault('timeout', 120)
    try:
        process = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, **kwargs)
        status, output = process.returncode, process.stdout
    except subprocess.TimeoutExpired as e:
        output = e.stdout or ''
        status = f'time-out after {e.timeout:.0f} s'
        if isinstance(output, bytes):
            output = output.decode(errors='replace')
    return ok(status == 0 and expect in output, name,
              f'{shlex.join(map(str, command))}\nstatus: {status}, expected output: {expect!r}\n{output}')


def done():
    print(f'1..{_count}', flush=True)
    sys.exit(1 if _failed else 0)
