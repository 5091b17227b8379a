# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Runs the server and the clients on one core, in turn."""

import contextlib
import json
import os
import statistics
import subprocess
import tempfile

TIMEOUT = 120   # s


class ClientError(Exception):
    """A client failed."""


@contextlib.contextmanager
def server(build, core):
    """A server that runs meanwhile, on that core; gives the path of its socket."""
    with tempfile.TemporaryDirectory(prefix='aqmp-bench-') as directory:
        path = os.path.join(directory, 'qmp.sock')
        with subprocess.Popen(['taskset', '--cpu-list', str(core), os.path.join(build, 'benchmarks', 'bench-server'), path],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
            try:
                if process.stdout.readline() != 'ready\n':
                    raise ClientError('the server did not start')
                yield path
            finally:
                process.terminate()


def run_client(program, argv, core, wrapper=()):
    """Its result, and what it wrote to standard error."""
    try:
        process = subprocess.run(['taskset', '--cpu-list', str(core), *wrapper, *argv], env=program.environment(),
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise ClientError(f'not done after {TIMEOUT} s') from None
    if process.returncode != 0:
        raise ClientError(f'status {process.returncode}: {process.stderr.strip()[-300:]}')
    return json.loads(process.stdout), process.stderr


def output_of(command):
    """What a tool prints."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


class Contestant:
    """An entry of a row, and what came of its runs."""

    def __init__(self, row, entry, program, socket, core):
        self.row, self.entry, self.program, self.socket, self.core = row, entry, program, socket, core
        self.error = program.missing
        self.count = row.least
        self.results = []

    def run(self, count, wrapper=()):
        options = self.row.options_of(self.entry)
        argv = self.program.argv(self.socket, self.entry.work or self.row.work, count, options)
        return run_client(self.program, argv, self.core, wrapper)

    def calibrate(self, seconds):
        """Finds the count that takes about that long. The first runs also warm up what the machine keeps."""
        while self.count != self.row.most:
            taken = self.run(self.count)[0]['seconds']
            enough = taken > seconds / 8
            factor = seconds / taken if enough else min(16, seconds / max(taken, 1e-6))
            self.count = max(1, round(self.count * factor / self.row.least)) * self.row.least
            if self.row.most:
                self.count = min(self.count, self.row.most)
            if enough:
                break

    def measure(self):
        self.results.append(self.run(self.count)[0])

    def attempt(self, function, *arguments):
        """Once it failed it takes no part any more."""
        if self.error:
            return
        try:
            function(*arguments)
        except (ClientError, ValueError) as e:
            self.error = str(e)

    # Of one operation, in each round
    def times(self, what='seconds'):
        return [result[what] / result['count'] for result in self.results]

    def notes(self, name):
        return [result[name] for result in self.results if name in result]

    def median(self, what='seconds'):
        return statistics.median(self.times(what))


def measure_row(row, programs, socket, core, rounds, seconds):
    """The contestants by name. They take turns, so that what the machine does meanwhile meets all alike."""
    contestants = [Contestant(row, entry, programs[entry.program], socket, core) for entry in row.entries]
    for contestant in contestants:
        contestant.attempt(contestant.calibrate, seconds)
    for _ in range(rounds):
        for contestant in contestants:
            contestant.attempt(contestant.measure)
    return {contestant.entry.name: contestant for contestant in contestants}
