import { connect, createServer, type ListenOptions, type Server } from 'node:net';
import { LauncherError } from './errors.ts';

/** Below Linux's range for outgoing connections (32768 up), so that none of those takes a port while its server restarts. */
const portMin = 21_000;
const portNext = 31_000;

/** The ports that this process has kept. */
const kept = new Set<number>();

function listen(at: ListenOptions): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(at, () => resolve(server));
  });
}

/**
 * Keeps a port from the launchers of other processes, also while its server is down, for as long as this process lives; false
 * if one of them has it. By an abstract socket, which needs no cleaning up, so only on Linux: elsewhere nobody is kept from it.
 */
async function keep(port: number): Promise<boolean> {
  if (process.platform !== 'linux' || kept.has(port)) return true;
  const server = await listen({ path: `\0plait-port-${port}` });
  if (server === undefined) return false;
  server.unref();
  kept.add(port);
  return true;
}

/**
 * Returns `count` distinct TCP ports of 127.0.0.1, in [21000, 31000), that were free a moment ago; `wanted` ones come
 * first where they are free. All are held open at once while looking. No launcher finds a port that another one has found,
 * on Linux; but another process may take one before the caller does: the caller tries again then. Throws `LauncherError` if
 * 200 random tries find too few.
 */
export async function freePorts(count: number, wanted: readonly number[] = []): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  try {
    for (let tries = 0; ports.length < count; tries++) {
      if (tries > 200 + wanted.length) throw new LauncherError('No free TCP port was found on 127.0.0.1.');
      const port = wanted[tries] ?? portMin + Math.floor(Math.random() * (portNext - portMin));
      if (wanted[tries] === undefined && kept.has(port)) continue;
      const server = await listen({ port, host: '127.0.0.1', exclusive: true });
      if (server === undefined) continue;
      servers.push(server);
      if (await keep(port)) ports.push(port);
    }
    return ports;
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/** Sends `request` to an address and returns whether `accept` likes what comes back within `timeoutMs`. Never rejects. */
function exchange(
  { host, port, timeoutMs }: { host: string; port: number; timeoutMs: number },
  request: Buffer,
  accept: (answer: Buffer) => boolean,
): Promise<boolean> {
  return new Promise((resolve) => {
    let answer = Buffer.alloc(0);
    const socket = connect({ host, port });
    const done = (result: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(done, timeoutMs, false);
    socket.once('error', () => done(false));
    socket.once('close', () => done(false));
    socket.once('connect', () => {
      if (request.length === 0) done(true);
      else socket.write(request);
    });
    socket.on('data', (bytes) => {
      answer = Buffer.concat([answer, bytes]);
      if (accept(answer)) done(true);
    });
  });
}

/** Whether something accepts TCP connections there within `timeoutMs`. Never rejects. */
export function accepts(address: { host: string; port: number; timeoutMs: number }): Promise<boolean> {
  return exchange(address, Buffer.alloc(0), () => true);
}

/** Whether a Kafka broker answers an ApiVersions request (version 0, correlation id 7) there. Never rejects. */
export function kafkaAnswers(address: { host: string; port: number; timeoutMs: number }): Promise<boolean> {
  //              size          key 18 v 0   correlation 7  client id null
  const request = Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]);
  return exchange(address, request, (answer) => answer.length >= 10 && answer.readInt32BE(4) === 7 && answer.readInt16BE(8) === 0);
}

/** Whether Redis answers PING there, or says that it wants a password. Never rejects. */
export function redisAnswers(address: { host: string; port: number; timeoutMs: number }): Promise<boolean> {
  return exchange(address, Buffer.from('PING\r\n'), (answer) => /^(\+PONG|-NOAUTH)/.test(answer.toString('latin1')));
}
