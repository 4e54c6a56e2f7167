"""The package `google-genai`: a plain call and a streamed one.

Server and key: GOOGLE_GEMINI_BASE_URL and GEMINI_API_KEY.
"""

from google import genai  # type: ignore[attr-defined]  # not installed where types are checked

import blogauto_otel
from blogauto_otel import operation

blogauto_otel.configure()
client = genai.Client()

with operation("content.generate"):
    client.models.generate_content(model="gemini-3-flash", contents="winter tyres")

with operation("content.stream"):
    for _ in client.models.generate_content_stream(model="gemini-3-flash", contents="sourdough bread"):
        pass
