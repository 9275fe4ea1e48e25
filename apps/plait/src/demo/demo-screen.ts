/** One line of progress, rewritten in place on a terminal and printed once a second elsewhere; some records between. */
import { printLine } from '../output.ts';

export interface Progress {
  readonly produced: number;
  readonly sequenced: number;
  readonly verified: number;
  readonly leader: string;
  readonly epoch: number;
  /** The newest record that was read. */
  readonly sample: string;
}

const REFRESH_MS = 250;
const SAMPLE_EVERY = 8;
const CLEAR_LINE = '\r\u001b[2K';

export class Screen implements Disposable {
  readonly #read: () => Progress;
  readonly #timer: NodeJS.Timeout;
  #ticks = 0;
  #sample = '';
  #before = { verified: 0, atMs: performance.now() };

  constructor(read: () => Progress) {
    this.#read = read;
    this.#timer = setInterval(() => this.#tick(), REFRESH_MS);
  }

  /** A line that stays. */
  say(line: string): void {
    if (process.stdout.isTTY) process.stdout.write(CLEAR_LINE);
    printLine(line);
  }

  #tick(): void {
    this.#ticks += 1;
    const progress = this.#read();
    if (this.#ticks % SAMPLE_EVERY === 0 && progress.sample !== this.#sample) {
      this.#sample = progress.sample;
      this.say(fitted(`  ${progress.sample}`));
    }
    if (process.stdout.isTTY) process.stdout.write(CLEAR_LINE + fitted(this.#line(progress)));
    else if (this.#ticks % (1_000 / REFRESH_MS) === 0) printLine(this.#line(progress));
  }

  #line({ produced, sequenced, verified, leader, epoch }: Progress): string {
    const nowMs = performance.now();
    const rate = ((verified - this.#before.verified) / (nowMs - this.#before.atMs)) * 1_000;
    this.#before = { verified, atMs: nowMs };
    return `produced ${count(produced)}  sequenced ${count(sequenced)}  verified ${count(verified)}  ` +
      `${count(rate)}/s  leader ${leader}  epoch ${epoch}`;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    if (process.stdout.isTTY) process.stdout.write(CLEAR_LINE);
  }
}

/** A whole number with commas. */
export function count(n: number): string {
  return Math.round(n).toLocaleString('en');
}

/** Cut to the terminal's width, so that it stays one line. */
function fitted(line: string): string {
  const columns = process.stdout.isTTY ? process.stdout.columns : 140;
  return line.length < columns ? line : `${line.slice(0, columns - 2)}…`;
}
