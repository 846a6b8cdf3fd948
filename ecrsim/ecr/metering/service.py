"""The end of a stay in storage, written down: what an image held in its storage class, and nobody else does.

What an image holds while it is there is told by its rows, and costs no push anything. When it goes, or comes into
another class, the layers that no other image of that class names have been there since it came, until now. One that a
later image names has been there for it since that one came: what lies before is written down.

Of the others the next later and the next earlier one are looked at, in the order of pushes, so that a base layer of a
hundred thousand images costs as much as any. An image that was restored is out of that order, and so a part of its
time may be missing where a layer is shared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    ScalarSelect,
    String,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    union_all,
)

from ecrsim.core.durations import DAY
from ecrsim.core.query import Addition, Change, Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import image_layers, images
from ecrsim.ecr.layers.tables import layers
from ecrsim.ecr.metering.tables import storage_spans
from ecrsim.ecr.repositories.tables import Repository

#: How long the past is kept: a bill goes back for a year at most.
KEPT = 400 * DAY

STANDARD, ARCHIVE = "STANDARD", "ARCHIVE"
_COLUMNS = (
    "kind",
    "registry_id",
    "region",
    "repository_name",
    "storage_class",
    "since",
    "until",
    "size",
    "ended_by",
)
_INSERT = Addition(storage_spans, *_COLUMNS)
_FORGET = Change(delete(storage_spans).where(storage_spans.c.until < bindparam("before")))


class _Layer(NamedTuple):
    """A layer of an image; `since`: of the image's stay.

    `earlier`, `later`: since when another image of the class has held it; the other two: since when one that can be
    pulled has, which takes the layer out of the archive.
    """

    layer_size: int
    since: int
    earlier: int | None
    later: int | None
    earlier_active: int | None
    later_active: int | None


def _since(table: FromClause, storage_class: str) -> ColumnElement[int]:
    """Since when an image of that class has been in it."""
    pushed = table.c.image_pushed_at
    if storage_class == ARCHIVE:
        return func.coalesce(table.c.last_archived_at, pushed)
    activated = func.coalesce(table.c.last_activated_at, pushed)
    return case((activated > pushed, activated), else_=pushed)


def _neighbour(storage_class: str, *, is_later: bool) -> ScalarSelect[int]:
    """Since when the next image of that class that names the layer has held it."""
    other, named = images.alias(), image_layers.alias()
    status = other.c.image_status == "ACTIVE"
    order = named.c.image_id.asc() if is_later else named.c.image_id.desc()
    beyond = named.c.image_id > bindparam("image") if is_later else named.c.image_id < bindparam("image")
    return (
        select(_since(other, storage_class))
        .select_from(named.join(other, other.c.id == named.c.image_id))
        .where(
            named.c.repository_id == image_layers.c.repository_id,
            named.c.layer_digest == image_layers.c.layer_digest,
            beyond,
            status if storage_class == STANDARD else ~status,
        )
        .order_by(order)
        .limit(1)
        .correlate(image_layers)
        .scalar_subquery()
    )


def _of_class(storage_class: str) -> Query[_Layer]:
    return Query(
        select(
            layers.c.layer_size,
            _since(images, storage_class).label("since"),
            _neighbour(storage_class, is_later=False).label("earlier"),
            _neighbour(storage_class, is_later=True).label("later"),
            _neighbour(STANDARD, is_later=False).label("earlier_active"),
            _neighbour(STANDARD, is_later=True).label("later_active"),
        )
        .select_from(image_layers)
        .join(images, images.c.id == image_layers.c.image_id)
        .join(
            layers,
            (layers.c.repository_id == image_layers.c.repository_id)
            & (layers.c.layer_digest == image_layers.c.layer_digest),
        )
        .where(image_layers.c.image_id == bindparam("image")),
        _Layer,
    )


_STATUS = Query(select(images.c.image_status).where(images.c.id == bindparam("image")), str)
_LAYERS = {name: _of_class(name) for name in (STANDARD, ARCHIVE)}


_IS_ACTIVE = images.c.image_status == "ACTIVE"
#: The bytes of each layer of a repository, and since when it has been in each class; None where it is not in it.
_EACH = (
    select(
        func.min(layers.c.layer_size).label("layer_size"),
        func.min(case((_IS_ACTIVE, _since(images, STANDARD)))).label("standard"),
        func.min(case((~_IS_ACTIVE, _since(images, ARCHIVE)))).label("archive"),
    )
    .select_from(image_layers)
    .join(images, images.c.id == image_layers.c.image_id)
    .join(
        layers,
        (layers.c.repository_id == image_layers.c.repository_id)
        & (layers.c.layer_digest == image_layers.c.layer_digest),
    )
    .where(image_layers.c.repository_id == bindparam("repository_id"))
    # By the columns of an index: nothing is sorted.
    .group_by(image_layers.c.repository_id, image_layers.c.layer_digest)
    .cte()
)


def _ends(storage_class: str, since: ColumnElement[int], until: ColumnElement[int], how: ColumnElement[str]) -> Any:
    """What is in the class as rows of `storage_spans`."""
    place = (bindparam(f"of_{name}", type_=String) for name in _COLUMNS[:4])
    each = select(since.label("since"), until.label("until"), _EACH.c.layer_size, how.label("how")).subquery()
    size = func.sum(each.c.layer_size)
    return (
        select(*place, literal_column(f"'{storage_class}'"), each.c.since, each.c.until, size, each.c.how)
        .where(each.c.since < each.c.until)
        .group_by(each.c.since, each.c.until, each.c.how)
        .having(size > 0)
    )


_NOW = bindparam("now", type_=BigInteger)
_GOES: ColumnElement[str] = literal_column("'delete'")
# By one statement: a repository of a hundred thousand images has as many rows, and nobody else writes meanwhile.
_END_ALL = Change(
    insert(storage_spans).from_select(
        list(_COLUMNS),
        union_all(
            _ends(STANDARD, _EACH.c.standard, _NOW, _GOES),
            _ends(
                ARCHIVE,
                _EACH.c.archive,
                func.coalesce(_EACH.c.standard, _NOW),
                case((_EACH.c.standard.is_(None), _GOES), else_=literal_column("''")),
            ),
        ),
    )
)

#: Storage class, since, until, what ended it → bytes.
_Spans = dict[tuple[str, int, int, str], int]


def class_of(call: Call, image_id: int) -> str:
    """The class that an image is in; one that is being restored is in the archive yet."""
    return STANDARD if _STATUS.one(call.connection, image=image_id) == "ACTIVE" else ARCHIVE


def end_stay(call: Call, repository: Repository, image_id: int, storage_class: str, ended_by: str) -> None:
    """Write down what an image held in the class that it leaves. Runs in the write transaction of the change."""
    spans: _Spans = defaultdict(int)
    for size, since, *others in _LAYERS[storage_class].all(call.connection, image=image_id):
        until = min((each for each in others if each is not None), default=None)
        if until is None:
            spans[storage_class, since, call.now, ended_by] += size
        elif until > since:
            spans[storage_class, since, until, ""] += size
    _write(call, repository, spans)


def end_all(call: Call, repository: Repository) -> None:
    """Write down what the repository holds, which is about to go with all of it."""
    place = (repository.kind, repository.registry_id, repository.region, repository.repository_name)
    given = {f"of_{name}": value for name, value in zip(_COLUMNS, place, strict=False)}
    _END_ALL.run(call.connection, repository_id=repository.id, now=call.now, **given)


def _write(call: Call, repository: Repository, spans: _Spans) -> None:
    place = (repository.kind, repository.registry_id, repository.region, repository.repository_name)
    _INSERT.many(call.connection, list(_rows(place, spans)))


def _rows(place: tuple[str, ...], spans: _Spans) -> Iterable[tuple[object, ...]]:
    for (storage_class, since, until, ended_by), size in spans.items():
        if since < until and size:
            yield (*place, storage_class, since, until, size, ended_by)


def forget_spans(call: Call) -> None:
    """Forget what no bill goes back to. In a write transaction."""
    _FORGET.run(call.connection, before=call.now - KEPT)
