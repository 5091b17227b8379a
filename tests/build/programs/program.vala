// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// Plain "Error" is GLib's even with "using Aqmp;": the library's own domain is ProtocolError in Vala.
using Aqmp;

int main () {
    var client = new Client ("program");
    try {
        address_parse ("nonsense:::");
        return 1;
    } catch (Error e) {
        var event = new Event ("STOP", -1, null);
        print ("%s %s\n", client.name, event.name);
        return (e is ProtocolError || e is ExecError) ? 2 : 0;
    }
}
