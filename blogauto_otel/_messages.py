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
    "{place}: nothing sent": "{place}: 보낸 항목 없음",
    "{place}: accepted": "{place}: 수락됨",
    "{place}: not accepted: {why}": "{place}: 수락되지 않음: {why}",
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
    "this system has no {missing}; what cannot be sent waits in memory alone": "이 시스템에는 {missing} 기능이 없습니다. 보내지 못한 항목은 메모리에만 보관합니다",
    "what cannot be sent waits in memory alone": "보내지 못한 항목은 메모리에만 보관합니다",
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

KOREAN: Final[Mapping[str, str]] = MappingProxyType(_LOG | _COMMANDS)
