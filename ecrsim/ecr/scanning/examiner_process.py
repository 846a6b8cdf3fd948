"""Who examines images: a process of its own under `ecrsim serve`, else whoever asks.

The process is started by the first image, works at a low priority, one image at a time, and goes when nobody has
asked for a minute. Reading layers in a thread of a worker would hold up each of its answers for milliseconds.
"""

from __future__ import annotations

import base64
import contextlib
import os
import select
import struct
import subprocess
import sys
import threading
from typing import IO, Any, cast

import orjson

from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.scanning.bringing import brought
from ecrsim.ecr.scanning.examination_messages import Examined, ImageToExamine, LayerAsked, LayerRead
from ecrsim.ecr.scanning.findings import Finding

#: Seconds that one image may take (documented of Inspector's collection of packages: 15 minutes).
LONGEST = 15 * 60
#: Seconds without work after which the process goes.
IDLE = 60
_GLANCE = 0.2
_LENGTH = struct.Struct(">I")


class Examiner:
    """Examines images for one runtime, one at a time."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._memory: Any = None

    def examine(self, asked: ImageToExamine) -> Examined:
        """ServiceUnavailableException when ecrsim is told to stop meanwhile."""
        with brought(self._runtime, asked) as ready:
            return self._examine(ready)

    def _examine(self, asked: ImageToExamine) -> Examined:
        with self._lock:
            if self._runtime.config.jobs != "worker":
                return self._examine_here(asked)
            # One that went because nobody asked is seen when it is asked.
            for _ in range(2):
                answer = self._ask(asked)
                if answer is not None:
                    return answer
        return Examined((), "The image cannot be examined: the process that examines images ended")

    def _examine_here(self, asked: ImageToExamine) -> Examined:
        # Imported here: 100 ms and 4 MB that a start, and a server, do without.
        from ecrsim.ecr.scanning.image_examination import LayerMemory, examine

        self._memory = self._memory or LayerMemory()
        return examine(asked, self._memory)

    def stop(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _ask(self, asked: ImageToExamine) -> Examined | None:
        """None when the process is no more."""
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._process = _started()
        process = self._process
        try:
            send(cast(IO[bytes], process.stdin), asked_to_json(asked))
            content = self._received(cast(IO[bytes], process.stdout))
        except (BrokenPipeError, EOFError):
            self.stop()
            return None
        if content is None:
            self.stop()
            return Examined((), f"The image cannot be examined: it took more than {LONGEST // 60} minutes")
        return examined_from_json(content)

    def _received(self, stream: IO[bytes]) -> Any:
        """What the process answers; None when it takes too long."""
        waited = 0.0
        while not select.select([stream], [], [], _GLANCE)[0]:
            waited += _GLANCE
            if self._runtime.stopping.is_set():
                self.stop()
                raise ServiceUnavailableException("ecrsim is stopping.")
            if waited > LONGEST:
                return None
        return receive(stream)


def examiner_of(runtime: Runtime) -> Examiner:
    """The examiner of this process."""
    found = runtime.memory.get("examiner")
    if not isinstance(found, Examiner):
        found = runtime.memory["examiner"] = Examiner(runtime)
    return found


def _started() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ecrsim.ecr.scanning.examiner_process"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=-1)  # noqa: S603 - nothing of it comes from outside


# --- what goes through the pipes --------------------------------------------------------------------------------------


def send(stream: IO[bytes], value: Any) -> None:
    content = orjson.dumps(value)
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """EOFError when the other side is gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return orjson.loads(content)


def asked_to_json(asked: ImageToExamine) -> Any:
    layers = [[*each[:3], _sent(each.content), each.failure] for each in asked.layers]
    return asked._asdict() | {"layers": layers}


def asked_from_json(value: Any) -> ImageToExamine:
    layers = [LayerAsked(*each)._replace(content=_back(each[3])) for each in value["layers"]]
    return ImageToExamine(**(value | {"layers": layers}))


def examined_to_json(examined: Examined) -> Any:
    kinds = {kind: [[*each[:3], each.detail.decode()] for each in found] for kind, found in examined.findings.items()}
    read = [[each.digest, _sent(each.content), each.failure] for each in examined.read]
    system = None if examined.system is None else list(examined.system)
    return examined._asdict() | {"read": read, "findings": kinds, "system": system}


def examined_from_json(value: Any) -> Examined:
    rows = value["findings"].items()
    kinds = {kind: [Finding(each[0], each[1], each[2], each[3].encode()) for each in found] for kind, found in rows}
    read = [LayerRead(digest, _back(content), failure) for digest, content, failure in value["read"]]
    system = None if value["system"] is None else tuple(value["system"])
    hidden = {kind: [tuple(each) for each in found] for kind, found in value["suppressed"].items()}
    return Examined(**(value | {"read": read, "findings": kinds, "system": system, "suppressed": hidden}))


def _sent(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _back(content: str | None) -> bytes | None:
    return None if content is None else base64.b64decode(content)


# --- the process ------------------------------------------------------------------------------------------------------


def _step_back() -> None:
    """Let whoever answers requests go first: it is woken for each, and must not wait until this process pauses."""
    # No lower: on a machine that is busy with builds and tests it would hardly ever come to its turn.
    os.nice(5)
    if hasattr(os, "SCHED_BATCH"):
        # Where that is not allowed, it only takes its turns as others do.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> None:
    """Examine what comes by standard input, until it ends or nothing comes for a while."""
    # Imported here: 100 ms and 4 MB that the other side of the pipes does without.
    from ecrsim.ecr.scanning.image_examination import LayerMemory, examine

    _step_back()
    memory = LayerMemory()
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while select.select([stdin], [], [], IDLE)[0]:
        try:
            asked = asked_from_json(receive(stdin))
        except EOFError:
            return
        send(stdout, examined_to_json(examine(asked, memory)))


if __name__ == "__main__":
    main()
