"""Texts that no rule was written from: lines of other programs' logs, dumps, traces and messages in two languages.

They were written without reading the rules, and their rates are printed on their own. A rate here that is much worse
than that of the corpus says that the rules fit the corpus, not the field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.redaction.corpus.samples import Sample, generate

# fmt: off
SECRETS: Final = (
    # other services, several of them Korean
    "X-Naver-Client-Id: <w20>\nX-Naver-Client-Secret: «<w10>»", "x-ncp-apigw-api-key: «<w40>»", "x-ncp-iam-access-key: «<w20>»",
    "kakao rest_api_key=«<x32>»", '{"imp_key": "«<d16>»", "imp_secret": "«<w80>»"}', "Authorization: HMAC-SHA256 apiKey=«<Z16>», date=2026-11-25, salt=x, signature=«<x64>»",
    "GET http://apis.data.go.kr/1360000/VilageFcstInfoService_2.0/getVilageFcst?serviceKey=«<w80>%3D%3D»&pageNo=1", "CLOUDINARY_URL=cloudinary://<d15>:«<w27>»@demo",
    "X-Algolia-API-Key: «<x32>»", "PASS oauth:«<z30>»", "Api-Token: «<x40>»", "x-goog-api-key: «<w39>»", "ghost admin api key: «<x24>:<x64>»",
    "https://pat:«<z52>»@dev.azure.com/org/_git/app", "//registry.npmjs.org/:_authToken=«<uuid>»", '{"auths": {"ghcr.io": {"auth": "«<w40>»"}}}', "STRIPE_KEY=«<w32>»",
    "Incorrect API key provided: «<w32>». You can find your API key at https://example.org/keys", "export TELEGRAM_BOT=«<d10>:AA<u33>»", "SLACK_SIGNING_SECRET=«<x32>»",
    "https://storage.googleapis.com/b/o?GoogleAccessId=a&Expires=1764105600&Signature=«<w60>%2B<w20>%3D»", "otpauth://totp/App:bob?secret=«<U32>»&issuer=App",
    '{"type": "service_account", "private_key_id": "«<x40>»", "client_email": "a@b.iam.gserviceaccount.com"}',
    # uvicorn, httpx, urllib3, nginx, SQLAlchemy, celery, redis, botocore
    'INFO:     (\'10.0.0.1\', 50000) - "WebSocket /ws/rooms/5?token=«<w32>»" [accepted]',
    '10.0.0.9 - bob [25/Nov/2026:12:00:00 +0000] "GET /api/me?access_token=«<w40>» HTTP/1.1" 200 512 "https://app.example.org/cb?code=«<u40>»" "curl/8.5.0"',
    '2026/11/25 12:00:00 [error] 31#31: *1042 upstream timed out (110: Connection timed out), client: 10.0.0.9, request: "GET /reset-password?token=«<w32>» HTTP/1.1", host: "example.org"',
    "send_request_headers.started request=<Request [b'GET']> headers [(b'Host', b'x'), (b'Authorization', b'Bearer «<w40>»')]", "send: b'GET /x HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Basic «<w24>=»\\r\\n\\r\\n'",
    'https://api.example.org:443 "GET /v1/me?apiKey=«<x32>»&lang=ko HTTP/1.1" 200 512', "INFO sqlalchemy.engine.Engine [generated in 0.00012s] ('bob@example.org', '«$2b$12$<w53>»')",
    "ArgumentError: Could not parse SQLAlchemy URL from given URL string 'postgres:/app:«<w12>»@db/blog'", "[2026-11-25 12:00:00,123: INFO/MainProcess] Connected to amqp://app:«<w16>»@mq:5672//",
    "Task app.mail.send[<uuid>] received args: ('bob@example.org',) kwargs: {'smtp_password': '«<w14>»', 'retries': 3}", "kombu.exceptions.OperationalError: Error 111 connecting to redis://:«<w16>»@cache:6379/0. Connection refused.",
    '1764105600.123456 [0 10.0.0.1:50000] "AUTH" "default" "«<w16>»"', "Credentials(access_key='«AKIA<Z16>»', secret_key='«<b40>»', token=None)",
    # traces, locals, reprs, dumps of settings
    '  File "app.py", line 3, in build\n    client = Client(api_key="«<w32>»")\nValueError: bad', "│ password = '«<w12>»'                                    │", "User(id=1, email='a@b.org', hashed_password='«$2b$12$<w53>»', totp_secret='«<U32>»')",
    "Settings(debug=True, database_url='postgresql://app:«<w12>»@db/blog', jwt_secret='«<w32>»')", "environ({'HOME': '/root', 'DJANGO_SECRET_KEY': '«<p50>»', 'SMTP_PASS': '«<w12>»'})",
    "input_value={'secret_key': '«<w30>»', 'debug': True}, input_type=dict", "smtp:\n  username: bob\n  password: «<w12>»\n  port: 587", '[database]\nuser = "app"\npassword = "«<w12>»"', "[pypi]\nusername = bob\npassword = «<w16>»",
    "Looking in indexes: https://bob:«<w12>»@pypi.example.org/simple", "app  4242  0.3  python worker.py --api-token «<w32>» --queue mail", "kubectl create secret generic db --from-literal=password=«<w16>»", "docker run -d -e POSTGRES_PASSWORD=«<w12>» postgres:17",
    "mysql -h db -u root -p'«<w12>»' -e 'select 1'", 'curl -sS -H "X-Auth-Token: «<x32>»" https://api.example.org/v1', "openssl enc -aes-256-cbc -pass pass:«<w16>» -in a -out b", "bindpw «<w12>»", "psk=\"«<w12>»\"",
    "| password | «<w12>» |", "ETHEREUM_PRIVATE_KEY=0x«<x64>»", 'mutation { login(email: "a@b.org", password: "«<w12>»") { id } }', '{"operationName":"Login","variables":{"input":{"email":"a@b.org","password":"«<w12>»"}}}', "backup_codes=['«<d8>»', '«<d8>»']",
    "password_hash=«$argon2id$v=19$m=65536,t=3,p=4$<b22>$<b43>»", "-----BEGIN OPENSSH PRIVATE KEY-----\n«<b70>»\n«<b70>»\n-----END OPENSSH PRIVATE KEY-----",
    # sentences
    "Your temporary password is «<w10>»", "Your verification code is «<d6>»", "password changed from '«<w10>»' to '«<w10>»'", "set new password «<p12>» for user bob", "Password reset e-mail sent: https://app.example.org/password/reset/«<w40>»",
    "password=«STRING» 2", "password=«HUNTER» is wrong, 2 attempts left", "password: «WINTER2026» please change it", "token=«ABCDEFGH» not accepted for user 42", "secret: «VALUE» must be kept",
    # Korean
    "로그인 요청 아이디=bob 비밀번호=«<w10>» ip=10.0.0.9", "임시 비밀번호는 «<w10>» 입니다.", "인증번호 [«<d6>»]를 입력해 주세요", "본인 확인 인증번호: «<d6>»", "API 키: «<w32>» 등록 완료", "액세스 토큰: «<w40>»", "사용자 암호 = «<w12>»",
    "접속 정보 id: admin / pw: «<w10>»", '{"아이디": "bob", "비밀번호": "«<w10>»"}', "시크릿키: «<w32>»", "주민번호 «900101-1234567» 확인", "카드번호: «4929-1234-5678-9019» 승인",
)

CLEAN: Final = (
    # uvicorn, gunicorn, nginx, SQLAlchemy, celery, PostgreSQL, Redis, sshd
    "INFO:     Started server process [12345]", 'INFO:     (\'127.0.0.1\', 51234) - "WebSocket /ws/rooms/42" [accepted]', "WARNING:  Invalid HTTP request received.", 'INFO:     10.0.0.1:0 - "GET /auth/callback?error=access_denied HTTP/1.1" 302 Found',
    "[2026-11-25 12:00:00 +0000] [7] [INFO] Booting worker with pid: 7", '2026/11/25 12:00:00 [error] 31#31: *1042 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.9, server: example.org, request: "GET /api/tokens HTTP/1.1", host: "example.org"',
    '2026/11/25 12:00:00 [error] 31#31: *7 limiting requests, excess: 20.420 by zone "login", client: 10.0.0.9', "SELECT users.id, users.password_hash FROM users WHERE users.email = %(email_1)s", "INFO sqlalchemy.engine.Engine BEGIN (implicit)",
    "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00 (Background on this error at: https://sqlalche.me/e/20/3o7r)", "(sqlite3.IntegrityError) NOT NULL constraint failed: users.password", "(psycopg.errors.UndefinedColumn) column users.api_key does not exist",
    "[2026-11-25 12:00:00,123: INFO/MainProcess] Task app.tasks.rotate_token[<uuid>] succeeded in 0.0123s: {'rotated': 3}", "Task app.tasks.session_cleanup[<uuid>] received", " -------------- celery@worker-1 v5.4.0 (opalescent)", ".> concurrency: 4 (prefork)",
    "LOG:  connection authorized: user=app database=blog application_name=api SSL enabled (protocol=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384, bits=256)", "LOG:  checkpoint complete: wrote 123 buffers (0.8%)", "NOAUTH Authentication required.", "WRONGPASS invalid username-password pair or user is disabled.",
    "Accepted publickey for app from 10.0.0.9 port 50022 ssh2: ED25519 SHA256:<w43>", "Failed password for invalid user admin from 10.0.0.9 port 50022 ssh2", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh",
    # frameworks and tokens in words
    "Forbidden (CSRF token missing.): /api/login/", "Forbidden (CSRF cookie not set.): /login", "ImproperlyConfigured: The SECRET_KEY setting must not be empty.", "jwt.exceptions.ExpiredSignatureError: Signature has expired", "Invalid token: Signature verification failed",
    "Invalid token type. Expected access, got refresh", '{"error":"invalid_grant","error_description":"Token has been expired or revoked."}', '{"usage":{"prompt_tokens":512,"completion_tokens":128,"total_tokens":640}}', "max_tokens=4096 temperature=0.7 top_p=1",
    "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000", "This model's maximum context length is 8192 tokens", "tokens/s: 42.1", "stop_token=<|endoftext|>", "the token was refreshed 3 times",
    "Error: secret \"db-credentials\" not found", 'MountVolume.SetUp failed for volume "app-secret" : secret "app-secret" not found', "secretKeyRef: {name: db, key: password}", "imagePullSecrets: [regcred]", "tls.crt: 1164 bytes tls.key: 1679 bytes", "serviceAccountToken: {path: token, expirationSeconds: 3607}",
    # settings
    "password_reset_timeout: 3600", "AUTH_USER_MODEL=accounts.User", "session: {cookie_age: 1209600, secure: true}", "jwt: {algorithm: HS256, expires_in: 30m}", "SECRET_BACKEND=vault", "token_bucket: {capacity: 100, refill: 10}", "password_policy: {min_length: 12, require_digits: true}",
    "passwordless: true", "access_key_rotation_days=90", "session_affinity: ClientIP", "cache: {key_prefix: blog, default_timeout: 300}", "pass_through=true", "auth: {provider: google, enabled: true}",
    # traces
    'File "/app/auth/tokens.py", line 42, in verify_token\n    payload = jwt.decode(token, key, algorithms=["HS256"])', "    if not verify_password(form.password, user.password_hash):", '    raise HTTPException(status_code=401, detail="Could not validate credentials")',
    "\tat com.example.auth.TokenFilter.doFilter(TokenFilter.java:42)", "    at verifyToken (/app/src/auth/token.js:42:13)", "TypeError: Settings.__init__() got an unexpected keyword argument 'secret_key'", '    assert response.json()["token"] is not None', "FAILED tests/test_tokens.py::test_refresh - AssertionError: assert 401 == 200",
    "tests/auth/test_password.py::test_reset[weak-password] PASSED",
    # identifiers
    "X-Amzn-Trace-Id: Root=1-<x8>-<x24>;Sampled=1", "webhook delivered: id=evt_<w24> type=invoice.paid", "charge ch_<w24> for customer cus_<w14> succeeded", "completion chatcmpl-<w29> finish_reason=stop", "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:app/db-AbCdEf",
    "consumed topic=posts partition=3 offset=1234 key=user-42", "slack channel C<Z10> user U<Z10>", "Merge branch 'feature/token-refresh' into main", "fix(auth): rotate secret on logout (#1234)", '<meta name="csrf-param" content="authenticity_token">',
    # sentences
    "The password field accepts 8 to 64 characters.", "password reset requested for user 42", "password strength: weak", "secret santa: 12 participants", "pin the version: 1.2.3", "API key 17 revoked by admin", "api key created: id=17 name=ci", "cookie size: 4096",
    # Korean
    "토큰 갱신 성공 (user=42)", "비밀번호 재설정 메일을 보냈습니다: bob@example.org", "비밀번호는 영문, 숫자를 포함해야 합니다", "세션이 만료되었습니다. 다시 로그인해 주세요.", "인증번호가 일치하지 않습니다 (3회 남음)", "API 키 3개를 불러왔습니다", "키워드 분석 중: 여름 휴가지 추천 (12/40)",
    "암호화 방식: AES-256-GCM", "토큰 사용량: 1,024개", "카드 결제 승인: 주문 20261125-000123", "쿠키 레시피 발행 완료 (post_id=991)", "계정 잠김: 비밀번호 5회 오류",
)
# fmt: on


def held_out_secrets() -> Iterator[Sample]:
    """Samples with secrets."""
    for description in SECRETS:
        yield generate(description)


def held_out_clean() -> Iterator[Sample]:
    """Samples without a secret."""
    for description in CLEAN:
        yield generate(description)
