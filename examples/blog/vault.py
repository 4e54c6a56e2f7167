"""The users' API keys for the AI provider and WordPress."""

from __future__ import annotations

import logging
from typing import Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field, SecretStr
from sqlalchemy import select

from blogauto_otel import metrics
from examples.blog.accounts import CurrentUser
from examples.blog.database import Session, StoredKey
from examples.blog.outside import OutsideError, Services

logger = logging.getLogger(__name__)
router = APIRouter()

Service = Literal["openai", "gemini", "wordpress"]


class NewKey(BaseModel):
    service: Service
    key: SecretStr = Field(min_length=8, max_length=500)


class KnownKey(BaseModel):
    service: str
    last_four: str


@router.post("/api/secure/api-keys", status_code=201)
async def store_key(new: NewKey, user: CurrentUser, services: Services, session: Session) -> KnownKey:
    key = new.key.get_secret_value()
    try:
        valid = await services.key_is_valid(key, service=new.service)
    except OutsideError as error:
        logger.error("key not stored: %s", error)
        raise HTTPException(502, "the service could not check the key") from error
    if not valid:
        raise HTTPException(400, "the service does not know this key")
    session.add(StoredKey(user_id=user.id, service=new.service, last_four=key[-4:]))
    await session.commit()
    metrics.business.api_keys_stored.add(service=new.service)
    logger.info("key stored", extra={"service": new.service})
    return KnownKey(service=new.service, last_four=key[-4:])


@router.get("/api/secure/api-keys")
async def known_keys(user: CurrentUser, session: Session) -> list[KnownKey]:
    keys = await session.scalars(select(StoredKey).where(StoredKey.user_id == user.id).order_by(StoredKey.id))
    return [KnownKey(service=key.service, last_four=key.last_four) for key in keys]
