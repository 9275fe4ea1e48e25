/** The keeper of leaves that `plait serve --leaves` runs beside the publisher. */
import { Option, type Command } from 'commander';
import { PlaitError, type LedgerState } from '@plait/core';
import { openLeaves } from '@plait/disk';
import { openSourceReader } from '@plait/kafka';
import { systemClock } from '@plait/ledger';
import { coldStart, LeafKeeper, NewestFold, type ColdStartOptions, type Observe } from '@plait/roles';
import { observer } from '../log.ts';
import { bytesArgument, durationArgument } from '../units.ts';
import { openLogFrom, pinnedOf, type OpenRole } from './wiring.ts';

/** What can be said about leaves. */
export interface LeavesOptions {
  readonly leaves?: string;
  readonly leavesMaxBytes?: number;
  readonly leavesMaxAge?: number;
}

/** The command, with these options. */
export function withLeavesOptions(command: Command): Command {
  return command
    .option('--leaves <folder>', 'also read all records, verified, and keep there an index of them and their leaves, 48 bytes a record')
    .addOption(new Option('--leaves-max-bytes <size>', 'delete the oldest leaves beyond so many bytes of them: 500MB, 20GiB; the index stays (default: keep all)').argParser(bytesArgument))
    .addOption(new Option('--leaves-max-age <duration>', 'delete leaves of records that were numbered longer ago: 36h, 90d; the index stays (default: keep all)').argParser(durationArgument));
}

/** Records are needed only when their block has come: fewer and fuller answers. */
const PACE_MS = 25;

/** Opens a keeper over the folder that the options name. */
export function openLeafKeeper(folder: string, { leavesMaxBytes: bytesMax, leavesMaxAge: ageMsMax }: LeavesOptions): OpenRole {
  return async (settings, ports) => {
    const { kafka, ledger, minConfiguration } = settings;
    const pinned = pinnedOf(ledger);
    const store = ports.use(await openLeaves(folder, pinned, { ...(bytesMax === undefined ? {} : { bytesMax }), ...(ageMsMax === undefined ? {} : { ageMsMax }) }));
    const kept = store.newestBlock();
    const { reader, keeping, begun: { start } } = await openLogFrom(settings, ports, {
      paceMs: PACE_MS, begin: (options, logStart) => beginKeeping(options, { heightMax: kept?.height, logStart }),
    });
    const { openLog, memory } = keeping;
    const newest = ports.use(new NewestFold({ ...pinned, openLog, minConfiguration }));
    const source = ports.adopt(await openSourceReader({ kafka, paceMs: PACE_MS }), (port) => port.close());
    const keeper = new LeafKeeper({
      ...pinned, openLog, memory, log: reader, source, store, clock: systemClock, newest: newest.ask, observe: alarmsOf(observer(settings.log)),
      ...(start === undefined ? {} : { start }),
    });
    return { step: (signal) => keeper.step(signal), drain: () => keeper.drain() };
  };
}

/**
 * Behind the newest state below what is kept. Where nothing is, at the log's beginning, or as far back as it still tells.
 * Throws `missing` if it does not reach back to what is kept.
 */
async function beginKeeping(
  options: ColdStartOptions, { heightMax, logStart }: { readonly heightMax: bigint | undefined; readonly logStart: bigint },
): Promise<{ readonly start: LedgerState | undefined }> {
  if (heightMax !== undefined) {
    const begun = await coldStart({ ...options, mayPassMemory: true, heightMax });
    if (begun.start !== undefined || logStart === 0n) return begun;
    throw new PlaitError('missing', `the leaves that are kept end with block ${heightMax}, and of the log, which begins at position ${logStart}, ` +
      'nothing that is confirmed goes back so far: delete the leaves, and they are kept from there on');
  }
  return logStart === 0n ? { start: undefined } : await coldStart({ ...options, mayPassMemory: true });
}

/** The publisher beside it tells what it reads of the log. */
function alarmsOf(observe: Observe): Observe {
  return (event) => {
    if (event.event === 'alarm') observe(event);
  };
}
