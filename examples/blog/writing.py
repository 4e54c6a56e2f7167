"""Generating and saving articles."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from typing import Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import func, select

from blogauto_otel import metrics, operation
from examples.blog.accounts import CurrentUser
from examples.blog.database import Article, Session
from examples.blog.outside import OutsideError, Services

logger = logging.getLogger(__name__)
router = APIRouter()


class Text(BaseModel):
    text: str = Field(max_length=100_000)


class Keyword(BaseModel):
    word: str
    count: int


_BLOCK = re.compile(r"\[block (\d(?:\.\d+)?)\]")  # a directive for demos, as the simulators have


@router.post("/api/keywords/analyze")
async def analyze_keywords(body: Text) -> list[Keyword]:
    with operation("keywords.analyze"):
        if (directive := _BLOCK.search(body.text)) is not None:
            time.sleep(float(directive[1]))  # noqa: ASYNC251 - blocks the event loop, as a slow computation would
        words = Counter(word for word in re.findall(r"\w+", body.text.lower()) if len(word) > 3)
    metrics.business.keywords_analyzed.add(len(words))
    return [Keyword(word=word, count=count) for word, count in words.most_common(10)]


class TitleWish(BaseModel):
    keyword: str = Field(min_length=1, max_length=200)


@router.post("/api/titles/generate")
async def generate_titles(wish: TitleWish) -> list[str]:
    titles = [f"{start} {wish.keyword}" for start in ("A short guide to", "Five mistakes with", "The truth about")]
    metrics.business.titles_generated.add(len(titles))
    return titles


class ContentWish(BaseModel):
    topic: str = Field(min_length=1, max_length=200)
    provider: Literal["openai", "gemini"] = "openai"


class Draft(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    body: str = Field(max_length=100_000)


@router.post("/api/content/generate")
async def generate_content(wish: ContentWish, user: CurrentUser, services: Services, session: Session) -> Draft:
    written = await session.scalar(select(func.count()).select_from(Article).where(Article.user_id == user.id))
    logger.info("writing article %d", (written or 0) + 1, extra={"provider": wish.provider})
    try:
        with operation("content.generate", provider=wish.provider):
            body = await services.write(wish.topic, provider=wish.provider)
    except OutsideError as error:
        logger.error("no article: %s", error)
        raise HTTPException(502, "the AI provider did not answer") from error
    metrics.business.content_generated.add()
    return Draft(title=wish.topic, body=body)


class Saved(BaseModel):
    content_id: int
    title: str


@router.post("/api/content/saved", status_code=201)
async def save_content(draft: Draft, user: CurrentUser, session: Session) -> Saved:
    article = Article(user_id=user.id, title=draft.title, body=draft.body)
    session.add(article)
    await session.commit()
    logger.info("saved article %d", article.id)
    return Saved(content_id=article.id, title=article.title)


class Page(BaseModel):
    pages: int
    articles: list[Saved]


@router.get("/api/content/saved")
async def saved_content(user: CurrentUser, session: Session, page: int = 0, per_page: int = 20) -> Page:
    mine = select(Article).where(Article.user_id == user.id)
    total = await session.scalar(select(func.count()).select_from(mine.subquery())) or 0
    pages = -(-total // per_page)  # The example's bug: `?per_page=0` is not rejected and causes a 500.
    found = await session.scalars(mine.order_by(Article.id.desc()).offset(page * per_page).limit(per_page))
    return Page(pages=pages, articles=[Saved(content_id=article.id, title=article.title) for article in found])


@router.get("/api/content/saved/{content_id}")
async def one_saved_content(content_id: int, user: CurrentUser, session: Session) -> Draft:
    article = await session.get(Article, content_id)
    if article is None or article.user_id != user.id:
        raise HTTPException(404, "no such article")
    return Draft(title=article.title, body=article.body)
