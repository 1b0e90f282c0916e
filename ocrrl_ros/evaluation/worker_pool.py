# SPDX-License-Identifier: Apache-2.0
"""
Run independent items on several processes, deterministically per item and clean on Ctrl-C.

Each worker process builds its own worker object once (simulation, renderer, networks) and then
gets one item at a time. Results come back as they finish; an item's result must not depend on
which worker ran it. A worker that dies or raises ends the whole run with its message.
"""
from collections.abc import Callable, Iterable, Iterator
import contextlib
import multiprocessing
from multiprocessing.connection import Connection, wait
import os
import signal
import traceback
from typing import Any

from ocrrl_ros.core.errors import OcrrlError

THREAD_VARIABLES = (
    'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'LP_NUM_THREADS')
"""One thread per worker; LP is Mesa's software renderer."""
STOP_TIMEOUT_S = 5.0


class WorkerError(OcrrlError):
    """A worker process failed."""


@contextlib.contextmanager
def _built(factory: Callable[[Any], Callable[[Any], Any]],
           settings: Any) -> Iterator[Callable[[Any], Any]]:
    """Build the worker and close it at the end, if it can be closed."""
    worker = factory(settings)
    try:
        yield worker
    finally:
        getattr(worker, 'close', lambda: None)()


def _serve(connection: Connection, factory: Callable[[Any], Callable[[Any], Any]],
           settings: Any) -> None:
    """Build the worker, then answer items until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _built(factory, settings) as worker:
            while True:
                connection.send((True, worker(connection.recv())))
    except EOFError:
        return
    except OcrrlError as error:
        connection.send((False, str(error)))
    except Exception:
        connection.send((False, traceback.format_exc(limit=-6)))


class _Worker:
    """One child process and its pipe."""

    def __init__(self, factory: Callable[[Any], Callable[[Any], Any]], settings: Any):
        """Start the process."""
        context = multiprocessing.get_context('spawn')
        self.connection, child_end = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(child_end, factory, settings), daemon=True)
        self.process.start()
        child_end.close()

    def receive(self) -> Any:
        """Return the result of the item last sent, or raise the worker's failure."""
        try:
            good, value = self.connection.recv()
        except (EOFError, ConnectionError) as error:
            self.process.join(STOP_TIMEOUT_S)
            raise WorkerError(
                f'a worker process died (exit code {self.process.exitcode})') from error
        if not good:
            raise WorkerError(value)
        return value

    def stop(self) -> None:
        """End the process, by force if it does not leave by itself."""
        self.connection.close()
        if self.process.is_alive():
            self.process.terminate()
        self.process.join(STOP_TIMEOUT_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def run_items(factory: Callable[[Any], Callable[[Any], Any]], settings: Any,
              items: Iterable[Any], *, workers: int) -> Iterator[Any]:
    """
    Yield the result of every item, in the order in which they finish.

    :param factory: importable function; ``factory(settings)`` returns the function of one item,
        whose ``close`` is called at the end if it has one.
    :param settings: picklable argument of the factory.
    :param items: picklable items.
    :param workers: number of processes; 1 runs in this process.
    """
    pending = list(items)
    if workers <= 1 or len(pending) <= 1:
        if pending:
            with _built(factory, settings) as worker:
                yield from map(worker, pending)
        return
    saved = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, '1'))
    crew: list[_Worker] = []
    try:
        crew += [_Worker(factory, settings) for _ in range(min(workers, len(pending)))]
        yield from _distribute(crew, pending)
    finally:
        for member in crew:
            member.stop()
        _restore_environment(saved)


def _distribute(crew: list[_Worker], items: list[Any]) -> Iterator[Any]:
    """Hand out items in order, one per idle worker."""
    waiting = iter(items)
    busy: dict[Connection, _Worker] = {}

    def feed(member: _Worker) -> None:
        for item in waiting:
            member.connection.send(item)
            busy[member.connection] = member
            return

    for member in crew:
        feed(member)
    while busy:
        for ready in wait(list(busy)):
            member = busy.pop(ready)
            result = member.receive()
            feed(member)
            yield result


def _restore_environment(saved: dict[str, str | None]) -> None:
    """Give environment variables their old values back."""
    for name, value in saved.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
