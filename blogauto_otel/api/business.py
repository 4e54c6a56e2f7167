"""What the blog automation accomplishes: one declaration per metric, `metrics.business` at call sites."""

from __future__ import annotations

from typing import Annotated, Literal

from blogauto_otel.api.instruments import AtMost, counter


@counter("keywords.analyzed", unit="{keyword}", domain="business")
def keywords_analyzed() -> None:
    """Keywords analyzed."""


@counter("titles.generated", unit="{title}", domain="business")
def titles_generated() -> None:
    """Titles generated."""


@counter("content.generated", unit="{content}", domain="business")
def content_generated() -> None:
    """Articles generated."""


@counter("wordpress.posts.published", unit="{post}", domain="business")
def wordpress_posts_published(*, status: Literal["success", "failed"]) -> None:
    """Posts sent to WordPress, by result."""


@counter("api_keys.stored", unit="{key}", domain="business")
def api_keys_stored(*, service: Annotated[str, AtMost(50)]) -> None:
    """API keys stored, by the service they are for: openai, gemini, wordpress and others."""
