/** A program that launches Kafka and Redis, says their process ids and folder, and then waits to be killed. */
import { launch } from '@plait/launcher';

const services = await launch({ mode: 'processes' });
const pids = [services.kafka?.pid, services.redis?.pid];
process.stdout.write(`${JSON.stringify({ pids, folder: services.kafka?.dataDir })}\n`);
setInterval(() => undefined, 1_000);
