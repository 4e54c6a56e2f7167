#!/bin/sh
# Runs once before everything else: refuses example secrets outside of development, then gives the volumes their owners,
# and Prometheus the token of /metrics.
set -eu

if [ "$ENVIRONMENT" != development ]; then
    case "$GRAFANA_PASSWORD $REDACTION_HMAC_KEY" in
        *change-me*)
            echo "ENVIRONMENT is $ENVIRONMENT, but .env still has a secret of .env.example (change-me...). Set your own." >&2
            exit 1
            ;;
    esac
fi

# Both images run as 10001 and bring no folder of that owner for Docker to copy.
for volume in "${VOLUMES:-/volumes}"/otelcol "${VOLUMES:-/volumes}"/jaeger; do
    chown 10001:10001 "$volume"
done

# Prometheus runs as 65534 and reads the token from a file at each scrape. Root without capabilities cannot write to a file
# of another user's, but can delete it from a folder of its own.
token="${VOLUMES:-/volumes}/prometheus-secrets/metrics-token"
rm -f "$token"
(umask 077 && printf %s "${BLOGAUTO_OTEL_METRICS_TOKEN:-}" >"$token")
chown 65534:65534 "$token"
