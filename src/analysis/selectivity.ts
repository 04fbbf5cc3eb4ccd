// What the neurons of one model, or of a teacher and its student, respond to, over a data set: runs the models batch by
// batch and keeps what tap-profile.ts keeps. Draws and prints nothing.
import { checkKeys } from "../base/errors.ts";
import { randomFor } from "../base/random.ts";
import type { Shape, Tensor } from "../base/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Model } from "../onnx/model.ts";
import { targets } from "../ops/target.ts";
import type { Fix } from "../prepare/fixed-inputs.ts";
import type { Runtime } from "../runtime/session.ts";
import { Matrix } from "../strategies/index.ts";
import { formedShape } from "../taps/tap-form.ts";
import { heldAlike } from "../train/alike-inputs.ts";
import { fitInputs } from "../train/fit-inputs.ts";
import { FormRunner } from "../train/form-runner.ts";
import { type ModelRunner, openRunner } from "../train/model-runner.ts";
import {
  type AnalysisTap,
  checkNeurons,
  formsOf,
  foundTaps,
  type NeuronChoice,
  naming,
  neuronsOf,
} from "./analysis-taps.ts";
import { mostSelective } from "./choose-neurons.ts";
import { compareProfiles, type ProfileComparison } from "./compare-profiles.ts";
import { classesOf, hasClasses } from "./sample-classes.ts";
import { type NeuronProfile, TapProfile } from "./tap-profile.ts";
import { openTapped, type TappedModel } from "./tapped-model.ts";

export interface AnalyzeOptions {
  /** The model, or, beside a student, its teacher. */
  readonly model: Model;
  readonly student?: Model | undefined;
  /** Default: ONNX Runtime on Node's CPU. */
  readonly runtime?: Runtime | undefined;
  readonly dataset: Dataset;
  /** Default: good places of the model (those that `inspect` marks), or pairs of such. */
  readonly taps?: readonly AnalysisTap[] | undefined;
  /** Neurons (of the teacher, where there are two) to look at closely; default: the 6 most selective of each tap. */
  readonly neurons?: readonly NeuronChoice[] | undefined;
  /** So many samples, chosen at random where there are more; default 2000. */
  readonly samples?: number | undefined;
  /** Samples at a time; default 100. */
  readonly batch?: number | undefined;
  /** Default 1. */
  readonly seed?: number | undefined;
  /** Exciting samples that are kept for each neuron; default 9. */
  readonly excited?: number | undefined;
  /** The value of the model that holds its logits; default: its first output. */
  readonly logits?: string | undefined;
  /** Inputs that are one value for all samples; see `DistillOptions.fix`. Of the student: default `fix`. */
  readonly fix?: Fix | undefined;
  readonly studentFix?: Fix | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface AnalyzedSide {
  readonly value: string;
  /** Shape of one sample's value, in the form in which it is analysed. */
  readonly shape: Shape;
  readonly profile: NeuronProfile;
}

export interface ChosenNeuron {
  readonly neuron: number;
  /** The student's neuron beside it: the same number where both have equally many, otherwise the assigned one. */
  readonly partner?: number;
}

export interface AnalyzedTap {
  readonly name: string;
  readonly teacher: AnalyzedSide;
  readonly student?: AnalyzedSide;
  readonly comparison?: ProfileComparison;
  readonly chosen: readonly ChosenNeuron[];
}

export interface SelectivityAnalysis {
  readonly samples: number;
  /** What the classes of the samples are: the data's labels, or what the model predicts. */
  readonly classesFrom?: "labels" | "predictions";
  readonly classNames?: readonly string[];
  readonly taps: readonly AnalyzedTap[];
  /** What is done to a value before it is analysed, one sentence each. */
  readonly notes: readonly string[];
}

const optionNames = [
  ...["model", "student", "runtime", "dataset", "taps", "neurons", "samples", "batch", "seed"],
  ...["excited", "logits", "fix", "studentFix", "onProgress"],
];

type Role = "teacher" | "student";

/** Neurons looked at closely where nobody says. */
const mostChosen = 6;
/** Rows that are kept of each layer; less where it has many neurons. */
const keptRows = 2048;
const keptNumbers = 2 ** 22;

/**
 * Runs the models over the data set once, batch by batch, and tells what each neuron of each tap responds to: its score by every
 * selectivity metric, its mean response to each class, the share of rows (samples, times positions) in which it is active, the
 * samples that excite it most. A [N, C] value has C neurons, [N, T, C] C neurons at T positions, [N, C, H, W] C neurons at H·W.
 * Scores are over all rows, but for "relative-sparsity" and "population-sparseness", which are over 2048 of them. With a
 * student, both sides are brought to one form first and their neurons are compared. Memory does not grow with the samples.
 *
 * Errors: E_NAME for taps or neurons that do not exist, E_SHAPE for values without neurons or whose forms do not fit,
 * E_MODEL where no tap is named and none is found, E_DATA where model and data do not fit, E_NOT_FINITE for NaN in a tap,
 * E_OPTION for an option that does not exist.
 *
 * @example
 * const { taps } = await analyzeSelectivity({ model: await readModelFile("teacher.onnx"), dataset });
 * taps[0].teacher.profile.dead; // numbers of the dead neurons
 */
export async function analyzeSelectivity(o: AnalyzeOptions): Promise<SelectivityAnalysis> {
  checkKeys("analyzeSelectivity", o, optionNames);
  const { seed = 1, neurons = [] } = o;
  const runtime = o.runtime ?? (await import("../runtime/ort-node.ts")).nodeRuntime;
  const fitted = await fitInputs(o.model, o.dataset, o.fix);
  const other = o.student && (await fitInputs(o.student, o.dataset, o.studentFix ?? o.fix));
  const dataset = heldAlike(heldAlike(o.dataset, fitted.alike), other?.alike ?? new Map());
  const teacher = await openTapped(fitted.model, runtime, dataset, o.logits);
  const student = other && (await openTapped(other.model, runtime, dataset));
  const taps = o.taps?.length ? o.taps : foundTaps(teacher, student);
  const { forms, notes } = formsOf(taps, teacher, student);
  const count = (tapped: TappedModel, role: Role, i: number) =>
    neuronsOf(tapped.side(taps[i]!.name, taps[i]![role]).dims, forms[i]![role]);
  checkNeurons(neurons, taps, (i) => count(teacher, "teacher", i));
  const samples = chooseSamples(dataset.length, o.samples ?? 2000, seed);
  const batch = o.batch ?? 100;
  const values = (role: Role): string[] => taps.map((t) => t[role]);
  const asked = (await hasClasses(dataset)) ? [] : [teacher.logits.value];
  const asking = await openRunner(teacher.model, runtime, dataset, [...asked, ...values("teacher")]);
  const classes = await classesOf(dataset, teacher, asking, samples.subarray(0, batch));
  const predicted = classes?.from === "predictions" ? [teacher.logits.value] : [];
  const open = async (role: Role, tapped: TappedModel, runner: ModelRunner, wanted: readonly string[]) => ({
    ...{ role, tapped, runner, wanted },
    forms: new FormRunner(new Map(taps.map((t, i) => [t.name, forms[i]![role]])), runtime, targets.cpu),
    profiles: taps.map(
      (_, i) =>
        new TapProfile({
          classes: classes?.count,
          excited: o.excited ?? 9,
          // Of both sides the same rows, so that they can be compared.
          kept: keptOf(Math.max(count(teacher, "teacher", i), student ? count(student, "student", i) : 0)),
          seed,
        }),
    ),
  });
  const running = [await open("teacher", teacher, asking, [...predicted, ...values("teacher")])];
  if (student) {
    const runner = await openRunner(student.model, runtime, dataset, values("student"));
    running.push(await open("student", student, runner, values("student")));
  }
  try {
    for (let from = 0; from < samples.length; from += batch) {
      const some = samples.subarray(from, from + batch);
      const read = await dataset.read(some);
      let told: Matrix | undefined;
      for (const { role, tapped, runner, wanted, forms: formed, profiles } of running) {
        const out = await runner.run(read.inputs, [...new Set(wanted)]);
        if (role === "teacher") told = await classes?.of(read, out[teacher.logits.value]);
        const formedValues = await formed.run(
          Object.fromEntries(taps.map((t) => [t.name, out[t[role]] as Tensor])),
        );
        taps.forEach((t, i) => {
          const { data, dims } = formedValues[t.name] as Tensor;
          naming(`tap "${t.name}" of ${tapped.model.source}`, () =>
            profiles[i]!.add(Matrix.fromTensor({ data: data as Float32Array, dims }), some, told),
          );
        });
      }
      o.onProgress?.(Math.min(samples.length, from + batch), samples.length);
    }
  } finally {
    for (const { runner, forms: formed } of running) {
      await runner.release();
      await formed.release();
    }
  }
  const analyzed = taps.map((t, i): AnalyzedTap => {
    const [taught, own] = running.map(
      ({ role, tapped, profiles }): AnalyzedSide => ({
        value: t[role],
        shape: formedShape(tapped.side(t.name, t[role]).dims, forms[i]![role]).slice(1),
        profile: naming(`tap "${t.name}" of ${tapped.model.source}`, () => profiles[i]!.result()),
      }),
    ) as [AnalyzedSide, AnalyzedSide?];
    const comparison = own && compareProfiles(own.profile, taught.profile);
    const chosen =
      neurons.length > 0
        ? neurons.filter((n) => n.tap === t.name).map((n) => n.neuron)
        : mostSelective(taught.profile, mostChosen);
    return {
      name: t.name,
      teacher: taught,
      ...(own && { student: own }),
      ...(comparison && { comparison }),
      chosen: chosen.map((neuron) => ({ neuron, ...partnerOf(neuron, taught, own, comparison) })),
    };
  });
  return {
    samples: samples.length,
    ...(classes && {
      classesFrom: classes.from,
      classNames: Array.from({ length: classes.count }, (_, k) => dataset.classNames?.[k] ?? String(k)),
    }),
    taps: analyzed,
    notes,
  };
}

/** All of them, or so many at random, in rising order: data files are often sorted by class. */
function chooseSamples(length: number, wanted: number, seed: number): Uint32Array {
  if (wanted >= length) return Uint32Array.from({ length }, (_, i) => i);
  return randomFor(seed, "samples").permutation(length).slice(0, wanted).sort();
}

const keptOf = (neurons: number): number =>
  Math.max(2, Math.min(keptRows, Math.floor(keptNumbers / neurons)));

function partnerOf(
  neuron: number,
  teacher: AnalyzedSide,
  student: AnalyzedSide | undefined,
  comparison: ProfileComparison | undefined,
): { partner?: number } {
  if (!student || !comparison) return {};
  if (student.profile.neurons === teacher.profile.neurons) return { partner: neuron };
  const partner = comparison.assignment.indexOf(neuron);
  return partner < 0 ? {} : { partner };
}
