"""The tables of the store, and their version."""

from __future__ import annotations

from typing import Final

VERSION: Final = 2  # of the tables; a kept file of another version is not read

# A trace, a resource and a statement are one row each; their rows elsewhere hold an integer. `payload` is the item as
# protobuf: the columns beside it are what queries filter, group and sort by. Times are Unix nanoseconds. Ids that
# others remember do not return after a deletion (AUTOINCREMENT).
TABLES: Final = """
CREATE TABLE IF NOT EXISTS resources (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, service TEXT NOT NULL, instance TEXT NOT NULL,
    version TEXT, language TEXT, attributes TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS statements (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, system TEXT NOT NULL,
    summary TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS traces (
    id INTEGER PRIMARY KEY AUTOINCREMENT, trace_id BLOB NOT NULL UNIQUE, spans INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS spans (
    id INTEGER PRIMARY KEY AUTOINCREMENT, trace INTEGER NOT NULL, span_id BLOB NOT NULL, parent_id BLOB NOT NULL,
    resource INTEGER NOT NULL, kind INTEGER NOT NULL, start INTEGER NOT NULL, duration INTEGER NOT NULL,
    is_error INTEGER NOT NULL, statement INTEGER, peer TEXT, peer_kind TEXT, source TEXT,
    name TEXT NOT NULL, scope TEXT NOT NULL, payload BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS spans_of_trace ON spans (trace, span_id);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, trace INTEGER NOT NULL, trace_id BLOB NOT NULL, span_id BLOB NOT NULL,
    service TEXT NOT NULL, kind TEXT NOT NULL, method TEXT, route TEXT, name TEXT NOT NULL, path TEXT,
    start INTEGER NOT NULL, duration INTEGER NOT NULL, status INTEGER, is_error INTEGER NOT NULL, error_type TEXT,
    statements INTEGER NOT NULL, repeated INTEGER NOT NULL, logs INTEGER NOT NULL, spans INTEGER NOT NULL,
    client_calls INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS requests_by_start ON requests (start, id);
CREATE INDEX IF NOT EXISTS requests_of_trace ON requests (trace);
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, trace INTEGER, trace_id BLOB, span_id BLOB, resource INTEGER NOT NULL,
    time INTEGER NOT NULL, severity INTEGER NOT NULL, logger TEXT NOT NULL, body TEXT NOT NULL, payload BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS logs_by_time ON logs (time, id);
CREATE INDEX IF NOT EXISTS logs_of_trace ON logs (trace) WHERE trace IS NOT NULL;
CREATE TABLE IF NOT EXISTS errors (
    id INTEGER PRIMARY KEY, trace INTEGER, trace_id BLOB, fingerprint TEXT NOT NULL, service TEXT NOT NULL,
    type TEXT NOT NULL, message TEXT NOT NULL, stacktrace TEXT NOT NULL, time INTEGER NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS errors_once_per_trace ON errors (trace, fingerprint) WHERE trace IS NOT NULL;
CREATE TABLE IF NOT EXISTS metrics (
    id INTEGER PRIMARY KEY, service TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, unit TEXT NOT NULL,
    type TEXT NOT NULL, UNIQUE (service, name, type));
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, metric INTEGER NOT NULL, attributes TEXT NOT NULL, UNIQUE (metric, attributes));
CREATE TABLE IF NOT EXISTS points (
    id INTEGER PRIMARY KEY, series INTEGER NOT NULL, time INTEGER NOT NULL, value REAL, count INTEGER, sum REAL,
    buckets TEXT, exemplars TEXT);
CREATE INDEX IF NOT EXISTS points_of_series ON points (series, time);
"""

NAMES: Final = (
    "spans",
    "requests",
    "logs",
    "errors",
    "points",
    "series",
    "metrics",
    "traces",
    "statements",
    "resources",
)
