"""What is done about scans when nobody asks: new advisories are noticed, what nobody needs is forgotten."""

from __future__ import annotations

from ecrsim.core.household import Stop, at_start, every
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.scanning import keeping, monitoring, planning
from ecrsim.ecr.scanning.examiner import examiner_of

#: Rows that go in one transaction.
_MOST = 1_000


@at_start
def stand_by(runtime: Runtime) -> Stop:
    """The process that examines images goes with this one."""
    return lambda: examiner_of(runtime).stop()


@every(lambda _: 2)
def notice_advisories(runtime: Runtime) -> None:
    """Whoever changed them: `ecrsim advisories import` is another process."""
    monitoring.notice_advisories(runtime)


@every(lambda config: config.gc_interval)
def forget_what_no_scan_needs(runtime: Runtime) -> None:
    with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
        while not runtime.stopping.is_set():
            with call.writing():
                if not planning.forget_unused(call) and keeping.forget_details(call, _MOST) < _MOST:
                    return
