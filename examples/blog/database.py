"""The blog's tables: users, sessions, articles, publications, and the names of stored API keys."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import ForeignKey
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.schema import CreateTable

DEMO_USER = "writer@example.com"


class Base(AsyncAttrs, DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]


class Login(Base):
    __tablename__ = "logins"
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(timezone.utc))
    publications: Mapped[list[Publication]] = relationship()


class Publication(Base):
    __tablename__ = "publications"
    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("articles.id"))
    url: Mapped[str]


class StoredKey(Base):
    """That a key exists, and its last characters; the key itself belongs in a vault."""

    __tablename__ = "stored_keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    service: Mapped[str]
    last_four: Mapped[str]


def hashed(secret: str) -> str:
    """Enough for an example; a real application uses a salt and a slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


@asynccontextmanager
async def opened(url: str, *, demo_password: str) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """The database with its tables and a demo user; several workers may open it at once."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            for table in Base.metadata.sorted_tables:
                await connection.execute(CreateTable(table, if_not_exists=True))
            user = {"email": DEMO_USER, "password_hash": hashed(demo_password)}
            await connection.execute(insert(User).values(user).on_conflict_do_nothing())
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]
