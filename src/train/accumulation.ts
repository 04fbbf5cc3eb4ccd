// Gradients added up over several batches before one step of the optimizer: which batches those are, what their rows count
// together, and the state between them.
import type { Tensor } from "../base/tensor.ts";
import { type CompiledStep, names } from "../compile/compile-step.ts";
import { OwnTensor } from "../runtime/own-tensor.ts";
import type { Session } from "../runtime/session.ts";
import type { StepBatch } from "./step-batch.ts";

/** Groups of `k`, the last of what is left. */
export function grouped<T>(batches: readonly T[], k: number): T[][] {
  return Array.from({ length: Math.ceil(batches.length / k) }, (_, i) => batches.slice(i * k, (i + 1) * k));
}

/**
 * The batches with what rows and labels count in each on average (`LossContext.rowTotal`, `labelTotal`), so that the mean of
 * their losses is the mean over all their rows, also where more of them count in one batch than in another.
 */
export function withTotals(
  batches: readonly StepBatch[],
  classWeights: readonly number[] | undefined,
): StepBatch[] {
  const mean = (count: (b: StepBatch) => number): Tensor => {
    const sum = batches.reduce((n, b) => n + count(b), 0);
    return { dtype: "float32", dims: [], data: Float32Array.of(sum / batches.length) };
  };
  const totals = {
    [names.scalar("total/rows")]: mean(({ feeds, rows }) => {
      const weights = feeds[names.rowWeights]?.data as Float32Array | undefined;
      return weights ? weights.reduce((a, w) => a + w, 0) : rows;
    }),
    [names.scalar("total/labels")]: mean(({ feeds, rows }) => {
      const weights = feeds[names.rowWeights]?.data as Float32Array | undefined;
      const labels = feeds[names.labels];
      let sum = 0;
      for (let i = 0; i < rows; i++) {
        const ofClass = labels?.dtype === "int32" ? classWeights?.[Number(labels.data[i])] : undefined;
        sum += (ofClass ?? 1) * (weights?.[i] ?? 1);
      }
      return sum;
    }),
  };
  return batches.map((b) => ({ ...b, feeds: { ...b.feeds, ...totals } }));
}

/** For the start of a run. */
export function accumulateNote(k: number, batch: number, batches: number): string {
  const left = batches % k;
  const last = left > 0 ? `, the last of an epoch ${left}` : "";
  return `a step takes ${k} batches of ${batch} samples${last}; statistics of normalisation and losses between samples are those of each batch`;
}

/** What is added up since the last step. The state of the run stays as it is until the step is accepted. */
export class Accumulation {
  readonly #apply: Session;
  /** Sums of gradients by the keys of their packs, and where the next ones go. */
  #sums: Record<string, Tensor>;
  #spare: Record<string, Tensor>;
  /** Statistics and variables of the loss as the batches have left them. */
  #carried: Record<string, Tensor> = {};
  readonly #carries: readonly string[];

  constructor({ weights, statistics, auxiliary }: CompiledStep, apply: Session) {
    this.#apply = apply;
    const zeros = () =>
      Object.fromEntries(
        [...weights, ...auxiliary.parameters].map((p) => [
          p.key,
          new OwnTensor("float32", [p.size], new Float32Array(p.size)),
        ]),
      );
    this.#sums = zeros();
    this.#spare = zeros();
    this.#carries = [...statistics, ...auxiliary.variables].map((p) => p.key);
  }

  /** Adds a share of the gradients of a batch, the `place.at`-th (from 0) of `place.of`. Returns what the session gives. */
  async add(
    session: Session,
    data: Readonly<Record<string, Tensor>>,
    state: Readonly<Record<string, Tensor>>,
    place: { readonly at: number; readonly of: number },
  ): Promise<Record<string, Tensor>> {
    if (place.at === 0) {
      this.#carried = {};
      for (const sum of Object.values(this.#sums)) (sum.data as Float32Array).fill(0);
    }
    const share: Tensor = { dtype: "float32", dims: [], data: Float32Array.of(1 / place.of) };
    const feeds: Record<string, Tensor> = { ...data, [names.scalar("share")]: share };
    const into: Record<string, Tensor> = {};
    for (const [key, sum] of Object.entries(this.#sums)) {
      feeds[names.state(key)] = state[key] as Tensor;
      feeds[names.gradient(key)] = sum;
      into[names.nextGradient(key)] = this.#spare[key] as Tensor;
    }
    for (const key of this.#carries) feeds[names.state(key)] = this.#carried[key] ?? (state[key] as Tensor);
    const wanted = [names.losses, ...Object.keys(into), ...this.#carries.map(names.next)];
    const out = await session.run(feeds, wanted, into);
    const keys = Object.keys(this.#sums);
    this.#spare = this.#sums;
    this.#sums = Object.fromEntries(keys.map((key) => [key, out[names.nextGradient(key)] as Tensor]));
    for (const key of this.#carries) this.#carried[key] = own(out[names.next(key)] as Tensor);
    return out;
  }

  /** The whole next state, by the names of a step's outputs, from the sums; it goes into `spare`. */
  async apply(
    scalars: Readonly<Record<string, Tensor>>,
    state: Readonly<Record<string, Tensor>>,
    spare: Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Tensor>> {
    const feeds: Record<string, Tensor> = { ...scalars };
    const into: Record<string, Tensor> = {};
    for (const [key, t] of Object.entries(state)) {
      feeds[names.state(key)] = this.#carried[key] ?? t;
      if (!(key in this.#carried)) into[names.next(key)] = spare[key] as Tensor;
    }
    for (const [key, sum] of Object.entries(this.#sums)) feeds[names.gradient(key)] = sum;
    const taken = this.#apply.inputs.map(({ name }) => [name, feeds[name] as Tensor] as const);
    const out = await this.#apply.run(Object.fromEntries(taken), Object.keys(into), into);
    const carried = Object.entries(this.#carried).map(([key, t]) => [names.next(key), t] as const);
    return { ...out, ...Object.fromEntries(carried) };
  }

  async release(): Promise<void> {
    await this.#apply.release();
  }
}

const own = ({ dims, data }: Tensor): Tensor => new OwnTensor("float32", dims, data as Float32Array);
