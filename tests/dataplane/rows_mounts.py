"""The wire table, mounts: a layer that another repository of the registry has, without its bytes.

A mount that cannot be is an ordinary upload, never an error (OCI end-11). ECR mounts where the account setting
BLOB_MOUNTING is enabled, and it is not from the beginning (documented).
"""

from __future__ import annotations

import json

from tests.dataplane.rows_uploads import BLOB, NOT_THERE, OPENED, START, THERE
from tests.dataplane.wire import LAYER, World, ask, row


def in_other(world: World) -> None:
    """The layer is in the repository `other`, and mounting is switched on."""
    world.repository("other")
    world.layer(LAYER, "other")
    world.mounting()


def in_other_encrypted(world: World) -> None:
    world.repository("other", encryptionConfiguration={"encryptionType": "KMS"})
    world.layer(LAYER, "other")
    world.mounting()


def both_with_one_key(world: World) -> None:
    """`app` and `other` are encrypted with the same key, which nobody named."""
    world.api("DeleteRepository", repositoryName="app", force=True)
    world.repository("app", encryptionConfiguration={"encryptionType": "KMS"})
    in_other_encrypted(world)


def each_with_its_key(world: World) -> None:
    wanted = {"account": world.account, "region": world.region, "alias": "alias/mounts"}
    answer = world.send("POST", "http://localhost/_ecrsim/keys", {}, json.dumps(wanted).encode())
    assert answer.status == 200, answer.body
    world.api("DeleteRepository", repositoryName="app", force=True)
    world.repository("app", encryptionConfiguration={"encryptionType": "KMS", "kmsKey": "alias/mounts"})
    in_other_encrypted(world)


def in_other_without_mounting(world: World) -> None:
    world.repository("other")
    world.layer(LAYER, "other")


ROWS = (
    row(
        "a mount",
        "OCI end-11",
        ask(f"{START}?mount={{layer}}&from=other", 201, b"", headers=BLOB),
        THERE,
        given=in_other,
    ),
    row(
        "a mount in docker's order, percent-encoded",
        "docker",
        ask(f"{START}?from=other&mount={{encoded}}", 201, headers=BLOB),
        given=lambda world: (in_other(world), world.values.update(encoded=world.values["layer"].replace(":", "%3A"))),
    ),
    row(
        "a mount of what is there already",
        "OCI end-11",
        ask(f"{START}?mount={{layer}}&from=app", 201, headers=BLOB),
        given=lambda world: (world.layer(), world.mounting()),
    ),
    row(
        "an anonymous mount",
        "conformance mount anonymous",
        ask(f"{START}?mount={{layer}}", 201, headers=BLOB),
        THERE,
        given=in_other,
    ),
    row(
        "a mount while mounting is off",
        "ECR documented",
        ask(f"{START}?mount={{layer}}&from=other", 202, headers=OPENED),
        NOT_THERE,
        given=in_other_without_mounting,
    ),
    row(
        "an anonymous mount while mounting is off",
        "ECR documented",
        ask(f"{START}?mount={{layer}}", 202, headers=OPENED),
        given=in_other_without_mounting,
    ),
    row(
        "mounting may be on from the beginning",
        "blob_mounting",
        ask(f"{START}?mount={{layer}}&from=other", 201, headers=BLOB),
        given=in_other_without_mounting,
        blob_mounting=True,
    ),
    row(
        "a mount of what nobody has",
        "conformance mount missing",
        ask(f"{START}?mount={{nowhere}}&from=other", 202, headers=OPENED),
        given=in_other,
    ),
    row(
        "an anonymous mount of what nobody has",
        "conformance mount missing",
        ask(f"{START}?mount={{nowhere}}", 202, headers=OPENED),
        given=in_other,
    ),
    row(
        "a mount from a repository that is missing",
        "OCI end-11",
        ask(f"{START}?mount={{layer}}&from=none", 202, headers=OPENED),
        given=in_other,
    ),
    row(
        "a mount from a repository without the layer",
        "OCI end-11",
        ask(f"{START}?mount={{other}}&from=other", 202, headers=OPENED),
        given=in_other,
    ),
    row(
        "a mount from a name that is none",
        "OCI end-11",
        ask(f"{START}?mount={{layer}}&from=NOT%20A%20NAME", 202, headers=OPENED),
        given=in_other,
    ),
    row(
        "a mount of no digest",
        "OCI end-11",
        ask(f"{START}?mount=sha256:short&from=other", 202, headers=OPENED),
        given=in_other,
    ),
    row(
        "a mount between two encryptions",
        "ECR documented",
        ask(f"{START}?mount={{layer}}&from=other", 202, headers=OPENED),
        given=in_other_encrypted,
    ),
    row(
        "a mount between two repositories with the same key",
        "ECR documented",
        ask(f"{START}?mount={{layer}}&from=other", 201, headers=BLOB),
        THERE,
        given=both_with_one_key,
    ),
    row(
        "a mount between two keys",
        "ECR documented",
        ask(f"{START}?mount={{layer}}&from=other", 202, headers=OPENED),
        NOT_THERE,
        given=each_with_its_key,
    ),
    row(
        "an anonymous mount between two keys",
        "ECR documented",
        ask(f"{START}?mount={{layer}}", 202, headers=OPENED),
        NOT_THERE,
        given=each_with_its_key,
    ),
    row(
        "a mount into a repository that is missing",
        "OCI end-11",
        ask("POST /v2/none/blobs/uploads/?mount={layer}&from=other", 404, "NAME_UNKNOWN"),
        given=in_other,
    ),
    row(
        "a mount with names that carry their scope",
        "path prefix",
        ask(
            "POST /v2/{account}/{region}/app/blobs/uploads/?mount={layer}&from={account}/{region}/other",
            201,
            headers={"Location": "/v2/{account}/{region}/app/blobs/{layer}"},
        ),
        given=in_other,
    ),
    row(
        "a session that a mount became",
        "OCI end-11",
        ask(f"{START}?mount={{nowhere}}", 202, keep={"upload": "Location"}),
        ask("PUT {upload}?digest={layer}", 201, headers=BLOB, body=LAYER),
        given=in_other,
    ),
)
