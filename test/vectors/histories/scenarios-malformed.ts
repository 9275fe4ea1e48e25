/** Histories of messages that are right in all but their spelling: each line would be accepted by a laxer parser. */
import { base64Encode, concatBytes, formatBlock, formatGenesis, formatSnapshot, makeSnapshots, encodeState, sha256, utf8Encode } from '@plait/core';
import { alice, BODY, checkpointKey, keyOf, ledgerKey, Log, ORIGIN, worker1, type Log as History, OTHER } from './builder.ts';

/** Signs and appends `text` with each of the replacements, every one of which must change it. */
function spoil(log: History, text: string, key: Parameters<History['sign']>[2], changes: readonly (readonly [string | RegExp, string])[]): void {
  for (const [from, to] of changes) {
    const spoilt = text.replace(from, to);
    if (spoilt === text) throw new Error(`nothing to replace: ${from} in ${text}`);
    log.sign(spoilt, 'malformed', key);
  }
}

/** What spoils any number: another spelling of it, or one out of range. */
function numbers(keyword: string, value: bigint): [string, string][] {
  const line = `${keyword} ${value}\n`;
  return [`0${value}`, `+${value}`, `${value}.0`, `${value} `, ` ${value}`, '', '-1', '9223372036854775808', '0x1', `${value} ${value}`]
    .map((spelling) => [line, `${keyword} ${spelling}\n`]);
}

function claim(): Log {
  const log = new Log('Malformed claims', 'Numbers, hash, nonce, order and number of lines.');
  log.genesis();
  spoil(log, log.claimText({ nonce: 'a'.repeat(32) }), alice, [
    ...numbers('epoch', 1n),
    [/follows ./, 'follows '], [/=\nnonce/, '\nnonce'], [/.=\nnonce/, '==\nnonce'], [/follows .*\n/, ''], [/(epoch .*\n)(follows .*\n)/, '$2$1'],
    [/a\n$/, '\n'], [/a\n$/, 'aa\n'], [/a\n$/, 'A\n'], [/a\n$/, 'g\n'], [/$/, '\n'], [/$/, 'more\n'], ['nonce', 'Nonce'], ['nonce', 'nonces'],
    ['epoch', ' epoch'], [`${ORIGIN}\n`, ''], [ORIGIN, `${ORIGIN} `],
  ]);
  log.claim();
  return log;
}

function report(): Log {
  const log = new Log('Malformed reports', 'Order and repeats of segments, topic names, numbers, hashes, kinds.');
  log.genesis({ sources: ['orders', 'returns'] });
  const [a, b] = [log.segment(), log.segment({ partition: 1 })];
  const c = log.segment({ after: a });
  const d = log.segment({ topic: 'returns' });
  for (const segments of [[b, a], [a, a], [c, a], [d, a], []]) log.sign(log.reportText(...segments), 'malformed', worker1);
  spoil(log, log.reportText(a), worker1, [
    ['segment orders', 'segment'], ['segment orders', 'segment .'], ['segment orders', 'segment ..'], ['segment orders', 'segment or/ders'],
    ['segment orders', `segment ${'x'.repeat(250)}`], ['segment orders', 'segment  orders'], ['segment ', 'Segment '], ['segment ', 'loss '],
    ['orders 0 0 0 1 0 1', 'orders 00 0 0 1 0 1'], ['orders 0 0 0 1 0 1', 'orders 0 -0 0 1 0 1'], ['orders 0 0 0 1 0 1', 'orders 0 0 0 01 0 1'],
    ['orders 0 0 0 1 0 1', 'orders 0 2147483648 0 1 0 1'], ['orders 0 0 0 1 0 1', 'orders 0 0 0 1 0 9223372036854775808'],
    ['orders 0 0 0 1 0 1', 'orders 0 0 0 1 0'], ['orders 0 0 0 1 0 1', 'orders 0 0 0 1 0 1 1'], [/.=\n$/, '\n'], [/$/, '\n'], [/$/, 'segments\n'],
    [/\n$/, ' \n'], [/ [^ ]*\n$/, '\n'],
  ]);
  log.report([a, b, d], 'accepted accepted accepted');
  return log;
}

function block(): Log {
  const log = new Log('Malformed blocks', 'Numbers, order of lines, lines too many or missing, a state that is not one.');
  log.genesis().claim();
  log.extend();
  const text = formatBlock(log.header());
  const root = OTHER;
  spoil(log, text, alice, [
    ...numbers('height', 0n), ...numbers('time', log.header().timeMs), ...numbers('first-seq', 0n), ...numbers('records', 1n),
    ...numbers('segments', 1n), ...numbers('cut', log.state.position), ['segments 1\n', 'segments 9007199254740992\n'],
    [/(records .*\n)(segments .*\n)/, '$2$1'], [/$/, '\n'], [/$/, 'state\n'], [/$/, `state 1\n`], [/$/, `state 01 ${root}\n`],
    [/$/, `state 9007199254740992 ${root}\n`], [/$/, `state 1 ${root} ${root}\n`], [/$/, `state 1 ${root}\nstate 1 ${root}\n`],
    [/$/, `state 1 ${root.slice(1)}\n`], [/history .*\n/, ''], [/root .*\n/, 'root -\n'],
  ]);
  log.block();
  return log;
}

/** A verifier key as text, of any algorithm and length, with the key id that fits it. */
function vkeyOf(name: string, algorithm: number, publicKey: Uint8Array): string {
  const id = sha256(concatBytes(utf8Encode(name), Uint8Array.of(10, 1), publicKey)).subarray(0, 4);
  const hex = [...id].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${name}+${hex}+${base64Encode(concatBytes(Uint8Array.of(algorithm), publicKey))}`;
}

function configuration(): Log {
  const log = new Log('Malformed configurations', 'Order and repeats in every list, bounds of every number, starts of what is no source, empty and overlapping voids, keys.');
  log.genesis();
  const [first, second] = BODY.workerKeys.map(({ vkey }) => `worker-key ${vkey}\n`) as [string, string];
  const source = 'source orders\n';
  const { publicKey } = keyOf('x').verifier;
  const keyed = (vkey: string): [string, string] => [second, `${second}worker-key ${vkey}\n`];
  spoil(log, log.configurationText(), ledgerKey, [
    ...numbers('version', 1n), ...numbers('partitions-max', 8n), ...numbers('pending-max', 16n), ...numbers('rules', 1n),
    ['rules 1\n', 'rules 0\n'], ['partitions-max 8\n', 'partitions-max 0\n'], ['partitions-max 8\n', 'partitions-max 65537\n'],
    ['pending-max 16\n', 'pending-max 0\n'], ['pending-max 16\n', 'pending-max 4097\n'], ['on-loss stop\n', 'on-loss Stop\n'],
    ['on-loss stop\n', 'on-loss ignore\n'], ['on-loss stop\n', ''], [/(partitions-max.*\n)(pending-max.*\n)/, '$2$1'],
    [first + second, second + first], [second, second + second], [second, `${second}worker-key ${keyOf('x').verifier.vkey.slice(0, -4)}AAA=\n`],
    [second, 'worker-key worker-2\n'], [second, `worker-key ${BODY.workerKeys[1]?.vkey.replace('+', ' +')}\n`],
    [second, second.replace(/\+(.)/, (_all, digit: string) => `+${digit === 'a' ? 'b' : 'a'}`)], [second, second.replace('AS', 'AQ').replace(/\+A/, '+C')],
    keyed(vkeyOf('x', 1, concatBytes(publicKey, Uint8Array.of(0)))), keyed(vkeyOf('x', 1, publicKey.subarray(1))), keyed(vkeyOf('x', 2, publicKey)),
    keyed(keyOf('x').verifier.vkey.replace(/\+[^+]*/, (id) => id.toUpperCase())), keyed(vkeyOf('x\u00a0', 1, publicKey)),
    [source, `${source}source orders\n`], [source, `${source}source a\n`], [source, 'source or ders\n'], [source, 'source ..\n'], [source, 'source \n'],
    [/$/, 'start returns 0 0 5\n'], [/$/, 'start orders 0 0 5\nstart orders 0 0 5\n'], [/$/, 'start orders 1 0 5\nstart orders 0 0 5\n'],
    [/$/, 'start orders 65536 0 5\n'], [/$/, 'start orders 0 0 05\n'], [/$/, 'start orders 0 0\n'], [/$/, 'start orders 0 9223372036854775808 5\n'],
    [/$/, 'void orders 0 0 3 3\n'], [/$/, 'void orders 0 0 3 2\n'], [/$/, 'void orders 0 0 0 3\nvoid orders 0 0 2 4\n'],
    [/$/, 'void orders 0 1 0 3\nvoid orders 0 0 0 3\n'], [/$/, 'void orders 0 65536 0 3\n'], [/$/, 'void orders 1 0 0 3\nvoid orders 0 0 0 3\n'],
    [/$/, 'void orders 0 0 0 3\nvoid orders 0 0 0 3\n'], [/$/, 'void orders 0 0 0\n'], [/$/, 'void orders 0 0 0 1\nstart orders 0 0 5\n'],
    [/$/, '\n'], [/$/, 'colour blue\n'],
  ]);
  log.configure();
  return log;
}

function genesis(): Log {
  const log = new Log('Malformed geneses', 'They are ignored: the first well-formed one counts. An origin that begins with plait. is none.');
  const text = formatGenesis({ kind: 'genesis', origin: ORIGIN, ...BODY });
  spoil(log, text, ledgerKey, [
    ['rules 1\n', 'rules 01\n'], ['rules 1\n', ''], [ORIGIN, ''], [ORIGIN, `${ORIGIN} x`], [ORIGIN, `${ORIGIN}+`], [ORIGIN, `${ORIGIN}é`],
    [ORIGIN, 'x'.repeat(201)], [ORIGIN, 'plait.example'], [/source .*\n/, 'source\n'], [/$/, 'more\n'],
  ]);
  log.sign(text, 'genesis', ledgerKey);
  return log;
}

function unsigned(): Log {
  const log = new Log('Malformed checkpoints and snapshots', 'Checkpoints have no extension lines; a snapshot is bounded in chunk and path, and has one spelling.');
  log.genesis().claim();
  log.block('block', { withState: true });
  const root = OTHER;
  spoil(log, log.checkpointText(), checkpointKey, [
    [/\n1\n/, '\n01\n'], [/\n1\n/, '\n-1\n'], [/\n1\n/, '\n9223372036854775808\n'], [/.=\n$/, '\n'], [/$/, 'extension\n'], [/$/, '\n'], [/\n1\n/, '\n'],
  ]);
  const [snapshot] = makeSnapshots(log.header({ withState: true }), encodeState(log.state));
  if (snapshot === undefined) throw new Error('no chunk');
  const text = formatSnapshot(snapshot);
  const bad: [string | RegExp, string][] = [
    [/height 1/, 'height 01'], [/chunk 0/, 'chunk 00'], [/chunk 0/, 'chunk 9007199254740992'], [/chunk 0 .*\n/, 'chunk 0\n'], ['path\n', 'path \n'], ['path\n', ''],
    ['path\n', `path ${root.slice(1)}\n`], ['path\n', `path${` ${root}`.repeat(65)}\n`], ['path', 'Path'], [/data (.*)\n/, 'data $1=\n'], [/data .*\n/, 'data AB==\n'],
    [/data .*\n/, 'data\n'], [/\n$/, ''], [/$/, '\n'], [/$/, 'more\n'], [ORIGIN, ''],
  ];
  for (const [from, to] of bad) log.put(text.replace(from, to), 'malformed');
  const [head = ''] = text.split('data ');
  log.put([`${head}data `, { repeat: 'AAAA', from: 0, below: 87_382 }, '\n'], 'malformed');
  log.put([`${head}data `, { repeat: 'AAAA', from: 0, below: 87_381 }, 'AA==\n'], 'snapshot');
  log.put(text.replace('path\n', `path${` ${root}`.repeat(64)}\n`), 'snapshot');
  log.put(text, 'snapshot');
  log.checkpoint('consistent');
  return log;
}

export const malformed = {
  'malformed-genesis': genesis,
  'malformed-configuration': configuration,
  'malformed-claim': claim,
  'malformed-report': report,
  'malformed-block': block,
  'malformed-checkpoint-snapshot': unsigned,
};
