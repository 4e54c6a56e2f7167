"""Boards, alerts, recording rules and runbooks, generated from the catalogue of metrics; used at build time only."""
