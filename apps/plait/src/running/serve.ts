/** `plait serve`: signs checkpoints, and serves the tree of blocks over HTTP. */
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { openTileFolder } from '@plait/disk';
import { systemClock } from '@plait/ledger';
import { startTiles, TileWriter, type TileStore } from '@plait/roles';
import { observer } from '../log.ts';
import { stopSignal } from '../stopping.ts';
import { LOG_PACE_MS, openPublisher } from './publisher.ts';
import { openLeafKeeper, withLeavesOptions, type LeavesOptions } from './keep-leaves.ts';
import { openTileServer, type ListenAddress } from './serve-http.ts';
import {
  daemon, openLogFrom, openPatiently, pinnedOf, roleSettings, runTogether, withRoleOptions, type OpenRole, type RoleOptions, type RoleSettings,
} from './wiring.ts';

const EXAMPLES = `
It is a publisher that also serves what it signs, as c2sp.org/tlog-tiles. Run as many as you like, with one checkpoint key:
they serve the same bytes. The folder holds nothing that is not in the log: removed, it is written anew. The log says where
it serves; with port 0 that is any that is free.

Examples:
  plait serve --listen 127.0.0.1:0
  plait serve --listen 127.0.0.1:0 --leaves plait/leaves
`;

const LISTEN_DEFAULT: ListenAddress = { host: '127.0.0.1', port: 8080 };

interface ServeOptions extends RoleOptions, LeavesOptions {
  readonly listen: ListenAddress;
  readonly dir?: string;
}

/** The command. */
export function serveCommand(): Command {
  return withLeavesOptions(withRoleOptions(new Command('serve'), 'checkpoint'))
    .summary('sign checkpoints over the blocks, and serve them over HTTP')
    .description('Signs checkpoints as a publisher does, and serves them and the tree of blocks as a transparency log. Stops in good order on Ctrl-C or SIGTERM.')
    .addOption(new Option('--listen <host:port>', 'where to serve; port 0 takes any that is free').argParser(listenArgument).default(LISTEN_DEFAULT, '127.0.0.1:8080'))
    .option('--dir <folder>', 'folder for what is served; any server of static files can serve it (default: serve in the ledger\'s folder)')
    .addHelpText('after', EXAMPLES)
    .action(async (options: ServeOptions) => {
      const signal = stopSignal();
      await daemon(options, async (log) => {
        const settings = await roleSettings('serve', options, { log, signal });
        const leaves = options.leaves === undefined ? [] : [openLeafKeeper(options.leaves, options)];
        await runServe(settings, { address: options.listen, folder: options.dir ?? join(options.ledger, 'serve'), more: leaves });
      });
    });
}

function listenArgument(text: string): ListenAddress {
  const [, host = '', port = ''] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === '' || Number(port) > 65_535) throw new InvalidArgumentError('wanted HOST:PORT');
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

/** Serves until the signal aborts. Throws what ends one of its roles. */
async function runServe(
  settings: RoleSettings, { address, folder, more }: { readonly address: ListenAddress; readonly folder: string; readonly more: readonly OpenRole[] },
): Promise<void> {
  const { log, signal } = settings;
  await using ports = new AsyncDisposableStack();
  const store = await openTileFolder(folder);
  const server = ports.adopt(await openTileServer({ store, address, log }), (port) => port.close());
  log.info({ event: 'serving', url: server.url }, `serving ${server.url}/checkpoint`);
  // What is served was published before: it goes on being served while Kafka is away.
  const roles = await openPatiently(settings, ports, [openPublisher('serve'), openTileWriter(store), ...more]);
  await runTogether(roles, { clock: systemClock, signal, observe: observer(log) });
  for (const role of roles) await role.drain();
}

/** Opens a tile writer over `store`. */
function openTileWriter(store: TileStore): OpenRole {
  return async (settings, ports) => {
    const { reader, keeping, begun } = await openLogFrom(settings, ports, { paceMs: LOG_PACE_MS, begin: (options) => startTiles({ ...options, store }) });
    const { start, edge, published } = begun;
    const { openLog, memory } = keeping;
    const writer = new TileWriter({
      ...pinnedOf(settings.ledger), openLog, memory, log: reader, store, edge, published, clock: systemClock, observe: observer(settings.log),
      ...(start === undefined ? {} : { start }),
    });
    return { step: () => writer.step(), drain: () => writer.drain() };
  };
}
