#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""The client over this library through introspection alone: the raw form with callbacks, and json.loads. What can be awaited is in
aqmp-await.py."""

import json

import gi
gi.require_version('Aqmp', '1')
from gi.repository import Aqmp, GLib  # noqa: E402

from scripted import Bench  # noqa: E402


class Works:
    """One session, and what is done on it."""

    def __init__(self, bench):
        self.bench = bench
        self.loop = GLib.MainLoop()
        self.address = Aqmp.address_parse(bench.socket)
        self.client = None

    def open(self):
        self.client = Aqmp.Client.new(None)
        self.client.connect_async(self.address, None, self.on_connected)
        self.loop.run()

    def on_connected(self, client, result):
        client.connect_finish(result)
        self.loop.quit()

    def start(self):
        self.to_start -= 1
        command = {'execute': self.command}
        if self.arguments:
            command['arguments'] = self.arguments
        self.client.execute_raw_async(json.dumps(command), None, None, self.on_reply)

    def on_reply(self, client, result):
        json.loads(client.execute_raw_finish(result).get_data())['return']
        if self.to_start > 0:
            self.start()
        self.to_finish -= 1
        if self.to_finish == 0:
            self.loop.quit()

    def calls(self, in_flight, count):
        self.to_start = self.to_finish = count
        for _ in range(min(in_flight, count)):
            self.start()
        if count > 0:
            self.loop.run()

    def run_calls(self):
        self.command = self.bench.options.get('command', 'query-status')
        self.arguments = self.bench.arguments()
        in_flight = self.bench.number('inflight', 1)
        self.open()
        self.calls(in_flight, self.bench.warm)
        self.bench.begin()
        self.calls(in_flight, self.bench.count)
        self.bench.end()

    def on_event(self, _client, event):
        if json.loads(event.to_bytes().get_data())['data']['offset'] != 78:
            raise ValueError('not the data that was sent')
        self.heard += 1

    def run_events(self):
        burst = self.bench.number('burst', 1000)
        self.command = 'x-events'
        self.arguments = {'count': burst, 'data': 1}
        self.heard = 0
        self.open()
        self.client.connect('event', self.on_event)
        self.calls(1, 1)
        self.bench.begin()
        self.calls(1, self.bench.count // burst)
        self.bench.end()
        if self.heard != self.bench.count + burst:
            raise ValueError('events are missing')

    def start_session(self):
        Aqmp.Client.new(None).connect_async(self.address, None, self.on_session)

    def on_session(self, client, result):
        client.connect_finish(result)
        client.disconnect_async(None, self.on_session_end)

    def on_session_end(self, client, result):
        client.disconnect_finish(result)
        self.to_finish -= 1
        if self.to_finish > 0:
            self.start_session()
        else:
            self.loop.quit()

    def connects(self, count):
        self.to_finish = count
        if count > 0:
            self.start_session()
            self.loop.run()

    def run_connects(self):
        self.connects(self.bench.warm)
        self.bench.begin()
        self.connects(self.bench.count)
        self.bench.end()


works = Works(Bench())
{'calls': works.run_calls, 'events': works.run_events, 'connect': works.run_connects}[works.bench.work]()
