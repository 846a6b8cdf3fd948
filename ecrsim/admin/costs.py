"""Admin route of costs: what all that is held and was done costs at AWS's prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from ecrsim.admin.arguments import check_query, json_answer, number
from ecrsim.core.runtime import Call, Runtime, root_caller
from ecrsim.cost.document import cost_document
from ecrsim.cost.facts import Facts, Holder, Holding, Past, StorageSpan, Tallied, Window
from ecrsim.cost.page import page
from ecrsim.cost.price_file import PricesError, load_prices, prices_with
from ecrsim.cost.usage import DESTINATIONS, INTERNET
from ecrsim.ecr.images.pulls import write_pulls
from ecrsim.ecr.metering.holdings import everything_held, spans_since
from ecrsim.records import tally

MAX_DAYS = 366


def cost_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("costs", __name__, url_prefix="/_ecrsim")

    @routes.route("/cost", methods=("GET", "POST"))
    def cost() -> Response:
        """The bill of `days` (30), today the last, of all registries or of `account` and `region`; `pullsFrom`.

        `freeTier=true` takes off what new customers have free. A POST has prices in its body, as `--prices` takes them.
        A page where a browser asks.
        """
        check_query("days", "account", "region", "pullsFrom", "freeTier")
        days = number("days", 30)
        if not 1 <= days <= MAX_DAYS:
            raise BadRequest(f"days is from 1 to {MAX_DAYS}")
        pulls_from = request.args.get("pullsFrom", INTERNET)
        if pulls_from not in DESTINATIONS:
            raise BadRequest(f"pullsFrom is one of {', '.join(DESTINATIONS)}")
        free = request.args.get("freeTier", "false")
        if free not in ("true", "false"):
            raise BadRequest("freeTier is true or false")
        try:
            prices = prices_with("the body", request.get_data()) if request.method == "POST" else load_prices()
        except PricesError as error:
            raise BadRequest(str(error)) from None
        if free == "true":
            prices = prices._replace(is_new_customer=True)
        place = request.args.get("account"), request.args.get("region")
        with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
            write_pulls(call)
            tally.write_notes(call)
            with call.reading():
                facts = _facts(call, days, *place)
        name = " ".join(each for each in place if each) or "all registries"
        found = cost_document(facts, prices, pulls_from, kind="ecrsim", name=name)
        answer = _page(found) if _is_browser() else json_answer(found)
        answer.headers["Vary"] = "Accept"
        return answer

    return routes


def _is_browser() -> bool:
    """A client that says nothing, or `*/*`, wants JSON."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def _page(found: Mapping[str, Any]) -> Response:
    answer = Response(page(found), mimetype="text/html")
    answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _facts(call: Call, days: int, account: str | None, region: str | None) -> Facts:
    window = Window.of_days(call.now, days)

    def wanted(holder: Holder) -> bool:
        return account in (None, holder.registry_id) and region in (None, holder.region)

    holdings = [
        Holding(
            Holder(repository.kind, repository.registry_id, repository.region, repository.repository_name),
            repository.created_at,
            repository.encryption_type,
            repository.kms_key,
            is_managed,
            tags,
            policy_text,
            images,
            layers,
            sizes,
            digests,
        )
        for repository, is_managed, tags, policy_text, images, layers, sizes, digests in everything_held(call)
    ]
    past = [Past(Holder(*span[:4]), StorageSpan(*span[4:])) for span in spans_since(call, window.since)]
    tallied = [
        Tallied(
            Holder(row.kind, row.registry_id, row.region, row.repository_name),
            row.day,
            row.measure,
            row.destination,
            row.times,
            row.size,
        )
        for row in tally.since(call, window.since)
    ]
    return Facts(
        window,
        [each for each in holdings if wanted(each.holder)],
        [each for each in past if wanted(each.holder)],
        [each for each in tallied if wanted(each.holder)],
        is_complete=True,
    )
