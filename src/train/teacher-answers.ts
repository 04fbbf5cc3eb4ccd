// What the teacher says at each step: asked anew, or kept from the first time; and what is measured of it before the first
// step.
import { DistillError } from "../base/errors.ts";
import { fingerprint } from "../base/fingerprint.ts";
import { formatBytes } from "../base/format.ts";
import { sizeOf, type Tensor } from "../base/tensor.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { SampleBatch } from "../data/dataset.ts";
import { asksAgain, augmented, augments, variantsOf } from "./batch-inputs.ts";
import type { DistillEvent } from "./events.ts";
import { labelFeeds } from "./labels.ts";
import { measureBoth, neededTaps, TeacherMeasure } from "./measured-state.ts";
import type { PreparedRun } from "./prepare-run.ts";
import { typeOfTensor } from "./shaped-step.ts";
import type { StepRunner } from "./step-runner.ts";
import { sampleShapes } from "./steps-by-shape.ts";
import type { Teacher, TeacherOutputs } from "./teacher.ts";
import { type CachePlan, fillCache, planCache, type TeacherCache, tellSaved } from "./teacher-cache.ts";
import { teacherKey } from "./teacher-key.ts";

const askedAlways =
  "the teacher runs at every step: batches differ in shape, and what it says of a sample may depend on how far it is padded";

const askedForOthers =
  "the teacher runs at every step: the data set reads differently when the same index is read twice, and what was kept would be said of other samples than the student is shown";

const sampleKey = (sample: number, variant: number, variants: number): number => sample * variants + variant;

/** Ends the filling of a cache: a batch has another shape than those before. */
class OtherShapes extends Error {}

export class TeacherAnswers {
  /** Taps whose teacher's values are needed step after step, by this run or by those that share them. */
  readonly kept: readonly string[];
  readonly #run: PreparedRun;
  /** How many ways each sample is shown in; undefined: another in each epoch. */
  readonly #variants: number | undefined;
  readonly #plan: CachePlan | undefined;
  #filling: AsyncGenerator<number, TeacherCache> | undefined;
  #cache: TeacherCache | undefined;
  /** The cache was filled by an earlier run. */
  readonly #inherited: boolean = false;
  #served = 0;
  /** Batches of other shapes than what is kept: asked for anew. */
  #others = 0;
  /** What is kept would be of samples that are padded otherwise in other batches. */
  #varying = false;

  constructor(run: PreparedRun) {
    const { o, options, probe, taps, measured, compiled, onArrays } = run;
    this.#run = run;
    const names = taps.map((t) => t.name);
    // What this run need not keep, the next one may.
    const all = onArrays.length > 0 || options.teacherOutputs !== undefined;
    this.kept = all ? names : neededTaps(names, compiled.step.inputs, measured);
    this.#variants = variantsOf(o);
    const { teacherOutputs: shared } = options;
    if (!probe || this.#variants === undefined || !asksAgain(o, shared !== undefined)) return;
    this.#cache =
      o.teacherCache === "off" || !run.repeats
        ? undefined
        : shared?.find(options.data, teacherKey(run, shared));
    this.#inherited = this.#cache !== undefined;
    if (this.#inherited) return;
    this.#varying = run.varying;
    if (run.varying || !run.repeats) return;
    this.#plan = planCache(
      {
        place: o.teacherCache,
        type: o.teacherCacheType,
        memoryBytes: o.teacherCacheBytes - (shared?.bytesInMemory ?? 0),
        folder: shared?.folder ?? options.out,
      },
      [probe.logits, ...Object.values(this.#keptOf(probe).taps)].map(typeOfTensor),
      options.data.length * this.#variants,
    );
  }

  get notes(): string[] {
    if (this.#inherited) return ["teacher outputs are those that an earlier run has kept"];
    if (this.#varying && this.#run.o.teacherCache !== "off") return [askedAlways];
    if (!this.#run.repeats) return [askedForOthers];
    const plan = this.#plan;
    if (!plan) return [];
    const place = plan.place === "disk" ? "in a file" : "in memory";
    return [`teacher outputs are computed once and kept ${place} (${formatBytes(plan.bytes)})`];
  }

  /** Fills the cache where there is one, and measures what the loss wants to know of the teacher before a new run. */
  async *prepare(runner: StepRunner, step: number): AsyncGenerator<DistillEvent, void> {
    const { teacher, measured, options } = this.#run;
    if (!teacher) return;
    // A run that goes on has it in its state already.
    let measure = new TeacherMeasure(step === 0 ? measured : []);
    const whileFilling = measure.wanted && this.#plan !== undefined && !augments(this.#run.o);
    if (this.#plan) yield* this.#fill(teacher, this.#plan, whileFilling ? measure : undefined);
    if (options.signal?.aborted) return;
    if (measure.wanted) {
      if (!whileFilling || this.#varying) {
        measure = new TeacherMeasure(measured);
        yield* this.#measureAlone(teacher, measure);
      }
      if (options.signal?.aborted) return;
      for (const [name, value] of measure.results()) runner.setVariable(name, value);
    }
    // It has said all that it will be asked for, and its session may hold more memory than the step.
    const askedAgain = !this.#cache || (augments(this.#run.o) && measured.some((v) => v.every !== undefined));
    if (!askedAgain) await teacher.release();
  }

  /** What it says of these samples, whose inputs the step sees as `inputs`; undefined where there is no teacher. */
  async of(
    samples: Uint32Array,
    inputs: readonly Tensor[],
    epoch: number,
  ): Promise<TeacherOutputs | undefined> {
    if (!this.#cache) return this.#run.teacher?.run(inputs);
    if (!this.#fits(inputs)) {
      this.#others++;
      return this.#run.teacher?.run(inputs);
    }
    this.#served += samples.length;
    const variant = this.#variants && epoch % this.#variants;
    this.#checkSeen(samples, inputs, variant ?? 0);
    return this.#cache.gather(samples, variant);
  }

  /** Renews what is measured on both sides and due before `step`. */
  async measureBoth(runner: StepRunner, step: number): Promise<void> {
    const { measured, options, schedule, feedStudent, steps, o } = this.#run;
    const ask = async (samples: Uint32Array) => {
      const { inputs, labels } = await options.data.read(samples);
      const said =
        this.#cache && !augments(o) && this.#fits(inputs)
          ? this.#cache.gather(samples)
          : await (this.#run.teacher as Teacher).run(inputs);
      const feeds = feedStudent(inputs);
      const on = await steps.at({ inputs, feeds, labels, samples, said });
      return { student: await runner.forward(await on.front.run(feeds), step, on.sessions), teacher: said };
    };
    for (const [name, value] of await measureBoth(measured, step, () => schedule.batches(0), ask))
      runner.setVariable(name, value);
  }

  /** What keeping has saved, or why it did not, for a person. */
  told(): (string | undefined)[] {
    const cache = this.#cache;
    // Known only since the samples were read.
    const notKept = this.#varying && !this.#run.varying ? askedAlways : undefined;
    const others = `the teacher was asked anew for ${this.#others} batches whose samples are padded otherwise than when its outputs were kept`;
    return [
      cache && tellSaved(this.#inherited ? 0 : cache.asked, this.#served, cache.msEach),
      this.#others > 0 ? others : notKept,
    ];
  }

  async release(): Promise<void> {
    await this.#filling?.return(undefined as never);
    if (!this.#run.options.teacherOutputs) this.#cache?.close();
  }

  /** Whether what is kept was said of samples of these shapes. */
  #fits(inputs: readonly Tensor[]): boolean {
    const shapes = this.#cache?.shapes;
    return shapes === undefined || shapes === sampleShapes(inputs);
  }

  /** Refuses samples that are others than those whose answers are kept: a data set may change by epoch, or by call. */
  #checkSeen(samples: Uint32Array, inputs: readonly Tensor[], variant: number): void {
    const known = this.#cache?.seen;
    if (!known) return;
    const variants = this.#variants ?? 1;
    for (let i = 0; i < samples.length; i++) {
      const sample = samples[i] as number;
      const seen = known.get(sampleKey(sample, variant, variants));
      if (seen === undefined) continue;
      // One of a batch is enough.
      if (seen === fingerprint(inputs, i)) return;
      throw new DistillError(
        "E_DATA",
        `the data set gives another sample ${sample} than when the teacher was asked about it, and what it said then is kept; make read() repeat and leave flips and crops to augment, or set teacherCache to "off"`,
      );
    }
  }

  #keptOf({ logits, taps }: TeacherOutputs): TeacherOutputs {
    return { logits, taps: Object.fromEntries(this.kept.map((tap) => [tap, taps[tap] as Tensor])) };
  }

  async *#fill(
    teacher: Teacher,
    plan: CachePlan,
    measure: TeacherMeasure | undefined,
  ): AsyncGenerator<DistillEvent, void> {
    const { o, options } = this.#run;
    const { data, signal } = options;
    const variants = this.#variants as number;
    const shapes = sampleShapes((await data.read([0])).inputs);
    const seen = new Map<number, number>();
    const filling = fillCache({
      seen,
      shapes,
      plan,
      samples: data.length,
      variants,
      batch: o.batch,
      ask: async (samples, variant) => {
        const batch = await data.read(samples);
        const { inputs } = batch;
        if (sampleShapes(inputs) !== shapes) throw new OtherShapes();
        const shown = augments(o) ? augmented(inputs, data, o, variant, samples) : inputs;
        const first = samples[0] as number;
        seen.set(sampleKey(first, variant, variants), fingerprint(shown, 0));
        const said = await teacher.run(shown);
        measure?.add(said, this.#labelsOf(batch, samples, said));
        return this.#keptOf(said);
      },
    });
    this.#filling = filling;
    while (!signal?.aborted) {
      const next = await filling.next().catch((error: unknown) => {
        if (!(error instanceof OtherShapes)) throw error;
        this.#varying = true;
        return undefined;
      });
      if (!next) break;
      if (next.done) {
        this.#cache = next.value;
        const { teacherOutputs: shared } = options;
        shared?.keep(data, teacherKey(this.#run, shared), plan, next.value);
        break;
      }
      yield { type: "teacher", done: next.value, total: data.length * variants };
    }
  }

  async *#measureAlone(teacher: Teacher, measure: TeacherMeasure): AsyncGenerator<DistillEvent, void> {
    const { o, options, measured } = this.#run;
    const { data, signal } = options;
    // Rounded values would give other bits than a run by itself.
    const exact = !augments(o) && o.teacherCacheType === "float32";
    const kept = exact && measured.every((v) => this.kept.includes(v.tap)) ? this.#cache : undefined;
    for (const samples of evaluationBatches(data.length, o.batch)) {
      const batch = await data.read(samples);
      const said = kept && this.#fits(batch.inputs) ? kept.gather(samples) : await teacher.run(batch.inputs);
      measure.add(said, this.#labelsOf(batch, samples, said));
      yield { type: "teacher", done: (samples.at(-1) as number) + 1, total: data.length };
      if (signal?.aborted) break;
    }
  }

  #labelsOf(
    { labels }: SampleBatch,
    samples: Uint32Array,
    { logits }: TeacherOutputs,
  ): Record<string, Tensor> {
    const { logitsShape } = this.#run.compiled;
    // An axis of one more or less than the student's makes no difference; another size does.
    const own = [samples.length, ...logitsShape.slice(1)];
    return labelFeeds(
      this.#run.labels,
      labels,
      sizeOf(own) === sizeOf(logits.dims) ? own : logits.dims,
      samples,
    );
  }
}
