"""What the admin surface is asked under a name that it does not know: said, with the nearest, and never left out."""

import json

import pytest


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        ("PUT", "clock", {"mod": "frozen"}, "there is no member mod; the nearest is mode"),
        ("PUT", "clock", {"mode": "frozen", "zone": "UTC"}, "there is no member zone"),
        ("POST", "clock/advance", {"second": 3}, "there is no member second; the nearest is seconds"),
        ("POST", "jobs/run", {"Id": 3}, "there is no member Id; the nearest is id"),
        ("POST", "targets/settle", {"second": 3}, "there is no member second; the nearest is seconds"),
        ("POST", "explain", {"principle": "x"}, "there is no member principle; the nearest is principal"),
        ("PUT", "principals", {"users": [{"nam": "x"}]}, "an entry of users has no member nam; the nearest is name"),
        (
            "PUT",
            "targets",
            {"targets": [{"name": "a", "typ": "file"}]},
            "target a has no member typ; the nearest is type",
        ),
        ("GET", "jobs?stat=DONE", None, "there is no parameter stat; the nearest is state"),
        ("GET", "events?limt=3", None, "there is no parameter limt; the nearest is limit"),
        ("GET", "events/stream?aftr=3", None, "there is no parameter aftr; the nearest is after"),
        ("GET", "audit?principal=x", None, "there is no parameter principal"),
        ("GET", "policy/minimal?principle=x", None, "there is no parameter principle; the nearest is principal"),
        ("GET", "lifecycle/images?xyzzy=app", None, "there is no parameter xyzzy"),
        ("GET", "lifecycle/images?repositry=app", None, "there is no parameter repositry; the nearest is repository"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_name_that_is_not_known_is_refused_with_the_nearest(method, path, body, sentence, ask):
    content = b"" if body is None else json.dumps(body).encode()
    answer = ask(method, f"/_ecrsim/{path}", body=content)
    assert (answer.status, answer.json()) == (400, {"message": sentence})
