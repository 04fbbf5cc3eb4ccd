// What the teacher says at each step: asked anew, or kept from the first time; and what is measured of it before the first
// step.
import { formatBytes } from "../base/format.ts";
import type { Tensor } from "../base/tensor.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { SampleBatch } from "../data/dataset.ts";
import { augmented, augments } from "./batch-inputs.ts";
import type { DistillEvent } from "./events.ts";
import { labelFeeds } from "./labels.ts";
import { measureBoth, neededTaps, TeacherMeasure } from "./measured-state.ts";
import { type PreparedRun, typeOfTensor } from "./prepare-run.ts";
import type { StepRunner } from "./step-runner.ts";
import type { Teacher, TeacherOutputs } from "./teacher.ts";
import { type CachePlan, fillCache, planCache, type TeacherCache, tellSaved } from "./teacher-cache.ts";
import { teacherKey } from "./teacher-key.ts";

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

  constructor(run: PreparedRun) {
    const { o, options, probe, taps, measured, compiled, onArrays } = run;
    this.#run = run;
    const names = taps.map((t) => t.name);
    // What this run need not keep, the next one may.
    const all = onArrays.length > 0 || options.teacherOutputs !== undefined;
    this.kept = all ? names : neededTaps(names, compiled.step.inputs, measured);
    this.#variants = augments(o) ? o.augment.variants : 1;
    if (!probe || this.#variants === undefined) return;
    const { teacherOutputs: shared } = options;
    if (!shared && o.epochs <= this.#variants) return;
    this.#cache = o.teacherCache === "off" ? undefined : shared?.find(options.data, teacherKey(run, shared));
    this.#inherited = this.#cache !== undefined;
    if (this.#inherited) return;
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
    const measure = new TeacherMeasure(step === 0 ? measured : []);
    const whileFilling = measure.wanted && this.#plan !== undefined && !augments(this.#run.o);
    if (this.#plan) yield* this.#fill(teacher, this.#plan, whileFilling ? measure : undefined);
    if (options.signal?.aborted) return;
    if (measure.wanted) {
      if (!whileFilling) yield* this.#measureAlone(teacher, measure);
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
    this.#served += samples.length;
    return this.#cache.gather(samples, this.#variants && epoch % this.#variants);
  }

  /** Renews what is measured on both sides and due before `step`. */
  async measureBoth(runner: StepRunner, step: number): Promise<void> {
    const { measured, options, schedule, feedStep, o } = this.#run;
    const ask = async (samples: Uint32Array) => {
      const { inputs } = await options.data.read(samples);
      const said =
        this.#cache && !augments(o)
          ? this.#cache.gather(samples)
          : await (this.#run.teacher as Teacher).run(inputs);
      return { student: await runner.forward(await feedStep(inputs), step), teacher: said };
    };
    for (const [name, value] of await measureBoth(measured, step, schedule.batches(0), ask))
      runner.setVariable(name, value);
  }

  /** What keeping has saved, for a person. */
  saved(): string | undefined {
    const cache = this.#cache;
    return cache && tellSaved(this.#inherited ? 0 : cache.asked, this.#served, cache.msEach);
  }

  async release(): Promise<void> {
    await this.#filling?.return(undefined as never);
    if (!this.#run.options.teacherOutputs) this.#cache?.close();
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
    const filling = fillCache({
      plan,
      samples: data.length,
      variants,
      batch: o.batch,
      ask: async (samples, variant) => {
        const batch = await data.read(samples);
        const { inputs } = batch;
        const said = await teacher.run(augments(o) ? augmented(inputs, data, o, variant, samples) : inputs);
        measure?.add(said, this.#labelsOf(batch, samples));
        return this.#keptOf(said);
      },
    });
    this.#filling = filling;
    for (let next = await filling.next(); !signal?.aborted; next = await filling.next()) {
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
      measure.add(kept?.gather(samples) ?? (await teacher.run(batch.inputs)), this.#labelsOf(batch, samples));
      yield { type: "teacher", done: (samples.at(-1) as number) + 1, total: data.length };
      if (signal?.aborted) break;
    }
  }

  #labelsOf({ labels }: SampleBatch, samples: Uint32Array): Record<string, Tensor> {
    const { logitsShape } = this.#run.compiled;
    return labelFeeds(this.#run.labels, labels, [samples.length, ...logitsShape.slice(1)], samples);
  }
}
