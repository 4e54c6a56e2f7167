"""Two simple redactors."""

from __future__ import annotations

from collections.abc import Mapping

SECRET = "s3cret"


class Nothing:
    """Nothing is secret."""

    def text(self, value: str) -> str:
        return value

    def value(self, key: str, value: object) -> object:
        return value


class Word:
    """One word is secret everywhere, and so is every value under `password`."""

    def text(self, value: str) -> str:
        return value.replace(SECRET, "***") if SECRET in value else value

    def value(self, key: str, value: object) -> object:
        if key == "password":
            return "***"
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(key, item) for item in value]
        if isinstance(value, Mapping):
            return {self.text(name): self.value(name, item) for name, item in value.items()}
        return value
