/** The Kafka release that is fetched, and the tag of its image. */
export const kafkaVersion = '4.3.1';
/** The images of docker-compose.yml. */
export const kafkaImage = `apache/kafka:${kafkaVersion}`;
export const redisImage = 'redis:7';

/**
 * Settings of every broker here, whatever starts it, for a cluster of `brokers`. They make a broker small and quick to
 * start: a group rebalances at once, and the internal topics have few partitions. `message.max.bytes` lets a 1 MB record
 * and its envelope pass.
 */
export function brokerSettings(brokers: 1 | 3): Record<string, string> {
  const minIsr = brokers === 1 ? 1 : 2;
  return {
    'process.roles': 'broker,controller',
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'auto.create.topics.enable': 'false',
    'default.replication.factor': `${brokers}`,
    'min.insync.replicas': `${minIsr}`,
    'offsets.topic.replication.factor': `${brokers}`,
    'offsets.topic.num.partitions': '3',
    'transaction.state.log.replication.factor': `${brokers}`,
    'transaction.state.log.min.isr': `${minIsr}`,
    'transaction.state.log.num.partitions': '3',
    'share.coordinator.state.topic.replication.factor': `${brokers}`,
    'share.coordinator.state.topic.min.isr': `${minIsr}`,
    // A killed broker that is started again waits until its former session has ended: not for 9 s.
    'broker.session.timeout.ms': '4000',
    'broker.heartbeat.interval.ms': '1000',
    'group.initial.rebalance.delay.ms': '0',
    'num.network.threads': '2',
    'num.io.threads': '2',
    'background.threads': '2',
    'log.cleaner.threads': '1',
    // The default, 128 MB, does not fit a small heap.
    'log.cleaner.dedupe.buffer.size': '8388608',
    'message.max.bytes': '4194304',
  };
}

/**
 * The same as environment variables for the apache/kafka image, one broker, whose clients reach it at `advertised`
 * (`host:port`). The image drops all its defaults as soon as one variable is given, so this is the full set.
 * docker-compose.yml holds the same; a test compares them.
 */
export function imageEnvironment(advertised: string): Record<string, string> {
  const settings: Record<string, string> = {
    'node.id': '1',
    'controller.quorum.voters': '1@127.0.0.1:9093',
    listeners: 'PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093',
    'advertised.listeners': `PLAINTEXT://${advertised}`,
    'log.dirs': '/var/lib/kafka/data',
    ...brokerSettings(1),
  };
  const variables = Object.entries(settings).map(([name, value]) => [`KAFKA_${name.toUpperCase().replaceAll('.', '_')}`, value]);
  return { ...Object.fromEntries(variables), CLUSTER_ID: 'cGxhaXQtZGV2LWNsdXN0ZQ', KAFKA_HEAP_OPTS: '-Xms128m -Xmx768m' };
}
