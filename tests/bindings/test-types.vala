// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// Values of every kind in Vala, exactly. test_vala.py builds it and runs it:
// test-types --tap PATH_OF_A_MONITOR PATH_OF_A_SERVER_THAT_RETURNS_ARGUMENTS

using Aqmp;

string monitor_path;
string path;

// What the server sends instead, with ID replaced.
Json.Object saying (string text) {
    var arguments = new Json.Object ();
    arguments.set_string_member ("text", text);
    return arguments;
}

void test_integers () throws Error {
    var client = connected (path);
    foreach (var value in new int64[] {int64.MAX, int64.MIN, (1LL << 53) + 1, 0, -1}) {
        var arguments = new Json.Object ();
        arguments.set_int_member ("value", value);
        var reply = client.execute_sync ("echo", arguments);
        assert_true (reply.get_object ().get_member ("value").get_value_type () == typeof (int64));
        assert_true (reply.get_object ().get_int_member ("value") == value);
        // Neither changed nor sealed.
        arguments.set_int_member ("value", 0);
    }
    client.disconnect_sync ();
}

// More than an int64 can hold: rounded in a tree, in the text to the last digit.
void test_beyond_int64 () throws Error {
    var client = connected (path);
    var reply = client.execute_sync ("say", saying ("""{"return": 18446744073709551615, "id": ID}"""));
    assert_true (reply.get_value_type () == typeof (double));
    assert_true (reply.get_double () == 18446744073709551616.0);
    var text = text_of (client.execute_raw_sync ("""{"execute": "echo", "arguments": {"value": 18446744073709551615}}"""));
    assert_true ("""{"value": 18446744073709551615}""" in text);
    client.disconnect_sync ();
}

void test_nothing () throws Error {
    var client = connected (path);
    assert_true (client.execute_sync ("echo").is_null ());
    assert_true (client.execute_sync ("echo", new Json.Object ()).get_object ().get_size () == 0);

    var reply = client.execute_sync ("echo", arguments_parse ("""{"null": null, "list": [], "dict": {}, "text": ""}"""));
    unowned var values = reply.get_object ();
    assert_true (values.get_null_member ("null"));
    assert_true (values.get_array_member ("list").get_length () == 0);
    assert_true (values.get_object_member ("dict").get_size () == 0);
    assert_cmpstr (values.get_string_member ("text"), EQ, "");
    client.disconnect_sync ();
}

void test_not_ascii () throws Error {
    var client = connected (path);
    var arguments = new Json.Object ();
    arguments.set_string_member ("naïve", "café € 😀 \x7f");
    assert_cmpstr (client.execute_sync ("echo", arguments).get_object ().get_string_member ("naïve"), EQ, "café € 😀 \x7f");
    assert_cmpstr (client.execute_sync ("say", saying ("{\"return\": \"café 😀\", \"id\": ID}")).get_string (), EQ, "café 😀");
    assert_true ("\"café 😀\"" in text_of (client.execute_raw_sync (
        """{"execute": "say", "arguments": {"text": "{\"return\": \"café 😀\", \"id\": ID}"}}""")));
    client.disconnect_sync ();
}

// A string of Vala's ends at it, so a tree is refused; the text has it.
void test_nul () throws Error {
    var client = connected (path);
    try {
        client.execute_sync ("say", saying ("""{"return": "a\u0000b", "id": ID}"""));
        assert_not_reached ();
    } catch (ProtocolError.BAD_REPLY e) {
    }
    var text = text_of (client.execute_raw_sync ("""{"execute": "echo", "arguments": {"value": "a\u0000b"}}"""));
    assert_true ("""{"value": "a\u0000b"}""" in text);
    client.disconnect_sync ();
}

void test_large () throws Error {
    var client = connected (monitor_path);
    assert_true (client.execute_sync ("query-qmp-schema").get_array ().get_length () > 500);
    assert_true (client.execute_raw_sync ("""{"execute": "query-qmp-schema"}""").length > 200000);
    client.disconnect_sync ();
}

void test_event () throws Error {
    var client = connected (path);
    var listener = client.listen ({"X"});
    client.execute_sync ("say", saying (
        """{"event": "X", "data": {"n": 9223372036854775807, "s": "é", "null": null}, """ +
        """"timestamp": {"seconds": 1, "microseconds": 2}} {"return": {}, "id": ID}"""));
    var event = listener.next_sync ();
    assert_cmpstr (event.name, EQ, "X");
    assert_true (event.timestamp == 1000002);
    assert_true (event.data.get_int_member ("n") == int64.MAX);
    assert_cmpstr (event.data.get_string_member ("s"), EQ, "é");
    assert_true (event.data.get_null_member ("null"));
    assert_true ("9223372036854775807" in text_of (event.to_bytes ()));

    // What has none.
    client.execute_sync ("say", saying ("""{"event": "X"} {"return": {}, "id": ID}"""));
    event = listener.next_sync ();
    assert_true (event.data == null && event.timestamp == -1);
    client.disconnect_sync ();
}

void test_greeting () throws Error {
    var client = new Client ();
    assert_true (client.name == null && client.greeting == null && client.stream == null);
    client.connect_sync (address_parse (path));
    var greeting = client.greeting;
    assert_cmpstr (@"$(greeting.major).$(greeting.minor).$(greeting.micro)", EQ, "7.2.1");
    assert_cmpstr (greeting.package, EQ, "test");
    assert_cmpstr (greeting.version_string, EQ, "7.2.1 (test)");
    assert_true (greeting.capabilities.length == 0 && !greeting.has_capability ("oob"));
    client.disconnect_sync ();

    client.connect_sync (address_parse (monitor_path));
    assert_true ("oob" in client.greeting.capabilities && client.greeting.has_capability ("oob"));
    foreach (unowned var capability in client.greeting.get_capabilities ())
        assert_true (client.greeting.has_capability (capability));
    // It was kept.
    assert_true (greeting.micro == 1);
    client.disconnect_sync ();
}

int main (string[] args) {
    Test.init (ref args);
    monitor_path = args[1];
    path = args[2];
    add ("/vala/types/integers", test_integers);
    add ("/vala/types/beyond-int64", test_beyond_int64);
    add ("/vala/types/nothing", test_nothing);
    add ("/vala/types/not-ascii", test_not_ascii);
    add ("/vala/types/nul", test_nul);
    add ("/vala/types/large", test_large);
    add ("/vala/types/event", test_event);
    add ("/vala/types/greeting", test_greeting);
    return Test.run ();
}
