"""What Kafka holds, read with confluent-kafka: the log uncommitted, the sources committed."""

import socket
from bisect import bisect_left
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from trees import leaf_hash, leaf_of, payload_of

ANSWER_S_MAX = 15
CONNECT_S_MAX = 5


class Unreachable(Exception):
    """Kafka does not answer."""


@dataclass(frozen=True)
class Held:
    """
    What a partition holds: offsets from `start` to below `end`, and of each visible record its offset and its leaf hash. The
    leaf hash is None where this client cannot give the record's headers (a header key that is not UTF-8).
    """

    start: int
    end: int
    offsets: list[int]
    leaves: list[bytes | None]

    def between(self, first_offset: int, next_offset: int) -> list[bytes | None]:
        """The leaf hashes of the records at these offsets."""
        return self.leaves[bisect_left(self.offsets, first_offset):bisect_left(self.offsets, next_offset)]


class Kafka:
    """Reads topics whole, up to their end at that moment."""

    def __init__(self, bootstrap_servers: str):
        require_listening(bootstrap_servers)
        common = {
            "bootstrap.servers": bootstrap_servers, "group.id": "verify-ledger", "enable.auto.commit": False,
            "enable.partition.eof": True, "auto.offset.reset": "error", "check.crcs": True, "fetch.wait.max.ms": 20,
            "log_level": 0,
        }
        self._consumers = {level: Consumer({**common, "isolation.level": level}) for level in ("read_committed", "read_uncommitted")}
        try:
            topics = self._consumers["read_committed"].list_topics(timeout=ANSWER_S_MAX).topics
        except KafkaException as error:
            raise Unreachable(f"{bootstrap_servers}: {error.args[0].str()}") from error
        self._partitions = {name: set(topic.partitions) for name, topic in topics.items()}

    def close(self) -> None:
        """Frees the connections."""
        for consumer in self._consumers.values():
            consumer.close()

    def log(self, topic: str) -> tuple[int, list[tuple[int, bytes]]] | None:
        """A log's first offset, and its messages with their positions; None if there is no such topic."""
        if 0 not in self._partitions.get(topic, ()):
            return None
        start, _, messages = self._read("read_uncommitted", topic, 0)
        return start, [(message.offset(), message.value() or b"") for message in messages]

    def records(self, topic: str, partition: int) -> Held | None:
        """What a partition of a source holds; None if there is none."""
        if partition not in self._partitions.get(topic, ()):
            return None
        start, end, messages = self._read("read_committed", topic, partition)
        return Held(start, end, [message.offset() for message in messages], [leaf_hash_of(message) for message in messages])

    def _read(self, level: str, topic: str, partition: int) -> tuple[int, int, list]:
        """A partition from its first offset to its end: both, and the messages."""
        consumer, messages = self._consumers[level], []
        try:
            start, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_S_MAX)
            consumer.assign([TopicPartition(topic, partition, start)])
            while True:
                message = consumer.poll(ANSWER_S_MAX)
                if message is None:
                    raise Unreachable(f"{topic}/{partition} gives nothing")
                if message.error() is None:
                    messages.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    return start, message.offset(), messages
                else:
                    raise KafkaException(message.error())
        except KafkaException as error:
            raise Unreachable(f"{topic}/{partition}: {error.args[0].str()}") from error


def require_listening(bootstrap_servers: str) -> None:
    """Raises Unreachable at once where nobody listens at any of the addresses: the client would try again and again."""
    failure = ""
    for address in bootstrap_servers.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S_MAX).close()
            return
        except OSError as error:
            failure = f"{address}: {error.strerror or error}"
    raise Unreachable(failure)


def leaf_hash_of(message) -> bytes | None:
    """A record's leaf hash. The client tells null from empty bytes, and keeps the headers' order and repeats."""
    try:
        headers = [(key.encode(), value) for key, value in message.headers() or []]
    except (SystemError, UnicodeDecodeError):
        return None
    payload = payload_of(message.key(), message.value(), headers)
    return leaf_hash(leaf_of(message.offset(), message.timestamp()[1], payload))
