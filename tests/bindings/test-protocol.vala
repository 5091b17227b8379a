// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// A protocol of one's own in Vala, with every virtual function that there is. test_vala.py builds it and runs it.

using Aqmp;

errordomain ChatError {
    REFUSED,
    RUDE
}

// Messages end with a semicolon, line feeds between them do not matter, and they are in capitals on the way. Both sides say hello.
class Chat : Protocol {
    public string breaking = "";
    public bool forgetful;
    public string[] heard = {};
    public string[] events = {};
    public string states = "";
    public string[] wire = {};
    public string[] ends = {};

    public Chat (string name) {
        Object (name: name);
    }

    private void may_break (string function) throws ChatError {
        if (function == breaking)
            throw new ChatError.REFUSED ("%s is broken", function);
    }

    public bool say (string text) throws Error {
        return send_message (new Bytes (text.data));
    }

    protected override bool establish_session (Task task) throws Error {
        may_break ("establish_session");
        if (forgetful)
            return false;
        greet.begin (task);
        return true;
    }

    private async void greet (Task task) {
        try {
            yield write_message_async (new Bytes ("hello;".data), task.get_cancellable ());
            may_break ("greet");
            var answer = yield read_message_async (task.get_cancellable ());
            if (text_of (answer) != "hello")
                throw new ChatError.RUDE ("No greeting");
            task.return_boolean (true);
        } catch (Error e) {
            task.return_error (e);
        }
    }

    protected override bool message_received (Bytes message) throws Error {
        may_break ("message_received");
        heard += text_of (message);
        return base.message_received (message);
    }

    protected override Bytes filter_inbound (Bytes message) throws Error {
        may_break ("filter_inbound");
        return base.filter_inbound (new Bytes (text_of (message).down ().data));
    }

    protected override Bytes filter_outbound (Bytes message) throws Error {
        may_break ("filter_outbound");
        return base.filter_outbound (new Bytes (text_of (message).up ().data));
    }

    protected override ssize_t frame (uint8[] data, size_t scanned, bool at_eof, out size_t payload_length) throws Error {
        may_break ("frame");
        if (data[0] == '\n') {
            payload_length = NO_MESSAGE;
            return 1;
        }
        for (var i = scanned; i < data.length; i++)
            if (data[i] == ';') {
                payload_length = i;
                wire += ((string) data).substring (0, (long) i);
                return (ssize_t) i + 1;
            }
        // Of the default, that what comes last needs no end.
        payload_length = 0;
        return at_eof ? base.frame (data, scanned, at_eof, out payload_length) : 0;
    }

    protected override void session_ended (Error? cause) {
        ends += cause == null ? "clean" : cause.message;
        base.session_ended (cause);
    }

    protected override void event (Event event) {
        events += event.name;
        base.event (event);
    }

    protected override void runstate_changed (Runstate runstate) {
        states += ((int) runstate).to_string ();
        base.runstate_changed (runstate);
    }
}

class Meeting {
    public Chat host = new Chat ("host");
    public Chat guest = new Chat ("guest");

    public Meeting begin () throws Error {
        var accepted = new Done ();
        var connected = new Done ();
        SocketAddress address;
        host.start_server (new InetSocketAddress.from_string ("127.0.0.1", 0), out address);
        host.accept_async.begin (null, accepted.callback);
        guest.connect_async.begin (address, null, connected.callback);
        assert_true (guest.connect_async.end (connected.wait ()));
        assert_true (host.accept_async.end (accepted.wait ()));
        return this;
    }

    public void end (Chat chat) throws Error {
        var done = new Done ();
        chat.disconnect_async.begin (null, done.callback);
        assert_true (chat.disconnect_async.end (done.wait ()));
    }
}

void test_messages () throws Error {
    var meeting = new Meeting ().begin ();
    meeting.guest.say ("one;\ntwo;");
    meeting.guest.say ("three");
    meeting.end (meeting.guest);
    wait_until (() => meeting.host.runstate == DISCONNECTING);
    assert_cmpstr (string.joinv (" ", meeting.host.heard), EQ, "one two three");
    assert_cmpstr (string.joinv (" ", meeting.host.wire), EQ, "HELLO ONE TWO");
    assert_cmpstr (meeting.guest.states, EQ, "1230");
    assert_cmpstr (string.joinv (" ", meeting.guest.ends), EQ, "clean");

    unowned Error? cause = meeting.host.get_error ();
    assert_true (cause is IOError.CONNECTION_CLOSED);
    assert_cmpstr (string.joinv (" ", meeting.host.ends), EQ, cause.message);
    try {
        meeting.end (meeting.host);
        assert_not_reached ();
    } catch (IOError.CONNECTION_CLOSED e) {
        assert_true (meeting.host.get_error () == null);
    }
}

void test_events () throws Error {
    var meeting = new Meeting ().begin ();
    var n_greetings = 0;
    meeting.host.event["GREETING"].connect ((event) => {
        assert_cmpstr (event.name, EQ, "GREETING");
        assert_true (event.timestamp == -1 && event.data == null);
        n_greetings++;
    });
    meeting.host.emit_event (new Event ("GREETING"));
    meeting.host.emit_event (new Event ("OTHER", 1000000, arguments_parse ("{}")));
    assert_true (n_greetings == 1);
    assert_cmpstr (string.joinv (" ", meeting.host.events), EQ, "GREETING OTHER");
    meeting.end (meeting.host);
}

async void watch (Chat chat) throws Error {
    Runstate state;
    yield chat.wait_runstate_async (IDLE, null, out state);
    assert_true (state == RUNNING);
    chat.require_runstate (RUNNING);
    yield chat.flush_async ();
    chat.disconnect_async.begin ();
    yield chat.wait_runstate_async (RUNNING);
    try {
        chat.require_runstate (RUNNING);
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
}

void test_states () throws Error {
    var meeting = new Meeting ().begin ();
    var done = new Done ();
    watch.begin (meeting.guest, done.callback);
    watch.end (done.wait ());
}

void test_thrown_in_handshake () throws Error {
    foreach (var function in new string[] {"establish_session", "greet", "filter_outbound", "frame", "filter_inbound"}) {
        var meeting = new Meeting ();
        meeting.guest.breaking = function;
        try {
            meeting.begin ();
            assert_not_reached ();
        } catch (ChatError.REFUSED e) {
            assert_true (function + " is broken" in e.message);
        }
        assert_true (meeting.guest.runstate == IDLE);
    }
}

void test_thrown () throws Error {
    foreach (var function in new string[] {"message_received", "filter_inbound", "filter_outbound", "frame"}) {
        var meeting = new Meeting ().begin ();
        meeting.guest.breaking = function;
        meeting.host.say ("one;");
        meeting.guest.say ("two;");
        wait_until (() => meeting.guest.runstate == DISCONNECTING);
        assert_true (meeting.guest.get_error () is ChatError.REFUSED);
        assert_cmpstr (string.joinv (" ", meeting.guest.ends), EQ, function + " is broken");
        try {
            meeting.end (meeting.guest);
            assert_not_reached ();
        } catch (ChatError.REFUSED e) {
            assert_cmpstr (e.message, EQ, function + " is broken");
        }
    }
}

void test_nothing_thrown () throws Error {
    var meeting = new Meeting ();
    meeting.guest.forgetful = true;
    try {
        meeting.begin ();
        assert_not_reached ();
    } catch (ProtocolError.FAILED e) {
        assert_true ("establish_session" in e.message);
    }
}

void test_failed () throws Error {
    var meeting = new Meeting ().begin ();
    meeting.host.fail (new ChatError.RUDE ("Enough"));
    assert_true (meeting.host.get_error () is ChatError.RUDE);
    try {
        meeting.end (meeting.host);
        assert_not_reached ();
    } catch (ChatError.RUDE e) {
        assert_cmpstr (e.message, EQ, "Enough");
    }
}

int main (string[] args) {
    Test.init (ref args);
    add ("/vala/protocol/messages", test_messages);
    add ("/vala/protocol/events", test_events);
    add ("/vala/protocol/states", test_states);
    add ("/vala/protocol/thrown-in-handshake", test_thrown_in_handshake);
    add ("/vala/protocol/thrown", test_thrown);
    add ("/vala/protocol/nothing-thrown", test_nothing_thrown);
    add ("/vala/protocol/failed", test_failed);
    return Test.run ();
}
