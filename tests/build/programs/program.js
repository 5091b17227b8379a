// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

import Aqmp from 'gi://Aqmp?version=1';

const client = new Aqmp.Client({name: 'program'});
const event = Aqmp.Event.new('STOP', -1, null);
if (client.runstate !== Aqmp.Runstate.IDLE)
    throw new Error(`runstate is ${client.runstate}`);
// What is not in C, but comes with it.
if (!(new Aqmp.ExecuteError('GenericError', 'none', {}) instanceof Aqmp.ExecError) || typeof client.connectTo !== 'function')
    throw new Error('there is no override');
print(client.name, event.name);
