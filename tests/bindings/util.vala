// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// What the tests in Vala have in common; compiled with each of them.

const uint BOUND_MS = 10000;

public delegate void TestBody () throws Error;

public void add (string path, owned TestBody body) {
    Test.add_data_func (path, () => {
        try {
            body ();
        } catch (Error e) {
            Test.message ("%s", e.message);
            Test.fail ();
        }
    });
}

public Aqmp.Client connected (string path) throws Error {
    var client = new Aqmp.Client ("vm0");
    client.call_timeout = BOUND_MS;
    assert_true (client.connect_sync (Aqmp.address_parse (path)));
    return client;
}

public Cancellable cancelled () {
    var cancellable = new Cancellable ();
    cancellable.cancel ();
    return cancellable;
}

public string text_of (Bytes bytes) {
    unowned uint8[] data = bytes.get_data ();
    return new StringBuilder ().append_len ((string) data, data.length).str;
}

public delegate bool Condition ();

/** Iterates the default main context until it holds. */
public void wait_until (Condition condition) {
    var late = false;
    var timeout = Timeout.add (BOUND_MS, () => {
        late = true;
        return Source.CONTINUE;
    });
    while (!condition ()) {
        assert_false (late);
        MainContext.default ().iteration (true);
    }
    Source.remove (timeout);
}

/** The callback of an async method, from a test that is none: `method.begin (done.callback); method.end (done.wait ())`. */
public class Done {
    private AsyncResult? result;

    public void callback (Object? object, AsyncResult result) {
        this.result = result;
    }

    public AsyncResult wait () {
        wait_until (() => result != null);
        return result;
    }
}
