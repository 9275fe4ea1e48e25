/** What an ignored message of somebody with the right to sign shows of the log, kind by kind; and what shows nothing. */
import {
  epoch, formatBlock, formatClaim, formatConfiguration, height, logPosition, sealBlock, seq, signNote, type BlockHeader, type Configuration, type Hash, type LedgerState,
} from '@plait/core';
import { Follower, type LogMessage } from '@plait/roles';
import { stillLog } from '@plait/testkit';
import { beforeAll, expect, test } from 'vitest';
import { CHECKPOINT_KEY, COORDINATOR_KEYS, LEDGER_KEY, ORIGIN, WORKER_KEYS } from '../../packages/testkit/src/keyring.ts';
import { verifyWorld, worldOf, type World } from './world.ts';

let world: World;
let state: LedgerState;

beforeAll(async () => {
  ({ honest: world } = await worldOf(7));
  state = await foldOf(world);
  if (state.leader === undefined) throw new Error('wanted a world in which somebody leads');
});

async function foldOf({ messages }: World): Promise<LedgerState> {
  const follower = new Follower({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier, log: await stillLog(messages)(logPosition(0n)) });
  while (!(await follower.readToEnd()));
  return follower.state as LedgerState;
}

const end = (): bigint => (world.messages.at(-1) as LogMessage).position + 1n;
const behind = (value: Uint8Array): World => ({ ...world, messages: [...world.messages, { position: logPosition(end()), value }] });
const someHash = (): Hash => state.ledgerId;

const leader = () => COORDINATOR_KEYS.find(({ verifier }) => verifier.vkey === state.leader?.key.vkey) ?? COORDINATOR_KEYS[0];
const stranger = WORKER_KEYS[0];

const block = (change: Partial<BlockHeader>, key = leader()): Uint8Array =>
  signNote(formatBlock({ ...sealBlock(state, { cut: state.position, wallMs: Number(state.timeMs) }), ...change }), key);
const claim = (change: object, key = COORDINATOR_KEYS[1]): Uint8Array => {
  const { origin, ledgerId, follows } = state;
  return signNote(formatClaim({ kind: 'claim', origin, ledgerId, epoch: epoch(state.epoch + 1n), follows, nonce: '0'.repeat(32), ...change }), key);
};
const configuration = (change: Partial<Configuration>, key = LEDGER_KEY): Uint8Array => {
  const { origin, ledgerId, configuration: { body, version, hash } } = state;
  return signNote(formatConfiguration({ ...body, starts: [], kind: 'configuration', origin, ledgerId, version: version + 1n, previous: hash, ...change }), key);
};

test.each<readonly [string, string, () => Uint8Array]>([
  ['a block above the next height', 'block-missing', () => block({ height: height(state.height + 1n) })],
  ['a block for a claim that is nowhere', 'block-missing', () => block({ claim: someHash() === state.leader?.claim ? state.follows : ('A'.repeat(43) + '=') as Hash })],
  ['a block under a configuration that is nowhere', 'block-missing', () => block({ configuration: ('A'.repeat(43) + '=') as Hash })],
  ['a block with another first seq', 'block-differs', () => block({ firstSeq: seq(state.nextSeq + 1n) })],
  ['a block that cuts behind itself', 'block-differs', () => block({ cut: logPosition(end() + 7n) })],
  ['a block from before', 'block-differs', () => block({ timeMs: state.timeMs - 1n })],
  ['a block over other blocks', 'block-differs', () => block({ history: someHash() })],
  ['a block over other segments', 'block-differs', () => block({ records: 3n })],
  ['a block over another state', 'block-differs', () => block({ state: { bytes: 10, root: someHash() } })],
  ['a claim above the next epoch', 'block-missing', () => claim({ epoch: epoch(state.epoch + 2n) })],
  ['a claim that follows another', 'block-missing', () => claim({ follows: someHash() })],
  ['a configuration above the next version', 'block-missing', () => configuration({ version: state.configuration.version + 2n })],
  ['a configuration that follows another', 'block-missing', () => configuration({ previous: ('A'.repeat(43) + '=') as Hash })],
])('%s: %s', async (_, kind, make) => {
  const report = await verifyWorld(behind(make()));
  expect(report).toMatchObject({ verdict: 'tampered', finding: { kind, position: end(), lastGoodCheckpoint: { checkpoint: { size: state.height } } } });
  expect(report.finding?.expected).not.toBe(report.finding?.found);
});

test.each<readonly [string, string, () => Uint8Array]>([
  ['a block above the next height, by another', 'block/height', () => block({ height: height(state.height + 1n) }, stranger)],
  ['a block for a claim that is nowhere, by another', 'block/other-claim', () => block({ claim: ('A'.repeat(43) + '=') as Hash }, stranger)],
  ['a block over other segments, by another', 'block/unknown-key', () => block({ records: 3n }, stranger)],
  ['a block of the past', 'block/height', () => block({ height: height(0n) })],
  ['a claim above the next epoch, by another', 'claim/epoch', () => claim({ epoch: epoch(state.epoch + 2n) }, stranger)],
  ['a claim of this epoch', 'claim/epoch', () => claim({ epoch: state.epoch })],
  ['a configuration above the next version, by another', 'configuration/version', () => configuration({ version: state.configuration.version + 2n }, CHECKPOINT_KEY)],
  ['a configuration of the past', 'configuration/version', () => configuration({ version: 0n })],
  ['nonsense', 'unknown/malformed', () => Uint8Array.of(0xff, 0xfe)],
])('%s shows nothing: %s', async (_, ignored, make) => {
  const before = await verifyWorld(world);
  const report = await verifyWorld(behind(make()));
  expect(report.verdict).toBe('verified');
  expect(report.ignored[ignored]).toBe((before.ignored[ignored] ?? 0) + 1);
});

test('a damaged message before a block that differs is named as the likely cause', async () => {
  const at = world.messages.findIndex(({ value }) => Buffer.from(value).toString().startsWith('plait.report/v1'));
  const { position, value } = world.messages[at] as LogMessage;
  const damaged = value.with(value.length - 10, (value.at(-10) as number) ^ 1);
  const { finding } = await verifyWorld({ ...world, messages: world.messages.with(at, { position, value: damaged }) });
  expect(finding).toMatchObject({ kind: 'block-differs' });
  expect(finding?.causes[0]).toMatch(new RegExp(`^the message at position ${position} of the log \\((report|unknown)\\) does not count`));
});
