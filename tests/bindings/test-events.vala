// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// Listeners, waiting and jobs in Vala. test_vala.py builds it and runs it:
// test-events --tap PATH_OF_A_MONITOR PATH_OF_A_STORAGE_DAEMON'S

using Aqmp;

string path;
string storage_path;

void stop_and_go (Client client) throws GLib.Error {
    client.execute_sync ("cont", null, NONE, null);
    client.execute_sync ("stop", null, NONE, null);
}

string file (string name) {
    return Path.build_filename (Path.get_dirname (storage_path), name);
}

void create_file (Client client, string id, string name) throws GLib.Error {
    var text = "{\"job-id\": \"%s\", \"options\": {\"driver\": \"file\", \"filename\": \"%s\", \"size\": 65536}}";
    client.execute_sync ("blockdev-create", arguments_parse (text.printf (id, file (name))), NONE, null);
}

void test_matches () throws GLib.Error {
    var event = new Event ("JOB", -1, arguments_parse ("{\"id\": \"a\", \"info\": {\"b\": 1, \"c\": 2}}"));
    assert_true (event.matches (null));
    assert_true (event.matches (arguments_parse ("{\"info\": {\"b\": 1}}")));
    assert_false (event.matches (arguments_parse ("{\"info\": {\"b\": 2}}")));
}

void test_next () throws GLib.Error {
    var client = connected (path);
    var listener = client.listen ({"STOP", "RESUME"}, null);
    stop_and_go (client);
    assert_true (listener.get_active ());
    assert_cmpstr (listener.next_sync ().name, EQ, "RESUME");
    assert_cmpstr (listener.next_sync (null).name, EQ, "STOP");
    try {
        listener.next_sync (cancelled ());
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
    }
    client.disconnect_sync (null);
    try {
        listener.next_sync ();
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
}

async void next_both (Client client, EventListener listener, MainLoop loop) {
    try {
        client.execute_async.begin ("cont", null, NONE, null);
        client.execute_async.begin ("stop", null, NONE, null);
        var resume = yield listener.next_async (null);
        var stop = yield listener.next_async (null);
        assert_cmpstr (resume.name, EQ, "RESUME");
        assert_cmpstr (stop.name, EQ, "STOP");

        client.execute_async.begin ("cont", null, NONE, null);
        resume = yield client.wait_event_async ({"RESUME"}, null, -1, null);
        assert_cmpstr (resume.name, EQ, "RESUME");

        Json.Node reply;
        stop = yield client.execute_and_wait_async ("stop", null, {"STOP"}, null, null, -1, null, out reply);
        assert_cmpstr (stop.name, EQ, "STOP");
        assert_true (reply.get_object ().get_size () == 0);
    } catch (GLib.Error e) {
        error ("%s", e.message);
    }
    loop.quit ();
}

void test_async () throws GLib.Error {
    var loop = new MainLoop ();
    var client = connected (path);
    var listener = client.listen ({"STOP", "RESUME"}, null);
    next_both.begin (client, listener, loop);
    loop.run ();
    client.disconnect_sync (null);
}

void test_filter () throws GLib.Error {
    var client = connected (path);
    var asked = 0;
    var wanted = "STOP";
    var listener = client.listen (null, (event) => {
        asked++;
        return event.name == wanted;
    });
    stop_and_go (client);
    assert_true (asked == 2);
    assert_true (listener.n_pending == 1);
    assert_cmpstr (listener.next_sync ().name, EQ, "STOP");
    listener.stop ();
    assert_false (listener.get_active ());
    stop_and_go (client);
    assert_true (asked == 2);
    client.disconnect_sync (null);
}

void test_properties () throws GLib.Error {
    var client = connected (path);
    var listener = client.listen ({"STOP", "RESUME"}, null);
    assert_true (listener.max_pending == 1024);
    assert_true (listener.history_size == 0);
    listener.max_pending = 1;
    stop_and_go (client);
    assert_true (listener.n_pending == 1);
    assert_true (listener.n_dropped == 1);
    listener.clear ();
    assert_true (listener.n_pending == 0);
    client.disconnect_sync (null);
}

void test_history () throws GLib.Error {
    var client = connected (path);
    var listener = client.listen ({"STOP", "RESUME"}, null);
    listener.history_size = 1;
    stop_and_go (client);
    unowned ListModel history = listener.get_history ();
    assert_true (history.get_item_type () == typeof (Event));
    assert_true (history.get_n_items () == 1);
    assert_cmpstr (((Event) history.get_item (0)).name, EQ, "STOP");
    client.disconnect_sync (null);
}

void test_wait () throws GLib.Error {
    var client = connected (path);
    try {
        client.wait_event_sync (null, null, 10);
        assert_not_reached ();
    } catch (IOError.TIMED_OUT e) {
    }
    try {
        client.wait_event_sync ({""}, arguments_parse ("{\"device\": \"a\"}"), 10, null);
        assert_not_reached ();
    } catch (IOError.INVALID_ARGUMENT e) {
    }
    client.disconnect_sync (null);
}

void test_execute_and_wait () throws GLib.Error {
    var client = connected (path);
    Json.Node reply;
    var event = client.execute_and_wait_sync ("cont", null, {"RESUME"}, {"STOP"}, null, (int) BOUND_MS, null, out reply);
    assert_cmpstr (event.name, EQ, "RESUME");
    assert_true (reply.get_object ().get_size () == 0);
    try {
        client.execute_and_wait_sync ("stop", null, {"RESUME"}, {"STOP"}, null, (int) BOUND_MS, null, null);
        assert_not_reached ();
    } catch (ProtocolError.EVENT e) {
        assert_true ("STOP" in e.message);
    }
    try {
        client.execute_and_wait_sync ("device_del", arguments_parse ("{\"id\": \"nothing\"}"), {"DEVICE_DELETED"}, null,
                                      arguments_parse ("{\"device\": \"nothing\"}"), (int) BOUND_MS, null, null);
        assert_not_reached ();
    } catch (ExecError.DEVICE_NOT_FOUND e) {
    }
    client.disconnect_sync (null);
}

void test_job () throws GLib.Error {
    var client = connected (storage_path);
    foreach (var name in new string[] {"vala-source", "vala-target"}) {
        var creation = new Job (client, "create-" + name);
        assert_null (creation.get_status ());
        create_file (client, creation.id, name);
        assert_true (creation.run_sync ());
        assert_cmpstr (creation.status, EQ, "null");
        assert_cmpstr (creation.type, EQ, "create");
        assert_cmpstr (creation.get_job_type (), EQ, "create");
        assert_true (creation.get_type () == typeof (Job));
        assert_null (creation.error);
        var text = "{\"driver\": \"file\", \"node-name\": \"%s\", \"filename\": \"%s\"}";
        client.execute_sync ("blockdev-add", arguments_parse (text.printf (name, file (name))), NONE, null);
    }

    var job = new Job (client, "vala-backup");
    job.progress_interval = 50;
    assert_true (job.client == client);
    client.execute_sync ("blockdev-backup", arguments_parse ("""{"job-id": "vala-backup", "device": "vala-source",
        "target": "vala-target", "sync": "full", "auto-finalize": false, "auto-dismiss": false}"""), NONE, null);
    assert_true (job.wait_status_sync ("pending"));
    assert_true (job.refresh_sync ());
    assert_cmpstr (job.status, EQ, "pending");
    var loop = new MainLoop ();
    job.run_async.begin (null, (object, result) => {
        try {
            assert_true (job.run_async.end (result));
        } catch (GLib.Error e) {
            error ("%s", e.message);
        }
        loop.quit ();
    });
    loop.run ();
    assert_true (job.progress == 1.0);
    client.disconnect_sync (null);
}

void test_job_failure () throws GLib.Error {
    var client = connected (storage_path);
    var job = new Job (client, "vala-failure");
    create_file (client, job.id, "no/such/directory");
    try {
        job.run_sync ();
        assert_not_reached ();
    } catch (ProtocolError.JOB e) {
        assert_true (job.error in e.message);
    }
    try {
        new Job (client, "nothing").run_sync ();
        assert_not_reached ();
    } catch (IOError.NOT_FOUND e) {
    }
    client.disconnect_sync (null);
}

int main (string[] args) {
    Test.init (ref args);
    path = args[1];
    storage_path = args[2];
    add ("/vala/events/matches", test_matches);
    add ("/vala/events/next", test_next);
    add ("/vala/events/async", test_async);
    add ("/vala/events/filter", test_filter);
    add ("/vala/events/properties", test_properties);
    add ("/vala/events/history", test_history);
    add ("/vala/events/wait", test_wait);
    add ("/vala/events/execute-and-wait", test_execute_and_wait);
    add ("/vala/events/job", test_job);
    add ("/vala/events/job-failure", test_job_failure);
    return Test.run ();
}
