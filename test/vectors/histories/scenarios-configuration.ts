/** Histories of genesis and configurations. */
import { base64Encode, concatBytes, formatGenesis, generation, index, offset, sha256, utf8Encode } from '@plait/core';
import type { Start, VoidRange } from '@plait/core';
import { alice, bob, BODY, forged, keyOf, keys, ledgerKey, Log, mallory, noteOf, ORIGIN, signed, worker1, worker2, OTHER } from './builder.ts';

function start(partition: number, number: bigint, at = 0n, topic = 'orders'): Start {
  return { topic, partition, generation: generation(number), offset: offset(at) };
}

function voidRange(partition: number, firstIndex: bigint, nextIndex: bigint): VoidRange {
  return { topic: 'orders', generation: generation(0n), partition, firstIndex: index(firstIndex), nextIndex: index(nextIndex) };
}

function genesisText(change: object = {}): string {
  return formatGenesis({ kind: 'genesis', origin: ORIGIN, ...BODY, ...change });
}

function beforeGenesis(): Log {
  const log = new Log('Messages before the genesis', 'Nothing counts before it, whoever signed; after it the same bytes do.');
  const other = new Log('', '');
  other.genesis().claim();
  const claim = signed(other.claimText(), ledgerKey);
  const checkpoint = other.checkpointText();
  log.put(claim, 'before-genesis');
  log.sign(other.configurationText(), 'before-genesis', ledgerKey);
  log.sign(other.reportText(other.segment()), 'before-genesis', worker1);
  log.sign(checkpoint, 'before-genesis', ledgerKey);
  log.put(`plait.snapshot/v1\n${ORIGIN}\n${other.state.ledgerId}\nheight 0\nchunk 0 1\npath\ndata AA==\n`, 'before-genesis');
  log.genesis();
  log.sign(other.reportText(other.segment()), 'accepted', worker1);
  return log;
}

function secondGenesis(): Log {
  const log = new Log('A second genesis', 'The first well-formed one counts, also against another one of the ledger key, and against its own copy.');
  log.genesis().claim();
  log.sign(genesisText(), 'second-genesis', ledgerKey);
  log.sign(genesisText({ pendingMax: 1 }), 'second-genesis', ledgerKey);
  log.sign(genesisText(), 'second-genesis', mallory);
  log.sign(genesisText().replace('rules 1\n', 'rules 9\n'), 'second-genesis', ledgerKey);
  log.extend();
  return log;
}

function otherKey(): Log {
  const log = new Log('A genesis of another key', 'Of this origin and well-formed, but not by the pinned ledger key: a stop. This is not the log of that ledger.');
  log.sign(genesisText(), 'stop', mallory);
  return log;
}

function forgedGenesis(): Log {
  const log = new Log('A genesis with a bad signature in the ledger key\'s name', 'A stop as well.');
  log.put(forged(genesisText(), ledgerKey), 'stop');
  return log;
}

function unknownRulesGenesis(): Log {
  const log = new Log('A genesis under rules that this version does not know', 'A stop; what follows the line `rules` is not looked at.');
  log.sign(genesisText().replace('rules 1\n', 'rules 2\nshape round\n'), 'stop', ledgerKey);
  return log;
}

function unknownRules(): Log {
  const log = new Log('A configuration under rules that this version does not know', 'Forged, misplaced and unsigned ones are ignored by their reason; the one that counts is a stop.');
  log.genesis();
  const newer = (change = {}): string => log.configurationText(change).replace('rules 1\n', 'rules 2\nshape round\n');
  log.sign(newer(), 'unknown-key', mallory);
  log.put(forged(newer(), ledgerKey), 'bad-signature');
  log.sign(newer({ version: 2n }), 'version', ledgerKey);
  log.sign(newer({ previous: OTHER }), 'previous', ledgerKey);
  log.extend();
  log.sign(newer(), 'stop', ledgerKey);
  return log;
}

function chain(): Log {
  const log = new Log('Configurations follow one another', 'Each names the version and the hash of the one before; each ends the epoch.');
  log.genesis().claim();
  const first = log.configure({ partitionsMax: 9 });
  log.put(first, 'version');
  log.configure({ sources: ['orders', 'returns'] });
  log.claim(bob);
  log.extend({ topic: 'returns' });
  log.configure({ onLoss: 'record', checkpointKeys: [] });
  log.claim(bob);
  log.block('block', { by: bob });
  return log;
}

function version(): Log {
  const log = new Log('A configuration of another version than the next', 'It names the right one before it; only the number is not current + 1.');
  log.genesis();
  log.configure({ version: 0n }, 'version');
  log.configure({ version: 2n }, 'version');
  log.configure();
  return log;
}

function previous(): Log {
  const log = new Log('A configuration that follows another one', 'The number is right. Written against a state that is no longer current, it does not count.');
  log.genesis();
  log.configure({ previous: OTHER }, 'previous');
  log.configure();
  log.configure({ previous: log.state.ledgerId }, 'previous');
  log.configure();
  return log;
}

function signature(): Log {
  const log = new Log('Only the ledger key signs configurations', 'A stranger, a coordinator, and a signature line of the ledger key under another text.');
  log.genesis();
  log.configure({}, 'unknown-key', mallory);
  log.configure({}, 'unknown-key', alice);
  log.put(forged(log.configurationText(), ledgerKey), 'bad-signature');
  const sameName = keyOf('another');
  log.configure({}, 'unknown-key', { ...sameName, name: ledgerKey.name });
  log.configure();
  return log;
}

function voids(): Log {
  const log = new Log('Voids are repeated by every later configuration', 'One that drops or changes a range is ignored; one that adds to them counts. Voids do not touch chains or numbers.');
  log.genesis().claim();
  log.extend({ records: 4 });
  log.configure({ voids: [voidRange(0, 0n, 4n)] });
  const restart = [start(0, 9n)];
  log.configure({ voids: [] }, 'unknown-key', mallory);
  log.configure({ voids: [], starts: restart }, 'voids');
  log.configure({ voids: [] }, 'voids');
  log.configure({ voids: [voidRange(0, 0n, 5n)] }, 'voids');
  log.configure({ voids: [voidRange(0, 0n, 2n), voidRange(0, 2n, 4n)] }, 'voids');
  log.configure({ voids: [voidRange(1, 0n, 4n)] }, 'voids');
  log.configure({ voids: [voidRange(0, 0n, 4n), voidRange(0, 4n, 6n), voidRange(3, 0n, 1n)] });
  log.configure();
  log.claim();
  log.block();
  return log;
}

function generations(): Log {
  const log = new Log('A new generation is one above the greatest ever used', 'Neither the same, nor a lower, nor one further on; generation 0 only while nothing was said of the partition.');
  log.genesis({ starts: [start(3, 0n, 50n)] });
  log.extend();
  log.configure({ starts: [start(0, 0n)] }, 'generation');
  log.configure({ starts: [start(0, 2n)] }, 'generation');
  log.configure({ starts: [start(3, 0n, 60n)] }, 'generation');
  log.configure({ starts: [start(0, 1n), start(1, 2n)] }, 'generation');
  log.configure({ starts: [start(0, 1n, 7n), start(1, 0n, 100n), start(2, 1n, 5n)] });
  log.extend();
  log.extend({ partition: 1 });
  log.extend({ partition: 2 });
  log.configure({ starts: [start(0, 1n)] }, 'generation');
  log.configure({ starts: [start(1, 0n)] }, 'generation');
  log.configure({ starts: [start(0, 2n)] });
  log.extend();
  return log;
}

function genesisGeneration(): Log {
  const log = new Log('Starts of the genesis', 'Offsets of generation 0 and others as they stand; the same start again is still one of which nothing was said if it is the implicit one.');
  log.genesis({ starts: [start(0, 0n), start(1, 0n, 12n)] });
  log.configure({ starts: [start(0, 0n)] });
  log.configure({ starts: [start(0, 0n, 3n)] });
  log.configure({ starts: [start(0, 0n, 4n)] }, 'generation');
  log.extend();
  log.extend({ partition: 1 });
  return log;
}

function restartPending(): Log {
  const log = new Log('A partition restarts with segments of its old generation pending', 'They stay and are numbered, before those of the new generation; some even after a second restart.');
  log.genesis().claim();
  log.extend({ records: 2 });
  log.configure({ starts: [start(0, 1n, 40n)] });
  log.extend({ records: 3 });
  log.configure({ starts: [start(0, 2n)] });
  log.configure({ starts: [start(0, 3n, 9n)] });
  log.claim();
  log.extend();
  log.block('block', { cut: 3n });
  log.block();
  log.extend();
  return log;
}

function removed(): Log {
  const log = new Log('A topic is removed and comes back', 'While it is no source its segments are ignored; what waited is numbered. Back again, its chains go on where they ended, and a restart is one above the greatest generation.');
  log.genesis({ sources: ['orders', 'returns'] }).claim();
  log.extend({ topic: 'returns', records: 2 });
  log.configure({ sources: ['orders'] });
  log.extend({ topic: 'returns' }, 'unknown-source');
  log.claim();
  log.block();
  log.configure({ sources: ['orders', 'returns'], starts: [start(0, 0n, 0n, 'returns')] }, 'generation');
  log.configure({ sources: ['orders', 'returns'] });
  log.extend({ topic: 'returns' });
  log.configure({ sources: ['orders'] });
  log.configure({ sources: ['orders', 'returns'], starts: [start(0, 1n, 0n, 'returns')] });
  log.extend({ topic: 'returns' });
  return log;
}

function revokeWorker(): Log {
  const log = new Log('A configuration revokes a worker with segments pending', 'They stay and are numbered; its next report, in flight, does not count. Another worker goes on from them.');
  log.genesis().claim();
  log.extend({ records: 2 }, 'accepted', worker2);
  const inFlight = signed(log.reportText(log.segment({ records: 1 })), worker2);
  log.configure({ workerKeys: keys(worker1) });
  log.put(inFlight, 'unknown-key');
  log.claim();
  log.extend({ records: 2 }, 'accepted', worker1);
  log.block();
  return log;
}

function invalidKey(): Log {
  const log = new Log('A key under which nothing verifies', 'The identity of the curve as a worker key: with R the identity and S = 0 a lax verifier takes any text. A configuration may name it, for checking every key of an unsigned message is dear; no signature verifies under it.');
  const identity = Uint8Array.of(1, ...new Uint8Array(31));
  const id = sha256(concatBytes(utf8Encode('weak'), Uint8Array.of(10, 1), identity)).subarray(0, 4);
  const hex = [...id].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const vkey = `weak+${hex}+${base64Encode(concatBytes(Uint8Array.of(1), identity))}`;
  log.genesis();
  log.sign(log.configurationText({ workerKeys: keys(worker1) }).replace('worker-key ', `worker-key ${vkey}\nworker-key `), 'configuration', ledgerKey);
  const signature = base64Encode(concatBytes(id, identity, new Uint8Array(32)));
  log.put(noteOf(log.reportText(log.segment()), [`\u2014 weak ${signature}`]), 'bad-signature');
  log.extend();
  return log;
}

/** Keys of workers by number. */
function workers(count: number): ReturnType<typeof keys> {
  return keys(...Array.from({ length: count }, (_, i) => keyOf(`worker-${i}`)));
}

function limits(): Log {
  const log = new Log('The greatest configurations, and those beyond', '64 keys of a kind, 1,024 sources, 4,096 starts and voids, 65,536 partitions, 4,096 pending: one more is malformed.');
  log.genesis();
  log.configure({ workerKeys: workers(64), partitionsMax: 65_536, pendingMax: 4_096 });
  const many = [...workers(65)].map(({ vkey }) => `worker-key ${vkey}\n`).join('');
  log.sign(log.configurationText({ workerKeys: [] }).replace('source ', `${many}source `), 'malformed', ledgerKey);
  const parted = (line: string, repeat: string, below: number, want: string): void => {
    const [before = '', after = ''] = log.configurationText({ workerKeys: [] }).split(line);
    log.signParts([before + line, { repeat, from: 1_000, below }, after], want, ledgerKey);
  };
  parted('source orders\n', 'source t{n}\n', 2_024, 'malformed');
  parted('source orders\n', 'source t{n}\n', 2_023, 'configuration');
  log.configure({ sources: ['orders'], pendingMax: 16 });
  parted('source orders\n', 'start orders {n} 0 5\n', 5_097, 'malformed');
  parted('source orders\n', 'start orders {n} 0 5\n', 5_096, 'configuration');
  parted('source orders\n', 'void orders 0 {n} 0 1\n', 5_097, 'malformed');
  parted('source orders\n', 'void orders 0 {n} 0 1\n', 5_096, 'configuration');
  return log;
}

export const configurations = {
  'genesis-before': beforeGenesis,
  'genesis-second': secondGenesis,
  'genesis-other-key': otherKey,
  'genesis-forged': forgedGenesis,
  'genesis-unknown-rules': unknownRulesGenesis,
  'genesis-starts': genesisGeneration,
  'configuration-chain': chain,
  'configuration-version': version,
  'configuration-previous': previous,
  'configuration-signature': signature,
  'configuration-voids': voids,
  'configuration-generation': generations,
  'configuration-restart-with-pending': restartPending,
  'configuration-topic-removed': removed,
  'configuration-revokes-worker': revokeWorker,
  'configuration-invalid-key': invalidKey,
  'configuration-unknown-rules': unknownRules,
  'configuration-limits': limits,
};
