#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""test_gjs.py SCRIPT [SERVER...]: runs it with servers of its own, each of SERVERS and at first a QEMU, and is given their paths; its
output is the output of this.

gjs logs exceptions that it cannot pass on as criticals of its own. Those of others end the test.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, '..', 'qemu')]
import answering  # noqa: E402
import guest  # noqa: E402
import lines  # noqa: E402


def answers(directory):
    return lines.listening(os.path.join(directory, 'answers.sock'), lambda *peer: answering.Answering()(*peer))


def greets(directory):
    return lines.listening(os.path.join(directory, 'greets.sock'), lines.greet)


SERVERS = {'storage': guest.storage, 'answers': answers, 'greets': greets}

script, *names = sys.argv[1:]
needed = ['gjs', guest.QEMU] + ([guest.STORAGE_DAEMON] if 'storage' in names else [])
missing = [program for program in needed if not shutil.which(program)]
if missing:
    if os.environ.get('AQMP_TEST_REQUIRE_ALL'):
        sys.exit(f'{", ".join(missing)} is missing and AQMP_TEST_REQUIRE_ALL is set')
    print(f'1..0 # SKIP no {", ".join(missing)}')
    sys.exit()

env = {name: value for name, value in os.environ.items() if name != 'G_DEBUG'}
with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as servers:
    paths = [servers.enter_context(server(directory)) for server in (guest.stopped, *map(SERVERS.get, names))]
    process = subprocess.run(['gjs', '-m', os.path.join(here, script), *paths], env=env, stderr=subprocess.PIPE, text=True)
sys.stderr.write(process.stderr)
others = [line for line in process.stderr.splitlines() if re.search(r'-(CRITICAL|WARNING)\b', line) and 'Gjs-' not in line]
sys.exit(process.returncode or ('criticals of others than gjs' if others else 0))
