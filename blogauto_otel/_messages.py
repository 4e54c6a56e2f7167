"""Messages in Korean: the most important log lines by setting, the command line by the locale of its user.

The English text stands in the code and is the key here; a text that the table lacks stays English. Log lines are
English unless `BLOGAUTO_OTEL_LANGUAGE` says otherwise, because programs and colleagues search for them. A translation
has the placeholders of its English text, those of `%` in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

LANGUAGE_VARIABLE: Final = "BLOGAUTO_OTEL_LANGUAGE"
Language = Literal["en", "ko", "auto"]

_LOCALE: Final = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set decides, as in POSIX


class _State:
    """The language of log lines; `_process` registers it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """English, as before `configure()`."""
        self.is_korean = False


state: Final = _State()


def set_language(language: Language) -> None:
    """Set the language of log lines; `auto` is that of the process's locale."""
    state.is_korean = _is_korean(language, os.environ)


def log_text(english: str) -> str:
    """A text of a log line in the language that was set."""
    return KOREAN.get(english, english) if state.is_korean else english


def command_text(english: str, environ: Mapping[str, str]) -> str:
    """A text of the command line, in the language of the variable, or of the locale when that is not set."""
    language = environ.get(LANGUAGE_VARIABLE, "auto").strip().lower()
    return KOREAN.get(english, english) if _is_korean(language, environ) else english


def _is_korean(language: str, environ: Mapping[str, str]) -> bool:
    if language in ("en", "ko"):
        return language == "ko"
    locale = next((environ[name] for name in _LOCALE if environ.get(name)), "")
    return locale.partition("_")[0].partition(".")[0].lower() == "ko"


# Log lines, with `%`: the line at start, an outage, the spool, lost items.
_LOG: Final = {
    "%s to %s": "%s → %s",
    "on: %s": "켜짐: %s",
    "; not: %s": "; 꺼짐: %s",
    "nothing": "없음",
    "cannot deliver %s to %s, keeping what waits and trying again: %s%s": "%s 전송 실패(%s). 보관하고 다시 시도합니다: %s%s",
    "; start a Collector there, set OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_{TRACES,METRICS,LOGS}_EXPORTER=none": "; 그 주소에서 Collector를 시작하거나, OTEL_EXPORTER_OTLP_ENDPOINT 또는 OTEL_{TRACES,METRICS,LOGS}_EXPORTER=none을 설정하십시오",
    "telemetry": "텔레메트리",
    "delivering to %s again": "전송 재개: %s",
    "%s are being lost: %s": "%s 유실이 시작되었습니다: %s",
    "%s are no longer lost; %d were lost in %.0f s": "%s 유실이 끝났습니다: %d건, %.0f초 동안",
    "not delivered before the end of the process, and lost: %s%s": "프로세스가 끝나기 전에 보내지 못하여 유실되었습니다: %s%s",
    "not delivered in time, and kept on disk for the next start (%s): %s": "제때 보내지 못하여 다음 시작 때 보내려고 디스크(%s)에 저장했습니다: %s",
    "%s refuses %s, which are lost: %s": "%s에서 %s 수신을 거부하여 유실되었습니다: %s",
    "%s refuses %s that were kept on disk, %s: %s": "%s에서 디스크에 저장했던 %s 수신을 거부했습니다. %s: %s",
    "where they stay for now": "우선 디스크에 남겨 둡니다",
    "and they are lost": "유실되었습니다",
    "telemetry cannot be kept on disk, and waits in memory only; set BLOGAUTO_OTEL_SPOOL_DIR to another directory, or to off: %s": "텔레메트리를 디스크에 저장할 수 없어 메모리에만 보관합니다. BLOGAUTO_OTEL_SPOOL_DIR을 다른 디렉터리나 off로 설정하십시오: %s",
    "telemetry can be kept on disk again": "텔레메트리를 다시 디스크에 저장할 수 있습니다",
}

# The command line, with `{}`.
_COMMANDS: Final = {
    "Show settings, test delivery, inspect what waits on disk, and run a local page.": "설정을 출력하고, 전송을 시험하고, 디스크에 대기 중인 데이터를 살펴보고, 로컬 페이지를 실행합니다.",
    "of an uninstalled checkout": "(설치되지 않은 저장소)",
    "name of the service, as in `configure(service_name=...)`": "서비스 이름. `configure(service_name=...)`과 같은 값",
    "send a span, metrics and a log record, and report whether the Collector accepted them": "스팬, 메트릭, 로그를 하나씩 보내고 Collector가 받았는지 확인합니다",
    "print the full report as JSON": "전체 결과를 JSON으로 출력",
    "print JSON": "JSON으로 출력",
    "accepted": "수락됨",
    "not accepted": "수락되지 않음",
    "no answer": "응답 없음",
    "{endpoint}: nothing sent": "{endpoint}: 보낸 항목 없음",
    "{endpoint}: accepted": "{endpoint}: 수락됨",
    "{endpoint}: not accepted: {why}": "{endpoint}: 수락되지 않음: {why}",
    "{missing}; http/protobuf was used instead": "{missing}; 대신 http/protobuf를 사용했습니다",
    "print the effective settings, secrets masked": "적용되는 설정을 비밀 값을 가리고 출력합니다",
    "# Settings of this environment, as lines for .env. A line that begins with `#` is a default or holds a masked secret.\n": "# 이 환경의 설정이며 .env에 그대로 쓸 수 있습니다. `#`으로 시작하는 줄은 기본값이거나 가린 비밀 값입니다.\n",
    "# --- Where each signal goes ---": "# --- 신호별 전송 주소 ---",
    "# nowhere: OTEL_SDK_DISABLED": "# 없음: OTEL_SDK_DISABLED",
    "timeout {seconds:g} s": "제한 시간 {seconds:g}초",
    "# {missing}; using http/protobuf": "# {missing}; http/protobuf를 사용합니다",
    "show the telemetry on disk that could not be sent, by service; claims, changes and sends nothing": "보내지 못해 디스크에 있는 텔레메트리를 서비스별로 보여 줍니다. 아무것도 점유하거나 바꾸거나 보내지 않습니다",
    "off: {reason}": "꺼짐: {reason}",
    "{directory} cannot be read: {reason}": "읽을 수 없음: {directory}: {reason}",
    "this system has no {missing}; what cannot be sent waits in memory only": "이 시스템에는 {missing} 기능이 없습니다. 보내지 못한 항목은 메모리에만 보관합니다",
    "what cannot be sent waits in memory only": "보내지 못한 항목은 메모리에만 보관합니다",
    "limits": "한도",
    "waiting": "대기",
    "claimed": "점유됨",
    "unfinished": "작성 중",
    "quarantined": "격리됨",
    "{size}, {files}, {age} ({age_of_metrics} for metrics)": "{size}, {files}, {age} (메트릭은 {age_of_metrics})",
    "{files}, {size}, {items}, the oldest for {age}": "{files}, {size}, {items}, 가장 오래된 항목은 {age} 전",
    "process {pid} has claimed {files}": "프로세스 {pid}: {files} 점유 중",
    "process {pid} has ended; the next process takes back its {files}": "프로세스 {pid}: 종료됨. 다음 프로세스가 {files}를 회수합니다",
    "{count} file": "파일 {count}개",
    "{count} files": "파일 {count}개",
    "{count} item": "항목 {count}건",
    "{count} items": "항목 {count}건",
    "{count} h": "{count}시간",
    "{count} min": "{count}분",
    "{count} s": "{count}초",
    "show what would be redacted in a text (arguments, or standard input)": "텍스트(인자 또는 표준 입력)에서 가려질 부분을 보여 줍니다",
    "print the variables of collector/export-sentry.yaml, derived from SENTRY_DSN, as lines for .env": "SENTRY_DSN에서 만든 collector/export-sentry.yaml의 변수를 .env 형식으로 출력합니다",
    "SENTRY_DSN is not set": "SENTRY_DSN이 설정되지 않았습니다",
    "write boards, alert rules and provisioning files for a service": "서비스의 대시보드, 알림 규칙, 프로비저닝 파일을 씁니다",
    "BLOGAUTO_OTEL_NAMESPACE of the service, such as shop": "서비스의 BLOGAUTO_OTEL_NAMESPACE. 예: shop",
    "a folder; files in it are replaced": "폴더. 그 안의 파일은 덮어씁니다",
    "of boards, alerts and runbooks; default: en": "대시보드, 알림, 런북의 언어. 기본값: en",
    "name on the boards; default: the namespace": "대시보드에 표시할 이름. 기본값: namespace",
    "OTEL_SERVICE_NAME of the service; default: NAMESPACE-backend": "서비스의 OTEL_SERVICE_NAME. 기본값: NAMESPACE-backend",
    "for links in alerts": "알림 링크의 주소",
    "where runbooks/ is served; default: GRAFANA/public/runbooks": "runbooks/를 제공하는 주소. 기본값: GRAFANA/public/runbooks",
    "another threshold, such as p95_seconds=1.5": "바꿀 임계값. 예: p95_seconds=1.5",
    "{files} written to {folder}:": "{folder}에 {files}를 썼습니다:",
    "boards: the folder that grafana/provisioning/dashboards names": "대시보드: grafana/provisioning/dashboards에 적힌 폴더",
    "mount at /etc/grafana/provisioning; adapt the URLs of the data sources": "/etc/grafana/provisioning에 마운트하고 데이터 소스의 URL을 고칩니다",
    "add to rule_files of prometheus.yml": "prometheus.yml의 rule_files에 추가합니다",
    "receivers post to the URLs in the files that it names": "수신자는 파일에 적힌 URL로 알림을 보냅니다",
    "serve where alerts link to: --runbooks": "알림이 링크하는 주소에서 제공합니다: --runbooks",
    "--language {language} is not available; there is {known}": "--language {language}: 없는 언어입니다. 사용할 수 있는 언어: {known}",
    "--namespace {namespace} is not a prefix of metrics, such as shop or my_shop": "--namespace {namespace}: 메트릭 접두사가 아닙니다. 예: shop, my_shop",
    "--{name} {value} contains a quote, a backslash or a control character": "--{name} {value}에 따옴표, 역슬래시, 제어 문자가 있습니다",
    "--set {given}: there is no {name}; known are {known}": "--set {given}: {name}: 없는 이름입니다. 사용할 수 있는 이름: {known}",
    "--set {given}: not a pattern of paths, such as {default}": "--set {given}: 경로 패턴이 아닙니다. 예: {default}",
    "--set {given}: not a number, such as {default:g}": "--set {given}: 숫자가 아닙니다. 예: {default:g}",
}

# `dev` and `doctor`, with `{}`.
_DEVELOPMENT: Final = {
    "run a command and show its telemetry in a local page": "명령을 실행하고 그 텔레메트리를 로컬 페이지에서 보여 줍니다",
    "blogauto-otel dev [options] [-- COMMAND ...]": "blogauto-otel dev [옵션] [-- 명령 ...]",
    "examples:": "예:",
    "run the application and show its telemetry": "애플리케이션을 실행하고 텔레메트리를 보여 줍니다",
    "only receive, from services that already run": "이미 실행 중인 서비스에서 받기만 합니다",
    "the same for an agent, on standard input and output": "에이전트를 위해 표준 입력과 출력으로 응답합니다",
    "port of the page (default: 4320, or a free one)": "페이지의 포트 (기본값: 4320, 사용 중이면 빈 포트)",
    "keep what arrives in DIR (default: {default})": "받은 데이터를 DIR에 보관합니다 (기본값: {default})",
    "open the page in the browser": "브라우저에서 페이지를 엽니다",
    "print each request as a tree": "요청마다 트리로 출력합니다",
    "answer an agent by MCP on standard input and output": "표준 입력과 출력에서 MCP로 에이전트에 응답합니다",
    "database whose query plans the page shows, SQLite or PostgreSQL (default: {default})": "페이지에 쿼리 플랜을 보여 줄 SQLite 또는 PostgreSQL 데이터베이스 (기본값: {default})",
    "spans kept (default: {default})": "보관할 스팬 수 (기본값: {default})",
    "bytes kept (default: {default})": "보관할 바이트 수 (기본값: {default})",
    "{given}: expected a port, 0 to 65535": "{given}: 0에서 65535 사이의 포트가 필요합니다",
    "{given}: expected a number above 0": "{given}: 0보다 큰 수가 필요합니다",
    "{folder} cannot be used: {error}": "{folder}: 사용할 수 없습니다: {error}",
    "{packages} is missing: {install}": "{packages}: 설치되지 않았습니다: {install}",
    "no telemetry has arrived yet. Is blogauto_otel installed in the Python of the command, and does the application set no endpoint in its code?": "아직 받은 텔레메트리가 없습니다. 명령의 Python에 blogauto_otel이 설치되어 있는지, 애플리케이션 코드에서 엔드포인트를 지정하지 않았는지 확인하십시오.",
    "; OTLP at {http} and {grpc} (gRPC)": "; OTLP 수신 주소: {http}, {grpc} (gRPC)",
    "; OTLP at {http}": "; OTLP 수신 주소: {http}",
    "repeated x{count}: {statement}": "반복 x{count}: {statement}",
    "One row at a time: if a relationship of the ORM loads it, load it with its parents: select(...).options(selectinload(...)) for collections, joinedload(...) for single objects; otherwise fetch all rows at once with WHERE ... IN (...).": "한 번에 한 행씩 읽습니다. ORM 관계에서 읽는 것이면 상위 객체와 함께 읽으십시오: 컬렉션은 select(...).options(selectinload(...)), 단일 객체는 joinedload(...). 아니면 WHERE ... IN (...)으로 모든 행을 한 번에 읽으십시오.",
    "One row at a time: insert them in one call, execute(insert(...), [row, row, ...]) or add_all([...]).": "한 번에 한 행씩 넣습니다. execute(insert(...), [row, row, ...]) 또는 add_all([...])로 한 번에 넣으십시오.",
    "One row at a time: change them in one statement with WHERE ... IN (...).": "한 번에 한 행씩 바꿉니다. WHERE ... IN (...)으로 한 문장에서 바꾸십시오.",
    "The same statement again: keep its result for the rest of the request.": "같은 문장을 다시 실행합니다. 결과를 요청이 끝날 때까지 보관하십시오.",
    "follow telemetry from the application to the backends, and name the first broken hop": "애플리케이션에서 백엔드까지 텔레메트리의 경로를 따라가며 처음으로 끊어진 구간을 알려 줍니다",
    "the application, such as http://localhost:8000": "애플리케이션. 예: http://localhost:8000",
    "route of the request to it; one that is traced (default: /)": "애플리케이션에 보낼 요청의 경로. 트레이스하는 경로여야 합니다 (기본값: /)",
    "of that request, such as a login": "그 요청의 헤더. 예: 로그인",
    "page of the Collector's own metrics": "Collector 자체 메트릭 페이지",
    "Jaeger's query service": "Jaeger 조회 서비스",
    "Prometheus": "Prometheus 서버",
    "Loki": "Loki 서버",
    "Grafana; with the variable GRAFANA_TOKEN, where it wants one": "Grafana 서버(토큰이 필요하면 변수 GRAFANA_TOKEN)",
    "{what}, such as {example}": "{what}. 예: {example}",
    "Sentry's DSN; by default SENTRY_DSN": "Sentry의 DSN. 기본값: SENTRY_DSN",
    "organization, to read the event back (SENTRY_AUTH_TOKEN)": "조직. 이벤트를 다시 읽어 확인할 때 필요합니다 (SENTRY_AUTH_TOKEN)",
    "ok": "정상",
    "broken": "끊어짐",
    "warning": "경고",
    "not checked": "확인 안 함",
    "broken: {hop}. {fix}": "끊어진 구간: {hop}. {fix}",
    "nothing is broken": "끊어진 구간이 없습니다",
    "fix: {fix}": "조치: {fix}",
    "not understood: {error}": "해석할 수 없습니다: {error}",
    "report this as a bug": "버그로 알려 주십시오",
    "pass {option} {example}": "{option} {example}: 이 옵션을 지정하십시오",
    "start it, or correct {option}": "서버를 시작하거나 {option} 옵션을 고치십시오",
    "the application": "애플리케이션",
    "the Collector": "Collector 서버",
    "request {id}": "요청 {id}",
    "{url} answers {status}": "{url} 응답: {status}",
    "{url}: {count} metrics": "{url}: 메트릭 {count}개",
    "for clients with the token": "토큰이 있는 클라이언트만 읽을 수 있음",
    "for private networks": "사설 네트워크만 읽을 수 있음",
    "for everyone, outside production": "프로덕션이 아니므로 누구나 읽을 수 있음",
    "the answer has no X-Request-ID header: its process is not instrumented": "응답에 X-Request-ID 헤더가 없습니다. 응답한 프로세스가 계측되지 않았습니다",
    "call blogauto_otel.configure() in the application, or start it with opentelemetry-instrument": "애플리케이션에서 blogauto_otel.configure()를 호출하거나 opentelemetry-instrument로 시작하십시오",
    "{path} is never traced (BLOGAUTO_OTEL_UNTRACED_ROUTES)": "{path}: 트레이스하지 않는 경로입니다 (BLOGAUTO_OTEL_UNTRACED_ROUTES)",
    "pass --path with another route": "--path에 다른 경로를 지정하십시오",
    "the application does not answer": "애플리케이션의 응답이 없습니다",
    "BLOGAUTO_OTEL_METRICS_PATH is off": "BLOGAUTO_OTEL_METRICS_PATH가 off입니다",
    "{url} has no {name}": "{url}에 {name} 메트릭이 없습니다",
    "give this command the application's BLOGAUTO_OTEL_NAMESPACE; or the page is another library's": "이 명령에 애플리케이션과 같은 BLOGAUTO_OTEL_NAMESPACE를 지정하십시오. 다른 라이브러리의 페이지일 수도 있습니다",
    "set BLOGAUTO_OTEL_METRICS_TOKEN here as in the application; without it production answers private networks only": "BLOGAUTO_OTEL_METRICS_TOKEN을 애플리케이션과 같게 설정하십시오. 토큰이 없으면 프로덕션에서는 사설 네트워크에만 응답합니다",
    "see BLOGAUTO_OTEL_METRICS_PATH": "BLOGAUTO_OTEL_METRICS_PATH를 확인하십시오",
    "{count} up": "정상 {count}개",
    "{count} rules": "규칙 {count}개",
    "{count} boards": "대시보드 {count}개",
    "trace {id}: {spans} spans, {statements} statements, by instance {instance}": "트레이스 {id}: 스팬 {spans}개, SQL {statements}개, 인스턴스 {instance}",
    "down: {targets}": "중단: {targets}",
    "start the target, or correct its address in prometheus.yml": "대상을 시작하거나 prometheus.yml에서 주소를 고치십시오",
    "{count} series of {name}": "시계열 {count}개: {name}",
    "rules that cannot be evaluated: {rules}": "평가할 수 없는 규칙: {rules}",
    "look at lastError on the page /alerts of Prometheus": "Prometheus의 /alerts 페이지에서 lastError를 확인하십시오",
    "no alert rule is loaded": "불러온 알림 규칙이 없습니다",
    "add the files of collector/backends/prometheus/rules/en to rule_files": "collector/backends/prometheus/rules/en의 파일을 rule_files에 추가하십시오",
    "at most {seconds} s": "최대 {seconds}초",
    "{text} decides, and BLOGAUTO_OTEL_SAMPLE_RATE has no effect": "{text}이(가) 우선하므로 BLOGAUTO_OTEL_SAMPLE_RATE는 적용되지 않습니다",
    "remove one of them": "둘 중 하나를 제거하십시오",
    "no answer within {seconds} s": "{seconds}초 안에 응답이 없습니다",
    "no complete answer within {seconds} s": "{seconds}초 안에 응답이 끝나지 않았습니다",
    "it answers; there is no request to look for": "응답합니다. 찾아볼 요청이 없습니다",
    "trace {id} is not there": "트레이스 {id}: 없습니다",
    "the application or the Collector does not pass traces on: check the application's endpoint and sampling, and the exporters of the Collector's traces pipeline": "애플리케이션 또는 Collector가 트레이스를 전달하지 않습니다. 애플리케이션의 엔드포인트와 샘플링, Collector의 traces 파이프라인에 있는 exporter를 확인하십시오",
    "two instrumentations make a server span each: {scopes}": "두 계측이 각각 서버 스팬을 만듭니다: {scopes}",
    "remove the other one, or let it make the spans: BLOGAUTO_OTEL_REQUESTS=off": "다른 계측을 제거하거나, 스팬을 그쪽에 맡기려면 BLOGAUTO_OTEL_REQUESTS=off로 설정하십시오",
    "it has no {series}": "{series} 시계열이 없습니다",
    "Prometheus scrapes neither the Collector nor the application: add the target, or the exporter of the Collector's metrics pipeline": "Prometheus가 Collector도 애플리케이션도 수집하지 않습니다. 수집 대상을 추가하거나 Collector의 metrics 파이프라인에 exporter를 추가하십시오",
    "on {count} series": "시계열 {count}개에 있음",
    "none within an hour": "한 시간 안에 없음",
    "start Prometheus with --enable-feature=exemplar-storage; unsampled requests have none": "Prometheus를 --enable-feature=exemplar-storage로 시작하십시오. 샘플링되지 않은 요청에는 exemplar가 없습니다",
    "a record of trace {id}": "트레이스 {id}의 로그가 있습니다",
    "no record of trace {id}": "트레이스 {id}의 로그가 없습니다",
    "choose --path with a route that logs; else check the exporters of the Collector's logs pipeline": "--path에 로그를 남기는 경로를 지정하십시오. 그래도 없으면 Collector의 logs 파이프라인에 있는 exporter를 확인하십시오",
    "set GRAFANA_TOKEN to a service account token": "GRAFANA_TOKEN에 서비스 계정 토큰을 설정하십시오",
    "it has no blogauto-* board": "blogauto-* 대시보드가 없습니다",
    "provision collector/backends/grafana, see collector/README.md": "collector/backends/grafana를 프로비저닝하십시오. collector/README.md를 참고하십시오",
    "pass --sentry-dsn, or set SENTRY_DSN": "Sentry의 DSN을 지정하십시오 (--sentry-dsn, SENTRY_DSN)",
    "correct the DSN; 401 and 403 mean that its key or project is wrong": "DSN을 고치십시오. 401과 403은 키 또는 프로젝트가 틀렸다는 뜻입니다",
    "accepted an event of trace {id}; with SENTRY_AUTH_TOKEN and --sentry-org it is read back": "트레이스 {id}의 이벤트를 받았습니다. SENTRY_AUTH_TOKEN과 --sentry-org를 지정하면 다시 읽어 확인합니다",
    "has the event of trace {id}": "트레이스 {id}의 이벤트가 있습니다",
    "it accepted event {id} and does not show it": "이벤트 {id}: 받았지만 보이지 않습니다",
    "check quotas and inbound filters of the project, and the token's scope (event:read)": "프로젝트의 할당량과 수신 필터, 토큰의 권한(event:read)을 확인하십시오",
    "start the Collector, or correct the port of OTEL_EXPORTER_OTLP_ENDPOINT ({ports})": "Collector를 시작하거나 OTEL_EXPORTER_OTLP_ENDPOINT의 포트를 고치십시오 ({ports})",
    "inside a container localhost is the container itself: set OTEL_EXPORTER_OTLP_ENDPOINT to the Collector's service, such as http://otel-collector:4318": "컨테이너 안의 localhost는 그 컨테이너 자신입니다. OTEL_EXPORTER_OTLP_ENDPOINT를 Collector의 서비스 이름으로 설정하십시오. 예: http://otel-collector:4318",
    "look at the Collector's log": "Collector의 로그를 확인하십시오",
    "set the token in OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20...": "OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20...에 토큰을 설정하십시오",
    "use a token that may write this signal (OTEL_EXPORTER_OTLP_HEADERS)": "이 신호를 쓸 수 있는 토큰을 사용하십시오 (OTEL_EXPORTER_OTLP_HEADERS)",
    "correct the path: OTEL_EXPORTER_OTLP_ENDPOINT is the base URL, /v1/traces is added; or the Collector has no pipeline for this signal": "경로를 고치십시오. OTEL_EXPORTER_OTLP_ENDPOINT는 기본 URL이며 /v1/traces가 붙습니다. Collector에 이 신호의 파이프라인이 없을 수도 있습니다",
    "correct the path of OTEL_EXPORTER_OTLP_ENDPOINT: this is not an OTLP receiver": "OTEL_EXPORTER_OTLP_ENDPOINT의 경로를 고치십시오. OTLP 수신기가 아닙니다",
    "the Collector refuses for now: look at its queues and its memory limit": "Collector가 지금은 거부합니다. 큐와 메모리 한도를 확인하십시오",
    "the Collector refuses for now: look at its queues, its memory limit and its backends": "Collector가 지금은 거부합니다. 큐, 메모리 한도, 백엔드를 확인하십시오",
    "{host} is {addresses}": "{host}의 주소: {addresses}",
    "{url} does not answer HTTP/1.1: {error}": "{url}: HTTP/1.1로 응답하지 않습니다: {error}",
    "this is a gRPC port: use the port of OTLP over HTTP (4318), or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc": "gRPC 포트입니다. OTLP/HTTP 포트(4318)를 쓰거나 OTEL_EXPORTER_OTLP_PROTOCOL=grpc로 설정하십시오",
    "{url} expects TLS": "{url}: TLS가 필요합니다",
    "write https:// in OTEL_EXPORTER_OTLP_ENDPOINT": "OTEL_EXPORTER_OTLP_ENDPOINT에 https://로 쓰십시오",
    "OTEL_SDK_DISABLED is set": "OTEL_SDK_DISABLED가 설정되어 있습니다",
    "no signal is exported by OTLP": "OTLP로 보내는 신호가 없습니다",
    "set OTEL_EXPORTER_OTLP_CERTIFICATE to the file of the authority that signed it": "OTEL_EXPORTER_OTLP_CERTIFICATE를 서명한 인증 기관의 파일로 설정하십시오",
    "{where} does not speak TLS: {error}": "{where}: TLS를 쓰지 않습니다: {error}",
    "write http:// in OTEL_EXPORTER_OTLP_ENDPOINT, or switch TLS on in the Collector's receiver": "OTEL_EXPORTER_OTLP_ENDPOINT에 http://로 쓰거나 Collector의 수신기에서 TLS를 켜십시오",
    "the queue of {exporters} is full": "{exporters}의 큐가 가득 찼습니다",
    "start the backend that this exporter sends to, or enlarge the queue": "이 exporter가 보내는 백엔드를 시작하거나 큐를 늘리십시오",
    "the Collector is not reached": "Collector에 연결되지 않습니다",
    "{host} cannot be resolved: {error}": "{host}: 주소를 찾을 수 없습니다: {error}",
    "correct the host of OTEL_EXPORTER_OTLP_ENDPOINT; between containers it is the name of the service": "OTEL_EXPORTER_OTLP_ENDPOINT의 호스트를 고치십시오. 컨테이너 사이에서는 서비스 이름입니다",
    "{count} items refused since the Collector's start": "Collector 시작 후 거부 {count}건",
    "look at its memory limit and its backends": "메모리 한도와 백엔드를 확인하십시오",
    "{count} queues, none full": "큐 {count}개, 가득 찬 큐 없음",
    "not accepted: {why}": "수락되지 않음: {why}",
    "synchronise both clocks (NTP): spans and samples with a wrong time are not found, or refused": "두 시계를 맞추십시오(NTP). 시각이 틀린 스팬과 샘플은 찾을 수 없거나 거부됩니다",
    "the clock of {whose} is {seconds} s ahead of that of this machine": "{whose}의 시계가 이 컴퓨터보다 {seconds}초 빠릅니다",
    "the clock of {whose} is {seconds} s behind that of this machine": "{whose}의 시계가 이 컴퓨터보다 {seconds}초 느립니다",
    "remove OTEL_SDK_DISABLED": "OTEL_SDK_DISABLED를 지우십시오",
    "remove OTEL_*_EXPORTER=none": "OTEL_*_EXPORTER=none을 지우십시오",
    "no signal has an exporter": "exporter가 있는 신호가 없습니다",
    "correct the variables that are named": "위에 적힌 변수를 고치십시오",
    "by environment": "환경에 따름",
    "{rate} of the traces": "트레이스의 {rate}",
    "{text}: no trace is exported": "{text}: 보내는 트레이스가 없습니다",
    "remove it, or choose parentbased_traceidratio with 0.1": "지우거나 parentbased_traceidratio와 0.1로 설정하십시오",
    "BLOGAUTO_OTEL_SAMPLE_RATE is 0: no trace is exported": "BLOGAUTO_OTEL_SAMPLE_RATE가 0이므로 보내는 트레이스가 없습니다",
    "set it to 0.1, or remove it": "0.1로 설정하거나 지우십시오",
    "{versions}; of different releases: {pair}": "{versions}; 서로 다른 릴리스: {pair}",
    "pip install --upgrade all opentelemetry-* together": "모든 opentelemetry-* 패키지를 pip install --upgrade로 함께 올리십시오",
    "installed without an instrumentation: {libraries}": "계측이 없는 설치된 라이브러리: {libraries}",
    "complete": "모두 있음",
    "complete; not used beside those of blogauto_otel: {names}": "모두 있음. blogauto_otel의 계측이 있어 쓰지 않는 계측: {names}",
    "off": "꺼짐",
    "no directory is writable: {tried}": "쓸 수 있는 디렉터리가 없습니다: {tried}",
    "set BLOGAUTO_OTEL_SPOOL_DIR to a writable directory, or to off": "BLOGAUTO_OTEL_SPOOL_DIR을 쓸 수 있는 디렉터리나 off로 설정하십시오",
    "{directory}: {size} free": "{directory}: 남은 공간 {size}",
    "free disk space, or set BLOGAUTO_OTEL_SPOOL_DIR elsewhere": "디스크 공간을 확보하거나 BLOGAUTO_OTEL_SPOOL_DIR을 다른 곳으로 설정하십시오",
}

KOREAN: Final[Mapping[str, str]] = MappingProxyType(_LOG | _COMMANDS | _DEVELOPMENT)
