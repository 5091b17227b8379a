# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""What the clients in Python share: see bench.h."""

import asyncio
import json
import resource
import sys
import time


class Bench:
    """The command line, the clocks and the result."""

    def __init__(self):
        self.socket, self.work, count, *options = sys.argv[1:]
        self.count = int(count)
        self.options = dict(option.split('=', 1) for option in options)
        self.warm = self.number('warm', 10)

    def number(self, key, preset):
        return int(self.options.get(key, preset))

    def arguments(self):
        if 'bytes' not in self.options:
            return None
        return {'bytes': self.number('bytes', 0), 'piece': self.number('piece', 0)}

    @staticmethod
    def _cpu():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def begin(self):
        self._cpu_start, self._start = self._cpu(), time.monotonic()

    def end(self):
        seconds, cpu = time.monotonic() - self._start, self._cpu() - self._cpu_start
        print(json.dumps({'count': self.count, 'seconds': seconds, 'cpu': cpu}))


async def do_calls(client, command, arguments, in_flight, count):
    """With a client whose execute() can be awaited."""
    remaining = count

    async def worker():
        nonlocal remaining
        while remaining > 0:
            remaining -= 1
            await client.execute(command, arguments)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
