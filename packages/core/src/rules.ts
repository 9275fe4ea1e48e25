/**
 * The versions of the rules, as what each asks for. A configuration names the version that is in force from its position
 * on; every check that is not the same in all versions asks {@link rulesOf}, and there is no other place to look.
 *
 * A new version: its line below, `RULES_VERSION`, its paragraph in docs/FORMAT.md, golden histories of its own. What an
 * older program would read differently must be behind a version, also where it seems a mere repair.
 */
import { invariant, PlaitError } from './errors.ts';
import { RULES_VERSION } from './limits.ts';
import type { UnknownRules } from './message.ts';
import type { LedgerState } from './state.ts';

/** What is not the same in all versions. */
export interface Rules {
  /** Whether a segment without records must carry the root of the empty tree: readers find another one wrong, and then stop. */
  readonly emptyRoot: boolean;
}

const VERSIONS: Readonly<Record<number, Rules>> = {
  1: { emptyRoot: false },
  2: { emptyRoot: true },
};

/** The rules in force after `state`. */
export function rulesOf(state: LedgerState): Rules {
  const { rules } = state.configuration.body;
  const found = VERSIONS[rules];
  invariant(found !== undefined && rules <= RULES_VERSION, `rules version ${rules} was let in`);
  return found;
}

/** Why a program stops at a genesis or configuration that counts, and whose rules it does not know. */
export function unknownRules({ origin, rules, known }: UnknownRules): PlaitError {
  return new PlaitError('config', `the ledger ${origin} is under rules version ${rules} from here on, and this ` +
    `program knows versions up to ${known}: install a newer one`);
}
