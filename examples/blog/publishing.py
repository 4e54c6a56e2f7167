"""Publishing a saved article to a WordPress site."""

from __future__ import annotations

import logging

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import select

from blogauto_otel import metrics, operation
from examples.blog.accounts import CurrentUser
from examples.blog.database import Article, Publication, Session
from examples.blog.outside import OutsideError, Services

logger = logging.getLogger(__name__)
router = APIRouter()


class PublishWish(BaseModel):
    content_id: int
    site: str = Field(default="blog.example", pattern=r"^[a-z0-9.-]{1,100}$")


class Published(BaseModel):
    url: str


@router.post("/api/wordpress/publish")
async def publish(wish: PublishWish, user: CurrentUser, services: Services, session: Session) -> Published:
    article = await session.get(Article, wish.content_id)
    if article is None or article.user_id != user.id:
        raise HTTPException(404, "no such article")
    try:
        with operation("wordpress.publish"):
            url = await services.publish(article.title, article.body, site=wish.site)
    except OutsideError as error:
        metrics.business.wordpress_posts_published.add(status="failed")
        logger.error("not published: %s", error)
        raise HTTPException(502, "the site did not take the article") from error
    session.add(Publication(article_id=article.id, url=url))
    await session.commit()
    metrics.business.wordpress_posts_published.add(status="success")
    logger.info("published article %d", article.id, extra={"site": wish.site})
    return Published(url=url)


class Links(BaseModel):
    title: str
    urls: list[str]


@router.get("/api/wordpress/published")
async def published(user: CurrentUser, session: Session, limit: int = 20) -> list[Links]:
    articles = await session.scalars(
        select(Article).where(Article.user_id == user.id).order_by(Article.id.desc()).limit(limit)
    )
    # The example's slow page: a statement for each article, where `selectinload(Article.publications)` needs one.
    return [
        Links(title=article.title, urls=[one.url for one in await article.awaitable_attrs.publications])
        for article in articles
    ]
