/** What Redis does not allow, said so that it can be allowed. */
import type { Redis } from 'ioredis';
import type { Endpoint } from './place.ts';

/** Of ours, or of redlock's scripts, whose commands an ACL judges one by one. */
const REFUSED = /^(NOAUTH|WRONGPASS|NOPERM)\b|ACL failure in script|The user executing the script can't/;
/** Node's codes for a certificate, or a whole connection, that TLS does not take. */
const TLS_REFUSED = /^(ERR_TLS_|CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|ERR_SSL_.*(CERTIFICATE|UNKNOWN_CA|VERSION|HANDSHAKE_FAILURE))/;

/** True if more tries do not help: the user, its password, its rights, or a certificate must be changed. */
export function isRefusal(error: Error): boolean {
  return REFUSED.test(error.message) || ('code' in error && TLS_REFUSED.test(String(error.code)));
}

/**
 * The commands that this lease needs: harmless calls of each, which Redis judges before it looks at what they would do. Only
 * `del` has no harmless form on the key itself.
 */
const RIGHTS: readonly { readonly command: string; readonly args: (key: string) => readonly string[] }[] = [
  { command: 'evalsha', args: (key) => ['0'.repeat(40), '1', key] },
  { command: 'eval', args: (key) => ['return 1', '1', key] },
  { command: 'exists', args: (key) => [key] },
  { command: 'get', args: (key) => [key] },
  { command: 'set', args: (key) => [key, '', 'NX', 'XX'] },
  { command: 'del', args: (key) => [`${key}:probe`] },
];

/** The rights on `key` that the user lacks, as `ACL SETUSER` writes them; empty if none, or if Redis does not answer. */
async function missingRights(client: Redis, key: string): Promise<readonly string[]> {
  const answers = await Promise.all(
    RIGHTS.map(async ({ command, args }) => {
      const refused = await client.call(command, ...args(key)).then(() => '', (error: Error) => error.message);
      if (!refused.startsWith('NOPERM')) return undefined;
      if (/ run the /.test(refused)) return `+${command}`;
      return command === 'del' ? undefined : `~${key}`;
    }),
  );
  return [...new Set(answers.flatMap((right) => right ?? []))];
}

/**
 * The rights on `key` that are missing at a connected Redis, as a sentence; undefined if none is. Asks Redis, and changes
 * nothing there.
 */
export async function describeMissing(client: Redis, endpoint: Endpoint, key: string): Promise<string | undefined> {
  const missing = await missingRights(client, key);
  if (missing.length === 0) return undefined;
  const rights = missing.join(' ');
  return `Redis ${endpoint.name} does not give user ${userOf(endpoint)} the right ${rights}: grant it with ` +
    `ACL SETUSER ${userOf(endpoint)} ${rights} (a lease needs ~${key} ${RIGHTS.map(({ command }) => `+${command}`).join(' ')})`;
}

/** What went wrong at a Redis, as a sentence. */
export function describeFailure(endpoint: Endpoint, error: Error): string {
  if (!isRefusal(error)) return `Redis ${endpoint.name}: ${error.message}`;
  if (/^(NOAUTH|WRONGPASS)/.test(error.message)) {
    return `Redis ${endpoint.name} refuses user ${userOf(endpoint)}: ${error.message}. Check the user's name and password`;
  }
  if (REFUSED.test(error.message)) return `Redis ${endpoint.name} refuses user ${userOf(endpoint)}: ${error.message}`;
  return `Redis ${endpoint.name}: TLS fails: ${error.message}. Check the CA and the certificates on both sides`;
}

const userOf = ({ credentials }: Endpoint): string => credentials?.username ?? 'default';
