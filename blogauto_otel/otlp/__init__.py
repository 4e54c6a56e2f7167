"""OTLP bytes: the protobuf wire format, attribute values, and the encoder of spans, log records and metrics."""
