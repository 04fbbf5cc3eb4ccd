// Seeded random numbers, found by key instead of by state: whoever knows (seed, path) gets the same numbers, in
// whatever order and however often they are asked for. A resumed run therefore needs no generator state. Must never
// touch Math.random or the clock. Hash: MurmurHash3 (A. Appleby, 2011); generator: xoroshiro128+ of pure-rand.
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";
import { DistillError } from "./errors.ts";

export interface Random {
  /** Uniform in [0, 1), a multiple of 2^-53. */
  nextFloat(): number;
  /** Uniform among the whole numbers 0 .. n-1, without the bias of a bare remainder; n from 1 to 2^32. */
  nextInt(n: number): number;
  /** Normal with mean 0 and variance 1: sqrt(-2 ln u) cos(2 pi v), Box and Muller, 1958. */
  nextNormal(): number;
  /** The numbers 0 .. n-1 in random order, every order equally likely (Fisher and Yates; Durstenfeld, 1964). */
  permutation(n: number): Uint32Array;
}

/**
 * The random numbers that belong to `seed` and `path`. A path names what the numbers are for, from the general to the
 * particular; different paths, also `["a", "b"]` and `["ab"]`, or `1` and `"1"`, give independent numbers.
 *
 * `seed` is any safe integer, numbers in the path are finite (`-0` counts as `0`); otherwise E_ARGUMENT.
 * The integers and floats are the same on every machine; `nextNormal` goes through `Math.log` and `Math.cos`, whose
 * last bit JavaScript engines may choose.
 *
 * @example
 * const order = randomFor(42, "order", epoch).permutation(60000);
 * const flip = randomFor(42, "augment", epoch, sample).nextFloat() < 0.5;
 */
export function randomFor(seed: number, ...path: (string | number)[]): Random {
  if (!Number.isSafeInteger(seed))
    throw new DistillError("E_ARGUMENT", `random seed: expected a whole number, got ${seed}`);
  const generator = xoroshiro128plusFromState(hash([seed, ...path]));
  return {
    nextFloat: () => uniformFloat64(generator),
    nextInt(n) {
      if (!Number.isInteger(n) || n < 1 || n > 2 ** 32)
        throw new DistillError("E_ARGUMENT", `nextInt: expected a whole number from 1 to 2^32, got ${n}`);
      return uniformInt(generator, 0, n - 1);
    },
    nextNormal() {
      const u = 1 - uniformFloat64(generator);
      return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * uniformFloat64(generator));
    },
    permutation(n) {
      if (!Number.isInteger(n) || n < 0 || n > 2 ** 32)
        throw new DistillError("E_ARGUMENT", `permutation: expected a whole number from 0 to 2^32, got ${n}`);
      const order = new Uint32Array(n);
      for (let i = 0; i < n; i++) {
        const j = uniformInt(generator, 0, i);
        order[i] = order[j]!;
        order[j] = i;
      }
      return order;
    },
  };
}

const STRING = 1;
const NUMBER = 2;

/** Four words, each the MurmurHash3_x86_32 of the whole key under a start value of its own. */
function hash(key: readonly (string | number)[]): number[] {
  const words: number[] = [];
  const float = new DataView(new ArrayBuffer(8));
  for (const part of key) {
    if (typeof part === "string") {
      // Kind and length come first, so that no two keys spell the same words.
      words.push(STRING, part.length);
      for (let i = 0; i < part.length; i++) words.push(part.charCodeAt(i));
    } else {
      if (!Number.isFinite(part))
        throw new DistillError("E_ARGUMENT", `random path: expected finite numbers and strings, got ${part}`);
      float.setFloat64(0, part + 0);
      words.push(NUMBER, float.getInt32(0), float.getInt32(4));
    }
  }
  // The fractions of the square roots of 2, 3, 5 and 7: constants with nothing up the sleeve.
  const state = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a].map((start) => murmur3(words, start));
  return state.some((word) => word !== 0) ? state : [1, 0, 0, 0]; // all zeros: the one state it never leaves
}

function murmur3(words: readonly number[], start: number): number {
  let h = start;
  for (const word of words) {
    h ^= Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
    h = (Math.imul(rotate(h, 13), 5) + 0xe6546b64) | 0;
  }
  h ^= words.length * 4;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

const rotate = (x: number, by: number) => (x << by) | (x >>> (32 - by));
