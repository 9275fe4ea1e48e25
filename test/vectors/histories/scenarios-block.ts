/** Histories of blocks. Where a block is ignored, one field of it is wrong and all others are right. */
import { formatBlock, generation, height, linesUpTo, logPosition, offset, seq, linesRoot } from '@plait/core';
import { bob, forged, alice, keys, Log, mallory, worker2, OTHER, EMPTY } from './builder.ts';

/** A log with a leader, one block, and one segment that waits. */
function waiting(title: string, why: string): Log {
  const log = new Log(title, why);
  log.genesis().claim();
  log.extend({ records: 2 });
  log.block();
  log.extend({ records: 3 });
  return log;
}

function noLeader(): Log {
  const log = new Log('A block while nobody leads', 'Before the first claim and after every configuration there is nobody to sign one.');
  log.genesis();
  const report = log.extend();
  const other = new Log('', '');
  other.genesis().put(report, 'accepted');
  other.claim();
  const block = other.block('block', { cut: 1n });
  log.put(block, 'no-leader');
  log.claim(bob);
  log.configure();
  log.put(block, 'no-leader');
  return log;
}

function otherClaim(): Log {
  const log = waiting('A block of another claim', 'The key is the leader\'s and every number is right, but it names the claim before.');
  const { claim } = log.header();
  log.claim(alice);
  log.block('other-claim', { change: { claim } });
  log.block('other-claim', { change: { claim: OTHER } });
  log.block();
  return log;
}

function otherConfiguration(): Log {
  const log = waiting('A block that names another configuration', 'The claim is in force, and so one configuration is; this is not it.');
  log.block('other-configuration', { change: { configuration: OTHER } });
  log.configure();
  log.claim();
  log.block('other-configuration', { change: { configuration: log.state.ledgerId } });
  log.block();
  return log;
}

function wrongHeight(): Log {
  const log = waiting('A block of another height', 'One below and one above.');
  log.block('height', { change: { height: height(0n) } });
  log.block('height', { change: { height: height(2n) } });
  log.block();
  return log;
}

function firstSeq(): Log {
  const log = waiting('A block that begins at another seq', 'One below, one above. The root of its lines fits what it says.');
  for (const wrong of [1n, 3n]) {
    const lines = linesUpTo({ ...log.state, nextSeq: seq(wrong) }, log.state.position);
    log.block('first-seq', { change: { firstSeq: seq(wrong), root: linesRoot(lines) } });
  }
  log.block('first-seq', { change: { firstSeq: seq(3n) } });
  log.block();
  return log;
}

function cut(): Log {
  const log = waiting('A cut before the last one, or not before the block', 'P may stay where it was, must not go back, and ends below the block\'s own position.');
  const { cut: last } = log.state;
  log.block('cut', { cut: last, change: { cut: logPosition(last - 1n) } });
  log.block('cut', { change: { cut: logPosition(log.next) } });
  log.block('cut', { change: { cut: logPosition(log.next + 1n) } });
  log.block('block', { cut: last });
  log.block();
  return log;
}

function cutAtOwnPosition(): Log {
  const log = new Log('A cut just below the block, over positions without a message', 'Any position counts as a cut, also one that holds no message: the content is what lies at or below it.');
  log.genesis().claim();
  log.skip(5);
  log.extend();
  log.skip(3);
  log.block('block', { change: { cut: logPosition(log.next - 1n) } });
  log.extend();
  return log;
}

function time(): Log {
  const log = waiting('A block dated before the last one', 'Time stands still at the least; it is no clock.');
  const { timeMs } = log.state;
  log.block('time', { change: { timeMs: timeMs - 1n } });
  log.block('block', { change: { timeMs } });
  log.extend();
  log.block('block', { change: { timeMs: 2n ** 63n - 1n } });
  return log;
}

function history(): Log {
  const log = waiting('A block with another history', 'Everything else is right; it does not commit to the headers before it.');
  log.block('history', { change: { history: OTHER } });
  log.block();
  log.extend();
  log.block('history', { change: { history: log.header().root } });
  log.block();
  return log;
}

function content(): Log {
  const log = waiting('A block whose content is not what the log demands', 'Records, segments and root, each alone. A leader cannot omit, invent or reorder.');
  const { records, segments } = log.header();
  log.block('content', { change: { records: records + 1n } });
  log.block('content', { change: { records: records - 1n } });
  log.block('content', { change: { segments: segments + 1 } });
  log.block('content', { change: { segments: 0 } });
  log.block('content', { change: { root: OTHER } });
  log.block('content', { change: { records: 0n, segments: 0, root: EMPTY } });
  log.block();
  return log;
}

function signature(): Log {
  const log = waiting('Only the claim\'s key signs its blocks', 'Another coordinator in force does not, nor a stranger; nor the leader over another text.');
  log.block('unknown-key', { by: bob });
  log.block('unknown-key', { by: mallory });
  log.put(forged(formatBlock(log.header()), alice), 'bad-signature');
  log.block();
  return log;
}

function byPosition(): Log {
  const log = waiting('A report lands between a leader\'s read and its block', 'Content goes by position: what lies behind P waits for the next block, and the block is right all the same.');
  const read = log.state.position;
  const header = log.header();
  log.extend({ partition: 1, records: 2 }, 'accepted', worker2);
  log.sign(formatBlock(header), 'block', alice);
  log.block('content', { change: { records: 0n, segments: 0, root: EMPTY } });
  log.block();
  if (read !== header.cut) throw new Error('the cut is where the leader had read to');
  return log;
}

function byHolding(): Log {
  const log = waiting('A block of what its leader held, not of what lies below P', 'The leader had read up to an earlier report and set P behind a later one.');
  const held = log.header();
  log.extend({ partition: 1, records: 2 }, 'accepted', worker2);
  log.block('content', { change: { records: held.records, segments: held.segments, root: held.root } });
  log.block();
  return log;
}

function behindClaim(): Log {
  const log = waiting('A cut behind the leader\'s claim', 'Without a state that is fine: pending segments keep their positions. The segments above P wait.');
  const before = log.state.position;
  log.extend({ partition: 1 });
  log.claim(bob);
  log.extend({ partition: 2 });
  log.block('state', { cut: before, by: bob, change: { state: { bytes: 1_000, root: OTHER } } });
  log.block('block', { cut: before, by: bob });
  log.block('block', { by: bob });
  return log;
}

function empty(): Log {
  const log = new Log('A block without segments', 'It is accepted: a leader may cut to carry a state. It moves P, height and history, and no seq.');
  log.genesis().claim();
  log.block();
  log.extend();
  log.block('block', { cut: 1n });
  log.block();
  return log;
}

function canonicalOrder(): Log {
  const log = new Log('Lines stand in canonical order', 'Topic by bytes, generation, partition, firstIndex: not the order of the log. Z sorts before a, and 10 after 9.');
  const starts = [{ topic: 'b', partition: 0, generation: generation(1n), offset: offset(7n) }];
  log.genesis({ sources: ['Z', 'a', 'a.b', 'b'], partitionsMax: 16 }).claim();
  log.extend({ topic: 'b', partition: 10 });
  log.extend({ topic: 'b', partition: 9, records: 2 });
  log.extend({ topic: 'b', partition: 0 });
  log.extend({ topic: 'a.b' });
  log.report([log.segment({ topic: 'Z', partition: 3 }), log.segment({ topic: 'a' })], 'accepted accepted');
  log.configure({ starts });
  log.claim();
  log.extend({ topic: 'b', partition: 0, records: 2 });
  log.extend({ topic: 'b', partition: 1 });
  log.extend({ topic: 'a', records: 3 });
  log.block();
  return log;
}

function judgedAtPosition(): Log {
  const log = waiting('What was accepted stays accepted', 'A later configuration lowers both limits and takes the worker\'s key; what waits is numbered all the same.');
  log.extend({ partition: 7 });
  log.extend({ partition: 0 });
  log.configure({ partitionsMax: 1, pendingMax: 1, workerKeys: keys(worker2) });
  log.extend({ partition: 7 }, 'full', worker2);
  log.extend({}, 'full', worker2);
  log.claim();
  log.block();
  log.extend({}, 'accepted', worker2);
  return log;
}

export const blocks = {
  'block-no-leader': noLeader,
  'block-other-claim': otherClaim,
  'block-other-configuration': otherConfiguration,
  'block-height': wrongHeight,
  'block-first-seq': firstSeq,
  'block-cut': cut,
  'block-cut-between-messages': cutAtOwnPosition,
  'block-time': time,
  'block-history': history,
  'block-content': content,
  'block-signature': signature,
  'block-content-by-position': byPosition,
  'block-content-not-by-holding': byHolding,
  'block-cut-behind-claim': behindClaim,
  'block-without-segments': empty,
  'block-canonical-order': canonicalOrder,
  'block-accepted-stays-accepted': judgedAtPosition,
};
