// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// Plain "Error" is GLib's even with "using Aqmp;": the library's own domain is ProtocolError in Vala.
using Aqmp;

// Its parameters, and those in try_events(), are const in C.
class Framing : Client {
    public override ssize_t frame (uint8[] data, size_t scanned, bool at_eof, out size_t payload_length) throws Error {
        payload_length = NO_MESSAGE;
        return base.frame (data, scanned, at_eof, out payload_length);
    }

    public override void session_ended (Error? cause) {
        base.session_ended (cause);
    }
}

async void try_events (Client client) throws Error {
    assert (client.get_error () == null);
    assert (client.greeting == null || client.greeting.capabilities.length == client.greeting.get_capabilities ().length);
    try {
        yield client.listen ({"STOP"}).next_async ();
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
    try {
        yield client.wait_event_async ({"STOP"});
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
    try {
        client.wait_event_sync ({"STOP"}, null, 1);
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
    try {
        yield client.execute_and_wait_async ("stop", null, {"STOP"}, {"SHUTDOWN"});
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
    try {
        Json.Node reply;
        client.execute_and_wait_sync ("stop", null, {"STOP"}, {"SHUTDOWN"}, null, -1, null, out reply);
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
}

async void try_listening (Client client) throws Error {
    SocketAddress address;
    client.start_server (new InetSocketAddress.from_string ("127.0.0.1", 0), out address);
    assert (client.listen_address == address);
    assert (((InetSocketAddress) address).port != 0);

    var cancellable = new Cancellable ();
    cancellable.cancel ();
    try {
        yield client.accept_async (cancellable);
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
        assert (client.listen_address == null);
    }
    try {
        yield client.start_server_and_accept_async (address, cancellable);
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
    }
    try {
        yield client.accept_async (null);
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }

    client.start_server (address, null);
    yield client.disconnect_async (null);
}

void try_tls (Client client) {
    TlsCertificate? known = null;
    client.accept_certificate.connect ((certificate, errors) => {
        return known != null && certificate.is_same (known) && errors == TlsCertificateFlags.UNKNOWN_CA;
    });
    client.tls = true;
    client.tls_certificate = known;
    client.tls_database = null;
    client.tls_interaction = null;
    client.tls_auth_mode = TlsAuthenticationMode.REQUIRED;
    client.tls_server_identity = new NetworkAddress ("vm.example", 0);
    client.tls_record_size = 1;
    assert (client.tls_server_identity is NetworkAddress && client.tls_certificate == null);
}

async void try_descriptors (Client client) throws Error {
    var descriptors = new UnixFDList ();
    descriptors.append (0);
    try {
        yield client.execute_raw_async ("{\"execute\": \"query-status\"}", descriptors, null);
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
    try {
        yield client.execute_full_async ("getfd", null, descriptors, NONE, -1, null);
        assert_not_reached ();
    } catch (ProtocolError.STATE e) {
    }
}

async void try_all (Client client) throws Error {
    yield try_listening (client);
    yield try_descriptors (client);
    yield try_events (new Framing ());
    try_tls (client);
}

int main () {
    var client = new Client ("program");
    var loop = new MainLoop ();
    var status = 2;
    try_all.begin (client, (_, result) => {
        try {
            try_all.end (result);
            status = 0;
        } catch (Error e) {
            printerr ("%s\n", e.message);
        }
        loop.quit ();
    });
    loop.run ();

    try {
        address_parse ("nonsense:::");
        return 1;
    } catch (Error e) {
        var event = new Event ("STOP", -1, null);
        print ("%s %s\n", client.name, event.name);
        return (e is ProtocolError || e is ExecError) ? 2 : status;
    }
}
