"""The OTLP/gRPC receiver, where grpcio is installed."""

from __future__ import annotations

from typing import Any, Final

import grpc
import grpc.aio

from blogauto_otel.errors import BadRequestError
from blogauto_otel.inspector import decoding
from blogauto_otel.inspector.ingest import Ingest

SERVICES: Final = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
}


def build_server(ingest: Ingest, port: int) -> tuple[Any, int]:
    """A server of the running event loop that is not started, and its port.

    Raises:
        OSError: the port is taken.
    """
    options = (("grpc.max_receive_message_length", decoding.MAX_REQUEST), ("grpc.so_reuseport", 0))
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers([_handlers(ingest, signal, service) for signal, service in SERVICES.items()])
    try:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError as error:
        raise OSError(str(error)) from error
    return server, bound


def _handlers(ingest: Ingest, signal: str, service: str) -> Any:
    async def export(body: bytes, context: Any) -> bytes:
        try:
            message = decoding.decode(signal, body, media_type=decoding.PROTOBUF, encoding="")
        except BadRequestError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if not ingest.put(signal, message, len(body)):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the queue is full")
        return decoding.answer(signal, decoding.PROTOBUF)

    return grpc.method_handlers_generic_handler(service, {"Export": grpc.unary_unary_rpc_method_handler(export)})
