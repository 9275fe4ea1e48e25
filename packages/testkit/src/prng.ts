/**
 * Pseudo-random numbers from a seed: sfc32 (Chris Doty-Humphrey, PractRand), seeded with a 128-bit mix of a string.
 * For simulation only: anybody who knows the seed knows every number.
 */

/** A stream of numbers fixed by its seed. Also a `Random` of the roles, for simulated processes. */
export class Prng {
  /** What the stream was made from; `fork` extends it by a name. */
  readonly seed: string;
  readonly #state: Int32Array;

  constructor(seed: string | number) {
    this.seed = String(seed);
    this.#state = mix(this.seed);
    for (let round = 0; round < 12; round += 1) this.#next();
  }

  /** Uniform in [0, 1), a multiple of 2^-32. */
  uniform(): number {
    return this.#next() / 2 ** 32;
  }

  /** Uniform in 0 … `n` − 1. `n` is 1 … 2^32; anything else is a bug of the caller and throws. */
  int(n: number): number {
    if (!(n >= 1 && n <= 2 ** 32)) throw new RangeError(`Prng.int(${n})`);
    return Math.floor(this.uniform() * n);
  }

  /** True with probability `p`. Always takes one number of the stream, for 0 and 1 as well. */
  chance(p: number): boolean {
    return this.uniform() < p;
  }

  /** One item of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)] as T;
  }

  /** `count` bytes. */
  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; at += 1) bytes[at] = this.#next() >>> 24;
    return bytes;
  }

  /**
   * A stream of its own, fixed by this one's seed and `name` alone: how many numbers were taken from this one does not
   * matter. The same name gives the same stream again.
   */
  fork(name: string): Prng {
    return new Prng(`${this.seed}/${name}`);
  }

  /** 32 bits, unsigned. */
  #next(): number {
    const s = this.#state as unknown as [number, number, number, number];
    const sum = (s[0] + s[1] + s[3]) | 0;
    s[3] += 1;
    s[0] = s[1] ^ (s[1] >>> 9);
    s[1] = (s[2] + (s[2] << 3)) | 0;
    s[2] = (((s[2] << 21) | (s[2] >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}

/** Four 32-bit words that all depend on every character (MurmurHash3's multipliers, one lane each). */
function mix(text: string): Int32Array {
  const words = Int32Array.of(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344);
  const multipliers = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93];
  for (let at = 0; at < text.length; at += 1) {
    for (let lane = 0; lane < 4; lane += 1) {
      const mixed = Math.imul((words[lane] as number) ^ text.charCodeAt(at), multipliers[lane] as number);
      words[lane] = mixed ^ (mixed >>> 15) ^ (words[(lane + 1) & 3] as number);
    }
  }
  return words;
}
