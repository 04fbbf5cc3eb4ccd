// Steps by the shape of a batch: a step is compiled for one shape, so batches that are padded to their own longest sample have
// steps of their own, made when such a batch comes first and kept while there is room. The state is the same whatever the
// shape, which is held here. Knows no step of the loop.
import { DistillError } from "../base/errors.ts";
import { takeSamples } from "../base/samples.ts";
import { formatShape, type Tensor } from "../base/tensor.ts";
import type { CompiledStep } from "../compile/compile-step.ts";
import { numbersIn } from "../compile/numbers-in.ts";
import type { Labels } from "../data/dataset.ts";
import type { Runtime } from "../runtime/session.ts";
import type { TapForm } from "../taps/tap-form.ts";
import type { CompiledEvent } from "./events.ts";
import type { Feeder } from "./feeds.ts";
import { type FrontRunner, loadFront } from "./front-runner.ts";
import { compileAt, formsAt, type StepSource, studentAt, teacherForms } from "./shaped-step.ts";
import { loadSessions, type StepSessions } from "./step-runner.ts";
import type { FormedTap } from "./taps.ts";
import type { TeacherOutputs } from "./teacher.ts";

/** Steps kept beside the first; of those that are used longest ago the next one takes the place. */
export const mostSteps = 32;
/** How many numbers the values of the kept steps may hold in all: a runtime keeps the memory that a step has needed. */
const mostNumbers = 4e9;
/** A batch is got ready while a step runs: both need theirs. */
const fewestSteps = 3;
/** So many shapes before it can be said that they do not come back. */
const manyShapes = 9;

/** What is known of a batch before its step is. */
export interface ShapedBatch {
  /** In the data set's order. */
  readonly inputs: readonly Tensor[];
  /** The student's. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly labels?: Labels | undefined;
  readonly samples: Uint32Array;
  /** What the teacher says, taps in their forms. */
  readonly said: TeacherOutputs | undefined;
}

/** A step that can be run. */
export interface ReadyStep {
  readonly compiled: CompiledStep;
  /** What is computed of the student's inputs before it. */
  readonly front: FrontRunner;
  readonly sessions: StepSessions;
}

interface Kept {
  readonly step: ReadyStep;
  readonly numbers: number;
}

export class StepsByShape {
  readonly #source: StepSource;
  readonly #feed: Feeder;
  readonly #first: CompiledStep;
  readonly #firstKey: string;
  readonly #forms = new Map<string, readonly FormedTap[]>();
  readonly #front: FrontRunner;
  #own: ReadyStep | undefined;
  #load = async (_: CompiledStep): Promise<StepSessions> => (this.#own as ReadyStep).sessions;
  readonly #kept = new Map<string, Kept>();
  /** Shapes that were compiled, and how often. */
  readonly #compiled = new Map<string, number>();
  #seconds = 0;
  #batches = 0;
  readonly #seen = new WeakSet<ShapedBatch>();
  #events: CompiledEvent[] = [];
  /** Observations set the types of the student's values: one at a time. */
  #busy: Promise<unknown> = Promise.resolve();

  /** `first`: compiled for `batch`, whose taps have these forms. */
  constructor(
    source: StepSource,
    feed: Feeder,
    { compiled, front }: Pick<ReadyStep, "compiled" | "front">,
    batch: Pick<ShapedBatch, "inputs" | "labels">,
    taps: readonly FormedTap[],
  ) {
    this.#source = source;
    this.#feed = feed;
    this.#first = compiled;
    this.#front = front;
    this.#firstKey = keyOf(batch);
    this.#forms.set(sampleShapes(batch.inputs), taps);
  }

  /** The first step's sessions, and where those of others are loaded. */
  begin(own: StepSessions, runtime: Runtime, withForward: boolean): void {
    this.#own = { compiled: this.#first, front: this.#front, sessions: own };
    this.#load = (compiled) => loadSessions(compiled, runtime, withForward);
  }

  /** The step for such a batch. What it gives may be released when others are asked for: ask again for each use. */
  async at(batch: ShapedBatch): Promise<ReadyStep> {
    const key = keyOf(batch);
    if (!this.#seen.has(batch)) this.#batches++;
    this.#seen.add(batch);
    if (key === this.#firstKey) return this.#own as ReadyStep;
    return (this.#use(key) ?? (await this.#alone(async () => this.#use(key) ?? this.#make(key, batch)))).step;
  }

  /** What is done to the teacher's taps for batches of these inputs, of which it gave `taps`. */
  async formsFor(
    inputs: readonly Tensor[],
    taps: Readonly<Record<string, Tensor>>,
  ): Promise<ReadonlyMap<string, TapForm>> {
    const key = sampleShapes(inputs);
    if (!this.#forms.has(key))
      await this.#alone(async () => {
        if (this.#forms.has(key)) return;
        // The last batch of a data set may be smaller than those that a step takes.
        const { batch } = this.#source.o;
        const full = (t: Tensor): Tensor =>
          t.dims[0] === batch
            ? t
            : takeSamples(
                t,
                Array.from({ length: batch }, (_, i) => i % (t.dims[0] ?? 1)),
              );
        const student = await studentAt(this.#source, this.#feed(inputs.map(full)));
        const taught = Object.fromEntries(Object.entries(taps).map(([name, t]) => [name, full(t)]));
        this.#forms.set(key, formsAt(this.#source, student, taught).taps);
      });
    return teacherForms(this.#forms.get(key) ?? []);
  }

  /** What was compiled since it was asked for last. */
  news(): CompiledEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** For a person, at the end; undefined where all batches had one shape. */
  tell(): string | undefined {
    const shapes = this.#compiled.size + 1;
    if (shapes === 1) return undefined;
    const again = [...this.#compiled.values()].reduce((n, times) => n + times - 1, 0);
    const twice = again > 0 ? `, ${again} times anew, because no more are kept at once` : "";
    const advice = shapes >= manyShapes ? "; samples padded to multiples of 8, say, have fewer shapes" : "";
    return `batches had ${shapes} shapes, each with a step of its own (compiled in ${this.#seconds.toFixed(1)} s${twice})${advice}`;
  }

  #advice(numbers: number): string {
    const kept = Math.max(fewestSteps, Math.min(mostSteps, Math.floor(mostNumbers / Math.max(1, numbers))));
    const each = this.#seconds / this.#compiled.size;
    return `${this.#batches} batches had ${this.#compiled.size + 1} shapes: a step is compiled for nearly every batch (${each.toFixed(1)} s each), and about ${kept} are kept in memory; pad samples or resize images to a few sizes, and put samples of like size into one batch`;
  }

  async release(): Promise<void> {
    await this.#busy;
    await Promise.all([...this.#kept.values()].map(({ step }) => release(step)));
    this.#kept.clear();
  }

  #use(key: string): Kept | undefined {
    const found = this.#kept.get(key);
    if (!found) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, found);
    return found;
  }

  #alone<T>(body: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(body);
    this.#busy = done.catch(() => {});
    return done;
  }

  async #make(key: string, batch: ShapedBatch): Promise<Kept> {
    const began = performance.now();
    const student = await studentAt(this.#source, batch.feeds);
    const taps = this.#forms.get(sampleShapes(batch.inputs)) ?? this.#source.o.taps;
    const compiled = compileAt(this.#source, student, taps, batch);
    checkSameState(this.#first, compiled, this.#source.opened.source, batch);
    const numbers = numbersIn(compiled);
    await this.#makeRoom(numbers);
    const front = await loadFront(student.model, compiled, this.#source.runtime);
    const step = { compiled, front, sessions: await this.#load(compiled) };
    const made = { step, numbers };
    this.#kept.set(key, made);
    const seconds = (performance.now() - began) / 1000;
    this.#seconds += seconds;
    const times = (this.#compiled.get(key) ?? 0) + 1;
    this.#compiled.set(key, times);
    const shapes = this.#compiled.size + 1;
    this.#events.push({
      type: "compiled",
      inputs: Object.fromEntries(Object.entries(batch.feeds).map(([name, t]) => [name, t.dims])),
      shapes,
      again: times > 1,
      seconds,
      ...(shapes === manyShapes &&
        times === 1 &&
        this.#batches < 1.5 * shapes && { advice: this.#advice(numbers) }),
    });
    return made;
  }

  async #makeRoom(numbers: number): Promise<void> {
    const sum = (): number => [...this.#kept.values()].reduce((n, k) => n + k.numbers, numbers);
    while (
      this.#kept.size >= mostSteps ||
      (this.#kept.size >= fewestSteps && sum() + numbersIn(this.#first) > mostNumbers)
    ) {
      const [key, { step }] = this.#kept.entries().next().value as [string, Kept];
      this.#kept.delete(key);
      await release(step);
    }
  }
}

async function release({ front, sessions }: ReadyStep): Promise<void> {
  await front.release();
  await sessions.release();
}

/** The shapes of the samples of a batch, however many. */
export const sampleShapes = (inputs: readonly Tensor[]): string =>
  inputs.map((t) => t.dims.slice(1).join("x")).join(",");

function keyOf({ inputs, labels }: Pick<ShapedBatch, "inputs" | "labels">): string {
  const labelled = !labels || labels instanceof Int32Array ? "" : labels.dims.join("x");
  return `${inputs.map((t) => t.dims.join("x")).join(",")}|${labelled}`;
}

/** Error: E_MODEL where the state of a step for another shape is not that of the first. */
function checkSameState(
  first: CompiledStep,
  other: CompiledStep,
  source: string,
  { feeds }: ShapedBatch,
): void {
  const layout = (c: CompiledStep): string[] =>
    [...c.weights, ...c.statistics, ...c.auxiliary.parameters, ...c.auxiliary.variables].flatMap((p) =>
      p.tensors.map((t) => `${p.key} "${t.name}" ${formatShape(t.dims)}`),
    );
  const terms = (c: CompiledStep): string[] => [...c.terms, ...c.scheduled.map((s) => s.input)];
  for (const [was, is] of [
    [layout(first), layout(other)],
    [terms(first), terms(other)],
  ] as const) {
    const at = Math.max(was.length, is.length);
    for (let i = 0; i < at; i++) {
      if (was[i] === is[i]) continue;
      const shapes = Object.entries(feeds).map(([name, t]) => `${name} ${formatShape(t.dims)}`);
      throw new DistillError(
        "E_MODEL",
        `${source}: for a batch of ${shapes.join(", ")} other things are trained than for the first batch (${is[i] ?? "nothing"} in place of ${was[i] ?? "nothing"}); give all batches one shape, or freeze what only some shapes use (--freeze)`,
      );
    }
  }
}
