"""The blog's settings, from environment variables."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


def _default_database() -> str:
    return f"sqlite+aiosqlite:///{Path(tempfile.gettempdir()) / 'blogauto-example.db'}"


@dataclass(frozen=True)
class BlogSettings:
    """One field per variable; all have defaults."""

    database_url: str = field(default_factory=_default_database)
    ai_url: str | None = None  # None: a simulated provider is started beside the application
    wordpress_url: str | None = None
    requests_per_minute: int = 60  # per visitor and endpoint
    demo_password: str = "correct horse battery staple"

    @classmethod
    def from_env(cls) -> BlogSettings:
        """Read `BLOG_<FIELD>`, such as `BLOG_DATABASE_URL`."""
        default = cls()
        return cls(
            database_url=os.environ.get("BLOG_DATABASE_URL", default.database_url),
            ai_url=os.environ.get("BLOG_AI_URL"),
            wordpress_url=os.environ.get("BLOG_WORDPRESS_URL"),
            requests_per_minute=int(os.environ.get("BLOG_REQUESTS_PER_MINUTE", default.requests_per_minute)),
            demo_password=os.environ.get("BLOG_DEMO_PASSWORD", default.demo_password),
        )
