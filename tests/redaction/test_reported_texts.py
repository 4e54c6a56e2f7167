"""Texts that leaked, and clean texts that were cut, as users and attackers reported them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from blogauto_otel.redaction import Redactor
from testkit.processes import environment, python
from testkit.receiver import Receiver

REDACTOR = Redactor()
CANARY = "hunter2"

LEAKED = [
    # values in errors of drivers
    "invalid input for query argument $1: 'hunter2' (an integer is required)",
    'invalid input syntax for type integer: "hunter2"',
    "LINE 1: SELECT * FROM users WHERE name = 'hunter2'",
    "(1366, \"Incorrect integer value: 'hunter2' for column 'age' at row 1\")",
    "You have an error in your SQL syntax; check the manual for the right syntax to use near 'hunter2' at line 1",
    'near "hunter2": syntax error',
    "DETAIL:  Failing row contains (1, hunter2, null).",
    "DETAIL:  Key (email)=(hunter2) already exists.",
    '[SQL: SELECT * FROM users WHERE name = "hunter2"]',
    "[SQL: SELECT $$hunter2$$]",
    "[SQL: SELECT $body$it is hunter2$body$]",
    # pydantic
    "[{'loc': ('body', 'password'), 'msg': \"should match '{8,}'\", 'input': 'hunter2'}]",
    "1 validation error for Login\nusers[0].password\n  Too short [type=too_short, input_value='hunter2', ...]",
    # command lines, lists, configuration
    "wp user application password: hunt er2x AbCd 1234 EfGh 5678",
    "define('DB_PASSWORD', 'hunter2');",
    "define( 'AUTH_KEY', 'hunter2' );",
    "curl -u 'user:hunter2' https://example.org",
    "['mysql', '--password', 'hunter2']",
    '["curl", "-u", "user:hunter2"]',
    "[('authorization', 'hunter2'), ('host', 'x')]",
    '{"key": "password", "value": "hunter2"}',
    '{"value": "hunter2", "key": "password"}',
    # shapes
    "https://hooks.slack.com/services/T00000000/B00000000/hunter2hunter2hunter2h",
    "https://discord.com/api/webhooks/123456789012345678/hunter2hunter2hunter2hunter2",
    "https://api.telegram.org/bot123456789:AAhunter2hunter2hunter2hunter2hunter2/getMe",
    '{"kty": "EC", "d": "hunter2hunter2hunter2hunter2hunter2hunter2"}',
    "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
    "requests.get(url, auth=HTTPBasicAuth('bob', 'hunter2'))",
    "GET /callback?state=hunter2hunter2hunter2&code=x1",
    # sent by other programs
    "url.full=https://example.org/?access_token=hunter2",
    "redis://:hunter2@cache:6379/0",
    "pwd=hunter2",
    "비밀번호: hunter2",
]

CUT = [
    "new session user_id=42",
    "Invalid token user=bob",
    "next_page_token=abc",
    "tokens=3",
    '{"password": "password: must be at least 8 characters"}',
    '"password: must be at least 8 characters"',
    "GET /errors?code=404",
    "order 411111111111",
    "id 123e4567-e89b-42d3-a456-426614174000",
    "ean 4006381333931",
    "snowflake 1234567890123456789",
    "account 123456789012",
]


@pytest.mark.parametrize("text", LEAKED)
def test_it_leaks_no_more(text: str) -> None:
    cleaned = REDACTOR.text(text)
    assert CANARY not in cleaned
    assert "hunt er2x" not in cleaned
    assert REDACTOR.text(cleaned) == cleaned


@pytest.mark.slow
def test_it_leaks_in_no_attribute_message_stack_trace_status_or_console_line(tmp_path: Path) -> None:
    command = python("-m", "tests.redaction.reported_texts_application")
    with Receiver() as receiver:
        env = environment(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, XDG_STATE_HOME=str(tmp_path))
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    names = [span.name for span in receiver.spans]
    for name in ("GET /say/{number}", "GET /crash/{number}", "order", "item"):
        assert names.count(name) == len(LEAKED)
    assert len([record for record in receiver.logs if record.scope == "shop"]) == 4 * len(LEAKED)
    left = [repr(item) for item in (*receiver.spans, *receiver.logs)] + (done.stdout + done.stderr).splitlines()
    assert [text for text in left if CANARY in text or "hunt er2x" in text] == []


@pytest.mark.parametrize("text", CUT)
def test_it_is_cut_no_more(text: str) -> None:
    assert REDACTOR.text(text) is text
