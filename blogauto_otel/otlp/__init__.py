"""OTLP encoding: the protobuf wire format, attribute values, and spans, log records and metrics."""
