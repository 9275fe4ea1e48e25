/** A ledger's status as text and as JSON. */
import { partitionName } from '@plait/core';
import type { LedgerStatus } from '@plait/ledger';
import { printable } from '../output.ts';

/** One JSON object on one line; numbers beyond 2^53 are decimal strings. */
export function statusJson(status: LedgerStatus): string {
  return JSON.stringify(status, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

/** Lines for people. Names of keys may hold more than terminals should get. */
export function statusText(status: LedgerStatus): string {
  const { lastBlock } = status;
  const head = [
    ['ledger', `${status.origin}  (${status.ledgerId})`],
    ['log', `${status.log.topic}, ${status.log.end} messages, configuration ${status.configuration}`],
    ['leader', status.leader === undefined ? `nobody (epoch ${status.epoch})` : `${status.leader} (epoch ${status.epoch})`],
    ['sequenced', `${status.nextSeq} records in ${status.height} blocks`],
    ['last block', lastBlock === undefined ? 'none yet' : `${lastBlock.height}, ${ageText(lastBlock.ageMs)} ago`],
    ['ignored', ignoredText(status.ignored)],
    ...status.missingSources.map((topic) => ['no topic', `${topic} is a source and does not exist`]),
  ];
  const rows = status.partitions.map((p) =>
    [partitionName(p), p.logStart, p.end, p.reported, p.sequenced, p.lag, p.pending, p.worker ?? '-'].map(String));
  const table = tableText([['partition', 'log start', 'end', 'reported', 'sequenced', 'lag', 'pending', 'worker'], ...rows]);
  return printable(`${head.map(([name = '', value = '']) => `${name.padEnd(11)} ${value}`).join('\n')}\n\n${table}`);
}

function ignoredText(ignored: Readonly<Record<string, number>>): string {
  const counts = Object.entries(ignored).map(([reason, count]) => `${reason} ${count}`);
  return counts.length === 0 ? 'nothing' : counts.join(', ');
}

/** A duration for people, from ms. */
export function ageText(ms: number): string {
  const seconds = ms / 1_000;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} days`;
}

/** Columns side by side: the first and the last to the left, numbers to the right. */
function tableText(rows: readonly (readonly string[])[]): string {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const cell = (text: string, i: number): string =>
    i === 0 || i === columns - 1 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0);
  return rows.map((row) => `${row.map(cell).join('  ').trimEnd()}\n`).join('');
}
