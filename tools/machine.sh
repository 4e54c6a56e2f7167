#!/usr/bin/env bash
# Check the programs that the whole test run needs, and list all that are missing.
set -u
missing=()

at_least() { # WANTED FOUND
    [ -n "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

go=$(go version 2>/dev/null | sed -nE 's/.*go([0-9.]+).*/\1/p')
if ! at_least 1.26 "$go" && ! docker info >/dev/null 2>&1; then
    missing+=("Go 1.26 or newer (found: ${go:-none}), or a Docker engine: for the Collector, Prometheus, Alertmanager and Jaeger")
fi
node=$(node --version 2>/dev/null | tr -d v)
at_least 20 "$node" || missing+=("Node 20 or newer with npm (found: ${node:-none}): LogQL is parsed with Grafana's own grammar, and the inspector's page is built")
command -v npm >/dev/null || missing+=("npm")
# CI starts on clean machines: there this script installs what Debian has.
provide() { # PROGRAM PACKAGE...
    local program="$1"
    shift
    if ! command -v "$program" >/dev/null && [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$@" >/dev/null
    fi
    command -v "$program" >/dev/null
}

provide chromium chromium || missing+=("chromium: for the tests of the inspector's page; apt-get install chromium")
provide redis-server redis-server || missing+=("redis-server: for the tests of task queues; apt-get install redis-server")
provide nginx nginx-light || missing+=("nginx: for the tests of rate limits; apt-get install nginx-light")
provide java openjdk-17-jre-headless
provide mvn maven || missing+=("Maven: downloads the Kafka broker; apt-get install maven")
java=$(java -version 2>&1 | sed -nE 's/.*version "([0-9.]+).*/\1/p')
at_least 17 "$java" || missing+=("Java 17 or newer (found: ${java:-none}): for the Kafka broker; apt-get install openjdk-17-jre-headless")
command -v openssl >/dev/null || missing+=("openssl: for certificates of the TLS tests")

if [ ${#missing[@]} -gt 0 ]; then
    printf 'This machine lacks:\n' >&2
    printf '  - %s\n' "${missing[@]}" >&2
    printf 'make demo and make check need none of these.\n' >&2
    exit 1
fi
printf 'Go %s, Node %s, Java %s, Maven, chromium, redis-server, nginx, openssl: found\n' "${go:-(Docker instead)}" "$node" "$java"
