// What the two adapters share: a Session over an ONNX Runtime session, whichever package it came from. Describes that
// package by its shape and imports none, so that asking for the browser's runtime never loads Node's.
import { DistillError, didYouMean } from "../base/errors.ts";
import { isLowBits } from "../base/low-bits.ts";
import { type DType, isDType, type Tensor, type TensorData } from "../base/tensor.ts";
import type { ValueInfo } from "../base/value-info.ts";
import type { Session, Tensors } from "./session.ts";

export interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}

interface OrtValueMetadata {
  readonly name: string;
  readonly isTensor: boolean;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

export interface OrtSession {
  readonly inputMetadata: readonly OrtValueMetadata[];
  readonly outputMetadata: readonly OrtValueMetadata[];
  run(feeds: never, fetches: never): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

export interface WrapOptions {
  readonly runtime: string;
  /** A tensor as the session takes it. */
  readonly toOrt: (t: Tensor) => unknown;
  /** Whether a preallocated output is written. Where it isn't, ONNX Runtime says nothing and leaves it as it was. */
  readonly writesInto: (t: Tensor) => boolean;
}

export function wrapSession(session: OrtSession, options: WrapOptions): Session {
  const inputs = tensorInfos(session.inputMetadata);
  const outputs = tensorInfos(session.outputMetadata);
  const inputNames = new Set(inputs.map((i) => i.name));
  const outputNames = new Set(outputs.map((o) => o.name));
  const everything = [...outputNames];
  let released = false;

  const toOrt = (name: string, tensor: Tensor): unknown => {
    try {
      return options.toOrt(tensor);
    } catch (cause) {
      throw runtimeError(options.runtime, `"${name}" as ${tensor.dtype}[${tensor.dims}]`, cause);
    }
  };

  return {
    inputs,
    outputs,
    async run(feeds: Tensors, fetch: readonly string[] = everything, into: Tensors = {}) {
      if (released)
        throw new DistillError(
          "E_RUNTIME",
          `${options.runtime}: this session has been released; load the model again`,
        );
      const ortFeeds: Record<string, unknown> = {};
      for (const name of inputNames) {
        const tensor = feeds[name];
        if (!tensor) throw new DistillError("E_NAME", `the model's input "${name}" is not fed`);
        ortFeeds[name] = toOrt(name, tensor);
      }
      for (const name of Object.keys(feeds))
        if (!inputNames.has(name))
          throw new DistillError(
            "E_NAME",
            `the model has no input "${name}".${didYouMean(name, inputNames)}`,
          );
      const fetches: Record<string, unknown> = {};
      for (const name of fetch) {
        if (!outputNames.has(name))
          throw new DistillError(
            "E_NAME",
            `the model has no output "${name}".${didYouMean(name, outputNames)}`,
          );
        const target = into[name];
        fetches[name] = target && options.writesInto(target) ? toOrt(name, target) : null;
      }
      if (fetch.length === 0) return {};

      let found: Readonly<Record<string, OrtTensor>>;
      try {
        found = await session.run(ortFeeds as never, fetches as never);
      } catch (cause) {
        throw runtimeError(options.runtime, "running the model", cause);
      }
      const results: Record<string, Tensor> = {};
      for (const name of fetch)
        results[name] = fetches[name] ? (into[name] as Tensor) : fromOrt(name, found[name] as OrtTensor);
      return results;
    },
    async release() {
      if (released) return;
      released = true;
      await session.release();
    },
  };
}

function tensorInfos(metadata: readonly OrtValueMetadata[]): ValueInfo[] {
  return metadata
    .filter((m) => m.isTensor)
    .map((m) => ({
      name: m.name,
      dtype: dtypeOf(m.name, m.type as string),
      dims: (m.shape ?? []).map((d) => (d === "" ? "?" : d)),
    }));
}

function dtypeOf(name: string, type: string): DType {
  if (isDType(type) && !isLowBits(type)) return type;
  throw new DistillError("E_RUNTIME", `value "${name}" holds ${type}, an element type that is not supported`);
}

function fromOrt(name: string, { type, dims, data }: OrtTensor): Tensor {
  const dtype = dtypeOf(name, type);
  // Where JavaScript has a Float16Array, ONNX Runtime returns one; we hold the bits.
  if (dtype === "float16" && !(data instanceof Uint16Array)) {
    const view = data as Uint16Array<ArrayBuffer>;
    return { dtype, dims, data: new Uint16Array(view.buffer, view.byteOffset, view.length) };
  }
  return { dtype, dims, data: data as TensorData };
}

/** ONNX Runtime's own words in one line, without the place in its sources that it puts before them. */
export function runtimeError(runtime: string, doing: string, cause: unknown): DistillError {
  if (cause instanceof DistillError) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  const line = withoutPlaces(text.replace(/\s+/g, " ").trim());
  const short = line.length > 400 ? `${line.slice(0, 400)}…` : line;
  return new DistillError("E_RUNTIME", `${runtime}, ${doing}: ${short}`, { cause });
}

/** Drops every `/file.cc:line signature(…)`, wherever it stands; the brackets of a C++ signature nest. */
function withoutPlaces(line: string): string {
  const place = /\/\S+\.(?:h|cc|cpp):\d+ /.exec(line);
  if (!place) return line;
  const rest = line.slice(place.index + place[0].length);
  let depth = 0;
  let end = 0;
  for (let i = rest.indexOf("("); i >= 0 && i < rest.length && end === 0; i++) {
    if (rest[i] === "(") depth++;
    else if (rest[i] === ")" && --depth === 0) end = i + 1;
  }
  return line.slice(0, place.index) + withoutPlaces(rest.slice(end).replace(/^ (const )?/, ""));
}
