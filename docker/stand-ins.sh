#!/bin/bash
# Builds stand-ins for the images of docker-compose.yml from Debian packages and the launcher's Kafka jars, under the same
# tags, for machines whose engine cannot pull images. Needs root, an engine, debootstrap, and Kafka's jars in the cache
# folder (any earlier launch puts them there), about 40 s and 1 GB for a moment. Images that are there are left alone.
#
#   docker/stand-ins.sh [folder of Kafka's jars]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kafka_image=apache/kafka:4.3.1
redis_image=redis:7
base_image=plait/jre-redis:bookworm

has() { docker image inspect "$1" > /dev/null 2>&1; }

if has "$kafka_image" && has "$redis_image"; then
  echo "both images are there"
  exit 0
fi

home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
jars=${1:-${XDG_CACHE_HOME:-$home/.cache}/plait/kafka-4.3.1}
if [ ! -f "$jars/files.json" ]; then
  echo "Kafka's jars are not in $jars: start the launcher once (any test on Kafka does), or name their folder." >&2
  exit 1
fi
command -v debootstrap > /dev/null || { echo "debootstrap is missing: apt install debootstrap" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

if ! has "$base_image"; then
  echo "making a Debian with a JRE and Redis"
  debootstrap --variant=minbase --include=openjdk-17-jre-headless,redis-server bookworm "$work/rootfs" > "$work/debootstrap.log" 2>&1 ||
    { tail -20 "$work/debootstrap.log" >&2; exit 1; }
  rm -rf "$work/rootfs/var/cache/apt" "$work/rootfs/var/lib/apt/lists"
  tar -C "$work/rootfs" -c . | docker import - "$base_image" > /dev/null
  rm -rf --one-file-system "$work/rootfs"
fi

# The classic builder: BuildKit is not in Debian's engine.
export DOCKER_BUILDKIT=0
if ! has "$kafka_image"; then
  mkdir -p "$work/kafka/libs"
  cp "$jars"/*.jar "$work/kafka/libs/"
  cp "$here/kafka-entrypoint.sh" "$work/kafka/"
  cat > "$work/kafka/Dockerfile" <<DOCKERFILE
FROM $base_image
COPY libs /opt/kafka/libs
COPY kafka-entrypoint.sh /usr/local/bin/
RUN mkdir -p /var/lib/kafka/data
VOLUME /var/lib/kafka/data
EXPOSE 9092
ENTRYPOINT ["/usr/local/bin/kafka-entrypoint.sh"]
DOCKERFILE
  chmod 755 "$work/kafka/kafka-entrypoint.sh"
  docker build -q -t "$kafka_image" "$work/kafka" > /dev/null
  echo "built $kafka_image"
fi
if ! has "$redis_image"; then
  mkdir -p "$work/redis"
  cat > "$work/redis/Dockerfile" <<DOCKERFILE
FROM $base_image
EXPOSE 6379
ENTRYPOINT ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no"]
DOCKERFILE
  docker build -q -t "$redis_image" "$work/redis" > /dev/null
  echo "built $redis_image"
fi
