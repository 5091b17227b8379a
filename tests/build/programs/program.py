# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import gi

gi.require_version('Aqmp', '1')
from gi.repository import Aqmp  # noqa: E402

client = Aqmp.Client.new('program')
event = Aqmp.Event.new('STOP', -1, None)
assert client.props.runstate == Aqmp.Runstate.IDLE
print(client.props.name, event.name)  # that there is a "name" without "props" is the override's doing
