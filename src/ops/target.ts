// What the runtime that will run an emitted graph is known to have: the one place where emission depends on it.

export interface Target {
  readonly name: string;
  /** Opset of ai.onnx that emitted graphs are written in. */
  readonly opset: number;
  /** com.microsoft FusedMatMul: a MatMul that reads its operands transposed. */
  readonly fusedMatMul: boolean;
  /** A LogSoftmax kernel; without it, reductions are emitted. */
  readonly logSoftmax: boolean;
  /** MaxPool's second output, and ScatterElements over it. */
  readonly maxPoolIndices: boolean;
  /** com.microsoft.nchwc convolutions, where the runtime says that it has them (`Runtime.convolutionBlock`). */
  readonly blockedConvolutions: boolean;
  /** Channels in a block of those convolutions, once the runtime has said so. */
  readonly convolutionBlock?: number | undefined;
}

const opset = 21;

export const targets = {
  /** Standard ai.onnx ops alone: runs on any conforming runtime. */
  standard: {
    name: "standard",
    opset,
    fusedMatMul: false,
    logSoftmax: true,
    maxPoolIndices: true,
    blockedConvolutions: false,
  },
  cpu: {
    name: "cpu",
    opset,
    fusedMatMul: true,
    logSoftmax: true,
    maxPoolIndices: true,
    blockedConvolutions: true,
  },
  wasm: {
    name: "wasm",
    opset,
    fusedMatMul: true,
    logSoftmax: true,
    maxPoolIndices: true,
    blockedConvolutions: false,
  },
  cuda: {
    name: "cuda",
    opset,
    fusedMatMul: true,
    logSoftmax: true,
    maxPoolIndices: true,
    blockedConvolutions: false,
  },
  webgpu: {
    name: "webgpu",
    opset,
    fusedMatMul: false,
    logSoftmax: false,
    maxPoolIndices: false,
    blockedConvolutions: false,
  },
} as const satisfies Record<string, Target>;

export type TargetName = keyof typeof targets;
