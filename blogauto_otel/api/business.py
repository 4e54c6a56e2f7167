"""The business metrics of the blog automation: one declaration each, `metrics.business` at call sites."""

from __future__ import annotations

from typing import Annotated, Literal

from blogauto_otel.api.declarations import AtMost, counter


@counter("keywords.analyzed", unit="{keyword}", domain="business")
def keywords_analyzed() -> None:
    """Analyzed keywords."""


@counter("titles.generated", unit="{title}", domain="business")
def titles_generated() -> None:
    """Generated titles."""


@counter("content.generated", unit="{content}", domain="business")
def content_generated() -> None:
    """Generated articles."""


@counter("wordpress.posts.published", unit="{post}", domain="business")
def wordpress_posts_published(*, status: Literal["success", "failed"]) -> None:
    """Posts sent to WordPress, by status."""


@counter("api_keys.stored", unit="{key}", domain="business")
def api_keys_stored(*, service: Annotated[str, AtMost(50)]) -> None:
    """Stored API keys, by service: openai, gemini, wordpress and others."""
