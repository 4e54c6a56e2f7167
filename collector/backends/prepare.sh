#!/bin/sh
# Runs once before everything else: refuses example secrets outside of development, then gives the volumes their owners.
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
