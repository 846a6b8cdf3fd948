"""Repositories and images as the pages show them: rows of the database, by their numbers."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import func, select

from ecrsim.core.clock import iso
from ecrsim.core.errors import ServiceError
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.access.tables import repository_policies
from ecrsim.ecr.atrest.manifests import opened_manifest_now
from ecrsim.ecr.images.tables import image_layers, image_manifests, image_references, image_tags, images
from ecrsim.ecr.lifecycle.tables import lifecycle_policies
from ecrsim.ecr.registries.aliases import primary_alias
from ecrsim.ecr.repositories.service import repository_uri
from ecrsim.ecr.repositories.tables import repositories, repository_tags

Row = dict[str, Any]


def repositories_after(runtime: Runtime, after: int, limit: int) -> list[Row]:
    """Of every account and region, in the order in which they were made, with their images counted."""
    page = select(repositories).where(repositories.c.id > after).order_by(repositories.c.id).limit(limit).subquery()
    counted = (
        select(
            page.c.id,
            page.c.repository_name,
            page.c.registry_id.label("account"),
            page.c.region,
            func.count(images.c.id).label("images"),
            func.sum(images.c.image_size_in_bytes).label("size"),
            func.max(images.c.image_pushed_at).label("pushed"),
        )
        .select_from(page.outerjoin(images, images.c.repository_id == page.c.id))
        .group_by(page.c.id, page.c.repository_name, page.c.registry_id, page.c.region)
        .order_by(page.c.id)
    )
    with runtime.database.read() as connection:
        return [dict(row) for row in connection.execute(counted).mappings()]


def repository(runtime: Runtime, number: int) -> Row | None:
    """`name`, `facts` as pairs, and `documents`: its policies, indented."""
    with runtime.database.read() as connection:
        row = connection.execute(select(repositories).where(repositories.c.id == number)).first()
        if row is None:
            return None
        tags = connection.execute(
            select(repository_tags.c.key, repository_tags.c.value).where(repository_tags.c.repository_id == number)
        ).all()
        texts = [
            ("Lifecycle policy", lifecycle_policies.c.lifecycle_policy_text),
            ("Repository policy", repository_policies.c.policy_text),
        ]
        documents = [
            (title, connection.execute(select(text).where(text.table.c.repository_id == number)).scalar())
            for title, text in texts
        ]
        registry = Registry(row.registry_id, row.region, row.kind)
        alias = primary_alias(connection, registry) if registry.kind == "public" else ""
    facts = [
        ("URI", repository_uri(runtime, registry, row.repository_name, alias)),
        ("ARN", registry.arn(row.repository_name)),
        ("created", iso(row.created_at)),
        ("tags of images", _mutability(row)),
        ("scan on push", "yes" if row.scan_on_push else "no"),
        ("encryption", " ".join(filter(None, (row.encryption_type, row.kms_key)))),
        ("resource tags", ", ".join(f"{tag.key}={tag.value}" for tag in tags)),
    ]
    return {
        "name": row.repository_name,
        "facts": [(term, fact) for term, fact in facts if fact],
        "documents": [(title, json.dumps(json.loads(text), indent=2)) for title, text in documents if text],
    }


def _mutability(row: Any) -> str:
    filters = ", ".join(each["filter"] for each in row.image_tag_mutability_exclusion_filters or ())
    return f"{row.image_tag_mutability}: {filters}" if filters else str(row.image_tag_mutability)


def images_before(runtime: Runtime, repository_id: int, before: int, limit: int) -> list[Row]:
    """The newest first, from the one before that number on; 0: from the newest."""
    query = (
        select(
            images.c.id,
            images.c.image_digest.label("digest"),
            images.c.image_size_in_bytes.label("size"),
            images.c.image_pushed_at.label("pushed"),
            images.c.image_status.label("status"),
        )
        .where(images.c.repository_id == repository_id)
        .order_by(images.c.id.desc())
        .limit(limit)
    )
    if before:
        query = query.where(images.c.id < before)
    with runtime.database.read() as connection:
        found = [dict(row) for row in connection.execute(query).mappings()]
        tags: dict[int, list[str]] = {each["id"]: [] for each in found}
        named = select(image_tags.c.image_id, image_tags.c.image_tag).where(image_tags.c.image_id.in_(tags))
        for image_id, tag in connection.execute(named.order_by(image_tags.c.id)):
            tags[image_id].append(tag)
    return [{**each, "tags": tags[each["id"]]} for each in found]


def image(runtime: Runtime, number: int) -> Row | None:
    """`name` of its repository, `repository_id`, `digest`, `facts` as pairs, and `manifest`: the text as it was put."""
    with runtime.database.read() as connection:
        row = connection.execute(
            select(images, repositories.c.repository_name, image_manifests.c.manifest)
            .join(repositories, repositories.c.id == images.c.repository_id)
            .join(image_manifests, image_manifests.c.image_id == images.c.id)
            .where(images.c.id == number)
        ).first()
        if row is None:
            return None
        tags = connection.execute(
            select(image_tags.c.image_tag).where(image_tags.c.image_id == number).order_by(image_tags.c.id)
        ).scalars()
        layers, children = (
            connection.execute(select(func.count()).where(table.c.image_id == number)).scalar()
            for table in (image_layers, image_references)
        )
        facts = [
            ("tags", ", ".join(tags)),
            ("status", row.image_status),
            ("size", f"{row.image_size_in_bytes:,} bytes"),
            ("pushed", iso(row.image_pushed_at)),
            ("last recorded pull", row.last_recorded_pull_time and iso(row.last_recorded_pull_time)),
            ("media type", row.image_manifest_media_type),
            ("artifact type", row.artifact_type or row.artifact_media_type),
            ("subject", row.subject_manifest_digest),
            ("layers and config", layers),
            ("images that it lists", children),
        ]
    with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
        try:
            manifest = opened_manifest_now(call, row.manifest, row.image_digest)
        except ServiceError as error:
            manifest = error.message.encode()
    return {
        "name": row.repository_name,
        "repository_id": row.repository_id,
        "digest": row.image_digest,
        "facts": [(term, fact) for term, fact in facts if fact],
        "manifest": manifest,
    }
