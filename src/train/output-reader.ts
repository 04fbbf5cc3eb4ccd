// Reads what a model or a function gives, batch after batch, in the way that the first batch shows.
import { DistillError } from "../base/errors.ts";
import { floatsAsFloat32 } from "../base/floats.ts";
import { takeSamples } from "../base/samples.ts";
import { formatShape, isFloat, type Tensor } from "../base/tensor.ts";
import { type Labels, labelTensor } from "../data/dataset.ts";
import type { Model } from "../onnx/model.ts";
import type { Logits } from "../prepare/logits.ts";
import { axesTold, valuesTold } from "../prepare/output-clues.ts";
import {
  type AskedReading,
  checkLogitsShape,
  type FoundReading,
  findReading,
  type OutputReading,
  readLogits,
  type Task,
  type ToldAxes,
  usualLayout,
} from "../tasks/index.ts";
import { axisThatTurns } from "./turned-samples.ts";

export interface OutputReaderOptions {
  readonly task: Task;
  /** For messages, `{}` being what it holds: `the teacher's {} "y"`. */
  readonly who: string;
  /** Of the file. */
  readonly source?: string | undefined;
  /** `--teacher-logits`, `--teacher-gives`. */
  readonly flags: { readonly logits: string; readonly gives: string };
  readonly asked?: AskedReading | undefined;
  /** The model in which `logits.value` exists; without one, a function gives the values. */
  readonly graph?: { readonly model: Model; readonly logits: Logits } | undefined;
  /** Settled before. */
  readonly reading?: OutputReading | undefined;
}

/** What is known of the batch that a value was given for. */
export interface ReadBatch {
  readonly inputs: readonly Tensor[];
  readonly labels?: Labels | undefined;
  /** The value for as many other samples. */
  readonly again: (inputs: readonly Tensor[]) => Promise<Tensor>;
  /** Sets the types of the graph's values, where they are not known yet. */
  readonly shapes?: (() => Promise<unknown>) | undefined;
}

export class OutputReader {
  /** Undefined before the first batch. */
  reading: OutputReading | undefined;
  /** For the user, where the values are not taken as they are. */
  note: string | undefined;
  readonly #o: OutputReaderOptions;

  constructor(o: OutputReaderOptions) {
    this.#o = o;
    this.reading = o.reading;
  }

  /**
   * Logits in the task's form.
   *
   * Errors: as `findReading`; E_MODEL for values that are no floats, and for what is not what the first batch was.
   */
  async read(given: Tensor, batch: ReadBatch): Promise<Tensor> {
    const { task } = this.#o;
    const [what, output] = this.#names();
    const t = asFloat32(given, output);
    const samples = batch.inputs[0]?.dims[0] ?? 0;
    this.reading ??= await this.#find(t, samples, batch);
    const { rank, batchAxis, gives } = this.reading;
    if (t.dims.length !== rank || t.dims[batchAxis] !== samples)
      throw new DistillError(
        "E_SHAPE",
        `${what} are ${formatShape(t.dims)} for ${samples} samples; expected one for each${batchAxis === 0 ? "" : ` along axis ${batchAxis}`}`,
      );
    // Whose rows sum to another number, as percentages, has the same softmax of logarithms.
    const most = task.outputs === "softmax" && this.#o.asked?.gives ? Number.POSITIVE_INFINITY : 1.01;
    if (gives === "probabilities")
      checkProbabilities(t.data as Float32Array, most, output, this.#o.flags.gives);
    return readLogits(t, this.reading, task);
  }

  async #find(t: Tensor, samples: number, batch: ReadBatch): Promise<OutputReading> {
    const { task, flags, asked, graph } = this.#o;
    const [what, output] = this.#names();
    checkLogitsShape(task, t.dims, what, flags.logits);
    const rank = t.dims.length;
    // What is no graph keeps to the shapes that the task documents.
    const { batchAxis, classAxis } = usualLayout(rank);
    const usual = { classAxis, batchAxis: task.timeFirst ? undefined : batchAxis };
    const told = () => (graph ? axesTold(graph.model, graph.logits, rank) : usual);
    const find = (axes: ToldAxes) =>
      findReading({
        ...{ task, what, output, flags, asked, samples, first: t, axes },
        values: graph && valuesTold(graph.model, graph.logits),
        labels: batch.labels && labelTensor(batch.labels),
      });
    const first = await this.#withBatch(told(), t, samples, batch);
    let found: FoundReading;
    try {
      found = find(first);
    } catch (error) {
      // Through a reshape only shapes tell which axis is which.
      if (!batch.shapes || first.classAxis !== undefined) throw error;
      await batch.shapes();
      const { classAxis: seen } = told();
      if (seen === undefined) throw error;
      found = find({ ...first, classAxis: seen });
    }
    this.note = found.note;
    return found.reading;
  }

  #names(): [string, string] {
    const { who, source } = this.#o;
    const file = source === undefined ? "" : ` (${source})`;
    return [`${who.replace("{}", "logits")}${file}`, who.replace("{}", "output")];
  }

  /** Where samples and something else are equally many, the samples are what turns where the inputs are turned round. */
  async #withBatch(
    told: ToldAxes,
    given: Tensor,
    samples: number,
    { inputs, again }: ReadBatch,
  ): Promise<ToldAxes> {
    const { asked, graph } = this.#o;
    const { dims } = given;
    const settled = asked?.batchAxis !== undefined || (!graph && told.batchAxis !== undefined);
    if (settled || samples < 2 || dims[0] !== samples || dims[1] !== samples) return told;
    const turn = (t: Tensor, at: readonly number[]): Tensor =>
      t.dims[0] === samples ? takeSamples(t, at) : t;
    const axis = await axisThatTurns(given, samples, (at) => again(inputs.map((t) => turn(t, at))));
    return axis === undefined ? told : { ...told, batchAxis: axis };
  }
}

function asFloat32(t: Tensor, what: string): Tensor {
  if (isFloat(t.dtype)) return floatsAsFloat32(t);
  throw new DistillError("E_MODEL", `${what} is ${t.dtype}, expected float32; name a value of floats`);
}

/** A first batch may have looked like probabilities by chance, or a user may have erred. */
function checkProbabilities(data: Float32Array, most: number, what: string, flag: string): void {
  for (const v of data)
    if (v < -0.01 || v > most)
      throw new DistillError(
        "E_MODEL",
        `${what} was taken for probabilities and holds ${v}; say what its values are with ${flag} logits`,
      );
}
