// One exported model against PyTorch: the gradient of loss = Σ cotangent·output with respect to every constant that
// PyTorch has as a parameter, what else we train, one step down that gradient, and the export round trip. The test suite's
// zoo runs it too.
import { sizeOf, type Tensor } from "../../src/base/tensor.ts";
import { int, typeOf, type Value } from "../../src/graph/graph.ts";
import { withWeights } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { observe } from "../../src/runtime/observe.ts";
import type { Runtime, Tensors } from "../../src/runtime/session.ts";
import { type Gradients, type Seconds, solve, solveExactly, timed } from "./gradients.ts";
import type { Entry, OwnErrors, Reference } from "./reference.ts";
import { dot, norm, relativeError, sameBits, transposed } from "./tensors.ts";

export interface GradientError {
  /** PyTorch's parameter, or what the exporter made of it. */
  readonly of: string;
  /** ‖ours − PyTorch's‖ / ‖PyTorch's‖; of one that is zero / ‖the whole gradient‖. */
  readonly error: number;
  /**
   * Zero but for the rounding of PyTorch's float64 (a key's bias, which a softmax does not see): ours must be as small as
   * rounding in float32 makes it.
   */
  readonly zero: boolean;
  /** The same error of PyTorch's own float32; undefined for a weight that an exporter changed. */
  readonly own: number | undefined;
  /** The same error of our graph evaluated in float64, where float32 leaves some parameter of the model in doubt. */
  readonly exact?: number;
}

/** The model with BatchNorm in one form. */
export interface FormComparison {
  readonly gradients: readonly GradientError[];
  /** Errors of the next running statistics; empty where they are kept. */
  readonly statistics: readonly GradientError[];
  /** How much of what the gradient promises a short step down it takes from the loss: nearly 1 (see gradients.ts). */
  readonly descent: number;
}

export interface Comparison {
  /** BatchNorm on its running statistics. */
  readonly frozen: FormComparison;
  /** On the statistics of the batch. */
  readonly training?: FormComparison;
  /** Constants that we train and PyTorch does not. */
  readonly alsoTrained: readonly string[];
  /** Constants that hold a parameter of PyTorch's which we do not train. */
  readonly notTrained: readonly string[];
  /** ‖ONNX Runtime's − PyTorch's‖ / ‖PyTorch's‖ of the output, of the user's model as it is. */
  readonly outputError: number;
  /** |ours − PyTorch's| / (‖cotangent‖·‖output‖) of the loss that the step gives. */
  readonly lossError: number;
  /** Whether the model written back with its own weights gives the same bits. */
  readonly roundTrip: boolean;
  readonly seconds: Seconds & { readonly observe: number };
}

/** Share of the whole gradient below which a parameter's, found in float64, is zero. */
export const zeroShare = 1e-12;
/** Share of the whole gradient that rounding in float32 may make of a zero. */
const roundingShare = 1e-6;
/** What a relative error must stay under. */
export const tolerance = 1e-4;

/** Whether a gradient is not PyTorch's: in float32, or, where that can't tell, in float64. */
export function differs({ error, zero, exact = error }: GradientError): boolean {
  return !(Math.min(error, exact) < (zero ? roundingShare : tolerance));
}

/** The largest error of those that are not zero. */
export function largest(
  errors: readonly GradientError[],
  which: "error" | "exact" = "error",
): GradientError | undefined {
  const size = (e: GradientError): number => e[which] ?? Number.NEGATIVE_INFINITY;
  const [first] = errors
    .filter((e) => !e.zero && (which === "error" || e.exact !== undefined))
    .toSorted((a, b) => (Number.isNaN(size(a)) ? -1 : size(b) - size(a)));
  return first;
}

/** Errors: whatever reading, observing, compiling and running the model throw. */
export async function compareModel(
  reference: Reference,
  exporter: string,
  runtime: Runtime,
): Promise<Comparison> {
  const exported = reference.models[exporter];
  if (!exported || "failed" in exported) throw new Error(`${reference.name} has no model of ${exporter}`);
  const bytes = reference.bytes(exporter);
  const model = readModel(bytes, { source: `${reference.name}.${exporter}.onnx` });
  const feeds: Tensors = Object.fromEntries(
    model.inputs.map((i) => [i.name, reference.array(`input/${i.name}`)]),
  );
  const [output, cotangent] = [reference.array("output"), reference.array("cotangent")];
  const name = model.outputs[0]?.name as string;
  const plain = await outputOf(runtime, bytes, feeds, name);
  const again = await outputOf(runtime, withWeights(model, weightsOf(model)).bytes, feeds, name);
  const seconds = { observe: 0, compile: 0, load: 0, run: 0 };
  const { known } = await timed(seconds, "observe", () => observe(model, runtime, feeds));
  const scale = norm(cotangent.data as Float32Array) * norm(output.data as Float32Array);
  const problem = { student: model, known, logits: flattened(model, name), feeds, cotangent };
  const form = async (wanted: Wanted, trainStatistics: boolean, seconds: Seconds) => {
    const solution = await solve({ ...problem, trainStatistics }, runtime, scale, seconds);
    const errors = errorsOf(exported.entries, solution, wanted);
    const exact = errors.some(differs) && solveExactly({ ...problem, trainStatistics });
    return {
      solution,
      comparison: {
        gradients: exact
          ? errorsOf(exported.entries, exact, wanted).map((e, i) => ({
              ...(errors[i] as GradientError),
              exact: e.error,
            }))
          : errors,
        statistics: statisticsErrors(wanted.statistics, solution),
        descent: solution.descent,
      },
    };
  };
  const { training } = exported;
  const frozen = await form(
    { gradient: (e) => reference.gradient(e.gradient), own: reference.float32, statistics: new Map() },
    false,
    seconds,
  );
  const trained = training && {
    gradient: (e: Entry) => reference.gradient(training.gradients[e.of] as string),
    own: training.float32,
    statistics: new Map(Object.entries(training.statistics).map(([k, v]) => [k, reference.gradient(v)])),
  };
  const held = new Set(exported.entries.flatMap((e) => e.from.map((f) => f.name)));
  const ours = frozen.solution.gradients;
  const wantedLoss = dot(cotangent.data as Float32Array, output.data as Float32Array);
  return {
    frozen: frozen.comparison,
    ...(trained && { training: (await form(trained, true, { compile: 0, load: 0, run: 0 })).comparison }),
    alsoTrained: [...ours.keys()].filter((k) => !held.has(k)),
    notTrained: [...held].filter((k) => !ours.has(k)),
    outputError: relativeError(plain.data as Float32Array, output.data as Float32Array),
    lossError: Math.abs(frozen.solution.loss - wantedLoss) / scale,
    roundTrip: sameBits(plain, again),
    seconds,
  };
}

/** PyTorch's numbers for one form. */
interface Wanted {
  readonly gradient: (entry: Entry) => Float32Array;
  readonly own: OwnErrors;
  readonly statistics: ReadonlyMap<string, Float32Array>;
}

/** The output as rows of one sample each, whatever its rank; its name. */
function flattened(model: Model, output: string): string {
  const value = model.graph.find(output) as Value;
  const { dtype, dims } = typeOf(value);
  if (dims.length === 2) return output;
  const name = model.graph.freeName(`${output}/rows`);
  const [batch] = dims as [number];
  model.graph.addNode({
    op: "Flatten",
    name,
    inputs: [value],
    outputs: [name],
    types: [{ dtype, dims: [batch, sizeOf(dims) / batch] }],
    attributes: { axis: int(1) },
  });
  return name;
}

function weightsOf(model: Model): Map<string, Tensor> {
  const floats = [...model.graph.constants].filter(([, t]) => t.dtype === "float32");
  return new Map(floats.map(([v, t]) => [v.name, t]));
}

async function outputOf(
  runtime: Runtime,
  bytes: Uint8Array,
  feeds: Tensors,
  output: string,
): Promise<Tensor> {
  const session = await runtime.load(bytes, { optimization: "none" });
  try {
    return (await session.run(feeds, [output]))[output] as Tensor;
  } finally {
    await session.release();
  }
}

function errorsOf(
  entries: readonly Entry[],
  { gradients }: Gradients,
  { gradient, own }: Wanted,
): GradientError[] {
  const whole = Math.hypot(...entries.map((e) => norm(gradient(e))));
  return entries
    .filter((e) => e.from.every((f) => gradients.has(f.name)))
    .map((e) => {
      const expected = gradient(e);
      const sum = new Float64Array(expected.length);
      for (const { name, perm } of e.from) {
        const g = transposed(gradients.get(name) as Tensor, perm);
        for (let i = 0; i < sum.length; i++) sum[i]! += g[i] as number;
      }
      const size = norm(expected);
      const difference = norm(sum.map((v, i) => v - (expected[i] as number)));
      const zero = size < zeroShare * whole;
      return { of: e.of, error: difference / (zero ? whole : size), zero, own: own[e.of] };
    });
}

/** Root mean square of the difference, relative to that of PyTorch's where it is more than 1 (a mean may be zero). */
function statisticsErrors(wanted: Wanted["statistics"], { statistics }: Gradients): GradientError[] {
  return [...wanted].map(([of, expected]) => {
    const ours = statistics.get(of)?.data as Float32Array;
    const difference = norm(Float64Array.from(expected, (e, i) => (ours[i] as number) - e));
    const error = difference / Math.max(norm(expected), Math.sqrt(expected.length));
    return { of, error, zero: false, own: undefined };
  });
}
