// Central moments over the samples, each with a gradient of its own, and how those of two sets of samples mix.
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import type { Samples } from "./samples.ts";

/**
 * Mean μ and m_k = mean (a − μ)ᵏ for k from 2 to `order`. d m_k / d a = (k/S) ((a − μ)ᵏ⁻¹ − m_{k−1}) with m₁ = 0, which is
 * what the region says: the path through μ sums to that constant.
 */
export function centralMoments(s: Samples, order: 2 | 4): Value[] {
  const { b, x, count } = s;
  const mean = s.mean(x);
  const centred = b.sub(x, mean);
  const moments = [mean];
  let power = centred;
  for (let k = 2; k <= order; k++) {
    const below = power;
    const momentBelow = moments[k - 2] as Value;
    power = b.mul(power, centred);
    const moment = s.mean(power);
    b.region({
      inputs: [x],
      outputs: [moment],
      grad: (dy) => [() => b.mul(k === 2 ? below : b.sub(below, momentBelow), b.scale(dy(0), k / count))],
    });
    moments.push(moment);
  }
  return moments;
}

/** As `mixCentralMoments` on arrays: each set's moments about the common mean, by their shares. */
export function mixCentralMoments(
  b: Builder,
  a: readonly Value[],
  c: readonly Value[],
  share: Value,
): Value[] {
  const apart = b.sub(c[0] as Value, a[0] as Value);
  const rest = b.sub(b.like(share, 1), share);
  const about = (set: readonly Value[], d: Value): Value[] => {
    const [, m2, m3, m4] = set as [Value, Value, Value | undefined, Value | undefined];
    const d2 = b.square(d);
    const out = [b.add(m2, d2)];
    if (m3) out.push(b.add(m3, b.mul(d, b.add(b.scale(m2, 3), d2))));
    if (m3 && m4) {
      const cross = b.add(b.scale(b.mul(d, m3), 4), b.mul(d2, b.add(b.scale(m2, 6), d2)));
      out.push(b.add(m4, cross));
    }
    return out;
  };
  const ofA = about(a, b.neg(b.mul(share, apart)));
  const ofC = about(c, b.mul(rest, apart));
  return [
    b.add(a[0] as Value, b.mul(share, apart)),
    ...ofA.map((v, i) => b.add(b.mul(rest, v), b.mul(share, ofC[i] as Value))),
  ];
}
