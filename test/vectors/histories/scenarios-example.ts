/** The history that docs/FORMAT.md takes its examples from: a message of each kind. */
import { generation, index, makeSnapshots, encodeState, offset, stateAt } from '@plait/core';
import { bob, Log, worker2 } from './builder.ts';

function example(): Log {
  const log = new Log('A message of every kind', 'What docs/FORMAT.md explains: records, a loss, a segment without records, a void, a restart, a state.');
  log.genesis({ onLoss: 'record', starts: [{ topic: 'orders', partition: 1, generation: generation(0n), offset: offset(100n) }] });
  log.claim();
  log.report([log.segment({ records: 3 }), log.segment({ partition: 1, loss: true, offsets: 10 })], 'accepted accepted');
  log.block();
  log.checkpoint('consistent');
  const marker = log.segment({ records: 0, offsets: 1 });
  log.report([marker, log.segment({ after: marker }), log.segment({ partition: 1, records: 2 })], 'accepted accepted accepted', worker2);
  log.configure({
    starts: [{ topic: 'orders', partition: 1, generation: generation(1n), offset: offset(0n) }],
    voids: [{ topic: 'orders', generation: generation(0n), partition: 0, firstIndex: index(0n), nextIndex: index(3n) }],
  });
  log.claim(bob);
  const header = log.header({ withState: true });
  const state = encodeState(stateAt(log.state, header.cut));
  log.block('block', { by: bob, withState: true });
  for (const snapshot of makeSnapshots(header, state)) log.snapshot(snapshot);
  return log;
}

export const examples = { example };
