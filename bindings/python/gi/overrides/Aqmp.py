# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""What makes the library at home in Python: "from gi.repository import Aqmp" finds this, and all that is not here as it is in C.

Commands and replies are dictionaries and lists of Python; between it and the library they are JSON text, so that nothing is lost
and no tree is walked. What takes time is an Operation, which is awaited, or waited for.
"""

import asyncio
import collections.abc
import functools
import inspect
import json
import math
import sys
import types
import weakref

from gi.overrides import override
from gi.overrides._aqmp_loop import EventLoop, Operation, Task, current_context, current_loop, loop_of_context, run, spawn
from gi.repository import Gio, GLib, GObject

Aqmp = sys.modules['gi.repository.Aqmp']
__all__ = ['EventLoop', 'ExecuteError', 'Operation', 'StateError', 'Task', 'run', 'spawn']

_ERROR = Aqmp.error_quark()
_EXEC_ERROR = Aqmp.exec_error_quark()


# --- Errors ---


class ExecuteError(GLib.Error):
    """The server's error reply to a command: its class, its description, and all of the reply as a dictionary."""

    _CODES = {'GenericError': Aqmp.ExecError.GENERIC_ERROR, 'CommandNotFound': Aqmp.ExecError.COMMAND_NOT_FOUND,
              'DeviceNotActive': Aqmp.ExecError.DEVICE_NOT_ACTIVE, 'DeviceNotFound': Aqmp.ExecError.DEVICE_NOT_FOUND,
              'KVMMissingCap': Aqmp.ExecError.KVM_MISSING_CAP}

    def __init__(self, error_class, desc, reply):
        code = self._CODES.get(error_class, Aqmp.ExecError.OTHER)
        super().__init__(desc, GLib.quark_to_string(_EXEC_ERROR), int(code))
        self.error_class = error_class
        self.desc = desc
        self.reply = reply

    def __reduce__(self):
        return type(self), (self.error_class, self.desc, self.reply)

    def __str__(self):
        return f'{self.error_class}: {self.desc}'

    def __repr__(self):
        return f'Aqmp.ExecuteError({self.error_class!r}, {self.desc!r})'


class StateError(GLib.Error):
    """Something that cannot be done in the state that the session is in. An error of the library (Aqmp.Error.STATE) that also
    has that state, and the one that is required, where it is a certain one."""

    def __init__(self, message, state, required):
        super().__init__(message, GLib.quark_to_string(_ERROR), int(Aqmp.Error.STATE))
        self.state = state
        self.required = required

    def __reduce__(self):
        return type(self), (self.message, self.state, self.required)

    def __str__(self):
        return self.message

    def __repr__(self):
        required = self.required.value_nick if self.required is not None else None
        return f'Aqmp.StateError({self.message!r}, state={self.state.value_nick}, required={required})'


def _failure(code, message):
    return GLib.Error.new_literal(_ERROR, message, code)


def _with_state(error, protocol, required):
    if isinstance(error, GLib.Error) and error.matches(_ERROR, Aqmp.Error.STATE) and not isinstance(error, StateError):
        return StateError(error.message, protocol.get_runstate() if protocol else Aqmp.Runstate.IDLE, required)
    return error


# --- Operations ---


class Attempt(Operation):
    """An attempt at a session. When it is cancelled it goes on, as a task does, until the protocol is idle: only then can there be
    another."""

    __slots__ = ('_given_up', '_message', '_protocol')

    def __init__(self, protocol, *, loop):
        super().__init__(loop=loop)
        self._given_up, self._message, self._protocol = False, None, protocol

    def cancel(self, msg=None):
        if self.done():
            return False
        self._given_up, self._message = True, msg
        self._cancellable.cancel()
        return True

    def _end_cancelled(self, *_):
        asyncio.Future.cancel(self, self._message)

    def _take_protocol(self):
        """Those who keep the operation need not keep that."""
        protocol, self._protocol = self._protocol, None
        return protocol

    def set_result(self, result):
        protocol = self._take_protocol()
        if self._given_up:          # too late: there is a session that nobody wants
            protocol.disconnect_async(None, self._end_cancelled)
        else:
            super().set_result(result)

    def set_exception(self, exception):
        self._take_protocol()
        if self._given_up:
            self._end_cancelled()
        else:
            super().set_exception(exception)


def _begin(source, name, *args, convert=None, protocol=None, required=None, unwanted=None, operation=None):
    """Begins source.<name>_async(*args), and has it finished. convert() makes the result of it, which is None otherwise; unwanted()
    gets what came after all although it was cancelled."""
    operation = operation or Operation(loop=current_loop())
    operation._what = name.replace('_', '-')
    operation._cancellable = cancellable = Gio.Cancellable()
    finish = getattr(source, f'{name}_finish')

    def on_done(_source, result):
        if operation.done():
            _take_unwanted(finish, result, unwanted)
            return
        try:
            value = finish(result)
            operation.set_result(convert(value) if convert else None)
        except Exception as e:
            operation.set_exception(_with_state(e, protocol, required))

    getattr(source, f'{name}_async')(*args, cancellable, on_done)
    return operation


def _take_unwanted(finish, result, unwanted):
    if unwanted is None:
        return
    try:
        unwanted(finish(result))
    except GLib.Error:
        pass                        # that it was cancelled: its owner knows


# --- Commands and replies as text ---

_encode = json.JSONEncoder(separators=(',', ':'), allow_nan=False).encode
_decode = json.JSONDecoder().raw_decode
_beginnings = {}                    # how the text of a command begins, by key and name: most programs need only a few


def _beginning(key, command):
    if not isinstance(command, str):
        raise TypeError(f'the name of a command is a str, not {type(command).__name__}: {command!r}')
    if len(_beginnings) > 1000:
        _beginnings.clear()
    text = _beginnings[key, command] = f'{{"{key}":{_encode(command)}'
    return text


def _all_arguments(command, arguments, keywords):
    """The dictionary and the keywords in one; in keywords, "-" is "_", and a "_" at the end keeps it from being a word of Python."""
    if arguments is not None and not isinstance(arguments, dict):
        raise TypeError(f'the arguments of {command!r} are a dict, not {type(arguments).__name__}: {arguments!r}')
    merged = dict(arguments or {})
    for keyword, value in keywords.items():
        name = keyword.rstrip('_').replace('_', '-')
        if name in merged:
            raise TypeError(f'the argument {name!r} of {command!r} was given twice')
        merged[name] = value
    return merged


def _as_json(what, value):
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError) as e:
        kind = TypeError if isinstance(e, TypeError) else ValueError
        raise kind(f'{what} cannot be written as JSON: {e}') from e


def _check_integers(what, value):
    """A tree of C has integers of 64 bits with a sign, and doubles for what is beyond."""
    values = [value]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values.extend(value.values())
        elif isinstance(value, (list, tuple)):
            values.extend(value)
        elif isinstance(value, int) and not -2 ** 63 <= value < 2 ** 63:
            raise ValueError(f'{what} cannot have an integer of more than 64 bits with a sign, which would be rounded: {value}')


def _tree(what, value):
    """A Json.Object, for functions that take no text."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise TypeError(f'{what} is a dict, not {type(value).__name__}: {value!r}')
    text = _as_json(what, value)
    _check_integers(what, value)
    return Aqmp.arguments_parse(text)


def _command_text(key, command, arguments, keywords):
    try:
        beginning = _beginnings[key, command]
    except (KeyError, TypeError):
        beginning = _beginning(key, command)
    if keywords or arguments is not None:
        if keywords or not isinstance(arguments, dict):
            arguments = _all_arguments(command, arguments, keywords)
        return f'{beginning},"arguments":{_as_json(f"what {command!r} was given", arguments)}}}'
    return beginning + '}'


def _raw_text(message):
    if isinstance(message, dict):
        return _as_json('the command', message)
    if isinstance(message, (bytes, bytearray)):
        message = message.decode()
    if not isinstance(message, str):
        raise TypeError(f'a command is a str, bytes or a dict, not {type(message).__name__}: {message!r}')
    if '\0' in message:             # which would end it
        raise ValueError('a command is JSON text, which has no NUL in it')
    return message


def _error_of(reply):
    """The exception that is in an error reply."""
    error = reply['error']
    if isinstance(error, dict) and isinstance(error.get('class'), str) and isinstance(error.get('desc'), str):
        return ExecuteError(error['class'], error['desc'], reply)
    return _failure(Aqmp.Error.BAD_REPLY, f'The server sent an error without class and description: {error!r}')


def _value_of(data):
    """What is in the bytes of a reply."""
    try:
        reply, _ = _decode(str(data, 'utf-8'))
    except (ValueError, RecursionError) as e:   # such as an integer of thousands of digits
        raise _failure(Aqmp.Error.BAD_REPLY, f'Python cannot hold the reply: {e}') from e
    if 'error' in reply:
        raise _error_of(reply)
    if 'return' not in reply:
        raise _failure(Aqmp.Error.BAD_REPLY, 'The server sent a reply that is neither a result nor an error')
    return reply['return']


# Those that were not cancelled serve again: making one costs more than all else that a call needs of Python.
_cancellables = []


class Execution(Operation):
    """A command that was sent, or will be. One object and one callback for each, and nothing else."""

    __slots__ = ()

    def on_reply(self, client, result):
        if self.done():             # cancelled
            return
        try:
            value = _value_of(client.execute_raw_finish(result).get_data())
        except Exception as e:
            self.set_exception(_with_state(e, client, Aqmp.Runstate.RUNNING))
        else:
            self.set_result(value)
        if len(_cancellables) < 256:
            _cancellables.append(self._cancellable)


def _execute(client, command, text):
    execution = Execution(loop=current_loop())
    execution._what = command
    execution._cancellable = cancellable = _cancellables.pop() if _cancellables else Gio.Cancellable()
    client.execute_raw_async(text, None, cancellable, execution.on_reply)
    return execution


def _fd(fd):
    if not isinstance(fd, int) and not hasattr(fd, 'fileno'):
        raise TypeError(f'a file descriptor is an int, or has fileno(), unlike {type(fd).__name__}: {fd!r}')
    return fd if isinstance(fd, int) else fd.fileno()


def _fd_list(fds):
    if fds is None or isinstance(fds, Gio.UnixFDList):
        return fds
    if not isinstance(fds, collections.abc.Iterable):
        raise TypeError(f'file descriptors are a list of them, not {type(fds).__name__}: {fds!r}')
    copies = Gio.UnixFDList()
    for fd in fds:
        copies.append(_fd(fd))
    return copies


# --- Virtual functions ---

# Those that can fail. What happens in the others is for signals, and is printed if it is an exception.
_FALLIBLE = ('do_establish_session', 'do_message_received', 'do_filter_inbound', 'do_filter_outbound')


def _told(protocol, name, exception):
    """The exception as the library can hand it on: it would only see that something was raised. It is printed, as all that is
    raised where nobody in Python can catch it."""
    if isinstance(exception, GLib.Error):
        return exception
    sys.excepthook(type(exception), exception, exception.__traceback__)
    said = f': {exception}' if str(exception) else ''
    return _failure(Aqmp.Error.FAILED, f'{name.removeprefix("do_")}() of {type(protocol).__name__} raised '
                    f'{type(exception).__name__}{said}')


def _refuse_awaitable(result):
    """Nobody would await it, and to C it would be true."""
    if not inspect.isawaitable(result):
        return
    if inspect.iscoroutine(result):
        result.close()              # or else Python warns that it was never awaited
    kind = 'a coroutine' if inspect.iscoroutine(result) else f'something to await ({type(result).__name__})'
    raise TypeError(f'it returned {kind}, but messages do not wait: only do_establish_session() can be '
                    'asynchronous, and must be an "async def" itself')


def _fallible(name, function):
    """A virtual function whose exceptions say in C what they say, and that may return bytes for GLib.Bytes."""
    @functools.wraps(function)
    def call(self, argument):
        try:
            result = function(self, argument)
            _refuse_awaitable(result)
        except Exception as e:
            raise _told(self, name, e) from e
        return GLib.Bytes.new(result) if isinstance(result, bytes) else result
    return call


def _loop_here():
    """That of the main context which is the default now, which differs inside a blocking call."""
    context = current_context()
    loop = asyncio._get_running_loop()
    return loop if getattr(loop, 'context', None) == context else loop_of_context(context)


def _establishing(name, function):
    """An asynchronous establish_session()."""
    @functools.wraps(function)
    def call(self, task):
        loop = _loop_here()
        running = Task(function(self, task), loop=loop)
        running.add_done_callback(lambda running: _return(self, name, task, running))
        if task.get_cancellable() is not None:
            # When the attempt is given up, which any thread can do.
            GObject.Object.connect(task.get_cancellable(), 'cancelled', lambda _: loop.call_soon_threadsafe(running.cancel))
        return True
    return call


def _return(protocol, name, task, running):
    if running.cancelled():
        task.return_error(GLib.Error.new_literal(Gio.io_error_quark(), 'Operation was cancelled', Gio.IOErrorEnum.CANCELLED))
    elif running.exception() is not None:
        task.return_error(_told(protocol, name, running.exception()))
    else:
        task.return_boolean(True)


def _chain_up(protocol, cls):
    """An Operation that is what a class in C does to establish a session."""
    operation = Operation(loop=_loop_here())
    operation._what, operation._cancellable = 'establish-session', Gio.Cancellable()

    def on_done(_protocol, task):
        if operation.done():
            return
        try:
            task.propagate_boolean()
            operation.set_result(None)
        except GLib.Error as e:
            operation.set_exception(e)
    cls.do_establish_session(protocol, Gio.Task.new(protocol, operation._cancellable, on_done))
    return operation


_vfuncs = {name: Aqmp.Protocol.__dict__[name] for name in (*_FALLIBLE, 'do_session_ended', 'do_runstate_changed', 'do_event')}


def _chaining(function):
    def chain_up(self, *args):
        # PyGObject 3.42 cannot give None where an error goes; the only such function is session_ended(), and does nothing.
        return None if args == (None,) else function(self, *args)
    return chain_up


def _allow_super(cls):
    """Makes super().do_...(...) work; PyGObject by itself has only Parent.do_...(self, ...). Not in the body of the class, where it
    would be an implementation."""
    for name, vfunc in _vfuncs.items():
        setattr(cls, name, _chaining(vfunc.__get__(None, cls)))     # the implementation that this class has in C


def _implement(cls):
    for name in _FALLIBLE:
        function = cls.__dict__.get(name)
        if not isinstance(function, types.FunctionType):
            continue
        if name == 'do_establish_session' and inspect.iscoroutinefunction(function):
            setattr(cls, name, _establishing(name, function))
        else:
            setattr(cls, name, _fallible(name, function))


# --- Classes ---


def _address(address, kind=Gio.SocketConnectable):
    if isinstance(address, str):
        parsed = Aqmp.address_parse(address)
        if not isinstance(parsed, kind):
            raise ValueError(f'to listen, a path or a numeric address is needed, such as 127.0.0.1:4444, not {address!r}')
        return parsed
    if isinstance(address, kind):
        return address
    raise TypeError(f'an address is a str, such as "/run/vm.sock", or a {kind.__name__}, not {type(address).__name__}: {address!r}')


class Protocol(Aqmp.Protocol):
    """See Aqmp.Protocol in the manual. connect() and disconnect() are those of GObject, for signals."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        _implement(cls)

    def __repr__(self):
        try:
            name, state = self.get_name(), self.get_runstate().value_nick
        except TypeError:           # __init__() has not run
            return super().__repr__()
        return f'<{type(self).__name__}{f" {name!r}" if name is not None else ""} {state} at {id(self):#x}>'

    def _session(self, name, *args, required=Aqmp.Runstate.IDLE, convert=None):
        return _begin(self, name, *args, protocol=self, required=required, convert=convert)

    def _attempt(self, name, *args, required=Aqmp.Runstate.IDLE):
        return _begin(self, name, *args, protocol=self, required=required, operation=Attempt(self, loop=current_loop()))

    def connect_to(self, address):
        """Connects to an address: "/run/vm.sock", "localhost:4444", or a Gio.SocketConnectable."""
        return self._attempt('connect', _address(address))

    def open(self, stream):
        """Begins a session on a Gio.IOStream that is connected."""
        if not isinstance(stream, Gio.IOStream):
            raise TypeError(f'what is opened is a Gio.IOStream, such as a Gio.SocketConnection, not {type(stream).__name__}: '
                            f'{stream!r}; for an address there is connect_to()')
        return self._attempt('open', stream)

    def accept_from(self, address=None):
        """Listens at an address, and accepts the first peer. Without one, that which start_server() was given."""
        if address is None:
            return self._attempt('accept', required=Aqmp.Runstate.CONNECTING)
        return self._attempt('start_server_and_accept', _address(address, Gio.SocketAddress))

    def close(self):
        """Ends the session, or the attempt at one; if the session has failed, the error says why."""
        return self._session('disconnect')

    def flush(self):
        """Finishes when all that was queued is written."""
        return self._session('flush', required=Aqmp.Runstate.RUNNING)

    def wait_runstate(self, known):
        """Finishes when the state is another than this; with the state."""
        return self._session('wait_runstate', known, convert=lambda result: result[1], required=None)

    def read_message(self):
        """The next message, as bytes; while the session is being established."""
        return self._session('read_message', required=Aqmp.Runstate.CONNECTING, convert=lambda message: message.get_data())

    def write_message(self, message):
        """Writes a message; while the session is being established."""
        if not isinstance(message, (bytes, bytearray)):
            raise TypeError(f'a message is bytes, not {type(message).__name__}: {message!r}')
        return self._session('write_message', GLib.Bytes.new(message), required=Aqmp.Runstate.CONNECTING)

    def establish_session(self):
        """What the class in C does, for an asynchronous do_establish_session() that does more than that."""
        return _chain_up(self, Protocol)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.close().wait()
        except GLib.Error:
            if kind is None:        # otherwise what went wrong first is told already
                raise

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, *_):
        try:
            await self.close()
        except GLib.Error:
            if kind is None:
                raise


Protocol = override(Protocol)
_allow_super(Protocol)
__all__.append('Protocol')


def _check_str(what, value):
    if not isinstance(value, str):
        raise TypeError(f'{what} is a str, not {type(value).__name__}: {value!r}')
    return value


def _names(names):
    for name in names:
        _check_str('the name of an event', name)
    return names or None


def _some_names(names):
    """One, or any number of them, for what must not begin if they are wrong."""
    names = (names,) if isinstance(names, str) else tuple(names or ())
    if '' in (_names(names) or ()):
        raise ValueError('an event with an empty name never comes')
    return names


def _milliseconds(timeout):
    """Of seconds; for the library 0 is for ever, and -1 as long as the property says."""
    if timeout is None:
        return -1
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f'a timeout is a number of seconds, or None, not {type(timeout).__name__}: {timeout!r}')
    if timeout != timeout:
        raise ValueError('a timeout is a number of seconds, not NaN')
    return max(1, math.ceil(timeout * 1000)) if timeout < 2 ** 31 / 1000 - 1 else 0


def _check_predicate(where):
    if where is not None and not callable(where):
        raise TypeError(f'"where" is a function that is given an event, not {type(where).__name__}: {where!r}')
    if inspect.iscoroutinefunction(where):
        raise TypeError('"where" cannot be an "async def", as events do not wait')


class Completion(Operation):
    """A command and the event that completes it. What the command says goes first: without it the event would not be there."""

    __slots__ = ('_execution', '_event', '_failure_names')

    def __init__(self, execution, event, failure_names):
        super().__init__(loop=execution.get_loop())
        self._execution, self._event, self._failure_names = execution, event, failure_names
        self._what = f'{execution._what} and event'
        for part in execution, event:
            part.add_done_callback(self._on_done)

    def cancel(self, msg=None):
        if not asyncio.Future.cancel(self, msg):
            return False
        self._execution.cancel()
        self._event.cancel()
        return True

    def _on_done(self, _part):
        errors = [part.exception() for part in (self._execution, self._event) if part.done() and not part.cancelled()]
        if self.done():
            return
        if any(errors):
            self.set_exception(next(filter(None, errors)))
            self._execution.cancel()
            self._event.cancel()
        elif self._execution.done() and self._event.done():
            self._settle(self._event.result())

    def _settle(self, event):
        if event.name in self._failure_names:
            self.set_exception(_failure(Aqmp.Error.EVENT, f'The server reports a failure by the event {event.name}: '
                                        f'{_encode(event.data)[:200]}'))
        else:
            self.set_result((event, self._execution.result()))


class Client(Aqmp.Client):
    """A client of QMP; see Aqmp.Client in the manual."""

    def establish_session(self):
        """Waits for the greeting, and negotiates."""
        return _chain_up(self, Client)

    def execute(self, command, arguments=None, /, **keywords):
        """Executes a command; arguments are a dictionary, or keywords with "_" for "-". The result is what it returns. If the
        server replies with an error, that is raised as an ExecuteError."""
        return _execute(self, command, _command_text('execute', command, arguments, keywords))

    def execute_oob(self, command, arguments=None, /, **keywords):
        """Executes a command out of band, overtaking others."""
        return _execute(self, command, _command_text('exec-oob', command, arguments, keywords))

    def execute_raw(self, message, fds=None):
        """Sends the JSON text of a command, or a dictionary, with file descriptors if any; the result is the bytes of the reply,
        also if that is an error."""
        return _begin(self, 'execute_raw', _raw_text(message), _fd_list(fds), convert=lambda reply: reply.get_data(),
                      protocol=self, required=Aqmp.Runstate.RUNNING)

    def events(self, *names, where=None, max_pending=None):
        """Listens for events, from now on: those with these names, or all, for which where(event) is true. To be iterated over,
        with "async for" or "for", and used as a context manager."""
        _check_predicate(where)
        listener = self.listen(_names(names), (lambda event, *_: bool(where(event))) if where else None)
        listener._client_ref = weakref.ref(self)
        if max_pending is not None:
            listener.set_max_pending(max_pending)
        return listener

    def wait_event(self, *names, data=None, timeout=None):
        """Waits for the next event with one of these names, or any, whose data has what this dictionary has; for so many seconds
        at the most."""
        return _begin(self, 'wait_event', _names(names), _tree('the data', data), _milliseconds(timeout),
                      convert=lambda event: event, protocol=self, required=Aqmp.Runstate.RUNNING)

    def execute_and_wait(self, command, arguments, names, *, failure_names=(), data=None, timeout=None):
        """Executes a command, and waits for the event that completes what it has begun: with one of these names, and data that has
        what this dictionary has; for so many seconds at the most. The result is that event and what the command returns. An event
        with one of the other names is a failure."""
        names, failure_names = _some_names(names), _some_names(failure_names)
        if not names:
            raise ValueError(f'without the name of an event there is nothing that completes {command!r}: use execute()')
        text = _command_text('execute', command, arguments, {})
        event = self.wait_event(*names, *failure_names, data=data, timeout=timeout)
        return Completion(_execute(self, command, text), event, failure_names)

    def job(self, id):
        """The job with this id, whether there is one yet or not. Ask for it before the command that begins it."""
        return Aqmp.Job.new(self, _check_str('the id of a job', id))


Client = override(Client)
_allow_super(Client)
__all__.append('Client')


class Event(Aqmp.Event):
    """An event."""

    name = property(lambda self: self.get_name())
    timestamp = property(lambda self: self.get_timestamp(), doc='Microseconds since the epoch, or -1')

    @functools.cached_property
    def data(self):
        """As a dictionary, or None."""
        return _decode(str(self.to_bytes().get_data(), 'utf-8'))[0].get('data')

    def __repr__(self):
        return f'<Aqmp.Event {self.name} {self.data!r}>'


Event = override(Event)
__all__.append('Event')


class EventListener(Aqmp.EventListener):
    """What events() returns."""

    _client_ref = staticmethod(lambda: None)

    @functools.cached_property
    def _given_back(self):
        """Events that somebody was given who did not wait any more."""
        return collections.deque()

    @staticmethod
    def _given(event):
        operation = Operation(loop=current_loop())
        operation._what, operation._cancellable = 'next', None
        operation.set_result(event)
        return operation

    def next(self):
        """The next event. When there will be none: an error."""
        if self._given_back:
            return self._given(self._given_back.popleft())
        # One that is here is not worth a callback; and the thread that may take it so is the one that runs the session.
        if self.get_n_pending() > 0 and type(asyncio._get_running_loop()) is EventLoop:
            try:
                return self._given(self.next_sync(None))
            except GLib.Error:
                pass                # inside a virtual function, say
        return _begin(self, 'next', convert=lambda event: event, protocol=self._client_ref(),
                      required=Aqmp.Runstate.RUNNING, unwanted=self._given_back.append)

    def _raise_unless_over(self, error):
        """A session that was closed, or a listener that was stopped, is the end of the events; a session that failed, or has never
        begun, is an error."""
        interrupted, state = (error.matches(_ERROR, code) for code in (Aqmp.Error.INTERRUPTED, Aqmp.Error.STATE))
        if not interrupted and not state:
            raise error
        if not self.get_active():
            return
        client = self._client_ref()
        if client is None:          # it comes from listen()
            raise error
        if interrupted and client.get_error() is not None:
            raise client.get_error() from error
        if state and client.get_greeting() is None:
            raise error

    def __aiter__(self):
        return self

    async def __anext__(self):
        operation = self.next()
        try:
            return await operation
        except asyncio.CancelledError:
            # It had come, but the task was cancelled before it could go on.
            if not operation.cancelled() and operation.exception() is None:
                self._given_back.appendleft(operation.result())
            raise
        except GLib.Error as e:
            self._raise_unless_over(e)
        raise StopAsyncIteration

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.next().wait()
        except GLib.Error as e:
            self._raise_unless_over(e)
        raise StopIteration

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.stop()


EventListener = override(EventListener)
__all__.append('EventListener')


class Job(Aqmp.Job):
    """A job of the server; see Aqmp.Job in the manual."""

    id = property(lambda self: self.get_id())
    status = property(lambda self: self.get_status())
    type = property(lambda self: self.get_job_type())
    progress = property(lambda self: self.get_progress(), doc='From 0 to 1')
    error = property(lambda self: self.get_error())

    def _operation(self, name, *args):
        return _begin(self, name, *args, protocol=self.get_client(), required=Aqmp.Runstate.RUNNING)

    def run(self):
        """Takes the job to its end, whatever that needs; if it fails, that is the error."""
        return self._operation('run')

    def wait_status(self, status):
        """Finishes when the job has this status."""
        return self._operation('wait_status', status)

    def refresh(self):
        """Asks the server for what is not told by events."""
        return self._operation('refresh')

    def __repr__(self):
        return f'<Aqmp.Job {self.id!r} {self.status}>'


Job = override(Job)
__all__.append('Job')


class Greeting(Aqmp.Greeting):
    def __repr__(self):
        return f'<Aqmp.Greeting {self.get_version_string()} {self.get_capabilities()}>'


Greeting = override(Greeting)
__all__.append('Greeting')
