/** `plait coordinator`: leads, or stands by. */
import { Command } from 'commander';
import { systemClock } from '@plait/ledger';
import type { RedisPlace } from '@plait/redis';
import { Coordinator, LeaseKeeper } from '@plait/roles';
import { redisPlace, type RedisCommandOptions } from '../settings/config-redis.ts';
import { observer } from '../log.ts';
import { countArgument, redisOption } from '../options.ts';
import { stopSignal } from '../stopping.ts';
import { daemon, leaseKey, openLog, pinnedOf, roleSettings, runTogether, systemRandom, watched, withRoleOptions, type RoleOptions, type RoleSettings } from './wiring.ts';

const EXAMPLES = `
Run two or three: one leads, the others stand by. Redis only decides who tries first; the order never depends on it.

Examples:
  plait coordinator
  plait coordinator --ledger ./plait --lease-ttl 3000
`;

const LEASE_TTL_MS = 2_000;
const LEASE_TTL_MS_MAX = 60_000;

interface CoordinatorCommandOptions extends RoleOptions, RedisCommandOptions {
  readonly leaseTtl: number;
}

/** The command. */
export function coordinatorCommand(): Command {
  return withRoleOptions(new Command('coordinator'), 'coordinator')
    .summary('lead, or stand by: number what was reported')
    .description('Claims the lead if nobody leads, and numbers reported segments in signed blocks. Stops in good order on Ctrl-C or SIGTERM.')
    .addOption(redisOption())
    .option('--lease-ttl <ms>', 'how long the lease lasts if its holder dies', countArgument(1_000, LEASE_TTL_MS_MAX), LEASE_TTL_MS)
    .addHelpText('after', EXAMPLES)
    .action(async (options: CoordinatorCommandOptions) => {
      const signal = stopSignal();
      await daemon(options, async (log) => {
        const redis = redisPlace(options);
        const settings = await roleSettings('coordinator', options, { log, signal });
        await runCoordinator({ ...settings, redis, leaseTtlMs: options.leaseTtl });
      });
    });
}

/** Coordinates until the signal aborts; then gives the lease up. Throws what ends a coordinator. */
async function runCoordinator(settings: RoleSettings & { readonly redis: RedisPlace; readonly leaseTtlMs: number }): Promise<void> {
  const { ledger, key, signal, redis, leaseTtlMs } = settings;
  await using ports = new AsyncDisposableStack();
  const { reader, appender, ...keeping } = await openLog(settings, ports, { paceMs: 0 });
  // Every command would pay for it, were it loaded with the program.
  const { openLease } = await import('@plait/redis');
  const lease = ports.adopt(await openLease({ redis, key: leaseKey(ledger), ttlMs: leaseTtlMs }), (port) => port.close());
  const observe = observer(settings.log);
  const keeper = new LeaseKeeper({ lease, clock: systemClock, random: systemRandom, observe });
  ports.defer(() => keeper.release());
  const coordinator = new Coordinator({
    ...pinnedOf(ledger), ...keeping, log: reader, key, appender, lease: keeper, clock: systemClock, random: systemRandom, observe,
  });
  await runTogether([keeper, watched(coordinator, settings, 'coordinator')], { clock: systemClock, signal, observe });
  await coordinator.drain();
}
