// What the peers in JavaScript share: the protocol of bench/peer.ts, and data.
import { createInterface } from "node:readline";

/** Milliseconds, by the clock that bench/measure.ts has chosen. */
function now() {
  if (process.env.ONNX_DISTILL_CLOCK !== "cpu") return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Says what this is, then answers "<part> <count>" with the milliseconds of each repetition, until there are no more lines. */
export async function answer(about, parts) {
  console.log(JSON.stringify(about));
  for await (const line of createInterface({ input: process.stdin })) {
    const [part, count] = line.split(" ");
    const ms = [];
    for (let i = 0; i < Number(count); i++) {
      const began = now();
      await parts[part]();
      ms.push(now() - began);
    }
    console.log(JSON.stringify(ms));
  }
}

/** Seeded numbers, roughly uniform in [-1.7, 1.7]. */
export function noise(length) {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 3.46;
  });
}
