/** Histories of checkpoints, of headers that carry a state, and of snapshots. */
import { commitState, encodeState, logPosition, makeSnapshots, stateAt } from '@plait/core';
import { alice, bob, checkpointKey, forged, keyOf, keys, lineOf, Log, mallory, noteOf, ORIGIN, worker2, OTHER } from './builder.ts';

/** A log with three blocks. */
function three(title: string, why: string): Log {
  const log = new Log(title, why);
  log.genesis().claim();
  for (let i = 0; i < 3; i += 1) {
    log.extend({ records: i + 1 });
    log.block();
  }
  return log;
}

function checkpoints(): Log {
  const log = new Log('Checkpoints that fit', 'Of the empty tree, of the newest header, and older ones, whose root the fold cannot compare. They change nothing.');
  log.genesis();
  log.checkpoint('consistent');
  log.claim();
  log.extend();
  log.block();
  const first = log.checkpoint('consistent');
  log.extend();
  log.block();
  log.put(first, 'older');
  log.checkpoint('older', { size: 0n, root: OTHER });
  log.checkpoint('older', { size: 1n, root: OTHER });
  log.checkpoint('consistent');
  const text = log.checkpointText();
  log.put(noteOf(text, [lineOf(text, mallory), lineOf(text, checkpointKey)]), 'consistent');
  return log;
}

function contradicts(): Log {
  const log = three('Checkpoints that contradict', 'One covers more than the log holds at its position, one has another root at the same size: alarms, signed by a key in force. A later block does not mend that, for position decides.');
  log.checkpoint('contradicts', { size: 4n });
  log.checkpoint('contradicts', { root: OTHER });
  log.checkpoint('contradicts', { size: 2n ** 63n - 1n, root: OTHER });
  log.checkpoint('consistent');
  return log;
}

function checkpointKeys(): Log {
  const log = three('Only a checkpoint key in force makes a checkpoint count', 'A stranger\'s contradiction is no alarm, nor is one with a bad signature, nor one of a revoked key.');
  const wrong = { size: 9n, root: OTHER };
  log.checkpoint('unknown-key', wrong, mallory);
  log.checkpoint('unknown-key', wrong, alice);
  log.put(forged(log.checkpointText(wrong), checkpointKey), 'bad-signature');
  const text = log.checkpointText();
  const bad = lineOf(`${text}x\n`, checkpointKey);
  log.put(noteOf(text, [bad, lineOf(text, checkpointKey)]), 'consistent');
  log.put(noteOf(text, [bad, bad]), 'bad-signature');
  log.configure({ checkpointKeys: keys({ ...keyOf(`${ORIGIN}-2`) }) });
  log.checkpoint('unknown-key', wrong);
  log.checkpoint('unknown-key');
  log.checkpoint('consistent', {}, keyOf(`${ORIGIN}-2`));
  return log;
}

function state(): Log {
  const log = three('Headers that carry a state', 'It is the state after the message at P, pending segments included. Another size or root is refused.');
  log.extend({ partition: 1, records: 2 });
  const right = log.header({ withState: true }).state ?? { bytes: 0, root: OTHER };
  log.block('state', { withState: true, change: { state: { ...right, bytes: right.bytes + 1 } } });
  const now = log.header({ withState: true }).state ?? right;
  log.block('state', { withState: true, change: { state: { ...now, root: OTHER } } });
  log.block('state', { change: { state: right } });
  log.block('block', { withState: true });
  log.block('block');
  return log;
}

function stateWithPending(): Log {
  const log = new Log('A state as of a cut with segments behind it', 'What was reported behind P is neither in the state nor in the block: chain ends and pending are told as of P.');
  log.genesis().claim();
  log.extend({ records: 2 });
  const cut = log.extend({ partition: 1 }) === '' ? 0n : log.state.position;
  log.extend({ records: 3 });
  log.extend({ partition: 2 }, 'accepted', worker2);
  const behind = log.state.position;
  const wrong = commitState(encodeState(stateAt(log.state, behind)));
  log.block('state', { cut, change: { state: wrong } });
  log.block('block', { cut, withState: true });
  log.extend({ partition: 3 });
  log.block('block', { withState: true });
  return log;
}

function stateBelowTip(): Log {
  const log = three('A state as of a cut below the last claim, configuration or block', 'It could not be told from what a reader holds, so it does not count, right or wrong; from the tip on it does.');
  log.extend();
  const before = { cut: log.state.position, state: commitState(encodeState(log.state)) };
  log.claim(bob);
  log.block('state', { by: bob, cut: before.cut, change: { state: before.state } });
  const tip = log.state.tip;
  log.block('block', { by: bob, cut: tip, withState: true });
  log.block('state', { by: bob, cut: tip, change: { state: before.state } });
  log.configure();
  log.claim(bob);
  log.block('state', { by: bob, cut: tip, change: { state: before.state } });
  log.block('block', { by: bob, cut: log.state.tip, withState: true });
  return log;
}

function stateInGap(): Log {
  const log = three('A state as of a cut where no message is', 'Positions may have gaps, and a cut may lie in one, even behind the last message. The state is that of all messages below, with the cut as its position: so a reader that started from such a state, and one that folded all, tell the same.');
  log.extend();
  const { state: before } = log.header({ withState: true });
  log.skip(4);
  const cut = logPosition(log.next - 1n);
  log.block('state', { change: { cut, ...(before === undefined ? {} : { state: before }) } });
  const inGap = logPosition(log.state.position + 2n);
  log.skip(3);
  log.block('block', { change: { cut: inGap, state: commitState(encodeState(stateAt(log.state, inGap))) } });
  log.skip(2);
  log.extend({ partition: 1 });
  log.block('block', { cut: log.state.position - 1n, withState: true });
  log.skip(3);
  log.block('block', { change: { cut: logPosition(log.next - 1n) } });
  return log;
}

function snapshots(): Log {
  const log = three('Snapshots', 'Nobody signs them and the fold does not judge them: right, of another height, of nonsense, they are only noted.');
  log.extend();
  const taken = encodeState(stateAt(log.state, logPosition(log.state.position)));
  const header = log.header({ withState: true });
  log.block('block', { withState: true });
  const [snapshot] = makeSnapshots(header, taken);
  if (snapshot === undefined) throw new Error('no chunk');
  log.snapshot(snapshot);
  log.snapshot(snapshot);
  log.snapshot({ ...snapshot, chunk: 7, path: [OTHER, OTHER] });
  log.snapshot({ ...snapshot, height: (snapshot.height + 5n) as typeof snapshot.height, data: new Uint8Array(0), stateBytes: 0 });
  log.extend();
  return log;
}

export const states = {
  'checkpoint-consistent-older': checkpoints,
  'checkpoint-contradicts': contradicts,
  'checkpoint-keys': checkpointKeys,
  'state-header': state,
  'state-with-pending': stateWithPending,
  'state-cut-below-tip': stateBelowTip,
  'state-cut-in-gap': stateInGap,
  snapshots,
};
