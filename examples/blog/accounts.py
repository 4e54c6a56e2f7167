"""Login, and the user of a request."""

from __future__ import annotations

import logging
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from sqlalchemy import select

from blogauto_otel import bind, metrics
from examples.blog.database import Login, Session, User, hashed

logger = logging.getLogger(__name__)
router = APIRouter()


class Credentials(BaseModel):
    email: str
    password: str


class Token(BaseModel):
    token: str


@router.post("/api/auth/login")
async def log_in(credentials: Credentials, session: Session) -> Token:
    user = await session.scalar(select(User).where(User.email == credentials.email))
    if user is None or not secrets.compare_digest(user.password_hash, hashed(credentials.password)):
        metrics.security.security_events.add(type="auth_failure")
        logger.warning("login refused")
        raise HTTPException(401, "wrong email or password")
    token = secrets.token_urlsafe()
    session.add(Login(token_hash=hashed(token), user_id=user.id))
    await session.commit()
    bind(user_id=user.id)
    logger.info("logged in")
    return Token(token=token)


async def _user(
    session: Session, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
) -> User:
    logins = select(User).join(Login, Login.user_id == User.id)
    user = await session.scalar(logins.where(Login.token_hash == hashed(bearer.credentials))) if bearer else None
    if user is None:
        raise HTTPException(401, "log in first")
    # From here on every span, log record and Sentry event of this request has the user id.
    bind(user_id=user.id)
    return user


CurrentUser = Annotated[User, Depends(_user)]
