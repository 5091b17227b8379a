// SPDX-FileCopyrightText: 2026 The aqmp-glib authors
// SPDX-License-Identifier: LGPL-2.1-or-later

// What of the Vala binding neither the introspection data nor Aqmp-1.metadata can say. Where a type of C's is named, and where a
// function is named after a cast, C compilers would complain about "const" in what valac generates.

namespace Aqmp {
    public class Client : Aqmp.Protocol {
        public async Aqmp.Event execute_and_wait_async (
            string command,
            Json.Object? arguments,
            [CCode (array_length = false, array_null_terminated = true, type = "const gchar* const*")] string[] names,
            [CCode (array_length = false, array_null_terminated = true, type = "const gchar* const*")] string[]? failure_names = null,
            Json.Object? data = null,
            int timeout_ms = -1,
            GLib.Cancellable? cancellable = null,
            out Json.Node reply = null
        ) throws GLib.Error;
        public Aqmp.Event execute_and_wait_sync (
            string command,
            Json.Object? arguments,
            [CCode (array_length = false, array_null_terminated = true, type = "const gchar* const*")] string[] names,
            [CCode (array_length = false, array_null_terminated = true, type = "const gchar* const*")] string[]? failure_names = null,
            Json.Object? data = null,
            int timeout_ms = -1,
            GLib.Cancellable? cancellable = null,
            out Json.Node reply = null
        ) throws GLib.Error;
        public Aqmp.EventListener listen (
            [CCode (array_length = false, array_null_terminated = true, type = "const gchar* const*")] string[]? names = null,
            owned Aqmp.EventFilter? filter = null
        );
        public async Aqmp.Event wait_event_async (
            [CCode (array_length = false, array_null_terminated = true, type = "const gchar* const*")] string[]? names = null,
            Json.Object? data = null,
            int timeout_ms = -1,
            GLib.Cancellable? cancellable = null
        ) throws GLib.Error;
        public Aqmp.Event wait_event_sync (
            [CCode (array_length = false, array_null_terminated = true, type = "const gchar* const*")] string[]? names = null,
            Json.Object? data = null,
            int timeout_ms = -1,
            GLib.Cancellable? cancellable = null
        ) throws GLib.Error;
    }

    // Not a GObject, so it has no properties but for these.
    [Compact]
    public class Greeting {
        [CCode (array_length = false, array_null_terminated = true)]
        public string[] capabilities { [CCode (cname = "(gchar**) aqmp_greeting_get_capabilities")] get; }
        public int major { get; }
        public int micro { get; }
        public int minor { get; }
        public string package { get; }
        public string version_string { get; }
    }

    public sealed class Job : GLib.Object {
        // As aqmp_job_get_type() would be something else.
        public string? type { [CCode (cname = "aqmp_job_get_job_type")] get; }
    }

    public abstract class Protocol : GLib.Object {
        public const size_t NO_MESSAGE;
        // Bindings at run time cannot give it what it needs, so introspection data has nothing of it.
        [NoWrapper]
        public virtual ssize_t frame (
            [CCode (array_length_type = "gsize", type = "const guint8*")] uint8[] data,
            size_t scanned,
            bool at_eof,
            out size_t payload_length
        ) throws GLib.Error;
        [NoWrapper]
        public virtual void session_ended ([CCode (type = "const GError*")] GLib.Error? cause);
    }
}
