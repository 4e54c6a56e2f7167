"""One short program for each AI package that is instrumented; `make ai-demo` runs them against local servers."""
