// What a training run tells while it goes.
import type { RoleRow } from "../compile/role-table.ts";
import type { Metrics } from "./evaluate.ts";
import type { FormedTap } from "./taps.ts";

/** A step was compiled for batches of another shape than those before. */
export interface CompiledEvent {
  readonly type: "compiled";
  /** Shapes of the student's inputs, by name. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** How many shapes there were until now, the first included. */
  readonly shapes: number;
  /** It was compiled before, and given up for others. */
  readonly again: boolean;
  readonly seconds: number;
  /** Once, where nearly every batch had a shape that none before it had. */
  readonly advice?: string;
}

export type DistillEvent =
  | {
      readonly type: "start";
      readonly steps: number;
      readonly stepsPerEpoch: number;
      readonly epochs: number;
      /** Steps that an earlier part of this run has done. */
      readonly resumedAt: number;
      readonly parameters: number;
      readonly trained: number;
      /**
       * The student's float constants that the loss depends on: which are trained, tied to another, running statistics, or
       * fixed, one row per role and reason.
       */
      readonly roles: readonly RoleRow[];
      /** What is compared, and in which form. */
      readonly taps: readonly FormedTap[];
      /** Remarks that the user should see: samples left over, what is cached. */
      readonly notes: readonly string[];
    }
  | CompiledEvent
  /** The teacher's outputs are being computed. */
  | { readonly type: "teacher"; readonly done: number; readonly total: number }
  | {
      readonly type: "step";
      /** Steps done, this one included. */
      readonly step: number;
      readonly epoch: number;
      readonly learningRate: number;
      /** `loss`, and its terms `loss/hard`, `loss/soft`, `loss/selectivity/<tap>`, which add up to it. */
      readonly losses: Readonly<Record<string, number>>;
    }
  | {
      readonly type: "evaluation";
      readonly who: "teacher" | "student";
      readonly step: number;
      readonly epoch: number;
      readonly metrics: Metrics;
      readonly msPerSample: number;
      readonly confusion?: number[][];
      /** Whether this is the best student so far. */
      readonly best: boolean;
    }
  | { readonly type: "checkpoint"; readonly step: number; readonly path: string }
  | {
      readonly type: "done";
      readonly step: number;
      /** true: the signal ended the run before its last step. */
      readonly interrupted: boolean;
      /** The best student by the monitored metric; the last one without evaluation, or with `keep: "last"`. */
      readonly student: Uint8Array;
      readonly metrics: Metrics;
      readonly seconds: number;
      /** Remarks that only the end allows: what keeping the teacher's outputs has saved. */
      readonly notes: readonly string[];
    };
