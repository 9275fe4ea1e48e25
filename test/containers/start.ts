import { createConnection } from 'node:net';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { GenericContainer, Wait, type StartedTestContainer } from 'testcontainers';
import { freePorts } from '../../packages/launcher/src/probe.ts';
import { imageEnvironment } from '../../packages/launcher/src/settings.ts';

const docker = promisify(execFile);

/** A Kafka and a Redis in containers. */
export interface Containers extends AsyncDisposable {
  readonly bootstrapServers: string;
  readonly redisUrl: string;
  /** Docker's ids of the two. */
  readonly ids: readonly string[];
  /** Kills the broker's container (SIGKILL) and returns when it is down. */
  killBroker(): Promise<void>;
  /** Starts the killed broker's container on its old data and address, and returns when it says that it is up. */
  startBroker(): Promise<void>;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port }, () => done(true));
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('error', () => done(false));
  });
}

/** Waits until the container's log since `since` says that the broker is up. */
async function brokerUp(id: string, since: string, port: number): Promise<void> {
  const deadline = performance.now() + 90_000;
  for (;;) {
    const { stdout } = await docker('docker', ['logs', '--since', since, id], { maxBuffer: 1 << 26 });
    if (stdout.includes('Kafka Server started') && (await accepts(port))) return;
    if (performance.now() > deadline) throw new Error(`the broker did not come up again:\n${stdout.slice(-2_000)}`);
    await delay(100);
  }
}

/** Starts both and returns when they answer. They are removed by `await using`; if one does not start, the other is removed. */
export async function startContainers(): Promise<Containers> {
  // Fixed, so that a client finds the broker again where it was before it was killed; nobody's outgoing connection takes it meanwhile.
  const [port = 0] = await freePorts(1);
  const started: StartedTestContainer[] = [];
  const removeAll = async (): Promise<void> => {
    await Promise.all(started.map((container) => container.stop({ timeout: 1_000, removeVolumes: true })));
  };
  try {
    const kafka = await new GenericContainer('apache/kafka:4.3.1')
      .withExposedPorts({ container: 9092, host: port })
      .withEnvironment(imageEnvironment(`127.0.0.1:${port}`))
      .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
      .withStartupTimeout(120_000)
      .start();
    started.push(kafka);
    const redis = await new GenericContainer('redis:7').withExposedPorts(6379).withStartupTimeout(60_000).start();
    started.push(redis);
    const id = kafka.getId();
    return {
      bootstrapServers: `127.0.0.1:${port}`,
      redisUrl: `redis://${redis.getHost()}:${redis.getMappedPort(6379)}`,
      ids: [id, redis.getId()],
      killBroker: async () => {
        await docker('docker', ['kill', '--signal', 'SIGKILL', id]);
        await docker('docker', ['wait', id]);
      },
      startBroker: async () => {
        const since = new Date().toISOString();
        await docker('docker', ['start', id]);
        await brokerUp(id, since, port);
      },
      [Symbol.asyncDispose]: removeAll,
    };
  } catch (error) {
    await removeAll();
    throw error;
  }
}
