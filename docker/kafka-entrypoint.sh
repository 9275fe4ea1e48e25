#!/bin/bash
# Entrypoint of the stand-in for apache/kafka: settings come from KAFKA_ variables as with the real image
# (KAFKA_FOO_BAR is foo.bar; ___ is -, __ is _).
set -euo pipefail

work=/tmp/plait-kafka
mkdir -p "$work"
: > "$work/server.properties"
while IFS='=' read -r -d '' name value; do
  case $name in
    KAFKA_HEAP_OPTS | KAFKA_OPTS | KAFKA_JVM_PERFORMANCE_OPTS) ;;
    KAFKA_*)
      key=${name#KAFKA_}
      key=${key//___/-}
      key=${key//__/$'\x01'}
      key=${key//_/.}
      key=${key//$'\x01'/_}
      printf '%s=%s\n' "${key,,}" "$value" >> "$work/server.properties"
      ;;
  esac
done < <(env -0)

cat > "$work/log4j2.properties" <<'PROPERTIES'
status=error
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=OUT
PROPERTIES

read -r -a heap <<< "${KAFKA_HEAP_OPTS:--Xms128m -Xmx768m}"
java=(java "${heap[@]}" -XX:+UseSerialGC "-Dlog4j2.configurationFile=$work/log4j2.properties" -cp '/opt/kafka/libs/*')
"${java[@]}" kafka.tools.StorageTool format --ignore-formatted -t "${CLUSTER_ID:?}" -c "$work/server.properties"
exec "${java[@]}" kafka.Kafka "$work/server.properties"
