// Runs compiled steps and owns the state between them: two sets of vectors that change places at each step, so that a
// step that fails or diverges leaves the last good state untouched.
import { DistillError } from "../base/errors.ts";
import { randomFor } from "../base/random.ts";
import { sizeOf, type Tensor } from "../base/tensor.ts";
import { auxiliaryKey } from "../compile/auxiliary.ts";
import { type CompiledStep, names } from "../compile/compile-step.ts";
import { averageKey } from "../compile/emit-average.ts";
import { type Pack, unpackTensors } from "../compile/state.ts";
import type { Value } from "../graph/graph.ts";
import { writeGraph } from "../onnx/write-graph.ts";
import { OwnTensor } from "../runtime/own-tensor.ts";
import type { Runtime, Session } from "../runtime/session.ts";
import type { Progress } from "../strategies/index.ts";
import { Accumulation } from "./accumulation.ts";

const scalar = (value: number): Tensor => ({ dtype: "float32", dims: [], data: Float32Array.of(value) });

/** A compiled step, loaded. */
export interface StepSessions {
  readonly compiled: CompiledStep;
  readonly session: Session;
  /** Where `forward` will be asked for. */
  readonly forward: Session | undefined;
  release(): Promise<void>;
}

export async function loadSessions(
  compiled: CompiledStep,
  runtime: Runtime,
  withForward: boolean,
): Promise<StepSessions> {
  const session = await runtime.load(writeGraph(compiled.accumulate?.() ?? compiled.step));
  const forward = withForward ? await runtime.load(writeGraph(compiled.forward())) : undefined;
  const release = async (): Promise<void> => {
    await session.release();
    await forward?.release();
  };
  return { compiled, session, forward, release };
}

export class StepRunner {
  /** The step that it was made for; others take and give the same state. */
  readonly own: StepSessions;
  readonly #seed: number;
  readonly #accumulation: Accumulation | undefined;
  #current: Record<string, Tensor>;
  #spare: Record<string, Tensor>;

  /** `withForward`: `forward` will be asked for. */
  static async load(
    compiled: CompiledStep,
    runtime: Runtime,
    seed: number,
    withForward = false,
  ): Promise<StepRunner> {
    const own = await loadSessions(compiled, runtime, withForward);
    const apply = compiled.accumulate && (await runtime.load(writeGraph(compiled.apply)));
    return new StepRunner(own, seed, apply && new Accumulation(compiled, apply));
  }

  private constructor(own: StepSessions, seed: number, accumulation: Accumulation | undefined) {
    this.own = own;
    this.#accumulation = accumulation;
    this.#seed = seed;
    const vector = (data: Float32Array): Tensor => new OwnTensor("float32", [data.length], data);
    this.#current = {};
    this.#spare = {};
    for (const [key, data] of own.compiled.initial) {
      this.#current[key] = vector(data.slice());
      this.#spare[key] = vector(new Float32Array(data.length));
    }
  }

  get compiled(): CompiledStep {
    return this.own.compiled;
  }

  /**
   * One step, the next after `progress.step` of them, by the sessions for data of that shape. Returns the loss terms by name;
   * the new state counts only after `accept`.
   */
  async run(
    data: Readonly<Record<string, Tensor>>,
    progress: Progress,
    learningRate: number,
    { compiled, session }: StepSessions = this.own,
  ): Promise<{ losses: Record<string, number>; accept: () => void }> {
    const feeds: Record<string, Tensor> = { ...data, ...this.#masks(compiled, progress.step) };
    Object.assign(feeds, scalars(compiled, progress.step, learningRate));
    for (const { input, at } of compiled.scheduled) feeds[input] = scalar(at(progress));
    const into: Record<string, Tensor> = {};
    for (const [key, t] of Object.entries(this.#current)) {
      feeds[names.state(key)] = t;
      into[names.next(key)] = this.#spare[key] as Tensor;
    }
    const wanted = [names.losses, ...Object.keys(into)];
    const out = await session.run(feeds, wanted, into);
    return { losses: lossesIn(compiled, out), accept: () => this.#take(out) };
  }

  #take(out: Readonly<Record<string, Tensor>>): void {
    const next: Record<string, Tensor> = {};
    for (const key of Object.keys(this.#current)) next[key] = out[names.next(key)] as Tensor;
    this.#spare = this.#current;
    this.#current = next;
  }

  /** Adds the gradients of one of the batches of a step to those before; `draw` is what its dropout is drawn by. */
  async accumulate(
    data: Readonly<Record<string, Tensor>>,
    progress: Progress,
    draw: number,
    place: { readonly at: number; readonly of: number },
    { compiled, session }: StepSessions = this.own,
  ): Promise<{ losses: Record<string, number>; accept?: undefined }> {
    const feeds: Record<string, Tensor> = { ...data, ...this.#masks(compiled, draw) };
    for (const { input, at } of compiled.scheduled) feeds[input] = scalar(at(progress));
    const out = await (this.#accumulation as Accumulation).add(session, feeds, this.#current, place);
    return { losses: lossesIn(compiled, out) };
  }

  /** Applies what was added up; the new state counts only after what is returned was called. */
  async apply(progress: Progress, learningRate: number): Promise<() => void> {
    const feeds = scalars(this.compiled, progress.step, learningRate);
    const out = await (this.#accumulation as Accumulation).apply(feeds, this.#current, this.#spare);
    return () => this.#take(out);
  }

  /** Logits and taps of the student as it stands, in training form. */
  async forward(
    data: Readonly<Record<string, Tensor>>,
    step: number,
    { compiled, forward }: StepSessions = this.own,
  ): Promise<{ logits: Tensor; taps: Record<string, Tensor> }> {
    if (!forward) throw new DistillError("E_OPTION", "this step was loaded without its forward pass");
    const out = await forward.run(this.#feedsOf(forward, data, step, compiled));
    const { [names.forwardLogits]: logits, ...rest } = out;
    const taps = Object.entries(rest).map(
      ([name, t]) => [name.slice(names.forwardTap("").length), t] as const,
    );
    return { logits: logits as Tensor, taps: Object.fromEntries(taps) };
  }

  /** Every value of the student as it stands, in training form and in order, by the values of the user's graph. */
  async observe(
    data: Readonly<Record<string, Tensor>>,
    step: number,
    compiled: CompiledStep,
    runtime: Runtime,
  ): Promise<Map<Value, Tensor>> {
    const { graph, values } = compiled.observed();
    const session = await runtime.load(writeGraph(graph));
    try {
      const out = await session.run(this.#feedsOf(session, data, step, compiled));
      return new Map(values.map(({ value, output }) => [value, out[output] as Tensor]));
    } finally {
      await session.release();
    }
  }

  /** What a forward pass takes of a batch and of the student as it stands. */
  #feedsOf(
    { inputs }: Session,
    data: Readonly<Record<string, Tensor>>,
    step: number,
    compiled: CompiledStep,
  ): Record<string, Tensor> {
    const feeds: Record<string, Tensor> = { ...data, ...this.#masks(compiled, step) };
    for (const [key, t] of Object.entries(this.#current)) feeds[names.state(key)] = t;
    return Object.fromEntries(inputs.map((i) => [i.name, feeds[i.name] as Tensor]));
  }

  /** The state as named vectors (live, and gone while a step runs: copy what is to be kept). */
  get state(): ReadonlyMap<string, Float32Array> {
    return new Map(Object.entries(this.#current).map(([key, t]) => [key, t.data as Float32Array]));
  }

  /** Sets a variable of the loss (`LossState.variable`) before the next step. */
  setVariable(name: string, value: Float32Array): void {
    const held = this.#current[auxiliaryKey(name)]?.data as Float32Array | undefined;
    if (held?.length !== value.length)
      throw new DistillError(
        "E_SHAPE",
        `variable "${name}" of the loss holds ${held?.length ?? "no"} numbers, got ${value.length}`,
      );
    held.set(value);
  }

  restore(state: ReadonlyMap<string, Float32Array>): void {
    for (const [key, t] of Object.entries(this.#current))
      (t.data as Float32Array).set(state.get(key) as Float32Array);
  }

  /** Weights and statistics by the names of the student's initialisers; where the run averages them, the averages. */
  weights(): Map<string, Tensor> {
    const all = new Map<string, Tensor>();
    const key = this.compiled.averageWeights === undefined ? (p: Pack) => p.key : averageKey;
    for (const pack of [...this.compiled.weights, ...this.compiled.statistics])
      for (const [name, t] of unpackTensors(pack, this.#current[key(pack)]?.data as Float32Array))
        all.set(name, t);
    return all;
  }

  async release(): Promise<void> {
    await this.own.release();
    await this.#accumulation?.release();
  }

  #masks({ masks }: CompiledStep, step: number): Record<string, Tensor> {
    return Object.fromEntries(
      masks.map(({ input, type, ratio }) => {
        const random = randomFor(this.#seed, "dropout", input, step);
        const data = Float32Array.from({ length: sizeOf(type.dims) }, () =>
          random.nextFloat() < ratio ? 0 : 1 / (1 - ratio),
        );
        return [input, { dtype: "float32", dims: type.dims, data }];
      }),
    );
  }
}

function lossesIn({ terms }: CompiledStep, out: Readonly<Record<string, Tensor>>): Record<string, number> {
  const values = out[names.losses]?.data as Float32Array;
  return Object.fromEntries(terms.map((term, i) => [term, values[i] as number]));
}

/** The optimizer's scalars, for each learning rate that there is, and the average's. */
function scalars(
  { optimizer, rates, averageWeights: decay }: CompiledStep,
  step: number,
  learningRate: number,
): Record<string, Tensor> {
  // The average begins with what the first step makes, as that of torch.optim.swa_utils.
  const average =
    decay === undefined ? {} : { [names.scalar("average")]: scalar(step === 0 ? 1 : 1 - decay) };
  const ofGroups = Object.fromEntries(
    rates.flatMap((group) =>
      Object.entries(optimizer.scalars(step, group?.rate?.(step) ?? learningRate)).map(
        ([name, value]) => [names.scalar(name, group?.match), scalar(value)] as const,
      ),
    ),
  );
  return { ...ofGroups, ...average };
}
