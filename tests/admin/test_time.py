"""The clock and the jobs through the admin surface: shown, turned, run; what is wrong is said, and is never a fault."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from ecrsim import Ecrsim
from ecrsim.admin import time
from ecrsim.core import jobs
from ecrsim.core.clock import parse_iso
from ecrsim.core.durations import DAY, HOUR
from ecrsim.testing import build_image, call_application
from tests.core.jobbing import Book, put
from tests.principals import admin
from tests.pushing import create, push

NEW_YEAR = parse_iso("2026-01-01")


@pytest.fixture
def book(monkeypatch):
    book = Book()
    monkeypatch.setitem(jobs._KINDS, "note", jobs.JobKind(book.run, is_long=False))
    return book


@pytest.fixture
def frozen(sim):
    sim.freeze("2026-01-01")
    return sim


def failing(call, job):
    raise ValueError("it cannot be done")


# --- the clock --------------------------------------------------------------------------------------------------------


def test_at_first_the_clock_is_real(sim):
    shown = admin(sim, "GET", "clock").json()
    assert (shown["mode"], shown["offsetSeconds"]) == ("real", 0)
    assert abs(datetime.fromisoformat(shown["now"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_it_is_frozen_at_a_time_and_moved(sim):
    at = {"mode": "frozen", "now": "2026-01-31T12:00:00Z"}
    shown = {"now": "2026-01-31T12:00:00.000Z", "mode": "frozen", "offsetSeconds": None}
    assert admin(sim, "PUT", "clock", at).json() == shown
    assert admin(sim, "GET", "clock").json() == shown
    moved = admin(sim, "PUT", "clock", {"now": "2026-02-01T01:00:00+01:00"}).json()
    assert moved == {**shown, "now": "2026-02-01T00:00:00.000Z"}
    created = sim.client().create_repository(repositoryName="app")["repository"]["createdAt"]
    assert created == datetime(2026, 2, 1, tzinfo=UTC)


def test_it_is_frozen_now(sim):
    assert admin(sim, "PUT", "clock", {"mode": "frozen"}).json()["mode"] == "frozen"
    assert admin(sim, "GET", "clock").json() == admin(sim, "GET", "clock").json()


@pytest.mark.parametrize("body", [{"mode": "offset"}, {"mode": "real"}, {}], ids=str)
def test_from_a_time_it_goes_on(body, sim):
    shown = admin(sim, "PUT", "clock", {**body, "now": "2030-01-01"}).json()
    assert shown["mode"] == "offset"
    assert shown["now"].startswith("2030-01-01T00:0")
    assert admin(sim, "GET", "clock").json()["now"] >= shown["now"]


def test_an_offset_without_a_time_goes_on_from_where_it_stood(frozen):
    shown = admin(frozen, "PUT", "clock", {"mode": "offset"}).json()
    assert shown["mode"] == "offset"
    assert shown["now"].startswith("2026-01-01T00:0")


def test_it_is_given_back_to_the_real_time(frozen):
    shown = admin(frozen, "PUT", "clock", {"mode": "real"}).json()
    assert (shown["mode"], shown["offsetSeconds"]) == ("real", 0)


BAD_CLOCKS = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"real"',
    b"{}",
    b'{"mode": null, "now": null}',
    b'{"mode": "fast"}',
    b'{"mode": ["real"]}',
    b'{"mode": {"real": 1}}',
    b'{"mode": 1}',
    b'{"mode": "real", "speed": 2}',
    b'{"now": 1767225600}',
    b'{"now": true}',
    b'{"now": ""}',
    b'{"now": "noon"}',
    b'{"now": "2026-02-30"}',
    b'{"now": "2026-01-01T25:00:00Z"}',
    b'{"now": "1969-12-31T23:59:59Z"}',
    b'{"now": "9999-12-31T23:59:59Z"}',
    b'{"now": "0001-01-01T00:00:00+23:59"}',
    b'{"now": "9999-12-31T23:59:59-23:59"}',
    b'{"now": "10000-01-01"}',
    b'{"mode": "frozen", "now": ["2026-01-01"]}',
    b'{"mode": "frozen", "now": "\xff"}',
    b'{"now": "2026-01-01\\u0000"}',
    b'{"now": "\\ud800"}',
]


@pytest.mark.parametrize("body", BAD_CLOCKS, ids=repr)
def test_a_clock_that_cannot_be_is_refused_in_words(body, frozen):
    refused = call_application(frozen.app, "PUT", f"{frozen.endpoint_url}/_ecrsim/clock", body=body)
    assert refused.status == 400
    assert len(refused.json()["message"]) > 10
    assert frozen.now == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"mode": "fast"}, "mode is real, frozen or offset"),
        ({"now": "noon"}, "noon is not a time such as 2026-01-31T12:00:00Z"),
        ({"now": "9999-01-01"}, "the clock shows times from 1970 to 9998"),
        ({}, 'the body is {"mode": "real|frozen|offset", "now": ISO 8601}, or one of the two'),
        ({"mod": "frozen"}, "there is no member mod; the nearest is mode"),
    ],
    ids=str,
)
def test_what_is_said(body, words, sim):
    assert admin(sim, "PUT", "clock", body).json() == {"message": words}


def test_the_last_instant_that_can_be_is_no_trouble_to_anybody(sim):
    admin(sim, "PUT", "clock", {"mode": "frozen", "now": "9998-12-31T23:59:59.999Z"})
    assert admin(sim, "GET", "clock").json()["now"] == "9998-12-31T23:59:59.999Z"
    assert sim.client().get_authorization_token()["authorizationData"]
    assert admin(sim, "POST", "clock/advance", {"seconds": 1}).status == 400
    admin(sim, "PUT", "clock", {"mode": "offset", "now": "9998-12-31T23:59:59.999Z"})
    assert admin(sim, "GET", "clock").status == 200


# --- advancing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "now"),
    [
        ({"days": 14}, "2026-01-15T00:00:00.000Z"),
        ({"seconds": 90}, "2026-01-01T00:01:30.000Z"),
        ({"seconds": 0.25}, "2026-01-01T00:00:00.250Z"),
        ({"days": 1, "seconds": 1}, "2026-01-02T00:00:01.000Z"),
        ({"days": 0.5}, "2026-01-01T12:00:00.000Z"),
        ({"seconds": 0}, "2026-01-01T00:00:00.000Z"),
    ],
    ids=str,
)
def test_it_is_advanced(body, now, frozen):
    answer = admin(frozen, "POST", "clock/advance", body).json()
    assert answer == {"now": now, "mode": "frozen", "offsetSeconds": None, "ran": []}


def test_it_answers_with_what_ran(frozen, book):
    book.acts["bad"] = failing
    put(frozen.runtime, "good", NEW_YEAR + HOUR, repository_name="app")
    put(frozen.runtime, "bad", NEW_YEAR + DAY)
    good, bad = admin(frozen, "POST", "clock/advance", {"days": 1}).json()["ran"]
    assert good == {
        "id": good["id"],
        "kind": "note",
        "account": "000000000000",
        "region": "us-east-1",
        "payload": {"repository_name": "app"},
        "at": "2026-01-01T01:00:00.000Z",
        "error": None,
    }
    assert (bad["at"], bad["error"]) == ("2026-01-02T00:00:00.000Z", "ValueError: it cannot be done")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"14",
        b'{"hours": 1}',
        b'{"days": 1, "weeks": 1}',
        b'{"days": "14"}',
        b'{"days": true}',
        b'{"days": null}',
        b'{"days": -1}',
        b'{"days": NaN}',
        b'{"days": Infinity}',
        b'{"days": 1e400}',
        b'{"days": 1e12}',
        b'{"days": 1e11}',
        b'{"seconds": 999999999999}',
        b'{"seconds": 123456789012345678901234567890}',
        b'{"seconds": -0.001}',
    ],
    ids=repr,
)
def test_it_is_not_advanced_by_what_is_no_time(body, frozen):
    refused = call_application(frozen.app, "POST", f"{frozen.endpoint_url}/_ecrsim/clock/advance", body=body)
    assert refused.status == 400
    assert len(refused.json()["message"]) > 10
    assert frozen.now == datetime(2026, 1, 1, tzinfo=UTC)


def test_in_python(frozen, book):
    put(frozen.runtime, "x", NEW_YEAR + HOUR)
    [ran] = frozen.advance(hours=12, seconds=1, milliseconds=1)
    assert (ran.job.key, ran.error) == ("x", None)
    assert frozen.now == datetime(2026, 1, 1, 12, 0, 1, 1000, tzinfo=UTC)
    with pytest.raises(ValueError, match="only goes forward"):
        frozen.advance(days=-1)
    with pytest.raises(ValueError, match="noon is not a time"):
        frozen.freeze("noon")


def test_what_is_due_at_a_time_has_happened_when_the_clock_was_frozen_there(sim, book):
    put(sim.runtime, "x", parse_iso("2029-01-01"))
    sim.freeze("2030-01-01")
    assert book.entries == [("x", "2030-01-01T00:00:00")]


# --- what hangs on it -------------------------------------------------------------------------------------------------


def registry(sim, token, method="GET", path="/v2/app/tags/list"):
    headers = {"Authorization": f"Basic {token}"}
    return call_application(sim.app, method, f"{sim.endpoint_url}{path}", headers)


def test_a_token_is_good_for_twelve_hours(frozen):
    create(frozen.client())
    granted = frozen.client().get_authorization_token()["authorizationData"][0]
    assert granted["expiresAt"] == frozen.now + timedelta(hours=12)
    frozen.advance(hours=11, minutes=59)
    assert registry(frozen, granted["authorizationToken"]).status == 200
    frozen.advance(minutes=1)
    assert registry(frozen, granted["authorizationToken"]).status in (401, 403)


def test_a_signed_url_is_good_for_an_hour(frozen):
    ecr = frozen.client()
    image = build_image(b"layer")
    push(ecr, create(ecr), image)
    [digest] = [digest for digest, data in image.blobs.items() if data == b"layer"]
    url = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest)["downloadUrl"]
    frozen.advance(minutes=59)
    assert call_application(frozen.app, "GET", url).body == b"layer"
    frozen.advance(minutes=1, seconds=1)
    assert call_application(frozen.app, "GET", url).status == 403


def test_an_upload_expires_after_a_day(frozen):
    ecr = frozen.client()
    create(ecr)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    place = registry(frozen, token, "POST", "/v2/app/blobs/uploads/").headers["Location"]
    upload = ecr.initiate_layer_upload(repositoryName="app")["uploadId"]
    part = {"repositoryName": "app", "uploadId": upload, "partFirstByte": 0, "partLastByte": 2, "layerPartBlob": b"abc"}
    frozen.advance(days=1, seconds=1)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    assert registry(frozen, token, "GET", place).status == 404
    with pytest.raises(ecr.exceptions.UploadNotFoundException):
        ecr.upload_layer_part(**part)


# --- reset ------------------------------------------------------------------------------------------------------------


def test_a_reset_turns_the_clock_back_and_forgets_jobs(frozen, book):
    put(frozen.runtime, "x", NEW_YEAR + DAY)
    assert admin(frozen, "POST", "reset").status == 200
    assert admin(frozen, "GET", "clock").json()["mode"] == "real"
    assert admin(frozen, "GET", "jobs").json()["jobs"] == []
    frozen.freeze("2040-01-01")
    assert book.entries == []


def test_a_reset_turns_the_clock_back_to_its_setting():
    with Ecrsim(socket=False, clock="frozen@2026-01-01") as sim:
        sim.advance(days=3)
        assert admin(sim, "PUT", "clock", {"mode": "real"}).json()["mode"] == "real"
        sim.reset()
        assert sim.now == datetime(2026, 1, 1, tzinfo=UTC)
        assert admin(sim, "GET", "clock").json()["mode"] == "frozen"


# --- jobs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def manual(book):
    with Ecrsim(socket=False, jobs="manual", clock="frozen@2026-01-01") as sim:
        yield sim


def test_jobs_are_shown_as_they_are(manual, book):
    put(manual.runtime, "x", NEW_YEAR + HOUR, repository_name="app")
    shown = admin(manual, "GET", "jobs").json()
    job = {
        "id": shown["next"],
        "kind": "note",
        "key": "x",
        "account": "000000000000",
        "region": "us-east-1",
        "payload": {"repository_name": "app"},
        "runAt": "2026-01-01T01:00:00.000Z",
        "state": "PENDING",
        "attempts": 0,
        "error": None,
        "ranAt": None,
    }
    assert shown == {"jobs": [job], "counts": {"PENDING": 1, "DONE": 0, "FAILED": 0}, "next": job["id"]}
    manual.advance(days=1)
    [done] = admin(manual, "GET", "jobs?state=DONE").json()["jobs"]
    assert done == {**job, "state": "DONE", "ranAt": "2026-01-01T01:00:00.000Z"}


def test_jobs_come_in_pages(manual):
    for number in range(5):
        put(manual.runtime, str(number), NEW_YEAR)
    first = admin(manual, "GET", "jobs?limit=3").json()
    second = admin(manual, "GET", f"jobs?limit=3&after={first['next']}").json()
    third = admin(manual, "GET", f"jobs?after={second['next']}").json()
    assert [job["key"] for job in first["jobs"] + second["jobs"] + third["jobs"]] == list("01234")
    assert third["next"] == second["next"]


@pytest.mark.parametrize("query", ["state=pending", "state=", "after=x", "after=-1", "limit=1e3", "after=" + "9" * 19])
def test_a_page_that_cannot_be(query, sim):
    assert admin(sim, "GET", f"jobs?{query}").status == 400


def test_nothing_runs_by_itself_in_mode_manual(manual, book):
    put(manual.runtime, "x", NEW_YEAR)
    manual.client().describe_repositories()
    admin(manual, "GET", "jobs")
    assert book.entries == []
    [ran] = admin(manual, "POST", "jobs/run").json()["ran"]
    assert (ran["kind"], ran["error"], book.keys) == ("note", None, ["x"])
    assert admin(manual, "POST", "jobs/run").json() == {"ran": [], "left": 0}


def test_who_asks_for_more_than_a_turn_is_told_what_is_left(manual, book, monkeypatch):
    """An answer that comes in time, also where clients make more work than is done."""
    monkeypatch.setattr(time, "_TURN", -1)
    for number in range(3):
        put(manual.runtime, str(number), NEW_YEAR)
    assert admin(manual, "POST", "jobs/run").json() == {"ran": [], "left": 3}
    monkeypatch.undo()
    assert book.keys == []


def test_in_mode_settle_what_is_due_has_run_when_the_answer_leaves(frozen, book):
    put(frozen.runtime, "x", NEW_YEAR)
    assert admin(frozen, "GET", "health").status == 200
    put(frozen.runtime, "y", NEW_YEAR)
    frozen.client().describe_repositories()
    put(frozen.runtime, "z", NEW_YEAR)
    call_application(frozen.app, "GET", f"{frozen.endpoint_url}/v2/")
    assert book.keys == ["x", "y", "z"]


def test_in_mode_settle_an_answer_tells_of_what_became_due_before_it(frozen, book):
    """As when real time has passed: what was due is done before the question is answered."""
    put(frozen.runtime, "x", NEW_YEAR)
    [job] = admin(frozen, "GET", "jobs").json()["jobs"]
    assert job["state"] == "DONE"


def test_a_failed_job_is_seen_with_its_error_and_can_be_run_again(manual, book):
    book.acts["bad"] = failing
    put(manual.runtime, "bad", NEW_YEAR)
    manual.advance(days=1)
    shown = admin(manual, "GET", "jobs?state=FAILED").json()
    [job] = shown["jobs"]
    assert (job["attempts"], job["error"]) == (5, "ValueError: it cannot be done")
    assert shown["counts"]["FAILED"] == 1
    del book.acts["bad"]
    [ran] = admin(manual, "POST", "jobs/run", {"id": job["id"]}).json()["ran"]
    assert (ran["id"], ran["error"]) == (job["id"], None)
    assert admin(manual, "GET", "jobs").json()["counts"] == {"PENDING": 0, "DONE": 1, "FAILED": 0}


def test_a_job_that_waits_can_be_run_before_its_time(manual, book):
    put(manual.runtime, "x", NEW_YEAR + DAY)
    [job] = admin(manual, "GET", "jobs").json()["jobs"]
    assert len(admin(manual, "POST", "jobs/run", {"id": job["id"]}).json()["ran"]) == 1
    assert book.entries == [("x", "2026-01-01T00:00:00")]


@pytest.mark.parametrize("number", [0, -1, 1, 1.0, True, None, "1", [1], 2**63, 2**64 - 1, 10**30], ids=repr)
def test_a_job_that_is_none_is_not_found(number, manual):
    body = json.dumps({"id": number}).encode()
    refused = call_application(manual.app, "POST", f"{manual.endpoint_url}/_ecrsim/jobs/run", body=body)
    assert refused.status == 404
    assert "waits or has failed" in refused.json()["message"]


@pytest.mark.parametrize("body", [b"[]", b"{", b"1"], ids=repr)
def test_a_body_that_is_no_object_is_refused(body, manual):
    assert call_application(manual.app, "POST", f"{manual.endpoint_url}/_ecrsim/jobs/run", body=body).status == 400
