"""The package `anthropic`: a plain call and a streamed one.

Server and key: ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY.
"""

import anthropic

import blogauto_otel
from blogauto_otel import operation

blogauto_otel.configure()
client = anthropic.Anthropic()

with operation("content.generate"):
    client.messages.create(
        model="claude-haiku-5", max_tokens=500, messages=[{"role": "user", "content": "winter tyres"}]
    )

with operation("content.stream"):
    parts = client.messages.create(
        model="claude-haiku-5",
        max_tokens=500,
        messages=[{"role": "user", "content": "sourdough bread"}],
        stream=True,
    )
    for _ in parts:
        pass
