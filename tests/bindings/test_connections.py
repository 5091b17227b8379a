#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Listening, TLS and file descriptors in Python, in their plain introspected form, with a real QEMU."""

import json
import os
import shutil
import socket
import sys
import tempfile
import unittest

from lines import Aqmp, Broken, Gio, GLib, Line, Printed
import tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'qemu'))
import guest  # noqa: E402

CERTIFICATES = os.environ.get('AQMP_TEST_CERTIFICATES')

IO = Gio.io_error_quark()
TLS = Gio.tls_error_quark()


def command(chardev, *more):
    """A QEMU whose monitor is on this chardev; a path in it is relative to the directory that it is started in."""
    return [guest.QEMU, '-M', 'none', '-S', '-display', 'none', *more, '-chardev', f'socket,id=qmp,{chardev}',
            '-mon', 'chardev=qmp,mode=control']


def execute(client, message, fd_list=None):
    call = tap.Await(client.execute_raw_async, json.dumps(message), fd_list, None)
    return json.loads(call.finish(client.execute_raw_finish).get_data())


class TestCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.path = os.path.join(self.directory, 'qmp.sock')

    def start(self, *args):
        """Starts a QEMU in the directory, until the test is over."""
        context = guest.started(command(*args), self.directory, cwd=self.directory)
        self.addCleanup(context.__exit__, None, None, None)
        context.__enter__()

    def assert_fails(self, domain, code, function, *args):
        with self.assertRaises(GLib.Error) as context:
            function(*args)
        self.assertTrue(context.exception.matches(domain, code), repr(context.exception))
        return context.exception

    def end(self, client):
        self.assertTrue(tap.Await(client.disconnect_async, None).finish(client.disconnect_finish))
        self.assertEqual(client.get_runstate(), Aqmp.Runstate.IDLE)

    def assert_works(self, client):
        self.assertEqual(client.get_runstate(), Aqmp.Runstate.RUNNING)
        self.assertEqual(execute(client, {'execute': 'query-status'})['return']['status'], 'prelaunch')
        self.end(client)


class Listening(TestCase):
    @unittest.skipUnless(shutil.which(guest.QEMU), f'no {guest.QEMU}')
    def test_start_server_then_accept(self):
        client = Aqmp.Client(name='vm0')
        told = []
        client.connect('notify::listen-address', lambda client, _: told.append(client.props.listen_address))
        self.assertIsNone(client.props.listen_address)
        started, address = client.start_server(Aqmp.address_parse(self.path))
        self.assertIs(started, True)
        self.assertIsInstance(address, Gio.UnixSocketAddress)
        self.assertEqual(address.get_path(), self.path)
        self.assertEqual(client.get_runstate(), Aqmp.Runstate.CONNECTING)
        self.assertEqual(client.props.listen_address, client.get_listen_address())
        # QEMU is here before anybody accepts it.
        self.start('path=qmp.sock,server=off')
        self.assertIs(tap.Await(client.accept_async, None).finish(client.accept_finish), True)
        self.assertEqual([at and at.get_path() for at in told], [self.path, None])
        self.assertFalse(os.path.exists(self.path))
        self.assert_works(client)

    @unittest.skipUnless(shutil.which(guest.QEMU), f'no {guest.QEMU}')
    def test_start_server_and_accept(self):
        client = Aqmp.Client()
        call = tap.Await(client.start_server_and_accept_async, Aqmp.address_parse('127.0.0.1:0'), None)
        port = client.props.listen_address.get_port()
        self.assertGreater(port, 0)
        self.start(f'host=127.0.0.1,port={port},server=off')
        self.assertIs(call.finish(client.start_server_and_accept_finish), True)
        self.assert_works(client)

    def test_subclass(self):
        protocol = Line()
        _, address = protocol.start_server(Gio.UnixSocketAddress.new(self.path))
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(address.get_path())
            self.assertTrue(tap.Await(protocol.accept_async, None).finish(protocol.accept_finish))
            peer.sendall(b'hello\n')
            protocol.wait_received(1)
        self.assertEqual(protocol.received, [b'hello'])
        protocol.wait_failed()
        self.assert_fails(IO, Gio.IOErrorEnum.CONNECTION_CLOSED, protocol.disconnect_and_wait)

    def test_no_server(self):
        client = Aqmp.Client()
        call = tap.Await(client.accept_async, None)
        error = self.assert_fails(Aqmp.error_quark(), Aqmp.Error.STATE, call.finish, client.accept_finish)
        self.assertIn('no server was started', error.message)

    def test_cancelled(self):
        client, cancellable = Aqmp.Client(), Gio.Cancellable()
        client.start_server(Aqmp.address_parse(self.path))
        call = tap.Await(client.accept_async, cancellable)
        cancellable.cancel()
        self.assert_fails(IO, Gio.IOErrorEnum.CANCELLED, call.finish, client.accept_finish)
        self.assertEqual((client.get_runstate(), client.props.listen_address), (Aqmp.Runstate.IDLE, None))
        self.assertEqual(os.listdir(self.directory), [])

    def test_address_in_use(self):
        first, second = Aqmp.Client(), Aqmp.Client()
        address = Aqmp.address_parse(self.path)
        first.start_server(address)
        self.assert_fails(IO, Gio.IOErrorEnum.ADDRESS_IN_USE, second.start_server, address)
        call = tap.Await(second.start_server_and_accept_async, address, None)
        self.assert_fails(IO, Gio.IOErrorEnum.ADDRESS_IN_USE, call.finish, second.start_server_and_accept_finish)
        self.assertEqual(second.get_runstate(), Aqmp.Runstate.IDLE)
        self.end(first)
        second.start_server(address)
        self.end(second)

    def test_name_of_a_host(self):
        client = Aqmp.Client()
        with self.assertRaises(TypeError):
            client.start_server(Aqmp.address_parse('localhost:4444'))
        self.assertEqual(client.get_runstate(), Aqmp.Runstate.IDLE)


class TlsProperties(unittest.TestCase):
    def test_defaults(self):
        client = Aqmp.Client()
        self.assertEqual([client.props.tls, client.props.tls_certificate, client.props.tls_database, client.props.tls_interaction,
                          client.props.tls_auth_mode, client.props.tls_server_identity, client.props.tls_record_size],
                         [False, None, None, None, Gio.TlsAuthenticationMode.NONE, None, 0])

    def test_set(self):
        interaction, identity = Gio.TlsInteraction(), Gio.NetworkAddress.new('vm.example', 0)
        values = {'tls': True, 'tls_interaction': interaction, 'tls_auth_mode': Gio.TlsAuthenticationMode.REQUIRED,
                  'tls_server_identity': identity, 'tls_record_size': 16384}
        constructed, later = Aqmp.Client(**values), Aqmp.Client()
        notified = []
        later.connect('notify', lambda _, pspec: notified.append(pspec.name.replace('-', '_')))
        for name, value in values.items():
            setattr(later.props, name, value)
            setattr(later.props, name, value)
            with self.subTest(name):
                self.assertEqual(getattr(constructed.props, name), value)
                self.assertEqual(getattr(later, f'get_{name}')(), value)
        self.assertEqual(notified, list(values))
        later.set_tls_interaction(None)
        later.set_tls_server_identity(None)
        self.assertEqual((later.props.tls_interaction, later.props.tls_server_identity), (None, None))

    @unittest.skipUnless(CERTIFICATES, 'no certificates')
    def test_certificate_and_database(self):
        certificate, database = certificate_of('good', 'server'), authority_of('good')
        client = Aqmp.Client(tls_certificate=certificate, tls_database=database)
        self.assertEqual((client.get_tls_certificate(), client.get_tls_database()), (certificate, database))
        client.props.tls_certificate = client.props.tls_database = None
        self.assertEqual((client.get_tls_certificate(), client.get_tls_database()), (None, None))


def pem(directory, name):
    return os.path.join(CERTIFICATES, directory, f'{name}.pem')


def certificate_of(directory, side):
    return Gio.TlsCertificate.new_from_files(pem(directory, f'{side}-cert'), pem(directory, f'{side}-key'))


def authority_of(directory):
    return Gio.TlsFileDatabase.new(pem(directory, 'ca-cert'))


def credentials(endpoint, directory='good'):
    return ['-object', f'tls-creds-x509,id=tls0,dir={os.path.join(CERTIFICATES, directory)},endpoint={endpoint}']


@unittest.skipUnless(CERTIFICATES, 'no certificates')
@unittest.skipUnless(shutil.which(guest.QEMU), f'no {guest.QEMU}')
class Tls(TestCase):
    def accept(self, client, directory='good'):
        """A session with a QEMU that connects with the certificates in the directory, or the error of the attempt."""
        client.props.tls = True
        _, address = client.start_server(Aqmp.address_parse('127.0.0.1:0'))
        self.start(f'host=localhost,port={address.get_port()},server=off,tls-creds=tls0,reconnect=1',
                   *credentials('client', directory))
        return tap.Await(client.accept_async, None).finish(client.accept_finish)

    def connect(self, client):
        """A session with a QEMU that listens, or the error of the attempt."""
        port = guest.free_port()
        self.start(f'host=localhost,port={port},server=on,wait=off,tls-creds=tls0', *credentials('server'))
        return tap.Await(client.connect_async, Aqmp.address_parse(f'localhost:{port}'), None).finish(client.connect_finish)

    def test_connect(self):
        client = Aqmp.Client(tls=True, tls_database=authority_of('good'), tls_certificate=certificate_of('good', 'client'))
        asked = []
        client.connect('accept-certificate', lambda *_: asked.append(1))
        self.assertTrue(self.connect(client))
        self.assertEqual(asked, [])
        self.assertIsInstance(client.props.stream, Gio.TlsConnection)
        self.assert_works(client)

    def test_connect_to_one_that_is_not_trusted(self):
        client = Aqmp.Client(tls=True, tls_database=authority_of('other-ca'))
        error = self.assert_fails(TLS, Gio.TlsError.BAD_CERTIFICATE, self.connect, client)
        self.assertTrue(error.message.startswith('Could not establish the connection'), error.message)
        self.assertEqual(client.get_runstate(), Aqmp.Runstate.IDLE)

    def test_certificate_that_is_known(self):
        known, asked = certificate_of('good', 'server'), []
        client = Aqmp.Client(tls=True, tls_database=authority_of('other-ca'), tls_certificate=certificate_of('good', 'client'))

        def on_accept_certificate(client, certificate, errors):
            asked.append(errors)
            return certificate.is_same(known)

        client.connect('accept-certificate', on_accept_certificate)
        self.assertTrue(self.connect(client))
        self.assertEqual(asked, [Gio.TlsCertificateFlags.UNKNOWN_CA])
        self.assert_works(client)

    def test_first_handler_that_accepts(self):
        client = Aqmp.Client(tls_certificate=certificate_of('good', 'server'), tls_database=authority_of('other-ca'),
                             tls_auth_mode=Gio.TlsAuthenticationMode.REQUIRED)
        asked = []
        client.connect('accept-certificate', lambda *_: asked.append(1))  # appending returns nothing
        client.connect('accept-certificate', lambda *_: not asked.append(2))
        client.connect('accept-certificate', lambda *_: not asked.append(3))
        self.assertTrue(self.accept(client))
        self.assertEqual(asked, [1, 2])
        self.assert_works(client)

    def test_mistake_in_handler(self):
        client = Aqmp.Client(tls_certificate=certificate_of('good', 'server'), tls_database=authority_of('other-ca'),
                             tls_auth_mode=Gio.TlsAuthenticationMode.REQUIRED)

        def broken(*_):
            raise Broken

        client.connect('accept-certificate', broken)
        with Printed() as printed:
            self.assert_fails(TLS, Gio.TlsError.BAD_CERTIFICATE, self.accept, client)
        self.assertEqual(printed.types, [Broken])
        self.assertEqual(client.get_runstate(), Aqmp.Runstate.IDLE)

    def test_accept(self):
        client = Aqmp.Client(tls_certificate=certificate_of('good', 'server'))
        self.assertTrue(self.accept(client))
        self.assert_works(client)

    def test_accept_mutual(self):
        client = Aqmp.Client(tls_certificate=certificate_of('good', 'server'), tls_database=authority_of('good'),
                             tls_auth_mode=Gio.TlsAuthenticationMode.REQUIRED)
        asked = []
        client.connect('accept-certificate', lambda *_: asked.append(1))
        self.assertTrue(self.accept(client))
        self.assertEqual(asked, [])
        self.assert_works(client)

    def test_server_without_certificate(self):
        client = Aqmp.Client(tls=True)
        self.assert_fails(IO, Gio.IOErrorEnum.INVALID_ARGUMENT, client.start_server, Aqmp.address_parse(self.path))
        self.assertEqual((client.get_runstate(), os.path.exists(self.path)), (Aqmp.Runstate.IDLE, False))


@unittest.skipUnless(shutil.which(guest.QEMU), f'no {guest.QEMU}')
class Descriptors(TestCase):
    def session(self, **properties):
        client = Aqmp.Client(**properties)
        client.start_server(Aqmp.address_parse(self.path))
        self.start('path=qmp.sock,server=off')
        tap.Await(client.accept_async, None).finish(client.accept_finish)
        self.addCleanup(self.end, client)
        return client

    def fd_list(self):
        """With one end of a socket pair, whose other end shows when it has been closed everywhere."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        ours.settimeout(tap.BOUND)
        with theirs:
            fds = Gio.UnixFDList()
            fds.append(theirs.fileno())
        return fds, ours

    def test_raw(self):
        client = self.session()
        fds, _ = self.fd_list()
        self.assertEqual(execute(client, {'execute': 'getfd', 'arguments': {'fdname': 'ours'}}, fds)['return'], {})
        # The caller's are the caller's still.
        for fd in fds.steal_fds():
            os.close(fd)
        backend = {'type': 'socket', 'data': {'addr': {'type': 'fd', 'data': {'str': 'ours'}}, 'server': False}}
        reply = execute(client, {'execute': 'chardev-add', 'arguments': {'id': 'new', 'backend': backend}})
        self.assertEqual(reply.get('return'), {}, reply)
        labels = [chardev['label'] for chardev in execute(client, {'execute': 'query-chardev'})['return']]
        self.assertIn('new', labels)

    def test_nothing_is_left_open(self):
        client = self.session()
        fds, ours = self.fd_list()
        execute(client, {'execute': 'getfd', 'arguments': {'fdname': 'ours'}}, fds)
        del fds
        self.assertEqual(execute(client, {'execute': 'closefd', 'arguments': {'fdname': 'ours'}})['return'], {})
        self.assertEqual(ours.recv(1), b'')

    def test_full(self):
        client = self.session()
        fds, _ = self.fd_list()
        call = tap.Await(client.execute_full_async, 'add-fd', Aqmp.arguments_parse('{"fdset-id": 7}'), fds,
                         Aqmp.ExecuteFlags.NONE, -1, None)
        self.assertEqual(call.finish(client.execute_full_finish).get_object().get_int_member('fdset-id'), 7)

    def test_one_that_is_closed(self):
        client = self.session()
        fds = Gio.UnixFDList.new_from_array([2 ** 20 - 1])
        call = tap.Await(client.execute_raw_async, '{"execute": "getfd", "arguments": {"fdname": "a"}}', fds, None)
        self.assert_fails(IO, Gio.IOErrorEnum.INVALID_ARGUMENT, call.finish, client.execute_raw_finish)
        fds.steal_fds()
        self.assertEqual(execute(client, {'execute': 'query-fdsets'})['return'], [])

    def test_over_tcp(self):
        client = Aqmp.Client()
        _, address = client.start_server(Aqmp.address_parse('127.0.0.1:0'))
        self.start(f'host=127.0.0.1,port={address.get_port()},server=off')
        tap.Await(client.accept_async, None).finish(client.accept_finish)
        fds, _ = self.fd_list()
        call = tap.Await(client.execute_raw_async, '{"execute": "query-status"}', fds, None)
        self.assert_fails(IO, Gio.IOErrorEnum.NOT_SUPPORTED, call.finish, client.execute_raw_finish)
        self.assert_works(client)


if __name__ == '__main__':
    tap.main()
