/**
 * The table of docs/SECURITY.md: every attack of it is made, each on a ledger of its own on one Kafka, and every cell of it is
 * compared with what the commands say. The broker is stopped once: then its segment files are edited so that it notices
 * nothing.
 */
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createKafka } from '@plait/kafka';
import { launch, type Services } from '@plait/launcher';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KIND_WORDS } from '../../apps/plait/src/verifying/outcome.ts';
import { patiently } from '../kafka/client.ts';
import { Harness } from '../kafka/harness.ts';
import { WAVES, type Attack } from './attack.ts';
import { COLUMNS, later, read, remember, runOn, withLeaves, withMemory, without } from './columns.ts';
import { ON_RECORDS } from './on-records.ts';
import { ON_THE_LOG } from './on-the-log.ts';
import { PARTITIONS, SmallLedger, WAVE, type Ground } from './small-ledger.ts';

/** Kafka would delete what has expired in the midst of it. */
const NOTHING_EXPIRES = { 'log.retention.check.interval.ms': '3600000', 'log.initial.task.delay.ms': '3600000' };
const SETUP_MS = 600_000;
const AT_ONCE = 8;
const PROCESSES = 3;
const NOT_TRIED = '–';
const ATTACKS: readonly Attack[] = [...ON_RECORDS, ...ON_THE_LOG];

type Row = readonly string[];

let services: Services;
let ground: Ground;
const ledgers = new Map<Attack, SmallLedger>();
const rows = new Map<string, Row>();

beforeAll(async () => {
  services = await launch({ mode: 'processes', redis: false, kafkaProcess: { settings: NOTHING_EXPIRES } });
  const kafka = { brokers: services.bootstrapServers.split(',') };
  // What is given up and sent again may be there twice, and then nothing is where the attacks look for it; what a topic that was
  // made just now refuses is not.
  const producer = createKafka({ ...kafka, requestTimeoutMs: 60_000 }).producer({ allowAutoTopicCreation: false, retry: { retries: 60 } });
  await patiently(() => producer.connect());
  ground = { kafka, harness: new Harness(kafka), producer, dataDir: services.kafka?.dataDir ?? '' };
  await eachOf(ATTACKS, AT_ONCE, prepare);
  await services.kafka?.stop();
  await eachLedger((ledger, { onDisk }) => onDisk?.(ledger));
  await services.kafka?.start();
  await eachLedger((ledger, { afterwards }) => afterwards?.(ledger));
  const now = await Promise.all([
    columnOf(ATTACKS.length, read), columnOf(AT_ONCE, withMemory), columnOf(PROCESSES, without), columnOf(AT_ONCE, withLeaves, ON_RECORDS),
  ]);
  await eachLedger(runOn);
  const columns = [...now, await columnOf(AT_ONCE, later)];
  for (const attack of ATTACKS) rows.set(attack.name, columns.map((column) => column.get(attack) ?? NOT_TRIED));
}, SETUP_MS);

afterAll(async () => {
  await ground.producer.disconnect();
  await services.stop();
  for (const { folder } of ledgers.values()) await rm(folder, { recursive: true });
});

/** A ledger with its waves, that was verified and remembered; and what is done to it over Kafka. */
async function prepare(attack: Attack): Promise<void> {
  const ledger = await SmallLedger.make(ground, attack.ledger);
  ledgers.set(attack, ledger);
  await grow(ledger);
  await remember(ledger);
  if (ON_RECORDS.includes(attack)) await ledger.keepLeaves(BigInt(WAVES * WAVE * PARTITIONS.length));
  await attack.online?.(ledger);
}

async function grow(ledger: SmallLedger): Promise<void> {
  await using team = await ledger.team();
  for (let wave = 0; wave < WAVES; wave++) {
    await ledger.write();
    await team.sequence();
  }
}

/** `work` for each item, so many at a time. */
async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const item of queue) await work(item);
  }));
}

async function eachLedger(work: (ledger: SmallLedger, attack: Attack) => Promise<void> | undefined): Promise<void> {
  await eachOf([...ledgers], AT_ONCE, async ([attack, ledger]) => await work(ledger, attack));
}

async function columnOf(atOnce: number, work: (ledger: SmallLedger) => Promise<string>, attacks = ATTACKS): Promise<Map<Attack, string>> {
  const column = new Map<Attack, string>();
  await eachOf([...ledgers].filter(([attack]) => attacks.includes(attack)), atOnce, async ([attack, ledger]) => {
    column.set(attack, await work(ledger).catch((error: unknown) => `failed: ${String(error)}`));
  });
  return column;
}

/** The page's table: its rows by their first cell. */
const page = readFileSync(new URL('../../docs/SECURITY.md', import.meta.url), 'utf8');
const [head = [], , ...table] = page.slice(page.indexOf(`| attack | ${COLUMNS[0]} |`)).split('\n\n')[0]?.split('\n').map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim())) ?? [];

describe('the table of docs/SECURITY.md', () => {
  test('has these columns and attacks', () => {
    expect(head).toEqual(['attack', ...COLUMNS]);
    expect(table.map(([name]) => name)).toEqual(ATTACKS.map(({ name }) => name));
  });

  test('shows every kind of finding', () => {
    const cells = table.flat().join('\n');
    expect(Object.keys(KIND_WORDS).filter((kind) => !cells.includes(`\`${kind}\``))).toEqual([]);
  });

  test.each(ATTACKS)('$name', ({ name }) => {
    expect(`| ${[name, ...(rows.get(name) ?? [])].join(' | ')} |`).toBe(`| ${table.find(([first]) => first === name)?.join(' | ')} |`);
  });
});
