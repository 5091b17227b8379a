// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// Blocking calls and out-of-band execution in Vala; no main loop runs. test_vala.py builds it and runs it:
// test-sync --tap PATH_OF_A_MONITOR

using Aqmp;

string path;

void check_works (Client client) throws GLib.Error {
    var reply = client.execute_sync ("query-status", null, NONE, null);
    assert_false (reply.get_object ().get_boolean_member ("running"));
}

void test_session () throws GLib.Error {
    var client = new Client ("vm0");
    var states = new StringBuilder ();
    client.runstate_changed.connect ((runstate) => states.append (((int) runstate).to_string ()));
    assert_true (client.connect_sync (address_parse (path), null));
    assert_true (client.greeting.get_major () == 7);
    check_works (client);
    assert_true (client.flush_sync (null));
    assert_true (client.disconnect_sync (null));
    assert_cmpstr (states.str, EQ, "1230");
}

void test_open () throws GLib.Error {
    var client = new Client (null);
    var connection = new SocketClient ().connect (address_parse (path), null);
    assert_true (client.open_sync (connection, null));
    check_works (client);
    assert_true (client.disconnect_sync (null));
}

void test_execute () throws GLib.Error {
    var client = connected (path);
    var arguments = arguments_parse ("{\"path\": \"/machine\", \"property\": \"type\"}");
    assert_cmpstr (client.execute_sync ("qom-get", arguments, NONE, null).get_string (), EQ, "pc-q35-7.2-machine");
    assert_cmpstr (client.execute_full_sync ("qom-get", arguments, null, NONE, (int) BOUND_MS, null).get_string (), EQ,
                   "pc-q35-7.2-machine");
    assert_true ("\"mine\"" in text_of (client.execute_raw_sync ("{\"execute\": \"query-name\", \"id\": \"mine\"}", null, null)));
    assert_true ("CommandNotFound" in text_of (client.execute_raw_sync ("{\"execute\": \"levitate\"}", null, null)));
    client.disconnect_sync (null);
}

void test_descriptors () throws GLib.Error {
    var client = connected (path);
    var fds = new UnixFDList ();
    fds.append (0);
    client.execute_full_sync ("getfd", arguments_parse ("{\"fdname\": \"ours\"}"), fds, NONE, -1, null);
    client.execute_sync ("closefd", arguments_parse ("{\"fdname\": \"ours\"}"), NONE, null);
    client.execute_raw_sync ("{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"ours\"}}", fds, null);
    client.execute_sync ("closefd", arguments_parse ("{\"fdname\": \"ours\"}"), NONE, null);
    client.disconnect_sync (null);
}

void test_errors () throws GLib.Error {
    var client = connected (path);
    try {
        client.execute_sync ("device_del", arguments_parse ("{\"id\": \"nothing\"}"), NONE, null);
        assert_not_reached ();
    } catch (ExecError.DEVICE_NOT_FOUND e) {
        assert_cmpstr (e.message, EQ, "Device 'nothing' not found");
        assert_cmpstr (ExecError.get_class (e), EQ, "DeviceNotFound");
        assert_true ("DeviceNotFound" in text_of (ExecError.get_reply (e)));
    }
    try {
        client.execute_full_sync ("levitate", null, null, NONE, -1, null);
        assert_not_reached ();
    } catch (ExecError.COMMAND_NOT_FOUND e) {
    }
    try {
        client.execute_raw_sync ("{\"execute\": 1}", null, null);
        assert_not_reached ();
    } catch (ProtocolError.INVALID_MESSAGE e) {
    }
    client.disconnect_sync (null);

    try {
        client.execute_sync ("query-name", null, NONE, null);
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
    try {
        client.flush_sync (null);
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
    try {
        client.accept_sync (null);
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
    try {
        client.connect_sync (address_parse ("/nowhere/qmp.sock"), null);
        assert_not_reached ();
    } catch (IOError.NOT_FOUND e) {
    }
}

void test_cancelled () throws GLib.Error {
    var client = new Client (null);
    try {
        client.connect_sync (address_parse (path), cancelled ());
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
    }
    try {
        client.start_server_and_accept_sync (new InetSocketAddress.from_string ("127.0.0.1", 0), cancelled ());
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
    }

    client = connected (path);
    try {
        client.execute_sync ("query-name", null, NONE, cancelled ());
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
    }
    try {
        client.execute_full_sync ("query-name", null, null, NONE, -1, cancelled ());
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
    }
    try {
        client.execute_raw_sync ("{\"execute\": \"query-name\"}", null, cancelled ());
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
    }
    try {
        client.flush_sync (cancelled ());
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
    }
    check_works (client);
    try {
        client.disconnect_sync (cancelled ());
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
    }
    client.disconnect_sync (null);
}

void test_events () throws GLib.Error {
    var client = connected (path);
    var names = new StringBuilder ();
    client.event.connect ((event) => names.append (event.name + " "));
    client.execute_sync ("cont", null, NONE, null);
    client.execute_sync ("stop", null, NONE, null);
    assert_cmpstr (names.str, EQ, "");
    while (MainContext.default ().iteration (false));
    assert_cmpstr (names.str, EQ, "RESUME STOP ");
    client.disconnect_sync (null);
}

class Filtering : Client {
    public uint n_refused;
    public bool refusing;

    public override Bytes filter_inbound (Bytes message) throws GLib.Error {
        if (refusing)
            try {
                execute_sync ("query-name", null, NONE, null);
            } catch (ProtocolError.STATE e) {
                n_refused++;
            }
        return base.filter_inbound (message);
    }
}

void test_virtual_function () throws GLib.Error {
    var client = new Filtering ();
    client.connect_sync (address_parse (path), null);
    client.refusing = true;
    check_works (client);
    client.refusing = false;
    assert_true (client.n_refused == 1);
    client.disconnect_sync (null);
}

void test_out_of_band () throws GLib.Error {
    var client = connected (path);
    assert_true (client.oob_enabled);
    assert_true (client.execute_sync ("query-yank", null, OOB, null).get_array ().get_length () == 1);
    assert_true (client.execute_full_sync ("query-yank", null, null, OOB, -1, null).get_array ().get_length () == 1);
    assert_true ("chardev" in text_of (client.execute_raw_sync ("{\"exec-oob\": \"query-yank\"}", null, null)));
    try {
        client.execute_sync ("query-name", null, OOB, null);
        assert_not_reached ();
    } catch (ExecError.GENERIC_ERROR e) {
    }
    client.disconnect_sync (null);

    client.enable_oob = false;
    client.connect_sync (address_parse (path), null);
    try {
        client.execute_sync ("query-yank", null, OOB, null);
        assert_not_reached ();
    } catch (IOError.NOT_SUPPORTED e) {
    }
    check_works (client);
    client.disconnect_sync (null);
}

int main (string[] args) {
    Test.init (ref args);
    path = args[1];
    add ("/vala/sync/session", test_session);
    add ("/vala/sync/open", test_open);
    add ("/vala/sync/execute", test_execute);
    add ("/vala/sync/descriptors", test_descriptors);
    add ("/vala/sync/errors", test_errors);
    add ("/vala/sync/cancelled", test_cancelled);
    add ("/vala/sync/events", test_events);
    add ("/vala/sync/virtual-function", test_virtual_function);
    add ("/vala/sync/out-of-band", test_out_of_band);
    return Test.run ();
}
