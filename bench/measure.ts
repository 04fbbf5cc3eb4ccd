// Interleaved timing: all sides take turns in the same minutes, so that what else the machine does falls on all of them.
import { existsSync, readFileSync } from "node:fs";
import { cpus, loadavg, platform, release, totalmem } from "node:os";

/** Does `count` repetitions and returns the milliseconds of each. */
export type Side = (count: number) => Promise<number[]>;

export interface Spread {
  readonly median: number;
  readonly quartiles: readonly [number, number];
  /** The quickest repetition: on a shared machine the nearest to what an idle one would show. */
  readonly best: number;
  readonly samples: number;
}

/** Milliseconds per repetition of every side, warmed up, `rounds` turns of `perRound` repetitions each. */
export async function interleave(
  sides: Readonly<Record<string, Side>>,
  { rounds, perRound, warmUp }: { rounds: number; perRound: number; warmUp: number },
): Promise<Record<string, Spread>> {
  const times: Record<string, number[]> = {};
  for (const [name, side] of Object.entries(sides)) {
    await side(warmUp);
    times[name] = [];
  }
  for (let r = 0; r < rounds; r++) {
    // Every other round in the opposite order: nobody always follows the same neighbour.
    const order = r % 2 === 0 ? Object.entries(sides) : Object.entries(sides).reverse();
    for (const [name, side] of order) {
      // The threads of the side before stop spinning.
      await new Promise((resolve) => setTimeout(resolve, 50));
      times[name]?.push(...(await side(perRound)));
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, spreadOf(ms)]));
}

export function spreadOf(ms: readonly number[]): Spread {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
  return { median: at(0.5), quartiles: [at(0.25), at(0.75)], best: at(0), samples: ms.length };
}

/**
 * Milliseconds by the clock on the wall or, with ONNX_DISTILL_CLOCK=cpu, of processor time of the whole process: on a machine that
 * others use as well, and with one thread, that is what an idle one would need. The peers read the same variable.
 */
export const clock = process.env.ONNX_DISTILL_CLOCK === "cpu" ? "cpu" : "wall";

function now(): number {
  if (clock === "wall") return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Times one repetition after the other. */
export function timed(repetition: () => Promise<unknown>): Side {
  return async (count) => {
    const ms: number[] = [];
    for (let i = 0; i < count; i++) {
      const began = now();
      await repetition();
      ms.push(now() - began);
    }
    return ms;
  };
}

export function machine(): Record<string, unknown> {
  return {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `${platform()} ${release()}`,
    node: process.version,
    clock,
    /** Processes that wanted a core in the last minute, ours with them. */
    load: loadavg()[0],
  };
}

/**
 * The most memory that this process had, in MiB. Not what getrusage says where Linux knows better: that counts what the
 * parent had when it started this process.
 */
export function peakMegabytes(): number {
  const kibibytes = existsSync("/proc/self/status")
    ? Number(/VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1])
    : process.resourceUsage().maxRSS;
  return kibibytes / 1024;
}
