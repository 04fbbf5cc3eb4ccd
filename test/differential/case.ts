// One node of the differential tester, as it stands in a user's model, and what a generator of such nodes is.
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import type { Attributes } from "../../src/graph/graph.ts";
import type { Draw } from "./draw.ts";

export interface CaseInput {
  readonly tensor: Tensor;
  /** A constant of the model, which the emission may look into; otherwise it is fed. */
  readonly known: boolean;
}

export interface NodeDraw {
  readonly inputs: readonly (CaseInput | undefined)[];
  readonly attributes?: Attributes;
  /** How many outputs the node names; default 1. */
  readonly outputs?: number;
  /** Outputs that are compared; default all that the emission gives. */
  readonly compared?: readonly number[];
  /** Relative to the larger of the two and to `scale`; default 2e-6. A looser one needs a reason beside it. */
  readonly tolerance?: number;
  /** The size of the numbers that were added up; default 1. */
  readonly scale?: number;
  /** Of a type that no session gives: the runtime's result is cast to float32. */
  readonly asFloats?: true;
  /** Whole numbers that we carry as floats on purpose: element types are not compared. */
  readonly numbersAlone?: true;
}

/** What a generator is asked for. */
export interface Asked {
  readonly d: Draw;
  /** Opset of the node's domain. */
  readonly opset: number;
}

/** Draws a node of one op, valid under the opset asked for. */
export type Generator = (asked: Asked) => NodeDraw;

/** A generator for the opsets up to `last` alone, and why. */
export interface UpTo {
  readonly last: number;
  readonly because: string;
  readonly draw: Generator;
}

export const upTo = (last: number, because: string, draw: Generator): UpTo => ({ last, because, draw });

export interface Case extends NodeDraw {
  readonly op: string;
  readonly domain: string;
  readonly opset: number;
  readonly seed: number;
}

export const fed = (tensor: Tensor): CaseInput => ({ tensor, known: false });
export const known = (tensor: Tensor): CaseInput => ({ tensor, known: true });
export const i64 = (values: readonly number[], dims: readonly number[] = [values.length]): CaseInput =>
  known(tensor("int64", values, dims));
export const f32 = (values: readonly number[], dims: readonly number[] = [values.length]): CaseInput =>
  known(tensor("float32", values, dims));
