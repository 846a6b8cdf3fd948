"""SQLAlchemy's dialect of PostgreSQL with the columns that ecrsim means: numbers of 64 bits, texts by their bytes.

Tables say Integer and String(64), as SQLite takes them: numbers of any size, texts of any length, compared byte by
byte. PostgreSQL would keep 32 bits, refuse the 65th letter, and compare as the language of the database does.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, String
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler, PGTypeCompiler
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.types import TypeDecorator, TypeEngine

DRIVER = "postgresql+ecrsim"


class _Types(PGTypeCompiler):
    def visit_INTEGER(  # noqa: N802 - SQLAlchemy's name
        self, type_: TypeEngine[Any], **_: Any
    ) -> str:
        return "BIGINT"

    def visit_VARCHAR(  # noqa: N802 - SQLAlchemy's name
        self, type_: TypeEngine[Any], **_: Any
    ) -> str:
        return "TEXT"


class _Definitions(PGDDLCompiler):
    def get_column_specification(self, column: Column[Any], **kwargs: Any) -> str:
        found: str = super().get_column_specification(column, **kwargs)  # type: ignore[no-untyped-call]
        type_ = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
        if isinstance(type_, String):
            return found.replace(" TEXT", ' TEXT COLLATE "C"', 1)
        return found.replace(" SERIAL", " BIGSERIAL", 1)


class Dialect(PGDialect_psycopg):
    ddl_compiler = _Definitions
    type_compiler_cls = _Types
    supports_statement_cache = True


registry.register("postgresql.ecrsim", __name__, "Dialect")
