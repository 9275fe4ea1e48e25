/** Receipts of small ledgers over ports in memory: of every record, whenever it is asked for, and what becomes of all other places. */
import {
  encodeLeaf, formatReceipt, generation, hashToText, index, offset, parseReceipt, payloadDigest, seq, verifyReceipt, makeSignerKey, type RecordSegment,
} from '@plait/core';
import type { LeavesOf, Proved, Prover, ProverOptions, RecordPlace } from '@plait/roles';
import { describe, expect, test } from 'vitest';
import { checkpointKey, keys, ORIGIN, OTHER } from '../vectors/histories/builder.ts';
import { ProvingWorld, TOPIC, type Told } from './proving-world.ts';

const SHIFT = Number(process.env['PLAIT_SIM_SEED'] ?? 0);

/** What a question came to. */
interface Answer {
  readonly place: RecordPlace;
  proved?: Proved;
  error?: unknown;
}

/** Asks for a place; undefined if another prover must be asked. */
function ask(prover: Prover, place: RecordPlace, payload = true): Answer | undefined {
  const answer: Answer = { place };
  const isTaken = prover.ask({ place, payload, answer: (proved) => (answer.proved = proved), refuse: (error) => (answer.error = error) });
  return isTaken ? answer : undefined;
}

const at = (told: Pick<Told, 'partition' | 'offset'>, gen = 0n): RecordPlace => ({ topic: TOPIC, partition: told.partition, offset: told.offset, generation: generation(gen) });
const bySeq = (told: Told): RecordPlace => ({ seq: seq(told.seq ?? -1n) });

/** The receipt must be a file, and prove what the ledger says of the record. */
function checkProved({ proved, error }: Answer, told: Told, payload = true): void {
  expect(error).toBeUndefined();
  if (proved === undefined) throw new Error(`no answer for ${told.partition}@${told.offset}`);
  const receipt = parseReceipt(new TextEncoder().encode(formatReceipt(proved.receipt)));
  expect(verifyReceipt(receipt, { key: proved.key })).toMatchObject({
    origin: ORIGIN, topic: TOPIC, partition: told.partition, offset: told.offset, seq: told.seq, timestamp: told.timestamp, hasPayload: payload,
    payloadDigest: hashToText(payloadDigest(told.payload as Uint8Array)),
  });
  expect(receipt.payload).toEqual(payload ? told.payload : undefined);
}

/** Steps until nobody waits. */
async function settle(prover: Prover, step: () => Promise<void>): Promise<void> {
  while (prover.isWanted) await step();
}

async function catchUp(prover: Prover, step: () => Promise<void>): Promise<void> {
  while (!prover.caughtUp) await step();
}

/** Asks for one place when all was read, and gives what comes of it. */
async function one(world: ProvingWorld, place: RecordPlace, { payload = true, ...options }: Partial<ProverOptions> & { readonly payload?: boolean } = {}): Promise<Answer> {
  world.land();
  return await world.prove(options, async (prover, step) => {
    const answer = ask(prover, place, payload);
    if (answer === undefined) throw new Error('not here');
    await catchUp(prover, step);
    await settle(prover, step);
    return answer;
  });
}

/** Two segments of partition 0, one of partition 1, in two blocks with a checkpoint each; every record is at its seq. */
function smallWorld(): ProvingWorld {
  const world = new ProvingWorld('small');
  for (const partition of [0, 0, 0, 1]) world.produce(partition);
  world.report(0);
  world.report(1);
  world.block();
  world.checkpoint();
  world.produce(0);
  world.report(0);
  world.block();
  world.checkpoint();
  return world;
}

/** Three segments of partition 0; the middle one is what `change` makes of it. */
function lyingWorld(change: Partial<RecordSegment>): ProvingWorld {
  const world = smallWorld();
  world.produce(0);
  world.report(0, change);
  world.produce(0);
  world.report(0);
  world.block();
  world.checkpoint();
  return world;
}

describe('every record of a random ledger, and nothing else', () => {
  const rates = { readUnavailable: 0.05, pollEmpty: 0.1, sourceUnavailable: 0.05 };

  test.each(Array.from({ length: 12 }, (_, i) => [`prover ${SHIFT + i}`]))('seed %s', async (seed) => {
    const world = new ProvingWorld(seed, rates);
    world.grow(60);
    world.land();
    const early = world.told.filter(() => world.random.chance(0.5));
    await world.prove({}, async (prover, step) => {
      const asked = early.map((told) => ({ told, answer: ask(prover, at(told)) }));
      await catchUp(prover, step);
      world.grow(30);
      for (const partition of [0, 1, 2]) {
        world.produce(partition);
        world.report(partition);
      }
      world.block();
      world.checkpoint();
      world.land();
      // Now some are asked for that are numbered already, some that come, each in one of two ways.
      const late = world.told.map((told) => ({ told, answer: ask(prover, told.seq === undefined || world.random.chance(0.5) ? at(told) : bySeq(told)) }));
      await settle(prover, step);
      for (const { told, answer } of [...asked, ...late]) {
        if (answer === undefined) throw new Error('the prover was there from the beginning');
        // What a loss took with it may have been proved before.
        if (told.kind === 'record' && !(told.isGone === true && answer.error !== undefined)) checkProved(answer, told);
        else expect(answer.error, `${told.kind} ${told.partition}@${told.offset}`).toMatchObject({ code: 'missing' });
      }
    });
  });
});

test('records that are asked for together, and again, are read once', async () => {
  const world = smallWorld();
  world.land();
  let seeks = 0;
  const answers: (Answer | undefined)[] = [];
  await world.prove({}, async (prover, step) => {
    for (const told of world.told) answers.push(ask(prover, at(told)), ask(prover, bySeq(told), false));
    await settle(prover, step);
    for (const told of world.told) answers.push(ask(prover, bySeq(told)));
    expect(prover.isWanted).toBe(false);
  }, () => (seeks += 1));
  for (const answer of answers) expect(answer?.proved).toBeDefined();
  // Each partition from its beginning on.
  expect(seeks).toBe(2);
});

test('what was numbered before a prover began, another must prove', async () => {
  const world = smallWorld();
  world.block({ withState: true });
  world.checkpoint();
  const [, , , , fifth] = world.told as [Told, Told, Told, Told, Told];
  const { state } = world;
  const next = world.produce(0);
  world.report(0);
  world.block();
  world.checkpoint();
  world.land();
  await world.prove({ start: state }, async (prover, step) => {
    expect([ask(prover, at(fifth)), ask(prover, bySeq(fifth))]).toEqual([undefined, undefined]);
    const answers = [ask(prover, at(next)), ask(prover, bySeq(next))];
    await settle(prover, step);
    for (const answer of answers) checkProved(answer as Answer, next);
    // Everything it has read itself is still there.
    const again = ask(prover, bySeq(next));
    await settle(prover, step);
    checkProved(again as Answer, next);
  });
});

test('a place is waited for, until its record is numbered and covered by a checkpoint', async () => {
  const world = smallWorld();
  world.land();
  await world.prove({}, async (prover, step) => {
    await catchUp(prover, step);
    const place = at({ partition: 2, offset: offset(0n) });
    const [answer, given] = [ask(prover, place) as Answer, ask(prover, place) as Answer];
    const rounds = async (): Promise<void> => {
      for (let i = 0; i < 20; i += 1) await step();
      expect([answer.proved, answer.error, given.proved]).toEqual([undefined, undefined, undefined]);
    };
    await rounds();
    const told = world.produce(2);
    world.report(2);
    world.land();
    await rounds();
    world.block();
    world.land();
    await rounds();
    // Of another tree, though signed by the key: the fold cannot tell it from one that is only older.
    world.block();
    world.checkpoint({ size: world.state.height - 1n, root: OTHER });
    world.land();
    await rounds();
    world.checkpoint();
    world.land();
    await settle(prover, step);
    checkProved(answer, told);
    expect(answer.proved?.receipt.index).toBe(2n);
  });
});

test('each receipt names the checkpoint key that was in force', async () => {
  const world = smallWorld();
  const [first] = world.told as [Told];
  const old = await one(world, at(first));
  const fresh = makeSignerKey(ORIGIN, new Uint8Array(32).fill(7));
  world.configure({ checkpointKeys: keys(fresh) });
  const told = world.produce(1);
  world.report(1);
  world.block();
  world.checkpoint();
  world.checkpoint({ key: fresh });
  const answer = await one(world, at(told));
  checkProved(old, first);
  checkProved(answer, told);
  expect([old.proved?.key, answer.proved?.key]).toEqual([checkpointKey.verifier, fresh.verifier]);
});

describe('no receipt', () => {
  test('of what needs another checkpoint, while the key contradicts itself', async () => {
    const world = smallWorld();
    const [first] = world.told as [Told];
    const unsigned = world.produce(1);
    world.report(1);
    world.block();
    world.checkpoint({ root: OTHER });
    world.land();
    await world.prove({}, async (prover, step) => {
      const answers = [at(first), at(unsigned), at({ partition: 2, offset: offset(0n) })].map((place) => ask(prover, place) as Answer) as [Answer, Answer, Answer];
      await settle(prover, step);
      checkProved(answers[0], first);
      for (const { error } of answers.slice(1)) expect(error).toMatchObject({ code: 'split-view' });
      const fresh = makeSignerKey(ORIGIN, new Uint8Array(32).fill(7));
      world.configure({ checkpointKeys: keys(fresh) });
      world.checkpoint({ key: fresh });
      world.land();
      for (let i = 0; i < 20; i += 1) await step();
      const again = ask(prover, at(unsigned)) as Answer;
      await settle(prover, step);
      checkProved(again, unsigned);
    });
  });

  test('of a record that is not what was hashed; those beside it have theirs', async () => {
    const world = lyingWorld({ root: OTHER });
    const [before, wrong, after] = world.told.filter(({ partition }) => partition === 0).slice(-3) as [Told, Told, Told];
    world.land();
    await world.prove({}, async (prover, step) => {
      const answers = [before, wrong, after].map((told) => ask(prover, at(told)) as Answer) as [Answer, Answer, Answer];
      await settle(prover, step);
      checkProved(answers[0], before);
      checkProved(answers[2], after);
      expect(answers[1].error).toMatchObject({
        code: 'invalid', message: expect.stringContaining('differs from what was hashed'),
        details: { topic: TOPIC, partition: 0, firstOffset: String(wrong.offset), worker: 'worker-1' },
      });
    });
  });

  test('of what is void', async () => {
    const world = lyingWorld({ root: OTHER });
    const [before, wrong] = world.told.filter(({ partition }) => partition === 0).slice(-3) as [Told, Told];
    world.configure({ voids: [{ topic: TOPIC, partition: 0, generation: generation(0n), firstIndex: index(4n), nextIndex: index(5n) }] });
    world.block();
    world.checkpoint();
    expect((await one(world, at(wrong))).error).toMatchObject({ code: 'config', message: expect.stringContaining('declared void') });
    checkProved(await one(world, at(before)), before);
  });

  test('of what is gone, but without payload where its leaf is at hand', async () => {
    const world = smallWorld();
    const [first, second, third, , last] = world.told as [Told, Told, Told, Told, Told];
    world.source.deleteBefore(TOPIC, 0, offset(1n));
    const gone = { code: 'missing', message: expect.stringContaining('no longer in the partition') };
    for (const told of [first, second]) expect((await one(world, at(told))).error).toMatchObject(gone);
    checkProved(await one(world, at(last)), last);
    const leaves = Buffer.concat([first, second, third].map((told) =>
      encodeLeaf({ offset: told.offset, timestamp: told.timestamp ?? 0n, digest: payloadDigest(told.payload as Uint8Array) })));
    const leavesOf: LeavesOf = (segment) => Promise.resolve(segment.firstOffset === 0n ? leaves : undefined);
    checkProved(await one(world, at(second), { leavesOf, payload: false }), second, false);
    expect((await one(world, at(second), { leavesOf })).error).toMatchObject(gone);
    // Leaves of something else are of no use.
    for (const wrong of [leaves.subarray(48), leaves.subarray(0, 47), Buffer.concat([leaves.subarray(48), leaves.subarray(0, 48)])]) {
      expect((await one(world, at(second), { leavesOf: () => Promise.resolve(wrong), payload: false })).error).toMatchObject(gone);
    }
  });

  test('of a place below where a partition began, or that will never be numbered', async () => {
    const world = smallWorld();
    world.source.produceInvisible(TOPIC, 2, 10);
    world.configure({ starts: [{ topic: TOPIC, partition: 2, generation: generation(1n), offset: offset(5n) }] });
    const behind = { code: 'missing', message: expect.stringContaining('began behind it') };
    expect((await one(world, at({ partition: 2, offset: offset(4n) }, 1n))).error).toMatchObject(behind);
    world.land();
    await world.prove({}, async (prover, step) => {
      await catchUp(prover, step);
      const waits = [0, 1].map((partition) => ask(prover, at({ partition, offset: offset(9n) })) as Answer);
      for (let i = 0; i < 20; i += 1) await step();
      expect(waits.map(({ error }) => error)).toEqual([undefined, undefined]);
      world.configure({ starts: [{ topic: TOPIC, partition: 0, generation: generation(1n), offset: offset(50n) }] });
      world.configure({ sources: ['other'] });
      world.land();
      await settle(prover, step);
      expect(waits[0]?.error).toMatchObject(behind);
      expect(waits[1]?.error).toMatchObject({ code: 'config', message: expect.stringContaining('no source') });
    });
  });

  test('of a place behind which a partition began while segments of its older generation wait for a block', async () => {
    const world = smallWorld();
    world.produce(0);
    world.report(0);
    world.configure({ starts: [{ topic: TOPIC, partition: 0, generation: generation(1n), offset: offset(50n) }] });
    world.land();
    await world.prove({}, async (prover, step) => {
      await catchUp(prover, step);
      for (let i = 0; i < 5; i += 1) await step();
      const answer = ask(prover, at({ partition: 0, offset: offset(20n) }, 1n)) as Answer;
      world.block();
      world.checkpoint();
      world.land();
      for (let i = 0; i < 20; i += 1) await step();
      expect(answer.error).toMatchObject({ code: 'missing', message: expect.stringContaining('began behind it') });
    });
  });

  test('for a question that was withdrawn', async () => {
    const world = smallWorld();
    world.land();
    await world.prove({}, async (prover, step) => {
      const answers: string[] = [];
      const question = (place: RecordPlace, name: string) => ({ place, payload: true, answer: () => answers.push(name), refuse: () => answers.push(`${name} refused`) });
      const asked = [question(at({ partition: 0, offset: offset(0n) }), 'a'), question(at({ partition: 3, offset: offset(0n) }), 'b'), question(at({ partition: 0, offset: offset(1n) }), 'c')];
      for (const each of asked) prover.ask(each);
      prover.withdraw(asked[0] as never);
      await catchUp(prover, step);
      prover.withdraw(asked[1] as never);
      await settle(prover, step);
      expect(answers).toEqual(['c']);
      prover.ask(asked[1] as never);
      prover.refuseAll(new Error('closed'));
      expect(answers).toEqual(['c', 'b refused']);
      expect(prover.isWanted).toBe(false);
    });
  });
});
