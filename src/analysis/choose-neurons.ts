// Which neurons are worth a closer look, where nobody says: the most selective ones, of different classes.
import type { NeuronProfile } from "./tap-profile.ts";

/** The class that each neuron answers most strongly on average, by size of the mean response; −1 for a dead neuron. */
export function preferredClasses({ classResponse, present, neurons, dead }: NeuronProfile): number[] {
  const silent = new Set(dead);
  return Array.from({ length: neurons }, (_, c) => {
    if (!classResponse || !present || silent.has(c)) return -1;
    let best = -1;
    for (let k = 0; k < present.length; k++) {
      const here = Math.abs(classResponse[k * neurons + c]!);
      if (present[k] && (best < 0 || here > Math.abs(classResponse[best * neurons + c]!))) best = k;
    }
    return best;
  });
}

/**
 * At most `count` neurons that are not dead: by class selectivity, or without classes by lifetime sparseness; the best of
 * each preferred class first, then the second of each, so that one class does not take all places.
 */
export function mostSelective(profile: NeuronProfile, count: number): number[] {
  const scores = profile.scores["class-selectivity"] ?? profile.scores["lifetime-sparseness"]!;
  const silent = new Set(profile.dead);
  const classes = preferredClasses(profile);
  const order = [...scores.keys()]
    .filter((c) => !silent.has(c))
    .sort((a, b) => scores[b]! - scores[a]! || a - b);
  const taken = new Map<number, number>();
  const turn = new Map(
    order.map((c) => {
      const k = classes[c]!;
      // Without classes every neuron has the first turn.
      const t = k < 0 ? 0 : (taken.get(k) ?? 0);
      taken.set(k, t + 1);
      return [c, t];
    }),
  );
  return order
    .sort((a, b) => turn.get(a)! - turn.get(b)! || scores[b]! - scores[a]! || a - b)
    .slice(0, count);
}
