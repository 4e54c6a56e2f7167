#!/bin/sh
# Run a class of the broker's jars: `kafka kafka.Kafka FILE`, `kafka kafka.tools.StorageTool format ...`.
# A small heap and the first compiler only: a test broker starts sooner and leaves the processors to what is tested.
exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$(dirname "$0")/lib/*" "$@"
