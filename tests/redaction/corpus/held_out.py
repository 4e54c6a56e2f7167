"""Texts that no rule was written from: lines of other programs' logs, dumps, traces and messages in two languages.

They were written before their rates were known, and their rates are printed on their own. The first measure missed
29 % and cut 12 %, where the corpus said 0.4 % and 0 %: rules fit the texts that they were written with. Add new texts
here before a rule is changed, and never a rule for one text.
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
    "send_request_headers.started request=<Request [b'GET']> headers [(b'Host', b'x'), (b'Authorization', b'Bearer «<w40>»')]", "send: b'GET /x HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Basic «<w20>Og==»\\r\\n\\r\\n'",
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
# Written after the rules had been mended for the first, and before the rates of these were known.
LATER_SECRETS: Final = (
    "gunicorn --env DB_PASS=«<w12>» app:app", "[supervisord] environment=APP_SECRET=\"«<w24>»\",APP_ENV=\"prod\"", "SENTRY_DSN=https://«<x32>»@o1.ingest.sentry.io/42", "flower --basic-auth=admin:«<w12>»",
    "celery -b amqp://app:«<w12>»@mq// worker", "pg_dump postgresql://app:«<w12>»@db/blog > blog.sql", "ERROR 1045 (28000): login with password=«<w10>» refused", "ansible_ssh_pass: «<w12>»", "ansible_become_password=«<w12>»",
    'terraform: password = "«<w16>»" -> (sensitive value)', '"Authorization": ["Bearer «<w40>»"]', "> Authorization: Bearer «<w40>»", "< set-cookie: session=«<w40>»; HttpOnly", "proxy_set_header Authorization \"Basic «<w20>Og==»\";",
    "oauth callback: code=«<u40>» state=«<u22>»", "POST /api/login {'email': 'a@b.org', 'password': '«<w10>»'} -> 401", "User.objects.create_user('bob', password='«<w10>»')", "bcrypt.checkpw(b'«<w10>»', hashed)", "SMTPAuthenticationError: AUTH PLAIN «<w24>=»",
    "wp-config: define('DB_PASSWORD', \"«<w12>»\")", "api.key=«<w32>»", "X-API-KEY «<w32>»", "jwtSecret: «<w32>»", '{"token":{"access":"«<w40>»","refresh":"«<w40>»"}}', "refresh token «<w40>» reused", "session id «<w32>» not found",
    "WEBHOOK_URL=https://hooks.slack.com/services/«T<Z8>/B<Z8>/<w24>»", "GET /invoices/5.pdf?X-Amz-Credential=AKIA&X-Amz-Signature=«<x64>»", "비밀번호가 «<w10>» 로 변경되었습니다", "관리자 패스워드: «<w10>»", "인증키=«<w32>»&pageNo=1", "계정: bob 비번: «<w8>»",
    "로그인 토큰=«<w40>» 만료 예정", "OTP 번호는 «<d6>» 입니다", '{"message": "로그인 실패", "request": {"pw": "«<w10>»"}}', "MinIO root credentials: admin:«<w16>»", "GOOGLE_APPLICATION_CREDENTIALS_JSON={\"private_key\": \"«-----BEGIN PRIVATE KEY-----<w64>»", "password is «hunter2»!",
)
LATER_CLEAN: Final = (
    "INFO:     Waiting for application startup.", "INFO:     Shutting down", '127.0.0.1:50000 - "OPTIONS /api/auth/login HTTP/1.1" 200', "uvicorn.error: Exception in ASGI application", "[notice] 1#1: using the \"epoll\" event method", '2026/11/25 12:00:00 [warn] 31#31: *5 an upstream response is buffered to a temporary file /var/cache/nginx/proxy_temp/1/00/0000000001, request: "GET /api/keys/export HTTP/2.0"',
    "INFO sqlalchemy.engine.Engine COMMIT", "INFO sqlalchemy.engine.Engine UPDATE users SET password_hash=%(password_hash)s WHERE users.id = %(users_id)s", "sqlalchemy.exc.TimeoutError: QueuePool limit reached", "StaleDataError: UPDATE statement on table 'tokens' expected to update 1 row(s); 0 were matched.",
    "celery.beat: Scheduler: Sending due task purge-expired-tokens (app.tasks.purge_tokens)", "Task app.tasks.send_password_reset[<uuid>] retry: Retry in 60s", "kombu.exceptions.OperationalError: [Errno 111] Connection refused", "WARNING: Running pip as the 'root' user", "DeprecationWarning: 'passlib' is deprecated",
    "ValueError: Unknown password hash algorithm", "KeyError: 'SECRET_KEY'", "    token: str = Depends(oauth2_scheme)", "    return await call_next(request)", "oauth2_scheme = OAuth2PasswordBearer(tokenUrl=\"token\")", "  at TokenService.refresh(TokenService.kt:88)", "github.com/org/app/auth.(*Token).Verify(0xc000123456, {0x1, 0x2})", "goroutine 42 [running]:", "thread 'main' panicked at src/token.rs:42:5",
    "auth: {type: oauth2, flow: authorization_code}", "sessions: {driver: redis, lifetime: 120}", "token_lifetime: 15m", "cookie: {name: sid, path: /, secure: true}", "SESSION_DRIVER=redis", "passwords: {users: {expire: 60, throttle: 60}}", "keycloak: realm=blog client=api", "JWT_ALGORITHM=RS256", "REFRESH_TOKEN_EXPIRE_DAYS=30", "api_key_header_name: X-API-Key",
    "password confirmation does not match", "Password reset for user 42 expired", "secret rotation finished in 3.2s", "token bucket refilled: 100", "PIN entry failed 3 times", "cookie banner accepted", "access token issued for client blog (scope=read write)", "cache hit for key posts:42:ko", "Auth service responded in 120 ms",
    "비밀번호 정책: 최소 8자, 특수문자 포함", "비밀번호는 90일마다 변경하세요", "토큰 만료 시간: 30분", "세션 12개 정리", "쿠키 설정을 저장했습니다", "카드 번호 형식이 올바르지 않습니다", "인증번호 6자리를 입력하세요", "암호 강도: 보통", "키 회전 완료: 3건", "OTP 인증 실패 (2회)", "API 키: 없음",
)
# fmt: on


def held_out_secrets() -> Iterator[Sample]:
    """Samples with secrets."""
    for description in (*SECRETS, *LATER_SECRETS):
        yield generate(description)


def held_out_clean() -> Iterator[Sample]:
    """Samples without a secret."""
    for description in (*CLEAN, *LATER_CLEAN):
        yield generate(description)
