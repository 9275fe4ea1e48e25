/** Histories of reports. In each, one check alone fails: the segment would be accepted without it. */
import { offset, index, generation, segmentHash } from '@plait/core';
import type { Segment } from '@plait/core';
import { alice, forged, Log, mallory, rootOf, worker1, worker2, OTHER } from './builder.ts';

function chains(): Log {
  const log = new Log('Segments extend the chains of their partitions', 'The usual course: reports of two workers over three partitions, several segments in one report, two blocks.');
  log.genesis().claim();
  log.report([log.segment({ records: 3 }), log.segment({ partition: 1, records: 2 })], 'accepted accepted');
  log.extend({ partition: 7, records: 5, offsets: 9 }, 'accepted', worker2);
  log.block();
  const first = log.segment({ records: 2 });
  log.report([first, log.segment({ after: first, records: 4 }), log.segment({ partition: 7 })], 'accepted accepted accepted');
  log.block();
  return log;
}

function signature(): Log {
  const log = new Log('Only a worker key in force signs reports', 'A stranger, a coordinator, and a signature line of a worker under another text.');
  log.genesis();
  const segment = log.segment();
  log.report(segment, 'unknown-key', mallory);
  log.report(segment, 'unknown-key', alice);
  log.put(forged(log.reportText(segment), worker1), 'bad-signature');
  log.report(segment, 'accepted');
  return log;
}

function unknownSource(): Log {
  const log = new Log('A topic that is no source', 'All else of the segment is right: its chain would start at offset 0.');
  log.genesis();
  log.report([log.segment(), log.segment({ topic: 'returns' })], 'accepted unknown-source');
  return log;
}

function wrongGeneration(): Log {
  const log = new Log('A segment of another generation', 'Index, offset and previous are those of the chain\'s end; only the generation is not.');
  log.genesis();
  log.extend({ change: { generation: generation(1n) } }, 'generation');
  log.configure({ starts: [{ topic: 'orders', partition: 0, generation: generation(1n), offset: offset(0n) }] });
  log.extend({ change: { generation: generation(0n) } }, 'generation');
  log.extend({ change: { generation: generation(2n) } }, 'generation');
  log.extend();
  return log;
}

function duplicate(): Log {
  const log = new Log('The same segment again', 'A report sent twice is harmless: each of its segments is pending, or the chain\'s head, also once a block took it. An older one is just not at the end.');
  log.genesis().claim();
  const first = log.segment({ records: 2 });
  const second = log.segment({ after: first, records: 2 });
  const report = log.report([first, second], 'accepted accepted');
  log.put(report, 'duplicate duplicate');
  log.report(first, 'duplicate', worker2);
  log.block();
  log.put(report, 'not-at-end duplicate');
  return log;
}

function equivocation(): Log {
  const log = new Log('Another segment over a range that is pending', 'An alarm: same place, same offsets, other content. Segments that end elsewhere are no rivals, and after the block nothing is compared.');
  log.genesis({ onLoss: 'record' }).claim();
  const segment = log.segment({ records: 2, offsets: 3 });
  log.report(segment);
  const other = { ...segment, root: OTHER } as Segment;
  log.report(other, 'equivocation', worker2);
  log.report({ ...segment, nextIndex: index(1n) }, 'equivocation');
  const { topic, partition, firstIndex, firstOffset, nextOffset, previous } = segment;
  log.report({ kind: 'loss', topic, partition, generation: segment.generation, firstIndex, firstOffset, nextOffset, previous, nextIndex: index(1n) }, 'equivocation');
  log.report({ ...other, nextOffset: offset(2n) }, 'not-at-end');
  log.report({ ...other, previous: OTHER }, 'not-at-end');
  log.report({ ...other, firstOffset: offset(1n) }, 'not-at-end');
  log.report({ ...other, firstIndex: index(1n), nextIndex: index(2n) }, 'not-at-end');
  log.report({ ...other, partition: 1, previous: OTHER }, 'not-at-end');
  log.configure({ onLoss: 'record', starts: [{ topic: 'orders', partition: 0, generation: generation(1n), offset: offset(0n) }] });
  log.report({ ...other, generation: generation(1n) }, 'not-at-end');
  log.claim();
  log.block();
  log.report(other, 'generation');
  return log;
}

function notAtEnd(): Log {
  const log = new Log('A segment that does not begin at the chain\'s end', 'Three fields say where it begins, and each alone is wrong once; then a gap and an overlap.');
  log.genesis();
  log.extend({ records: 2, offsets: 3 });
  log.extend({ change: { firstIndex: index(1n), nextIndex: index(2n) } }, 'not-at-end');
  log.extend({ change: { firstOffset: offset(2n) } }, 'not-at-end');
  log.extend({ change: { previous: OTHER } }, 'not-at-end');
  log.extend({ change: { firstIndex: index(5n), nextIndex: index(6n), firstOffset: offset(6n), nextOffset: offset(7n) } }, 'not-at-end');
  log.extend({ change: { firstIndex: index(0n), firstOffset: offset(0n), nextOffset: offset(4n) } }, 'not-at-end');
  log.extend();
  return log;
}

function range(): Log {
  const log = new Log('A segment whose numbers make no sense', 'It must move nextOffset, not count backwards, not hold more records than offsets; a loss takes one index.');
  log.genesis({ onLoss: 'record' });
  log.extend({ records: 4, offsets: 5 });
  log.extend({ records: 0, change: { nextOffset: offset(5n) } }, 'range');
  log.extend({ records: 0, change: { nextOffset: offset(4n) } }, 'range');
  log.extend({ change: { nextIndex: index(3n) } }, 'range');
  log.extend({ records: 3, offsets: 2 }, 'range');
  log.extend({ loss: true, records: 0, offsets: 2 }, 'range');
  log.extend({ loss: true, records: 2, offsets: 2 }, 'range');
  log.extend({ records: 3, offsets: 3 });
  return log;
}

function tooMany(): Log {
  const log = new Log('More than 4,096 records', '4,096 are accepted, 4,097 are not; many offsets with few records are.');
  log.genesis();
  log.extend({ records: 4_096 });
  log.extend({ records: 4_097 }, 'too-many-records');
  log.extend({ records: 1, offsets: 100_000 });
  return log;
}

function fullPartitions(): Log {
  const log = new Log('A partition number not below partitions-max', 'With 8, partition 7 is the last one.');
  log.genesis();
  log.report([log.segment({ partition: 7 }), log.segment({ partition: 8 })], 'accepted full');
  log.extend({ partition: 2_147_483_647 }, 'full');
  return log;
}

function fullPending(): Log {
  const log = new Log('More pending segments than pending-max', 'Counted for each partition; a block makes room again.');
  log.genesis({ pendingMax: 2 }).claim();
  const first = log.segment();
  const second = log.segment({ after: first });
  log.report([first, second, log.segment({ after: second }), log.segment({ partition: 1 })], 'accepted accepted full accepted');
  log.block();
  log.extend();
  return log;
}

function lossNotAllowed(): Log {
  const log = new Log('A loss under on-loss stop', 'The operator has not allowed it: the worker waits for a configuration.');
  log.genesis();
  log.extend({ loss: true, offsets: 10 }, 'loss-not-allowed');
  log.configure({ onLoss: 'record' });
  log.extend({ loss: true, offsets: 10 });
  return log;
}

function lossRecorded(): Log {
  const log = new Log('A loss under on-loss record', 'It takes one index and one seq, whatever it spans, and records go on after it.');
  log.genesis({ onLoss: 'record' }).claim();
  log.extend({ records: 2 });
  const loss = log.segment({ loss: true, offsets: 1_000 });
  log.report([loss, log.segment({ after: loss, records: 3 })], 'accepted accepted');
  log.block();
  log.extend({ loss: true, offsets: 1 });
  log.block();
  return log;
}

function empty(): Log {
  const log = new Log('Segments without records', 'Transaction markers move nextOffset and nothing else. Such a segment takes no seq, and shares its firstIndex with the next one.');
  log.genesis().claim();
  const marker = log.segment({ records: 0, offsets: 1 });
  const data = log.segment({ after: marker, records: 2 });
  const tail = log.segment({ after: data, records: 0, offsets: 4 });
  log.report([marker, data, tail], 'accepted accepted accepted');
  log.extend({ partition: 1 });
  log.block();
  log.extend({ records: 0, offsets: 1 });
  log.block();
  return log;
}

function line(topicChars: number, partition: string): string {
  return `segment ${'z'.repeat(topicChars)} 0 ${partition} 0 1 0 1 ${OTHER} ${OTHER}\n`;
}

/** A report's text of `bytes` bytes: a segment that would be accepted, and others of topics that are no sources. */
function reportOfBytes(log: Log, bytes: number): Parameters<Log['signParts']>[0] {
  const head = log.reportText(log.segment());
  for (let topicChars = 100; topicChars < 249; topicChars += 1) {
    const each = line(topicChars, '1000').length;
    const count = Math.floor((bytes - head.length) / each) - 1;
    // One more line, of a longer topic, fills it up.
    const lastChars = bytes - head.length - count * each - line(0, '0').length;
    if (lastChars <= topicChars || lastChars > 249) continue;
    return [head, { repeat: line(topicChars, '{n}'), from: 1_000, below: 1_000 + count }, line(lastChars, '0')];
  }
  throw new Error(`no report of ${bytes} bytes`);
}

function tooLarge(): Log {
  const log = new Log('A report above 524,288 bytes', 'Its text without the signature counts. One byte less, and it is judged segment by segment.');
  log.genesis();
  const parts = reportOfBytes(log, 524_289);
  log.signParts(parts, 'report-too-large', worker1);
  const fits = reportOfBytes(log, 524_288);
  const count = fits.reduce((sum, part) => sum + (typeof part === 'string' ? 1 : part.below - part.from), 0);
  log.signParts(fits, ['accepted', ...Array.from({ length: count - 1 }, () => 'unknown-source')].join(' '), worker1);
  return log;
}

function rebalance(): Log {
  const log = new Log('Two workers overlap after a rebalance', 'The first valid extension wins. The loser\'s own report is ignored; it goes on from the winner\'s end.');
  log.genesis().claim();
  log.extend({ records: 2 });
  const start = log.segment({ records: 3 });
  const rival = log.segment({ records: 2 });
  log.report(start, 'accepted', worker1);
  log.report([rival, log.segment({ after: rival, records: 2 })], 'not-at-end not-at-end', worker2);
  log.extend({ records: 1 }, 'accepted', worker2);
  log.block();
  return log;
}

function partly(): Log {
  const log = new Log('A report counts segment by segment', 'One ignored segment takes those that build on it along, and no other.');
  log.genesis().claim();
  const bad = log.segment({ records: 3, offsets: 2 });
  const onBad = log.segment({ after: bad });
  log.report([bad, onBad, log.segment({ partition: 1 }), log.segment({ partition: 2, change: { previous: OTHER } })], 'range not-at-end accepted not-at-end');
  log.block();
  return log;
}

function content(): Log {
  const log = new Log('What the fold does not look at', 'Roots are for readers: a segment whose root is not that of its records is accepted, and found by whoever recomputes it.');
  log.genesis().claim();
  const lie = log.segment({ records: 2, change: { root: rootOf('orders', 5, 0n, 2n) } });
  log.report(lie);
  log.report(log.segment({ after: lie, records: 0, offsets: 1, change: { root: segmentHash(lie) } }));
  log.block();
  return log;
}

export const reports = {
  'report-chains': chains,
  'report-signature': signature,
  'report-unknown-source': unknownSource,
  'report-generation': wrongGeneration,
  'report-duplicate': duplicate,
  'report-equivocation': equivocation,
  'report-not-at-end': notAtEnd,
  'report-range': range,
  'report-too-many-records': tooMany,
  'report-full-partitions': fullPartitions,
  'report-full-pending': fullPending,
  'report-loss-not-allowed': lossNotAllowed,
  'report-loss-recorded': lossRecorded,
  'report-without-records': empty,
  'report-too-large': tooLarge,
  'report-after-rebalance': rebalance,
  'report-partly-accepted': partly,
  'report-roots-are-not-checked': content,
};
