"""A second forecast, slow and obvious: every image is put to `plan` at every run, and everything is counted anew."""

from collections import Counter

from ecrsim.ecr.lifecycle.engine import LifecycleImage, plan
from ecrsim.simulator.forecast import RESTORE, Stock
from tests.simulator.building import DAY


def foresee(images, policy, start, days, pushes=(), runs_per_day=1):
    """(day, id, action, rule priority) of each departure in order, and the stock at the end of each day."""
    images = list(images)
    waiting = list(pushes)
    newest = max((image.id for image in images), default=0)
    departures, stocks = [], []

    def take_pushes(until):
        nonlocal images, newest
        while waiting and waiting[0].at <= until:
            push = waiting.pop(0)
            newest += 1
            images = [
                image._replace(image_tags=tuple(tag for tag in image.image_tags if tag not in push.image_tags))
                for image in images
            ]
            images.append(
                LifecycleImage(newest, f"new-{newest}", push.image_tags, push.at, "STANDARD", push.image_size_in_bytes)
            )

    for day in range(1, days + 1):
        for run in range(runs_per_day):
            now = start + (day - 1) * DAY + run * DAY // runs_per_day
            take_pushes(now)
            if now >= start + RESTORE:
                images = [
                    image._replace(storage_class="STANDARD", last_activated_at=start + RESTORE)
                    if image.storage_class is None
                    else image
                    for image in images
                ]
            for image, action, priority in plan(images, policy, now):
                departures.append((day, image.id, action, priority))
                images.remove(image)
                if action == "TRANSITION":
                    images.append(image._replace(storage_class="ARCHIVE", last_archived_at=now))
        take_pushes(start + day * DAY)
        stocks.append(_stock(images))
    return departures, stocks


def _stock(images):
    count: Counter[bool] = Counter()
    size: Counter[bool] = Counter()
    for image in images:
        is_archived = image.storage_class == "ARCHIVE"
        count[is_archived] += 1
        size[is_archived] += image.image_size_in_bytes
    return Stock(count[False], size[False], count[True], size[True])
