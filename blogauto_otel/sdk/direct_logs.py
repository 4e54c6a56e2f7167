"""Exports log records from their parts, without the SDK's objects, where nothing but our exporter gets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel._guard import swallow
from blogauto_otel.otlp.drop_reasons import UNSERIALISABLE
from blogauto_otel.otlp.signal import LOGS, Signal
from blogauto_otel.sdk import private

if TYPE_CHECKING:
    from blogauto_otel.export.pipeline import Delivery
    from blogauto_otel.otlp.log_records import LogRecordEncoder
    from blogauto_otel.sdk.scopes import Scopes

# Attributes of a record without extras, at most: those that are bound, and where it was logged.
_ROOM: Final = 64


class DirectExport:
    """Where records go without the SDK; switched off, it knows no logger.

    Attributes:
        scopes: by the name of a logger, its encoded scope; only of loggers that are enabled.
        encoder: encodes a record; unset while there are no scopes.
        enqueue: takes the signal, the scope and the encoded record; unset while there are no scopes.
        discards: nobody gets records, so they need not be made.
    """

    __slots__ = ("_delivery", "_encode_scope", "_is_on", "_max_attributes", "discards", "encoder", "enqueue", "scopes")

    _delivery: Delivery
    encoder: LogRecordEncoder
    enqueue: Callable[[Signal, bytes, bytes], bool]

    def __init__(self, max_attributes: int | None = None) -> None:
        self.scopes: dict[str, bytes] = {}
        self._max_attributes = max_attributes
        self._is_on = False
        self.discards = False

    def switch_on(self, encoder: LogRecordEncoder, delivery: Delivery, scopes: Scopes) -> None:
        """Export to this delivery, unless a record may have so few attributes that the SDK has to count them."""
        self.encoder = encoder
        self.enqueue = delivery.enqueue
        self._delivery = delivery
        self._encode_scope = scopes.encoded
        self._is_on = self._max_attributes is None or self._max_attributes >= _ROOM

    def switch_off(self) -> None:
        """Forget the loggers: their records go through the SDK."""
        self._is_on = False
        self.scopes.clear()

    def learn(self, name: str, logger: Any) -> None:
        """Export the records of this logger of ours directly from now on, if it is enabled."""
        scope = private.scope_of_logger(logger) if self._is_on else None
        if scope is not None:
            self.scopes[name] = self._encode_scope(scope)

    def takes(self, attributes: Mapping[str, Any]) -> bool:
        """Whether the SDK would leave these attributes; it drops and counts those above the limit or without a name."""
        return "" not in attributes and (self._max_attributes is None or len(attributes) <= self._max_attributes)

    def export(self, scope: bytes, *parts: Any, **more: Any) -> None:
        """Encode a record (`LogRecordEncoder.encode`) and enqueue it; one that cannot be encoded is counted."""
        try:
            item = self.encoder.encode(*parts, **more)
        except BaseException as error:
            self._delivery.lost(LOGS, UNSERIALISABLE)
            if not swallow("encoding a log record", error):
                raise
            return
        self.enqueue(LOGS, scope, item)
