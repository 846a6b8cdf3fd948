"""What is done about scans when nobody asks: new advisories are noticed, what nobody needs is forgotten."""

from __future__ import annotations

from ecrsim.core.household import Stop, at_reset, at_start, every
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.scanning import examination_input, finding_rows, monitoring
from ecrsim.ecr.scanning.advisories import open_advisories
from ecrsim.ecr.scanning.advisories.book import when_changed
from ecrsim.ecr.scanning.advisories.sharing import share
from ecrsim.ecr.scanning.examiner_process import examiner_of

#: Rows that go in one transaction.
_MOST = 1_000


@at_start
def stand_by(runtime: Runtime) -> Stop:
    """Stop the process that examines images when this one stops."""
    return lambda: examiner_of(runtime).stop()


@at_start
def hear_of_advisories(runtime: Runtime) -> None:
    """Hear at once of changes that this process makes to advisories."""
    when_changed(monitoring.notice_advisories)


@at_reset
def forget_what_was_added(runtime: Runtime) -> None:
    """Forget advisories that a test put, and what was ignored; what was imported stays."""
    open_advisories(runtime).forget()


@every(lambda _: 2)
def notice_advisories(runtime: Runtime) -> None:
    """Notice changed advisories, whoever changed them: `ecrsim advisories import` is another process."""
    share(runtime)
    monitoring.notice_advisories(runtime)


@every(lambda _: 2, alone=False)
def share_advisories(runtime: Runtime) -> None:
    """Have on each node what was published on one."""
    share(runtime)


@every(lambda config: config.gc_interval)
def forget_what_no_scan_needs(runtime: Runtime) -> None:
    with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
        while not runtime.stopping.is_set():
            with call.writing():
                if not examination_input.forget_unused(call) and finding_rows.forget_details(call, _MOST) < _MOST:
                    return
