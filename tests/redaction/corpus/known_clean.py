"""Descriptions of texts without a secret, as applications, servers, databases and libraries log them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.redaction.corpus.samples import Sample, generate

# fmt: off
WORDS: Final = (
    "new session user_id=42", "Invalid token user=bob", "session expired user=bob", "next_page_token=<w20>", "nextPageToken: <w24>",
    '{"next_page_token": "<w24>", "items": []}', "tokens=3", "tokens: 1536", "used 512 tokens, budget 4096", "prompt_tokens=12 completion_tokens=40",
    "total_tokens: 52", "max_new_tokens=256", "stop_token_id=50256", "token_type=bearer", '"token_type": "Bearer"', "token_type: refresh",
    "password: must be at least 8 characters", "Password: must contain a digit", "password: is required", "password: cannot be empty",
    '"password: must be at least 8 characters"', "password: field required", "Password must not be equal to the user name", "password: too short",
    "secret: not found", "token: expired", "token: has expired", "token is invalid", "token: invalid", "session: not found", "cookie: missing",
    "Authorization: missing", "authorization: required", "Authorization header is missing", "missing Authorization header", "no bearer token given",
    "csrf token mismatch", "CSRF token missing or incorrect.", "CSRF Failed: CSRF token missing.", "jwt expired", "JWT: signature has expired",
    "invalid_token: The access token expired", "error=invalid_token error_description=expired", "invalid_grant", "API key not valid",
    "Incorrect API key provided", "api_key is missing", "api key: not configured", "Secret not found: app/db", "secret name=app-db version=3",
    "session created for user 17", "session opened for user root by (uid=0)", "Accepted publickey for app from 10.0.0.5 port 50022 ssh2",
    "Failed password for invalid user admin from 10.0.0.5 port 4242 ssh2", "Failed password for root from 10.0.0.9 port 22", "password changed for bob",
    "password reset mail sent to user 42", "Forgot your password? Click here", "Wrong password, 2 attempts left", "wrong PIN entered", "pin count=3",
    "cookie consent: accepted", "cookie_consent=true", "session_count=12 active_sessions=4", "sessions: 12", "sessions=12 open", "auth: ok", "auth=ok user=1",
    "auth: failed", "auth failed: user=bob", "auth_type=basic", "auth_method: password", "authentication=enabled", "auth backend: ldap", "author=bob authority=x",
    "passengers: 12", "bypass=true", "compass: north", "passed=12 failed=0", "pass: 12, fail: 0", "tests pass=12 fail=1", "first pass: 3 items, second pass: 1",
    "keyboard=qwerty", "monkey: 1", "key=value", "keys: a, b, c", "primary key: id", "foreign key: author_id", "sort_key=created_at", "cache key: posts:1",
    "cache_key=posts:list:1", "partition key: 2026-11", "routing_key=mail.send", "hotkey: ctrl+k", "public_key=none", "key: title", "message_key=greeting",
    "idempotency_key=<uuid>", "Idempotency-Key: <uuid>", "dedup key=<x32>", "s3 key: uploads/2026/11/photo.jpg", "object key=backups/db.tar.gz", "translation key: login.title",
    "secretary: alice", "secrets: 3 loaded", "secret count=3", "loaded 3 secrets from vault", "token bucket: 10 of 100 left", "rate limit tokens_left=10",
    "tokenizer=cl100k_base", "tokenize took=0.2s", "tokenization: done", "token_limit=4096", "token count: 17", "unexpected token: '}'", "Unexpected token < in JSON at position 0",
    "SyntaxError: Unexpected token 'export'", "expected token: ';'", "token=EOF line=3", "parse error near token: ';'", "card: 4 items", "card layout=wide", "card_type=visa last4=4242",
    "accounts: 12", "account=company", "account_id=117", "account: active", "account number is missing", "code=404", "status code: 500", "error code: E1042", "code: not_found",
    "exit code=137", "country_code=KR", "zip code: 12345", "currency code: EUR", "discount code applied", "promo code=SUMMER", "code review done", "verification code sent to user 5",
    "otp sent", "otp: expired", "2fa enabled=true", "mfa: required", "credentials: missing", "credentials=include", "no credentials configured", "using default credentials",
    "Bearer authentication is required", "WWW-Authenticate: Bearer realm=api", "Basic authentication is off", "basic usage of things", "a bearer market, basic economics",
    "connection string is missing", "connection: keep-alive", "dsn is not set", "dsn: none", "pw: none", "certificate expires in 12 days", "ssh key added", "license: MIT", "license key: missing",
    "signature=valid", "signature: ok", "sig=SIGTERM received", "received signal sig=15", "private: true", "private key loaded from /etc/ssl/app.key", "key file=/etc/ssl/app.key", "ticket=1234 opened",
    "ticket: closed", "resident memory: 120 MB", "resident=5 virtual=9", "social login: google", "social=twitter", "phone: unknown", "email: invalid format",
    "세션 시작: 사용자 42", "토큰 만료: 사용자 42", "비밀번호: 8자 이상이어야 합니다", "비밀번호가 올바르지 않습니다", "비밀번호를 잊으셨나요?", "비밀번호 변경 완료 (user_id=42)", "로그인 실패: 비밀번호 불일치",
    "카드번호를 입력하세요", "암호: 필수 항목입니다", "키워드: 겨울 타이어", "한국어 로그: 분석 완료 (count=3)", "계좌번호가 없습니다", "쿠키 동의: 예", "인증 실패: 사용자 bob",
)

ADDRESSES: Final = (
    "GET /search?code=404 200", "GET /errors?code=not_found 200", "GET /x?code=KR&lang=ko", "GET /items?key=title&order=asc 200", "GET /items?sort_key=name 200", "GET /repos/x/issues?state=open 200",
    "GET /orders?state=paid&page=2 200", "GET /list?page_token=<w20> 200", "GET /list?pageToken=<w24>&pageSize=10", "GET /list?cursor=<w30> 200", "GET /auth/session 200", "POST /oauth/token 200", "POST /oauth/token: 200",
    "GET /api/keys/17 404", "GET /api/tokens?page=2 200", "GET /password/reset 200", "GET /static/app.<x8>.js 200", "GET /img/<x32>.png 200", "https://example.org/a/b?page=2&size=10&sort=-created",
    "https://example.org/users/me@example.org", "https://example.org:8443/x", "http://10.0.0.1:9090/metrics", "postgresql://db:5432/blog", "redis://cache:6379/0", "amqp://mq:5672//", "https://hooks.slack.com/ is down",
    "https://discord.com/channels/<d18>/<d18>", "https://api.telegram.org is unreachable", "https://github.com/org/repo/commit/<x40>", "https://docs.example.org/#section-3", "s3://bucket/a/b/<uuid>.parquet",
    "https://example.org/?utm_source=x&utm_campaign=y", "git@github.com:org/repo.git", "ssh://git@github.com/org/repo.git", "mailto:bob@example.org", "https://user@example.org/x is odd", "/wiki/%ED%95%9C%EA%B5%AD?q=%EC%84%9C",
    "https://sentry.example.org/organizations/x/issues/42/", "https://portal.example.org/webhooks/list", "GET /api/webhooks 200", "POST /hooks/list 200", "GET /bot/status 200", "GET /signup?plan=pro 200", "GET /ticket?id=5 200",
    "docker pull registry.example.org/app@sha256:<x64>", "/usr/lib/python3.11/site-packages/sqlalchemy/engine/base.py", "https://example.org/download?id=<uuid>&expires=1700000000", "GET /t?signature=none 200",
)

NUMBERS: Final = (
    "id=<uuid>", "order <uuid> paid", "trace_id=<x32> span_id=<x16>", "commit <x40>", "sha256:<x64>", "etag=\"<x32>\"", "00-<x32>-<x16>-01", "request_id=<z26>", "ulid 01HZX<Z21>", "build <x7>",
    "ean 4006381333931", "ean=8801234567893 sold", "isbn 9783161484100", "gtin 04006381333931", "upc 036000291452", "imei 490154203237518", "snowflake 1234567890123456789", "discord id <d18>", "tweet <d19>", "user 4111111111111",
    "account 123456789012", "account id 4242424242424", "arn:aws:iam::123456789012:role/app", "aws account 411111111111", "invoice 2026110000000017", "order no 20261125-000123", "tracking 1Z999AA10123456784", "tracking <d12>",
    "iban-like DE00 is short", "1764105600123456789 ns", "ts=1764105600123", "1764105600.123456", "took=0.4111111111111111", "lat=37.566535 lon=126.977969", "10.0.0.1:5432", "fe80::1ff:fe23:4567:890a", "mac 00:1B:44:11:3A:B7",
    "v1.2.3-rc.4+build.5", "2026-11-25T12:00:00.123Z", "pid=4242 tid=140735123456789", "0x7f8b4c0d2e10", "memory 4294967296 bytes", "size=5242880 offset=1048576", "seq 4503599627370496", "4242 4242 items of 9999", "range 4000-4999 5000-5999",
    "phone 010-1234-5678", "call 02-123-4567", "biz no 123-45-67890", "score 900 101 123", "xxd: 4865 6c6c 6f20 776f 726c 640a", "hex dead beef 0000 0001 cafe babe", "md5 <x32>  file.txt", "uuid7 0190163d-8694-739b-aea5-966c26f8ad91",
    "pod blog-backend-7d9c5bdf6b-x2x7p restarted", "node ip-10-0-12-34.ec2.internal ready", "instance i-0123456789abcdef0", "vpc-0a1b2c3d4e5f67890", "image ami-0abcdef1234567890", "container <x12> started", "layer <x64> exists",
    "base64 image data:image/png;base64,iVBORw0KGgo=", "color=#ff00aa", "crc32=<X8>", "licence plate 12가3456", "flight KE0017 gate 12", "serial C02<Z9>", "sku AB-1234-XY-99", "room 1234 5678 9012", "mean=4111.1111 std=5555.5555",
)

LINES: Final = (
    "GET", "200", "", " ", "ok", "user 42 logged in from 10.0.0.1:5432", '10.0.0.9 - - [25/Nov/2026:12:00:00 +0000] "GET /api/posts?page=2 HTTP/1.1" 200 512 "-" "curl/8.5.0"', "INFO:     127.0.0.1:50022 - \"POST /login HTTP/1.1\" 401 Unauthorized",
    "2026-11-25T12:00:00.123Z INFO request done status=200 path=/a/b took=0.3s", "keyword analysis finished: keyword=python count=12", "Application startup complete.", "Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)",
    "SELECT posts.id FROM posts WHERE posts.author_id = ? AND x = %(author)s", "UPDATE users SET password = :password, token=%s, secret=$1 WHERE api_key = ?", "INSERT INTO sessions (id, token, user_id) VALUES (?, ?, ?)", "ALTER TABLE users ADD COLUMN password TEXT",
    "CREATE INDEX ix_token ON sessions (token)", "SELECT count(*) FROM tokens", "DELETE FROM sessions WHERE expires < now()", "SELECT u.password FROM users AS u WHERE u.id = $1", "[SQL: SELECT ? AS password]\n(Background on this error)",
    'column "password" does not exist', 'relation "tokens" does not exist', "no such column: token", "Unknown column 'token' in 'field list'", "Column 'password' cannot be null", "Access denied for user 'app'@'10.0.0.1' (using password: YES)",
    'password authentication failed for user "app"', "deadlock detected", 'null value in column "password" violates not-null constraint', "duplicate key value violates unique constraint \"users_token_key\"", "UNIQUE constraint failed: users.token",
    "Traceback (most recent call last):\n  File \"app.py\", line 3, in login\n    check(password, token)\nValueError: bad input", "    raise InvalidTokenError(\"Not enough segments\")", "    password = request.form.get(\"password\")", "    token = create_token(user)", "    secret = settings.secret_key",
    "def login(user: str, password: str) -> Token:", "class Token(BaseModel):\n    access_token: str\n    token_type: str", "password: str", "password: SecretStr", "token: Optional[str] = None", "password: str | None = None", "api_key: str = Field(...)", "const token = await getToken();",
    "if (password === undefined) return;", "this.token = token;", "password = input('Password: ')", "getattr(settings, 'password', None)", "KeyError: 'password'", "KeyError: ('password', 1)", "AttributeError: 'User' object has no attribute 'token'", "TypeError: login() missing 1 required positional argument: 'password'",
    "password=None token=null secret=***", "password=******** user=bob", "password=[redacted:password]", "password=<redacted>", "token=<hidden>", "password: ********", "api_key=${API_KEY}", "password=$DB_PASSWORD", "token: {{ token }}", "password: %(password)s", "secret: {secret}", "password=xxxxx user=1",
    '{"type": "missing", "loc": ["body", "password"], "msg": "Field required", "input": null}', "1 validation error for Login\npassword\n  Field required [type=missing, input_value={}, input_type=dict]", '{"detail": "Invalid credentials"}', '{"detail": "Not authenticated"}', '{"password": ["This field is required."]}', '{"errors": {"password": "must be at least 8 characters"}}',
    "[{'type': 'x', 'loc': ('body', 'title'), 'msg': 'Too short', 'input': 'x'}]", "Argon2 parameters: m=65536,t=3,p=4", "password_hasher=argon2", "bcrypt rounds=12", "password_min_length=8", "PASSWORD_HASHERS loaded", "session_timeout=3600", "token_ttl=3600 refresh_ttl=86400", "access_token_expires_in: 3600", "secret_version=3",
    "AUTH_PROVIDER=google", "API_KEY_HEADER=X-Api-Key", "SECRET_NAME=app/db", "TOKEN_URL=https://example.org/token", "token_url: https://example.org/oauth/token", "auth_url=https://example.org/auth", "PASSWORD_FILE=/run/secrets/db", "password_file: /run/secrets/db_password", "secret_path=kv/app", "COOKIE_DOMAIN=example.org", "cookie_secure=true cookie_samesite=lax",
    "SESSION_ENGINE=django.contrib.sessions.backends.db", "credentials_path=/etc/app/cred.json", "SESSION_COOKIE_NAME=sid", "token_endpoint: https://example.org/t", "kubectl get secrets -n app", "docker run -p 8080:80 app", "ls -la /etc/ssl/private", "mkdir -p /var/lib/app/data", "python -m pytest -x -q tests/auth", "ssh -p 2222 app@host", "ps -u app -o pid", "curl -s https://example.org/health", "curl -u", "git push -u origin main",
    "risk-management-of-things task-force-123 disk-usage-report", "task sk-learn-compatible, mask_sk_, shape_, r8_", "npm_config_user_agent npm_lifecycle_event npm_package_name", "hf_hub_download() failed, hf_transfer off", "key-value-store-implementation", "pul-request fo1_x re_match_object re_compile_pattern", "fc-cache rebuilt, fc-list ok", "pa-system-check live_test_mode live_reload_enabled", "api-gateway-service api-server-deployment", "sdk-generator-for-python-clients",
    "<p>Forgot your password?</p><a href='/login'>sign in</a>", "<input name='title' value='key'>", "<label for='password'>Password</label>", "<input type='password' name='password'>", "form-data; name=\"title\"\r\n\r\nMy key, my title\r\n--b--", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI<b43> bob@host",
    "['--verbose', '--port', '80'] run -a -b 5 --key-count 5", "[('GET', '/keys'), ('title', 'My key')] and ('password', 'mail', 'name')", "fields: ['user', 'password', 'mail']", "required: [\"username\", \"password\"]", "SELECT \"users\".\"token\" FROM \"users\"", "Retrying (Retry(total=2)) after connection broken", "HTTP 401: token required", "Set-Cookie not sent", "x-ratelimit-remaining-tokens: 149984", "Content-Type: application/json; charset=utf-8", "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "Accept-Language: ko-KR,ko;q=0.9", "If-None-Match: W/\"<x32>\"", "X-Request-Id: <uuid>", "traceparent: 00-<x32>-<x16>-01", "Celery task app.mail.send[<uuid>] succeeded in 0.12s", "near miss: retry 3", "no route near Seoul station", "value is out of range for the type", "the duplicate keys were merged", "Incorrect password value length", "column near the end", "Key (composite) columns are sorted", "row contains 5 cells", "DETAIL: 3 rows were skipped",
    "LINE 12 of the file is empty", "parameters: 3", "parameters: limit=10 offset=0", "dup key handling: skip", "The quick brown fox jumps over the lazy dog.", "This Must Have Been Four Text Then", "that this word have four text", "JSON Data, Line One", "machine learning model loaded, login ok", "kty=RSA alg=RS256 use=sig", '{"kty":"RSA","kid":"a1","n":"<u40>","e":"AQAB"}', "jwks: 2 keys loaded", "kid=<w16> alg=RS256", "GET /.well-known/jwks.json 200", "Basic plan: 10 USD", "bearer of news", "eyJ is the start of base64",
)
# fmt: on


def known_clean() -> Iterator[Sample]:
    """Every sample that holds no secret."""
    for description in (*WORDS, *ADDRESSES, *NUMBERS, *LINES):
        yield generate(description)
