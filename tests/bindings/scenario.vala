// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// scenario QEMU STORAGE_DAEMON: what each language does in its own way, here with async methods.

using Aqmp;

const int N_IN_FLIGHT = 50;

string nick_of (Runstate runstate) {
    return ((EnumClass) typeof (Runstate).class_ref ()).get_value (runstate).value_nick;
}

async void commands (Client client) throws Error {
    var greeting = client.greeting;
    var recent = greeting.major > 7 || (greeting.major == 7 && greeting.minor >= 2);
    print ("greeting: QEMU %s with %s\n", recent ? "7.2 or newer" : greeting.version_string, string.joinv (" ", greeting.capabilities));

    var status = yield client.execute_async ("query-status");
    print ("query-status: %s\n", status.get_object ().get_string_member ("status"));
    var name = yield client.execute_async ("query-name");
    print ("query-name: %s\n", name.get_object ().get_string_member_with_default ("name", "no name"));
    var version = yield client.execute_async ("query-version");
    unowned var qemu = version.get_object ().get_object_member ("qemu");
    var same = qemu.get_int_member ("major") == greeting.major && qemu.get_int_member ("minor") == greeting.minor &&
               qemu.get_int_member ("micro") == greeting.micro;
    print ("query-version: %s\n", same ? "that of the greeting" : "another");
    var machine = yield client.execute_async ("qom-get", arguments_parse ("""{"path": "/machine", "property": "type"}"""));
    print ("qom-get: %s\n", machine.get_string ().has_suffix ("-machine") ? "a machine" : machine.get_string ());
    var answer = yield client.execute_async ("human-monitor-command", arguments_parse ("""{"command-line": "levitate"}"""));
    print ("human-monitor-command: %s\n", answer.get_string ().strip ());

    yield client.execute_async ("blockdev-add", arguments_parse (
        """{"node-name": "node0", "driver": "raw", "file": {"driver": "null-co", "size": 1099511627776}}"""));
    var nodes = yield client.execute_async ("query-named-block-nodes");
    foreach (unowned var element in nodes.get_array ().get_elements ()) {
        unowned var node = element.get_object ();
        if (node.get_string_member ("node-name") == "node0")
            print ("blockdev-add: node0 with %lld bytes\n", node.get_object_member ("image").get_int_member ("virtual-size"));
    }
}

async void refused (Client client, string command, Json.Object? arguments = null) throws Error {
    try {
        yield client.execute_async (command, arguments);
    } catch (ExecError e) {
        print ("error: %s: %s\n", ExecError.get_class (e), e.message);
    }
}

async void errors (Client client) throws Error {
    yield refused (client, "levitate");
    yield refused (client, "device_del", arguments_parse ("""{"id": "nothing"}"""));
}

async bool is_answered (Client client, string line) throws Error {
    var arguments = new Json.Object ();
    arguments.set_string_member ("command-line", line);
    var answer = yield client.execute_async ("human-monitor-command", arguments);
    return answer.get_string () == @"unknown command: '$line'\r\n";
}

async void in_flight (Client client) throws Error {
    int n_answers = 0, n_right = 0;
    Error? failure = null;
    for (var i = 0; i < N_IN_FLIGHT; i++)
        is_answered.begin (client, @"no$i", (object, result) => {
            try {
                n_right += is_answered.end (result) ? 1 : 0;
            } catch (Error e) {
                failure = e;
            }
            if (++n_answers == N_IN_FLIGHT)
                in_flight.callback ();
        });
    yield;
    if (failure != null)
        throw failure;
    print ("in flight: %d of %d right\n", n_right, N_IN_FLIGHT);
}

async void events (Client client) throws Error {
    var listener = client.listen ({"STOP", "RESUME"});
    yield client.execute_async ("cont");
    yield client.execute_async ("stop");
    string? name = null;
    while (name != "STOP") {
        name = (yield listener.next_async ()).name;
        print ("event: %s\n", name);
    }
}

async void cancel (Client client) throws Error {
    var cancellable = new Cancellable ();
    AsyncResult? outcome = null;
    client.execute_async.begin ("query-name", null, NONE, cancellable, (object, result) => {
        outcome = result;
        cancel.callback ();
    });
    cancellable.cancel ();
    yield;
    try {
        client.execute_async.end (outcome);
        print ("cancelled: no\n");
    } catch (IOError.CANCELLED e) {
        print ("cancelled: yes\n");
    }
    var status = yield client.execute_async ("query-status");
    print ("query-status: %s\n", status.get_object ().get_string_member ("status"));
}

async void copy (Client client) throws Error {
    foreach (var name in new string[] {"from", "to"})
        yield client.execute_async ("blockdev-add", arguments_parse (
            """{"node-name": "%s", "driver": "null-co", "size": 1048576, "read-zeroes": true}""".printf (name)));
    var job = new Job (client, "copy0");
    yield client.execute_async ("blockdev-backup", arguments_parse (
        """{"job-id": "copy0", "device": "from", "target": "to", "sync": "full"}"""));
    yield job.refresh_async ();
    print ("job: %s %s\n", job.id, job.type);
    yield job.run_async ();
    print ("job: %s, %.0f %%\n", job.status, 100 * job.progress);
}

async void run (string qemu, string storage_daemon) throws Error {
    var client = new Client ("vm0");
    yield client.connect_async (address_parse (qemu));
    print ("connected: %s\n", nick_of (client.runstate));
    yield commands (client);
    yield errors (client);
    yield in_flight (client);
    yield events (client);
    yield cancel (client);
    yield client.disconnect_async ();
    print ("disconnected: %s\n", nick_of (client.runstate));

    client = new Client ("storage");
    yield client.connect_async (address_parse (storage_daemon));
    print ("storage daemon: %s\n", nick_of (client.runstate));
    yield copy (client);
    yield client.disconnect_async ();
    print ("storage daemon: %s\n", nick_of (client.runstate));
}

int main (string[] args) {
    var loop = new MainLoop ();
    var status = 0;
    run.begin (args[1], args[2], (object, result) => {
        try {
            run.end (result);
        } catch (Error e) {
            printerr ("%s\n", e.message);
            status = 1;
        }
        loop.quit ();
    });
    loop.run ();
    return status;
}
