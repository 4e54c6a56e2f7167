"""The package `openai`: a plain call and a streamed one.

Server and key: OPENAI_BASE_URL and OPENAI_API_KEY.
"""

import openai

import blogauto_otel
from blogauto_otel import operation

blogauto_otel.configure()
client = openai.OpenAI()

with operation("content.generate"):
    client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "winter tyres"}])

with operation("content.stream"):
    parts = client.chat.completions.create(
        model="gpt-5-mini",
        messages=[{"role": "user", "content": "sourdough bread"}],
        stream=True,
        stream_options={"include_usage": True},  # or the answer states no tokens
    )
    for _ in parts:
        pass
