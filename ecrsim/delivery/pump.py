"""Events to their targets: at least once, in order, for as long as it takes.

Of all processes over a data directory one delivers: who holds the lock on a file, which the kernel frees when that
process dies. In it each target has a thread of its own, which reads the outbox behind its cursor, so a target that does
not answer holds up nobody: no call, and no other target. The cursor moves after what it passes has been delivered, and
is written a moment later; what was delivered in that moment is delivered again after a crash. A failure is written at
once, and so its count goes on after a restart.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import update

from ecrsim.core.db import Held
from ecrsim.core.errors import ServiceError
from ecrsim.core.outbox import newest, oldest, page, prune
from ecrsim.core.runtime import Runtime
from ecrsim.delivery import targets
from ecrsim.delivery.eventbridge import envelope
from ecrsim.delivery.parcels import EventSink, Parcel, Refused, Undelivered
from ecrsim.delivery.reach import Reach
from ecrsim.delivery.sinks import sink_of
from ecrsim.delivery.tables import deliveries
from ecrsim.delivery.targets import Target

log = logging.getLogger("ecrsim.delivery")

#: Seconds after which a change that nobody told of is seen.
POLL = 0.2
#: Seconds between two looks at the outbox, however often it changes; and between two writes of a cursor.
_PAUSE, _SAVE = 0.01, 0.2
#: Seconds before the second attempt, and the most before any.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
#: Events that are read at once, and forgotten at once.
_PAGE, _PRUNED = 100, 2_000
#: Seconds that a delivery under way is given when its thread is to end, and that it may take to fail after that. What
#: takes longer (boto3's calls cannot be cut off) is left to itself, and delivered again later.
_PATIENCE, _GRACE = 2.0, 2.0

MakeSink = Callable[[Target, Reach, str, Callable[[], int]], EventSink]


def pause_after(attempts: int) -> float:
    """Seconds to wait after so many failures of one event: 0.2, 0.4, 0.8, … 30."""
    return min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 16), LONGEST_PAUSE)


class _Route(NamedTuple):
    """A target and what chooses for it; None when it gets everything."""

    target: Target
    patterns: tuple[dict[str, object], ...] | None


class Pump:
    """Delivers the events of a runtime, once `start` was called, whenever no other process does."""

    def __init__(self, runtime: Runtime, make_sink: MakeSink = sink_of) -> None:
        self._runtime = runtime
        self._make_sink = make_sink
        self._lock: Held | None = None
        self._stopping = threading.Event()
        self._prune_at = 0.0
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None
        self._generation: str | None = None
        self._wanted: dict[str, _Route] = {}
        self._couriers: dict[str, _Courier] = {}

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There are new events: look now. Cheap, and for nothing where another process delivers."""
        self._awake.set()

    def stop(self) -> None:
        """Write the cursors and let another process deliver. A delivery under way has two seconds to succeed."""
        self._stopping.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    # --- the thread that looks ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._has_lock():
                    self._look()
                    self._prune()
            except (ServiceError, OSError) as error:
                log.warning("the outbox cannot be read: %s", error)
                self._stopping.wait(5)
            except Exception:
                log.exception("the outbox cannot be read")
                self._stopping.wait(5)
            self._stopping.wait(_PAUSE)
            self._awake.wait(POLL)
            self._awake.clear()
        self._end()

    def _has_lock(self) -> bool:
        if self._lock is not None:
            if self._lock.is_held():
                return True
            self._yield()
        self._lock = self._runtime.database.hold("delivery", wait=False)
        return self._lock is not None

    def _yield(self) -> None:
        """The right was lost with a connection: another process may deliver, whose cursors are not to be moved."""
        log.warning("the right to deliver was lost with the connection to the database")
        self._lock = self._generation = None
        self._wanted = {}
        while self._couriers:
            _, courier = self._couriers.popitem()
            courier.abandon()
            courier.end()

    def _look(self) -> None:
        """Follow a change of the targets, and tell every courier how far the outbox is."""
        with self._runtime.database.read() as connection:
            last = newest(connection)
            generation = targets.generation(connection)
            document = targets.known(connection) if generation != self._generation else None
        if document is not None:
            self._wanted = {target.name: _Route(target, document.patterns(target.name)) for target in document.targets}
            self._generation = generation
        for name, courier in list(self._couriers.items()):
            if self._wanted.get(name) != courier.route:
                courier.end()
            if not courier.is_alive():
                del self._couriers[name]  # one that ended though it was wanted is replaced
        for name, route in self._wanted.items():
            if name not in self._couriers:
                self._couriers[name] = _Courier(self._runtime, route, self._make_sink, self.wake)
            self._couriers[name].notice(last, generation)

    def _prune(self) -> None:
        """Forget old events, some at a time; once there is a tenth more than are to be kept, so that it is seldom."""
        limit = self._runtime.config.events_limit
        with self._runtime.database.read() as connection:
            too_many = newest(connection) - oldest(connection) + 1 > limit + limit // 10
        if too_many and time.monotonic() >= self._prune_at:
            with self._runtime.database.write("delivery") as connection:
                gone = prune(connection, limit, targets.undelivered(connection), _PRUNED)
            # When a target holds them, there is no hurry to look again.
            self._prune_at = time.monotonic() + (0 if gone else POLL * 50)

    def _end(self) -> None:
        for courier in self._couriers.values():
            courier.end()
        deadline = time.monotonic() + _PATIENCE
        for courier in self._couriers.values():
            courier.join(deadline - time.monotonic())
        for courier in self._couriers.values():
            courier.abort()
        deadline = time.monotonic() + _GRACE
        for courier in self._couriers.values():
            courier.join(deadline - time.monotonic())
        late = {name: courier for name, courier in self._couriers.items() if courier.abandon()}
        if late:
            log.warning("the delivery to %s is under way, and will be made again", ", ".join(late))
            # Whoever took over now would deliver beside them.
            threading.Thread(target=self._release, args=(list(late.values()),), name="delivery", daemon=True).start()
        else:
            self._release(())

    def _release(self, late: Sequence[_Courier]) -> None:
        for courier in late:
            courier.join(threading.TIMEOUT_MAX)
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class _Courier:
    """Delivers to one target, in a thread of its own, until told to end."""

    def __init__(self, runtime: Runtime, route: _Route, make_sink: MakeSink, look: Callable[[], None]) -> None:
        self.route = route
        #: Makes the pump look at once whether the route still holds.
        self._look = look
        self._runtime = runtime
        self._make_sink = make_sink
        self._patterns = targets.compiled(route.patterns)
        self._sink: EventSink | None = None
        self._ending = threading.Event()
        self._awake = threading.Event()
        self._is_abandoned = False
        #: The newest event that is known of, and the generation of targets that the route is of.
        self._newest: int | None = None
        self._generation: str | None = None
        #: Everything up to here is done with; and what was written of that.
        self._sequence = self._attempts = 0
        self._error: str | None = None
        self._left_out = 0
        self._left_out_reason: str | None = None
        self._delivered_at: int | None = None
        self._is_saved = True
        self._saved_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"delivery-{route.target.name}", daemon=True)
        self._thread.start()

    # --- for the thread that looks ------------------------------------------------------------------------------------

    def notice(self, sequence: int, generation: str | None) -> None:
        if (sequence, generation) != (self._newest, self._generation):
            self._newest, self._generation = sequence, generation
            self._awake.set()

    def end(self) -> None:
        self._ending.set()
        self._awake.set()

    def abort(self) -> None:
        sink = self._sink
        if sink is not None and self.is_alive():
            sink.abort()

    def abandon(self) -> bool:
        """Let it end when it can, without touching the database, which will be closed. False when it has ended."""
        self._is_abandoned = True
        return self.is_alive()

    def join(self, seconds: float) -> None:
        self._thread.join(max(0.0, seconds))

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    # --- the thread of the target -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                if self._sink is None:
                    self._sink = self._begin()
                elif not self._work(self._sink):
                    self._rest(self._sink)
            except Undelivered as error:
                self._fail(str(error))
            except ServiceError as error:
                log.warning("%s: %s", self.route.target.name, error.message)
                self._ending.wait(1)
            except Exception as error:
                log.exception("%s: delivery failed", self.route.target.name)
                self._fail(f"{type(error).__name__}: {error}")
        if not self._is_abandoned:
            self._save_quietly()
        if self._sink is not None:
            self._sink.close()
        self._look()  # another may begin now

    def _begin(self) -> EventSink | None:
        """Go on where the row of the target says. None, and the end, when there is no row any more."""
        query = deliveries.select().where(deliveries.c.incarnation == self.route.target.incarnation)
        with self._runtime.database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            self._ending.set()
            return None
        self._sequence, self._attempts, self._error = row.sequence, row.attempts, row.error
        self._left_out, self._left_out_reason = row.left_out, row.left_out_reason
        self._delivered_at = row.delivered_at
        runtime = self._runtime
        reach = Reach.of(runtime.config, runtime.data_dir)
        return self._make_sink(self.route.target, reach, runtime.config.region, runtime.clock.unturned)

    def _work(self, sink: EventSink) -> bool:
        """Deliver a page of events. False when there is none.

        Events that come after a change of the targets go by the new targets alone.
        """
        with self._runtime.database.read() as connection:
            is_current = targets.generation(connection) == self._generation
            found = page(connection, self._sequence, _PAGE) if is_current else []
        if not is_current:
            self._look()
        if not found:
            return False
        parcels = []
        for event in found:
            parcel = Parcel(event, envelope(event))
            if self._patterns is None or any(pattern.matches(parcel.envelope) for pattern in self._patterns):
                parcels.append(parcel)
        while parcels and not self._ending.is_set():
            count = sink.take(parcels)
            self._bring(sink, parcels[:count])
            parcels = [parcel for parcel in parcels if parcel.sequence > self._sequence]
        if not parcels:
            self._move(found[-1].sequence)
        return True

    def _bring(self, sink: EventSink, parcels: Sequence[Parcel]) -> None:
        """Deliver these; of one that can never be delivered, remember that."""
        try:
            sink.deliver(parcels)
        except Undelivered as error:
            if error.done:
                self._arrived(parcels[error.done - 1].sequence)
            raise
        except Refused as error:
            event = parcels[0].event
            reason = f"event {event.sequence} ({event.event_id}): {error}"
        else:
            self._arrived(parcels[-1].sequence)
            return
        log.error("%s: left out %s", self.route.target.name, reason)
        self._left_out, self._left_out_reason = self._left_out + 1, reason
        self._attempts, self._error = 0, None
        self._move(event.sequence)

    def _arrived(self, sequence: int) -> None:
        if self._error is not None:
            log.info("%s: delivered after %d failures", self.route.target.name, self._attempts)
        self._attempts, self._error = 0, None
        self._delivered_at = self._runtime.clock.unturned()
        self._move(sequence)

    def _move(self, sequence: int) -> None:
        self._sequence, self._is_saved = sequence, False
        if not self._is_abandoned and time.monotonic() - self._saved_at >= _SAVE:
            self._save()

    def _rest(self, sink: EventSink) -> None:
        """Everything is delivered: write the cursor when that is due, wait for more."""
        due = self._saved_at + _SAVE - time.monotonic()
        if not self._is_saved and due <= 0:
            self._save()
        if self._is_saved:
            sink.rest()
        self._awake.wait(None if self._is_saved else due)
        self._awake.clear()

    def _fail(self, reason: str) -> None:
        if self._ending.is_set():
            return  # perhaps it failed because it was cut off
        self._attempts += 1
        if self._error != reason:
            log.warning("%s: %s; it is tried again", self.route.target.name, reason)
        self._error, self._is_saved = reason, False
        self._save_quietly()
        self._ending.wait(pause_after(self._attempts))

    def _save_quietly(self) -> None:
        """Write the cursor. A failure is repeated later; until then events may come twice."""
        try:
            if not self._is_saved:
                self._save()
        except ServiceError as error:
            log.warning("%s: the cursor was not written: %s", self.route.target.name, error.message)
        except Exception:
            log.exception("%s: the cursor was not written", self.route.target.name)

    def _save(self) -> None:
        statement = (
            update(deliveries)
            .where(deliveries.c.incarnation == self.route.target.incarnation)
            .values(
                sequence=self._sequence,
                attempts=self._attempts,
                error=self._error,
                left_out=self._left_out,
                left_out_reason=self._left_out_reason,
                delivered_at=self._delivered_at,
            )
        )
        with self._runtime.database.write("delivery") as connection:
            found = connection.execute(statement).rowcount
        self._is_saved, self._saved_at = True, time.monotonic()
        if not found:  # the target is gone
            self._ending.set()
