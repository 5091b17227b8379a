# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""asyncio on GLib's main loop: an event loop, and futures and tasks that can also be waited for without one.

For each main context there is at most one EventLoop. It runs in one of two ways:

 - It drives: Aqmp.run() runs it, and where a loop of asyncio waits for file descriptors it iterates the main context.
 - It is driven: somebody else iterates the main context (GLib.MainLoop.run(), an application, Operation.wait()). Then it has a
   turn, all that is ready and no waiting, whenever its source is dispatched.
"""

import asyncio
import selectors
import threading
import time
import weakref

from gi.repository import GLib, GObject

try:
    from gi.events import GLibEventLoop  # PyGObject 3.50
except ImportError:
    GLibEventLoop = None

_get_running_loop = asyncio._get_running_loop
_get_thread_default = GLib.MainContext.get_thread_default
_default_context = GLib.MainContext.default()


def current_context():
    return _get_thread_default() or _default_context


def _acquire(context):
    if not context.acquire():
        raise RuntimeError('Another thread runs the main context that is the default of this one: give this thread one of its own '
                           'first, with GLib.MainContext.push_thread_default()')
    return context


# --- The loop ---


class _Selector(selectors.DefaultSelector):
    """What asyncio waits with. The file descriptors that it knows are those of asyncio; to the main context they all are one, that
    of epoll (or kqueue): a single source, whatever asyncio does, that is the timer too."""

    def __init__(self, context):
        super().__init__()
        self.context = context
        # Not that of PyGObject's override, which is one more function of Python for each call that is waited for.
        self.iteration = super(GLib.MainContext, context).iteration
        self.on_driven = None       # what is called when the source was dispatched, and nothing here has iterated the context
        self.drives = False
        self.selecting = False
        self._lock = threading.RLock()      # signal handlers come in between, too
        self._closed = False        # other threads may not have heard
        self._source = None
        self._any_ready = False
        self._wake_at = None        # (nullable) when the source is dispatched at the latest, by the clock of the loop

    def attach(self):
        """Whether that was possible."""
        with self._lock:            # any thread may be the first
            if self._source is None and not self._closed:
                self._source = self._new_source()
            return self._source is not None

    def _new_source(self):
        source = GLib.unix_fd_source_new(self.fileno(), GLib.IOCondition.IN)
        source.set_name('[aqmp] asyncio')
        # It would keep the loop alive from outside Python, where the garbage collector cannot see it.
        dispatched = weakref.WeakMethod(self._on_dispatched)
        GObject.source_set_closure(source, lambda *args: dispatched()(*args) if dispatched() else GLib.SOURCE_REMOVE)
        source.attach(self.context)
        return source

    def wake(self, when=0.0):
        """Has the source dispatched at that time, or before. From any thread."""
        with self._lock:
            if self.attach() and (self._wake_at is None or when < self._wake_at):
                self._wake_at = when
                self._source.set_ready_time(max(0, int(when * 1e6)))
                if self._wake_at < when:    # the handler of a signal
                    self._source.set_ready_time(0)

    def _on_dispatched(self, _fd, condition):
        seen_already = self._any_ready
        if condition:
            self._any_ready = True
        with self._lock:
            self._wake_at = None
            if self._source is not None:
                self._source.set_ready_time(-1)
        if self.on_driven() and not (seen_already and self.drives):
            return GLib.SOURCE_CONTINUE
        # The main context is iterated inside a callback, of asyncio or of GLib, while asyncio cannot go on before that returns. What
        # is ready stays ready, and must not keep that iteration busy.
        with self._lock:
            self._source = None
        return GLib.SOURCE_REMOVE

    def select(self, timeout=None):
        if self.drives:
            self._iterate(timeout)
        if not self._any_ready:
            return ()
        self._any_ready = False
        return super().select(0)

    def _iterate(self, timeout):
        if self._source is None:
            self.attach()
        if timeout is not None and timeout > 0:
            self.wake(time.monotonic() + timeout)
        self.selecting = True
        try:
            self.iteration(timeout is None or timeout > 0)
        finally:
            self.selecting = False

    def close(self):
        with self._lock:
            self._closed = True
            if self._source is not None:
                self._source.destroy()
                self._source = None
        super().close()


class EventLoop(asyncio.SelectorEventLoop):
    """A loop of asyncio that runs GLib's."""

    def __init__(self, context):
        self.context = context
        self._glib = _Selector(context)
        super().__init__(self._glib)
        self._driven = True         # whether it has to ask for a turn; not while it runs, in either way
        itself = weakref.WeakMethod(self._on_driven)
        self._glib.on_driven = lambda: itself()()

    def __repr__(self):
        return f'<Aqmp.EventLoop running={self.is_running()} closed={self.is_closed()}>'

    def __del__(self):
        # Nobody has opened it, so nobody need close it.
        if not self.is_closed() and not self.is_running():
            self.close()

    # --- It drives ---

    def run_forever(self):
        # Held while callbacks run, too: or another thread could take the main context, and what is dispatched there, meanwhile.
        _acquire(self.context)
        self._driven, self._glib.drives = False, True
        try:
            super().run_forever()
        finally:
            self._driven, self._glib.drives = True, False
            self.context.release()
            self._ask_for_turn()

    # --- It is driven ---

    def _on_driven(self):
        """Whether it can go on."""
        if self._driven:
            self._take_turn()
        return self._driven or self._glib.selecting

    def _take_turn(self):
        # A loop on another context may be running around this: one whose callback iterates this one, blocking it.
        outer = _get_running_loop()
        asyncio._set_running_loop(None)
        self._driven = False
        try:
            self.stop()             # at once, that is, after one turn
            super().run_forever()
        finally:
            self._driven = True
            asyncio._set_running_loop(outer)
            self._ask_for_turn()

    def _ask_for_turn(self):
        """As soon as there is something to do."""
        if self.is_closed():
            return
        if self._ready:
            self._glib.wake()
        elif self._scheduled:
            self._glib.wake(self._scheduled[0].when())

    def call_soon(self, callback, *args, context=None):
        handle = super().call_soon(callback, *args, context=context)
        if self._driven:
            self._glib.wake()
        return handle

    def call_at(self, when, callback, *args, context=None):
        handle = super().call_at(when, callback, *args, context=context)
        if self._driven:
            self._glib.wake(when)
        return handle

    def _write_to_self(self):
        # From any thread, or a signal handler.
        self.context.wakeup()
        if self._driven:
            self._glib.wake()

    def _add_reader(self, fd, callback, *args):
        handle = super()._add_reader(fd, callback, *args)
        if self._glib.on_driven:    # not for the pipe of its own, which each has: only from when it is used
            self._glib.attach()
        return handle

    def _add_writer(self, fd, callback, *args):
        handle = super()._add_writer(fd, callback, *args)
        self._glib.attach()
        return handle


# --- Which one ---

_loops = weakref.WeakValueDictionary()
_lock = threading.Lock()
_last = threading.local()           # .loop: keeps that which a thread has used last


def loop_of_context(context=None):
    context = context or current_context()
    loop = getattr(_last, 'loop', None)
    if loop is not None and loop.context == context and not loop.is_closed():
        return loop
    with _lock:
        loop = _loops.get(context)
        if loop is None or loop.is_closed():
            loop = _loops[context] = EventLoop(context)
    _last.loop = loop
    return loop


def _runs_glib(loop):
    """Whether it is one that is known to."""
    return any(cls.__module__.partition('.')[0] in ('gi', 'gbulb', 'asyncio_glib', 'gasyncio') for cls in type(loop).__mro__)


def current_loop():
    """The one that runs, or else that of the thread's main context, which somebody is going to run."""
    loop = _get_running_loop()
    if loop is None:
        return loop_of_context()
    if type(loop) is not EventLoop and not _runs_glib(loop):
        raise RuntimeError(f'The asyncio event loop that runs here ({type(loop).__name__}) does not run the main loop of GLib, so '
                           'nothing would ever come back: start the program with Aqmp.run(main()) instead of asyncio.run(main())')
    return loop


# --- What one waits for ---


class _Waitable:
    """What futures and tasks have in common."""

    __slots__ = ()

    def wait(self, timeout=None):
        """Blocks until there is a result, and returns it, or raises the error. Meanwhile the main context of this thread is
        iterated, unless another thread does that. After a timeout, in seconds, the operation is cancelled, and TimeoutError raised.
        """
        if _get_running_loop() is not None:
            raise RuntimeError('wait() would block the event loop, which has to go on for this to finish: use await')
        loop = self.get_loop()
        if not self.done():
            if not isinstance(loop, EventLoop):
                return loop.run_until_complete(self if timeout is None else asyncio.wait_for(self, timeout))
            if loop.context.acquire():
                try:
                    self._wait_iterating(loop, timeout)
                finally:
                    loop.context.release()
            else:
                self._wait_for_other_thread(loop, timeout)
        _spawned.discard(self)      # the callback that does it may never run now
        return self.result()

    def _wait_iterating(self, loop, timeout):
        iterate = loop._glib.iteration
        timer = loop.call_later(timeout, self._give_up) if timeout is not None else None
        try:
            while not self.done():
                iterate(True)
        except BaseException:       # Ctrl+C, say
            self.cancel()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if timer is not None and self.cancelled() and loop.time() >= timer.when():
            raise TimeoutError(f'{self!r} has taken more than {timeout} s')

    def _give_up(self):
        self.cancel()

    def _wait_for_other_thread(self, loop, timeout):
        finished = threading.Event()
        loop.call_soon_threadsafe(self.add_done_callback, lambda _: finished.set())
        if not finished.wait(timeout):
            loop.call_soon_threadsafe(self.cancel)
            raise TimeoutError(f'{self!r} has taken more than {timeout} s')


class Operation(_Waitable, asyncio.Future):
    """Something that goes on already: await it, wait() for it, or give it a callback. It is a future of asyncio."""

    __slots__ = ('_cancellable', '_what')

    def cancel(self, msg=None):
        if not super().cancel(msg):
            return False
        self._cancellable.cancel()
        return True

    def __repr__(self):
        return f'<Aqmp.Operation {self._what}: {self._describe()}>'

    def _describe(self):
        if not self.done():
            return 'pending'
        if self.cancelled():
            return 'cancelled'
        error = self._exception     # exception() would count as being told
        return f'failed: {error}' if error is not None else 'finished'


class Task(_Waitable, asyncio.Task):
    """A coroutine that runs: a task of asyncio that one can also wait() for."""


# Tasks that run. asyncio itself has weak references only.
_spawned = set()


def _check_coroutine(function, coroutine):
    if not asyncio.iscoroutine(coroutine):
        raise TypeError(f'{function}() takes a coroutine, such as main() if that is an "async def main()", not {coroutine!r}')


def spawn(coroutine, *, name=None):
    """Runs a coroutine in the main loop of GLib that runs, or is going to run, in this thread; returns its task."""
    _check_coroutine('spawn', coroutine)
    try:
        task = Task(coroutine, loop=current_loop(), name=name)
    except BaseException:
        coroutine.close()
        raise
    _spawned.add(task)
    task.add_done_callback(_spawned.discard)
    return task


def _make_loop():
    if GLibEventLoop is not None:
        return GLibEventLoop(current_context())
    return loop_of_context()


def _acquire_context():
    if _get_running_loop() is not None:
        raise RuntimeError('Aqmp.run() is for the start of a program, and cannot be called from a running event loop: use await')
    return _acquire(current_context())


def run(main, *, debug=None):
    """Like asyncio.run(), with a loop that runs GLib's main context as well."""
    _check_coroutine('run', main)
    try:
        context = _acquire_context()
    except RuntimeError:
        main.close()
        raise
    try:
        with asyncio.Runner(debug=debug, loop_factory=_make_loop) as runner:
            return runner.run(main)
    finally:
        context.release()
