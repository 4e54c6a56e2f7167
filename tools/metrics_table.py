"""The table of metrics in docs/emitting.md, printed from the catalogue: `python -m tools.metrics_table` updates it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from blogauto_otel.api.catalogue import CATALOGUE, MetricSpec
from blogauto_otel.config import default_of

ROOT: Final = Path(__file__).resolve().parents[1]

BEGIN: Final = "<!-- metrics:begin (printed from the catalogue by tools/metrics_table.py) -->"
END: Final = "<!-- metrics:end -->"

KOREAN: Final[Mapping[str, str]] = {
    "api.requests": "처리가 끝난 HTTP 요청 수. 예외로 끝난 요청도 포함합니다.",
    "api.request.duration": "요청 수신부터 응답의 마지막 바이트까지 걸린 시간. 백그라운드 작업은 제외합니다.",
    "api.requests.in_progress": "현재 처리 중인 HTTP 요청 수.",
    "errors": "예외로 끝난 HTTP 요청 수(처리된 예외 포함). 예외 클래스별로 집계합니다.",
    "websockets.open": "현재 열려 있는 웹소켓 세션 수.",
    "cpu.usage": "CPU 사용률(0~100). 컨테이너 할당량이 있으면 그 기준, 없으면 호스트 기준입니다.",
    "memory.usage": "사용 중인 메모리. 컨테이너 한도가 있으면 컨테이너, 없으면 호스트 기준입니다.",
    "memory.available": "스왑 없이 더 할당할 수 있는 메모리.",
    "memory.total": "컨테이너의 메모리 한도, 없으면 호스트의 전체 메모리.",
    "disk.usage": "루트 파일 시스템 사용률(0~100).",
    "active_connections": "현재 열려 있는 네트워크 연결 수.",
    "keywords.analyzed": "분석한 키워드 수.",
    "titles.generated": "생성한 제목 수.",
    "content.generated": "생성한 글 수.",
    "wordpress.posts.published": "WordPress로 전송한 글 수. 결과별로 집계합니다.",
    "api_keys.stored": "저장한 API 키 수. 대상 서비스별로 집계합니다.",
    "rate_limit.rejected": "요청 한도 초과로 거부한 요청 수. 라우트 템플릿별로 집계합니다.",
    "blocked_ips_total": "현재 차단 중인 IP 주소 수.",
    "security.events": "auth_failure, suspicious_pattern 같은 보안 이벤트 수.",
    "operation.duration": "이름을 붙인 작업(`operation`)의 소요 시간.",
    "operation.errors": "예외로 끝난 작업 수. 예외 클래스별로 집계합니다.",
    "event_loop.lag": "asyncio 이벤트 루프의 타이머 지연. 초당 네 번 측정합니다.",
    "db.repeated_queries": "한 요청이 반복 실행한 쿼리 수(N+1). 라우트 템플릿별로 집계합니다.",
    "ai.cost": "설정의 가격표로 계산한 AI 호출 비용. 통화는 레이블에 있습니다.",
    "ai.unpriced_calls": "가격이 없는 모델의 AI 호출 수. 비용에 포함되지 않습니다.",
    "process.memory.usage": "프로세스의 물리 메모리 사용량.",
    "process.thread.count": "프로세스의 스레드 수.",
    "process.unix.file_descriptor.count": "프로세스가 연 파일 디스크립터 수.",
    "cpython.gc.collections": "가비지 컬렉션 횟수. 세대별로 집계합니다.",
    "db.client.operation.duration": "SQL 문의 소요 시간.",
    "db.client.connection.count": "커넥션 풀의 연결 수. 상태별로 집계합니다.",
    "db.client.connection.max": "커넥션 풀이 열 수 있는 최대 연결 수.",
    "db.client.connection.pending_requests": "커넥션을 기다리는 요청 수.",
    "db.client.connection.timeouts": "커넥션을 얻지 못하고 시간 초과된 횟수.",
    "http.client.request.duration": "외부로 보낸 HTTP 요청의 소요 시간.",
    "gen_ai.client.operation.duration": "AI 호출의 소요 시간.",
    "gen_ai.client.operation.time_to_first_chunk": "스트리밍 요청부터 응답의 첫 청크까지 걸린 시간.",
    "gen_ai.client.token.usage": "입력·출력 토큰 수.",
}

HEADINGS: Final[Mapping[str, tuple[str, str, str]]] = {
    "docs/emitting.md": ("Series", "Kind", "Meaning"),
    "docs/emitting.ko.md": ("시계열", "종류", "설명"),
}


def table(page: str) -> str:
    """The table in the language of that page."""
    meanings = KOREAN if page == "docs/emitting.ko.md" else {metric.name: metric.description for metric in CATALOGUE}
    rows = [HEADINGS[page], ("---", "---", "---"), *(_row(metric, meanings[metric.name]) for metric in CATALOGUE)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(metric: MetricSpec, meaning: str) -> tuple[str, str, str]:
    labels = f"{{{','.join(metric.labels)}}}" if metric.attributes else ""
    name = metric.prometheus_name(str(default_of("namespace")))
    return f"`{name}{labels}`", metric.kind.prometheus_type, meaning


def rendered(page: str, text: str) -> str:
    """The page with its table up to date."""
    pattern = re.compile(r"<!-- metrics:begin.*?-->.*?" + re.escape(END), re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{table(page)}\n{END}", text)


def main() -> None:
    """Update both pages."""
    for page in HEADINGS:
        path = ROOT / page
        path.write_text(rendered(page, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
