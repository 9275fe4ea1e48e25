/**
 * What an auditor remembers between two runs, in the user's own folder and not in the ledger's: whoever could change that
 * could make him forget.
 *
 *     <memory>/<origin>-<12 hex digits>/checkpoint.json     the largest signed checkpoint that was found consistent
 *     <memory>/<origin>-<12 hex digits>/log.json            how far the log was read, and what must be found again there
 *     <memory>/<origin>-<12 hex digits>/progress.json       how far an interrupted run came
 *
 * The digits are of origin and ledger key, so that ledgers of one name, each of another key, do not meet.
 */
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { loadCheckpoint, makeFolder, openStateFile, saveCheckpoint, type RememberedCheckpoint } from '@plait/disk';
import type { LedgerFile, Memory, Remembered, SignedCheckpoint, VerifyReport } from '@plait/ledger';

const NAME_CHARS = 60;

/** Where users keep settings: `$XDG_CONFIG_HOME/plait`, or `~/.config/plait` (XDG Base Directory Specification; a relative path counts for nothing). */
export function userFolder(env: NodeJS.ProcessEnv = process.env): string {
  const { XDG_CONFIG_HOME: config = '' } = env;
  return join(isAbsolute(config) ? config : join(homedir(), '.config'), 'plait');
}

/** The folder of one ledger. */
export function memoryFolder(base: string, { origin, ledgerKey }: LedgerFile): string {
  const digits = createHash('sha256').update(`${origin}\n${ledgerKey}\n`).digest('hex').slice(0, 12);
  return join(base, `${origin.replaceAll(/[^A-Za-z0-9._-]+/g, '_').slice(0, NAME_CHARS)}-${digits}`);
}

/** Of one ledger. */
export class AuditorMemory {
  readonly folder: string;
  readonly progressFile: string;
  readonly #checkpointFile: string;
  readonly #state: Memory;
  /** What was remembered when this run began. */
  readonly checkpoint: RememberedCheckpoint | undefined;
  readonly #held: Remembered | undefined;

  private constructor(folder: string, files: { checkpoint: string; state: Memory }, known: { checkpoint: RememberedCheckpoint | undefined; held: Remembered | undefined }) {
    this.folder = folder;
    this.progressFile = join(folder, 'progress.json');
    this.#checkpointFile = files.checkpoint;
    this.#state = files.state;
    this.checkpoint = known.checkpoint;
    this.#held = known.held;
  }

  /** Throws `config` for a damaged file, with what to do, and for a folder that cannot be used; better now than after hours. */
  static async open(base: string, ledger: LedgerFile): Promise<AuditorMemory> {
    const folder = memoryFolder(base, ledger);
    await makeFolder(folder);
    const files = { checkpoint: join(folder, 'checkpoint.json'), state: openStateFile(join(folder, 'log.json')) };
    return new AuditorMemory(folder, files, { checkpoint: await loadCheckpoint(files.checkpoint), held: await files.state.load() });
  }

  /** Whether nothing was remembered when this run began. */
  get isFirst(): boolean {
    return this.checkpoint === undefined && this.#held === undefined;
  }

  /** How far the log was read by an earlier run. Its largest checkpoint is named there only if it is not {@link checkpoint}. */
  get state(): Memory {
    return {
      load: async () => {
        const held = await this.#state.load();
        if (held === undefined || held.checkpoint?.size !== this.checkpoint?.checkpoint.size) return held;
        const { checkpoint: _checkpoint, ...rest } = held;
        return rest;
      },
      save: (remembered) => this.#state.save(remembered),
    };
  }

  /** The remembered checkpoint, as one to be compared with the ledger. */
  get trusted(): readonly SignedCheckpoint[] {
    const { checkpoint: known } = this;
    return known === undefined ? [] : [{ name: `remembered on ${dateOf(known.timeMs)}`, note: known.note, checkpoint: known.checkpoint }];
  }

  /** Remembers the newest checkpoint of a run that found nothing wrong, if there is one. Throws as `saveCheckpoint`. */
  async remember({ ledgerId, checkpoint }: Pick<VerifyReport, 'ledgerId' | 'checkpoint'>, timeMs: number): Promise<void> {
    if (checkpoint === undefined || ledgerId === undefined) return;
    await saveCheckpoint(this.#checkpointFile, { ledgerId, timeMs: BigInt(timeMs), note: checkpoint.note, checkpoint: checkpoint.checkpoint });
  }
}

/** A day and a time of it, UTC. */
export function dateOf(timeMs: bigint | number): string {
  return `${new Date(Number(timeMs)).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
