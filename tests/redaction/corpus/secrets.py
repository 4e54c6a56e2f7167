"""Descriptions of secrets, by kind: issued tokens, addresses, named values, errors of databases, key material."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.redaction.corpus.samples import Sample, generate, in_neutral_sentences

# fmt: off
ISSUED: Final = (
    # clouds
    "AKIA<Z16>", "ASIA<Z16>", "ABIA<Z16>", "ABSK<b120>", "IQoJb3JpZ2luX2Vj<b300>", "FwoGZXIvYXdzE<b300>",
    "amzn.mws.<uuid>", "amzn1.oa2-cs.v1.<x64>",
    "AIza<u35>", "ya29.a0<u120>", "GOCSPX-<u28>", "1//0<u60>", "GOOG1E<Z55>",
    "LTAI<w20>", "AKID<w32>", "dop_v1_<x64>", "doo_v1_<x64>", "dor_v1_<x64>", "HRKU-<u60>", "rnd_<w32>",
    "FlyV1 fm2_<b200>", "fo1_<u43>", "vcp_<w56>", "vercel_blob_rw_<w16>_<w30>", "nfp_<w36>", "sbp_<x40>",
    "sb_secret_<u31>", "napi_<z64>", "v1.0-<x24>-<x146>", "pscale_tkn_<u43>", "pscale_pw_<u43>",
    "pscale_oauth_<u43>", "AQVN<u35>", "<w33>AzFu<u5>Qg==", "<b76>+ASt<b5>Qg==", "<b33>+ASbA<b5>A=",
    "<w3>8Q~<u34>", "<w52>JQQJ99<w26>", "sha256~<u43>", "CCDB1_<w22>_<w40>",
    "AVNS_<u19>", "mdb_sa_sk_<u40>", "tskey-auth-<w12>-<w32>", "tskey-api-<w12>-<w32>", "dapi<x32>",
    # code and builds
    "ghp_<w36>", "gho_<w36>", "ghu_<w36>", "ghs_<w36>", "ghr_<w76>", "github_pat_<w22>_<w59>",
    "glpat-<u20>", "gldt-<u20>", "glrt-<u20>", "glptt-<x40>", "glcbt-1f_<u20>", "glft-<u20>", "glimt-<u25>",
    "glagent-<u50>", "gloas-<x64>", "glsoat-<u20>", "glffct-<u20>", "GR1348941<u20>", "ATATT3xFfGF0<u180>",
    "ATCTT3xFfGN0<u180>", "ATBB<w32>", "npm_<w36>", "pypi-AgEIcHlwaS5vcmc<u120>", "rubygems_<x48>", "oy2<z43>",
    "CLOJARS_<z60>", "cio<w32>", "dckr_pat_<u27>", "dckr_oat_<u32>", "AKCp<w69>", "cmVmdGtu<w56>", "squ_<x40>",
    "sqp_<x40>", "sqa_<x40>", "CCIPAT_<w22>_<x40>", "CCIPRJ_<w22>_<x40>", "bkua_<x40>", "pul-<x40>",
    "<w14>.atlasv1.<u67>", "sgp_<x16>_<x40>", "rdme_<z70>", "PMAK-<x24>-<x34>", "figd_<u40>", "lin_api_<w40>",
    "lin_oauth_<x64>", "ntn_<d11><w35>", "secret_<w43>", "pat<w14>.<x64>", "API-<Z26>", "CFPAT-<u43>",
    "hvs.<u95>", "hvb.<u150>", "hvr.<u95>", "dp.pt.<w43>", "dp.st.prd.<w43>", "dp.sa.<w43>", "ops_eyJ<b250>",
    "A3-<Z6>-<Z11>-<Z5>-<Z5>-<Z5>", "AGE-SECRET-KEY-1<Z58>", "e2b_<x40>", "pnu_<w36>", "apify_api_<w36>",
    "ico-<w32>", "sdk-<uuid>", "api-<uuid>", "xau_<w40>",
    # watching
    "sntrys_eyJpYXQiOjE3<b120>_<b43>", "sntryu_<x64>", "glsa_<w32>_<x8>", "glc_<b120>", "NRAK-<Z27>", "NRII-<u32>",
    "NRJS-<x19>", "<x32>FFFFNRAL", "dt0c01.<Z24>.<Z64>", "hcaik_01<z58>", "pylf_v1_us_<w43>", "sk-lf-<uuid>",
    "lsv2_pt_<x32>_<x10>", "lsv2_sk_<x32>_<x10>",
    # messages
    "xoxb-<d12>-<d12>-<w24>", "xoxp-<d12>-<d12>-<d12>-<x32>", "xoxe-1-<Z146>", "xoxe.xoxp-1-<Z163>",
    "xapp-1-<Z11>-<d13>-<x64>", "MTA<w21>.G<u5>.<u38>", "<d10>:AA<u33>", "SK<x32>", "SG.<u22>.<u43>", "key-<x32>",
    "<x32>-us14", "xkeysib-<x64>-<w16>", "xsmtpsib-<x64>-<w16>", "re_<w8>_<w24>", "md-<u22>", "AAAA<u7>:APA91b<u134>",
    "EAAC<w120>", "pat-na1-<uuid>", "tfp_<w44>_<w14>",
    # payments and shops
    "sk_live_<w24>", "sk_test_<w99>", "rk_live_<w24>", "whsec_<b32>", "sq0atp-<u22>", "sq0csp-<u43>", "EAAA<u60>",
    "access_token$production$<z16>$<x32>", "rzp_live_<w14>", "FLWSECK_TEST-<x32>-X", "FLWSECK-<x32>-X",
    "shpat_<x32>", "shpca_<x32>", "shppa_<x32>", "shpss_<x32>", "live_sk_<w32>", "test_gsk_<w32>", "EZAK<w54>",
    "EZTK<w54>", "shippo_live_<x40>", "duffel_live_<u43>", "access-production-<uuid>", "live_<u35>1", "polar_oat_<w43>",
    # models
    "sk-<w20>T3BlbkFJ<w20>", "sk-proj-<u74>T3BlbkFJ<u74>", "sk-ant-api03-<u93>AA", "sk-ant-admin01-<u93>AA",
    "sk-or-v1-<x64>", "hf_<w34>", "api_org_<a34>", "r8_<w37>", "gsk_<w52>", "pplx-<w48>", "xai-<w80>",
    "tgp_v1_<u43>", "pcsk_<w5>_<w60>", "nvapi-<u64>", "tvly-<w32>", "fc-<x32>", "jina_<w60>", "csk-<z48>",
    "llx-<w48>", "sk_<x48>", "rpa_<Z40>", "sk.eyJ1Ijoi<w60>.<u22>", "wandb_v1_<w76>", "fw_<w24>", "pa-<u43>",
    # of a standard's form
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI<u40>.<u43>", "eyJhbGciOiJkaXIiLCJlbmMi<u20>..<u16>.<u80>.<u22>",
    "ZXlKaGJHY2lPaUpJVXpJMU5pSjku<w60>",
)

ADDRESSES: Final = (
    "POST https://hooks.slack.com/services/«T<Z10>/B<Z10>/<w24>» 200",
    "POST https://hooks.slack.com/workflows/«T<Z10>/A<Z10>/<d18>/<w24>» 200",
    "POST https://hooks.slack.com/triggers/«T<Z10>/<d13>/<x32>» 200",
    "POST https://discord.com/api/webhooks/«<d19>/<u68>» 204",
    "POST https://discordapp.com/api/webhooks/«<d18>/<u68>» 204",
    "POST https://discord.com/api/v10/webhooks/«<d19>/<u68>» 204",
    "GET https://api.telegram.org/bot«<d10>:AA<u33>»/sendMessage",
    "POST https://contoso.webhook.office.com/webhookb2/«<uuid>@<uuid>/IncomingWebhook/<x32>/<uuid>»",
    "POST https://outlook.office.com/webhook/«<uuid>@<uuid>/IncomingWebhook/<x32>/<uuid>»",
    "POST https://prod-01.westeurope.logic.azure.com/workflows/<x32>/triggers/manual/paths/invoke?sp=x&sig=«<u43>»",
    "POST https://chat.googleapis.com/v1/spaces/AAA/messages?key=«<u39>»&token=«<u43>»",
    "POST https://mattermost.example.org/hooks/«<z26>»",
    "POST https://chat.example.org/hooks/«<w17>/<w43>»",
    "POST https://hooks.zapier.com/hooks/catch/«<d7>/<z7>»/",
    "POST https://maker.ifttt.com/trigger/built/with/key/«<u43>»",
    "POST https://hook.eu1.make.com/«<z32>»",
    "POST https://events.pagerduty.com/integration/«<x32>»/enqueue",
    "GET https://hc-ping.com/«<uuid>»/fail",
    "POST https://hook.dooray.com/services/«<d19>/<d19>/<w22>»",
    "POST https://wh.jandi.com/connect-api/webhook/«<d8>/<x32>»",
    "POST https://open.feishu.cn/open-apis/bot/v2/hook/«<uuid>»",
    "POST https://oapi.dingtalk.com/robot/send?access_token=«<x64>»",
    "POST https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=«<uuid>»",
    "sent KakaoAK «<x32>» to upstream", "https://«<x32>»@o450.ingest.us.sentry.io/42",
    "https://x-access-token:«ghs_<w36>»@github.com/org/app.git",
    "git clone https://oauth2:«<u20>»@gitlab.example.org/a/b.git",
    "redis://:«<p16>»@cache:6379/0", "rediss://default:«<w20>»@cache:6380", "amqps://app:«<w16>»@mq:5671/%2f",
    "postgresql://app:«<w16>»@db:5432/blog?sslmode=require", "mongodb+srv://app:«<w16>»@cluster0.example.net/blog",
    "mysql+pymysql://app:«<w12>»@db/blog", "smtp://mailer:«<w16>»@mail:587", "ftp://bob:«<w10>»@files/x",
    "jdbc:postgresql://db/blog?user=app&password=«<w16>»", "jdbc:sqlserver://db;user=sa;password=«<w16>»;encrypt=true",
    "GET /callback?code=«<u43>»&state=«<u32>» 302", "GET /callback?state=«<u32>»&code=«4/0A<u70>»",
    "Location: https://app.example.org/cb#access_token=«<u60>»&expires_in=3600",
    "GET /reset?token=«<u32>» 200", "GET /download?X-Amz-Credential=a&X-Amz-Signature=«<x64>»",
    "GET https://x.blob.core.windows.net/c/f?sv=2022&sp=r&sig=«<w43>%3D»", "GET /oauth?id_token=«eyJ<u40>.eyJ<u80>.<u43>»",
    "GET https://maps.googleapis.com/maps/api/geocode/json?address=x&key=«<u39>»", "GET /v1?api_key=«<x32>»&page=2",
    "GET /v1?apikey=«<x32>»", "GET /login?next=%2Fa%3Ftoken%3D«<w24>»", "GET /ws?access_token=«<w40>» 101",
    "GET /saml?SAMLResponse=«<w80>»&RelayState=x", "GET /v1?client_secret=«<w40>»", "GET /x?auth=«<w20>»",
)

NAMED: Final = (
    "password=«<p14>»", 'PASSWORD="«<p8> <p6>»"', "{'password': '«<w12>»', 'user': 'bob'}", '{"passwd":"«<w12>»"}',
    "pwd: «<w10>»", "DB_PASSWORD=«<w16>» POSTGRES_USER=app", "비밀번호: «<w10>»", "비밀번호=«<w10>» 입력",
    "패스워드 : «<w10>»", "login(user='bob', password='«<w12>»')", "--password «<w12>» --host db", "--token=«<w20>»",
    "Authorization: Bearer «<u40>»", "authorization: Basic «<w20>Og==»", "proxy-authorization: Basic «<w24>»",
    "Authorization: AWS4-HMAC-SHA256 Credential=«<Z20>»/20260101, Signature=«<x64>»",
    "Authorization: Token «<x40>»", "Authorization: ApiKey «<w40>»", "X-Api-Key: «<w32>»", "x-auth-token: «<x32>»",
    "X-Amz-Security-Token: «<w100>»", "X-Vault-Token: «s.<w24>»", "PRIVATE-TOKEN: «<u20>»", "X-Shopify-Access-Token: «<x32>»",
    "Cookie: theme=dark; sessionid=«<z32>»", "Set-Cookie: sid=«<w32>»; Path=/; HttpOnly", "Cookie: JSESSIONID=«<X32>»",
    "client_secret=«<w40>»&grant_type=client_credentials", "grant_type=refresh_token&refresh_token=«<u40>»",
    "grant_type=password&username=bob&password=«<w12>»", '"refreshToken": "«<u40>»"', "'access_token': '«<u40>»'",
    "aws_secret_access_key = «<b40>»", "AWS_SECRET_ACCESS_KEY=«<b40>»", "AWS_SESSION_TOKEN=«<b80>»",
    "SECRET_KEY = '«<p50>»'", "JWT_SECRET: «<w32>»", "encryption_key=«<x64>»", "HEROKU_API_KEY=«<uuid>»",
    "DATADOG_API_KEY=«<x32>»", "cloudflare_api_key: «<x37>»", "OPENAI_API_KEY='«<w51>»'", "MAILCHIMP_API_KEY=«<x32>»",
    "twilio_auth_token=«<x32>»", "algolia_admin_api_key: «<x32>»", "okta_api_token=00«<u40>»", "ENCRYPTION_KEY=«<b43>=»",
    "AccountName=x;AccountKey=«<b86>==»;EndpointSuffix=core.windows.net", "SharedAccessKey=«<b43>=»",
    "Server=db;User Id=sa;Password=«<w16>»;", "Data Source=db;UID=sa;PWD=«<w12>»", "DefaultConnectionString: «<w24>»",
    "spring.datasource.password=«<w14>»", "otp=«<d6>»", "pin: «<d4>»", "verification_code=«<d6>»", "mfa_code: «<d6>»",
    "cvv=«<d3>»", "card_number: «4929 1234 5678 9019»", "ssn: «078-05-1120»", "주민등록번호: «900101-1234567»",
    "계좌번호=«110-<d3>-<d6>»", "account_number=«<d12>»", "passport_number: «M<d8>»", "api key: «<w32>»", "API Key=«<w32>»",
    "private_key_passphrase=«<w12>»", "ssh_key = «<w40>»", "bot_token: «<w40>»", "webhook_secret: «<w40>»", "session_key=«<x32>»",
    '{"name": "DB_PASSWORD", "value": "«<w12>»"}', '{"key": "password", "value": "«<w12>»"}', '{"value": "«<w12>»", "key": "password"}',
    '{"Key": "api_key", "Value": "«<w20>»"}', '{"field": "password", "value": "«<w12>»"}', '{"header": "Authorization", "value": "«<w20>»"}',
    '{"key":"password","value":{"stringValue":"«<w12>»"}}', "{'k': 'secret', 'v': '«<w12>»'}", '<setting name="Password" value="«<w12>»"/>',
    "- name: API_TOKEN\n  value: «<w32>»", "<password>«<w12>»</password>", "<wsse:Password Type='x'>«<w12>»</wsse:Password>",
    "[('authorization', '«<w20>»'), ('host', 'x')]", "[(b'cookie', b'sid=«<w20>»')]", '[["X-Api-Key","«<w20>»"]]',
    'form-data; name="password"\r\n\r\n«<w12>»\r\n--b--', "['mysql', '--password', '«<w12>»', '-h', 'db']", '["mysql","-uroot","-p«<w12>»"]',
    "['curl', '-u', 'bob:«<w12>»', 'https://x']", "curl -u 'bob:«<w12>»' https://x", 'curl --user "admin:«<w4> <w4> <w4> <w4> <w4> <w4>»" https://x/wp-json',
    "curl -s -u bob:«<w12>» https://x", "wget --http-password=«<w12>» https://x", "http -a bob:«<w12>» GET https://x", "sshpass -p '«<w12>»' ssh app@db",
    "mysqldump -u root -p«<w12>» blog", "redis-cli -h cache -a «<w16>» ping", "PGPASSWORD=«<w12>» psql -h db", "docker login -u bob -p «<w12>» registry",
    "ldapsearch -D cn=admin -w «<w12>» -b dc=x", "machine api.example.org login bob password «<w12>»", "db:5432:blog:app:«<w12>»",
    "wordpress user admin logged in with «<w4> <w4> <w4> <w4> <w4> <w4>»", "application password: «<w4> <w4> <w4> <w4> <w4> <w4>»",
    "«<w4> <w4> <w4> <w4> <w4> <w4>»", "define('DB_PASSWORD', '«<w12>»');", "define( 'AUTH_KEY', '«<p50>»' );", "define('NONCE_SALT',       '«<p50>»');",
    'define("SECURE_AUTH_KEY", "«<p50>»");', "define('LOGGED_IN_SALT', '«<p50>»');", "requests.get(url, auth=('bob', '«<w12>»'))",
    "HTTPBasicAuth('bob', '«<w12>»')", 'aiohttp.BasicAuth("bob", "«<w12>»")', 'httpx.BasicAuth(username="bob", password="«<w12>»")',
    'base64.b64encode(b"bob:«<w12>»")', 'request.setBasicAuth("bob", "«<w12>»")', "btoa('bob:«<w12>»')", 'req.SetBasicAuth("bob", "«<w12>»")',
    "Authorization: Digest username=\"bob\", response=\"«<x32>»\"", "Bearer «<u40>» is expired", "db_pass: «<w12>»", "smtp.pass=«<w12>»",
    "PASSWORD => '«<w12>»'", "\x1b[36mpassword\x1b[0m=\x1b[35m«<w12>»\x1b[0m", "password: |\n  «<w12>»\nuser: x", "{\\\"password\\\": \\\"«<w12>»\\\"}",
    "{&quot;token&quot;: &quot;«<w24>»&quot;}", "os.environ['API_SECRET'] = '«<w20>»'", "password=«<w4>,<w4>!<w4>» next", "csrf_token=«<w32>»",
    "ALTER ROLE app PASSWORD '«<w12>»'", "IDENTIFIED BY '«<w12>»'", "identified with mysql_native_password by '«<w12>»'", "secret: «<w8>»",
)

ERRORS: Final = (
    "invalid input for query argument $1: '«<w12>»' ('str' object cannot be interpreted as an integer)",
    "asyncpg.exceptions.DataError: invalid input for query argument $2: ['«<w12>»'] (an integer is required)",
    'invalid input syntax for type integer: "«<w12>»"\nLINE 1: SELECT * FROM t WHERE id = \'«<w12>»\'\n                  ^',
    'invalid input syntax for type uuid: "«<w12>»"', 'invalid input value for enum mood: "«<w12>»"', 'malformed array literal: "«<w12>»"',
    'date/time field value out of range: "«<d8>-<d2>-<d2>»"', 'value "«<d20>»" is out of range for type integer',
    'invalid input syntax for type json\nDETAIL:  Token "«<w12>»" is invalid.\nCONTEXT:  JSON data, line 1: {"a": «<w12>»...',
    'duplicate key value violates unique constraint "u"\nDETAIL:  Key (email)=(«<a10>@<a8>.org») already exists.',
    "DETAIL:  Failing row contains (1, «<w12>», null, «<a8>@<a6>.org»).", 'Key (owner, mail)=(7, «<w12>») is not present in table "u".',
    'DETAIL:  Key (lower(mail::text))=(«<w12>») conflicts with existing key (lower(mail::text))=(«<w12>»).',
    'syntax error at or near "«<w12>»"', "unterminated quoted string at or near \"'«<w12>»\"", 'CONTEXT:  COPY users, line 1, column mail: "«<w12>»"',
    "CONTEXT:  unnamed portal parameter $1 = '«<w12>»'", "DETAIL:  parameters: $1 = '«<w12>»', $2 = '5'",
    "(1366, \"Incorrect integer value: '«<w12>»' for column 'age' at row 1\")", "(1292, \"Truncated incorrect DOUBLE value: '«<w12>»'\")",
    "(1292, \"Incorrect datetime value: '«<w12>»' for column 'at' at row 1\")", "(1062, \"Duplicate entry '«<w12>»' for key 'users.mail'\")",
    "You have an error in your SQL syntax; check the manual for the right syntax to use near '«<w12>» OR 1' at line 1",
    "(1525, \"Incorrect DATE value: '«<w12>»'\")", "Incorrect string value: '\\xF0\\x9F«<w12>»' for column 'name' at row 1",
    'near "«<w12>»": syntax error', 'unrecognized token: "\'«<w12>»"', "Conversion failed when converting the nvarchar value '«<w12>»' to data type int.",
    "Violation of UNIQUE KEY constraint 'u'. Cannot insert duplicate key in object 'dbo.u'. The duplicate key value is («<w12>»).",
    "Unclosed quotation mark after the character string '«<w12>»'.", "String or binary data would be truncated. Truncated value: '«<w12>»'.",
    "Could not convert string '«<w12>»' to INT32", "E11000 duplicate key error collection: b.u index: mail_1 dup key: { mail: \"«<w12>»\" }",
    "[SQL: SELECT * FROM users WHERE name = '«<w12>»']\n(Background on this error)", '[SQL: SELECT * FROM users WHERE name = "«<w12>»"]',
    '[SQL: INSERT INTO "users" ("name", "mail") VALUES ("«<w12>»", "«<w12>»")]', "[SQL: SELECT $$«<w12>»$$, $tag$«<w12>»$tag$]",
    "[SQL: INSERT INTO t (a) VALUES (%s)]\n[parameters: ('«<w12>»',)]", "[parameters: {'mail': '«<w12>»'}]", "[generated in 0.1s] ('«<w12>»', 5)",
    "[{'type': 'string_pattern_mismatch', 'loc': ('body', 'password'), 'msg': \"String should match pattern '^[a-z]{8}$'\", 'input': '«<w12>»'}]",
    '{"detail":[{"type":"x","loc":["body","password"],"msg":"should match {8,}","input":"«<w12>»","ctx":{"pattern":"{8,}"}}]}',
    "1 validation error for Login\nusers[0].password\n  Input should be a valid integer [type=int_type, input_value='«<w12>»', input_type=str]",
    "1 validation error for Login\npassword.function-after[check(), str]\n  Value error, not [ok] [type=value_error, input_value='«<w12>»', input_type=str]",
    "1 validation error for Login\ntokens.list[int].0\n  Input should be a valid integer [type=int_parsing, input_value='«<w12>»', input_type=str]",
    "body -> password\n  Field [type=x, input_value={'password': '«<w12>»'}, input_type=dict]", "input_value={'api_key': '«<w20>», 'user': 'x'}",
    "[{'loc': ('body', 'function-after[f(), str]', 'password'), 'msg': 'x', 'input': '«<w12>»'}]",
)

MATERIAL: Final = (
    "-----BEGIN RSA PRIVATE KEY-----\n«<b64>\n<b64>\n<b20>==»\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\\n«<b64>\\n<b40>»\\n-----END PRIVATE KEY-----\\n", "-----BEGIN EC PRIVATE KEY-----\n«<b64>\n<b30>»",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n«b3BlbnNzaC1rZXktdjEA<b50>\n<b60>»\n-----END OPENSSH PRIVATE KEY-----",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n«<b64>\n<b30>»\n-----END PGP PRIVATE KEY BLOCK-----", "«<b64>\n<b64>»\n-----END ENCRYPTED PRIVATE KEY-----",
    "read «MIIEvQIBADANBgkqhkiG9w0BAQEFAASC<b200>» from file", "read «MIIEpAIBAAKCAQEA<b64>\n<b64>\n<b30>==» from file",
    "read «b3BlbnNzaC1rZXktdjEAAAAABG5vbmU<b120>» from file", "read «MHcCAQEEI<b150>» from file", "read «MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0w<b140>»",
    '{"kty":"RSA","n":"<u40>","e":"AQAB","d":"«<u80>»","p":"«<u40>»"}', '{"kty":"oct","k":"«<u43>"»}', '{"kty": "EC", "crv": "P-256", "x": "a", "d": "«<u43>»"}',
    "{'kty': 'OKP', 'crv': 'Ed25519', 'd': '«<u43>»', 'x': 'y'}", '{"d":"«<u43>»","kty":"EC"}', "PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 2\n«<b64>\n<b30>»\n",
    "checked $2b$12$«<w53>»", "$argon2id$v=19$m=65536,t=3,p=4$«<b22>$<b43>»", "pbkdf2_sha256$600000$«<w22>$<b43>=»", "root:$6$«<w16>$<w86>»:19000:0:99999:7:::",
    "app:$y$j9T$«<w22>$<w43>»:19000", "bob:$apr1$«<w8>$<w22>»", "bob:{SSHA}«<b32>»", "scrypt:32768:8:1$«<w16>$<x128>»", "$5$rounds=5000$«<w16>$<w43>»",
    "paid with 4111 1111 1111 1111".replace("4111 1111 1111 1111", "«4111 1111 1111 1111»"), "card «5555555555554444» declined", "amex «378282246310005»",
    "visa «4242-4242-4242-4242»", "jcb «3530111333300000»", "discover «6011111111111117»", "mir «2200000000000004»", "unionpay «6200000000000005»",
)
# fmt: on


def secrets() -> Iterator[Sample]:
    """Every sample that holds a secret."""
    for description in (*in_neutral_sentences(ISSUED), *ADDRESSES, *NAMED, *ERRORS, *MATERIAL):
        yield generate(description)
