/** The main job against containers: a ledger from init to a verified reading, over the death of its broker. */
import { describe, expect, it } from 'vitest';
import { longestGapMs } from '../e2e/ledger-checks.ts';
import { makeLedger } from '../e2e/ledger-harness.ts';
import { named, whyNot } from './engine.ts';
import { startContainers } from './start.ts';

describe.skipIf(whyNot !== undefined)(named('a ledger over Kafka and Redis in containers'), () => {
  it('holds what it promises when the broker\'s container is killed and started again', async ({ annotate }) => {
    await using containers = await startContainers();
    await using ledger = await makeLedger({ partitions: 4, place: containers });
    await ledger.startRoles();
    await using load = ledger.load();
    const reader = await ledger.follow();
    await ledger.until('the first blocks', async () => (await ledger.status()).height > 20n);
    const killedMs = Date.now();
    await containers.killBroker();
    await containers.startBroker();
    const acknowledged = load.acknowledged;
    await ledger.until('the producer goes on', () => Promise.resolve(load.acknowledged > acknowledged + 500));
    await load.stop();
    const { seen, blocks } = await ledger.verifyAll();
    expect(seen.length).toBeGreaterThan(acknowledged);
    await ledger.until('the reader has it all', () => Promise.resolve(reader.check.seen.length === seen.length));
    await reader.stop();
    await annotate(`${seen.length} records in ${blocks.length} blocks, ${longestGapMs(blocks, killedMs)} ms without a block around the broker's death`);
    const read = await ledger.plait('read', '-o', 'jsonl');
    expect(read.code, read.stderr).toBe(0);
    expect(read.stdout.trimEnd().split('\n').length).toBe(seen.length);
  });
});
