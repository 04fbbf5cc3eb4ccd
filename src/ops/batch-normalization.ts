// BatchNormalization, in inference form (the running statistics) and in training form (the batch's own), with the backward
// of the latter in closed form. Whether a node is trained is the compiler's decision (hooks.runningStatistics), not the
// model's training_mode. Ioffe and Szegedy 2015; ONNX BatchNormalization 7, 9, 14, 15.
//
// Statistics are taken in two stages, over the space of each map and then over the batch, and the runtime's inference
// kernel serves as the affine map of each channel: both measured faster than training_mode=1 on ONNX Runtime's CPU.
import { DistillError } from "../base/errors.ts";
import { formatShape, sizeOf, type TensorType } from "../base/tensor.ts";
import { int, typeOf, type Value } from "../graph/graph.ts";
import { blockedForm } from "./blocked-form.ts";
import { type Builder, float } from "./builder.ts";
import { defineOp, type EmitContext, type EmitHooks } from "./define.ts";
import { sameAsFirst } from "./infer.ts";
import { fill, windowAttributes } from "./window.ts";

/** A vector [C] in a shape that broadcasts over x's other axes. */
function perChannel(b: Builder, vector: Value, x: Value): Value {
  return b.reshape(vector, [
    sizeOf(b.dims(vector)),
    ...b
      .dims(x)
      .slice(2)
      .map(() => 1),
  ]);
}

/** Sums [N, C, …] to [C]: the axes of space first, then the batch. */
function sumPerChannel(b: Builder, x: Value): Value {
  const space = b.dims(x).map((_, i) => i);
  return b.reduceSum(b.reduceSum(x, space.slice(2)), [0]);
}

function inverseDeviation(b: Builder, variance: Value, epsilon: number): Value {
  return b.reciprocal(b.sqrt(b.shift(variance, epsilon)));
}

/** scale·(x − mean)/√(variance + ε) + bias, all but x of shape [C]: one node, one pass over x. */
function affine(
  b: Builder,
  x: Value,
  scale: Value,
  bias: Value,
  mean: Value,
  variance: Value,
  epsilon: number,
): Value {
  return b.node("BatchNormalization", [x, scale, bias, mean, variance], { epsilon: float(epsilon) });
}

/**
 * slope·x + offset per channel, either of them left out where it is undefined. As a depthwise convolution, which stays in
 * the blocked layout between the convolutions around it.
 */
function affineConv(b: Builder, x: Value, slope: Value | undefined, offset: Value | undefined): Value {
  const [, channels, ...spatial] = b.dims(x) as [number, number, ...number[]];
  const one = fill(spatial, 1);
  const type: TensorType = { dtype: typeOf(x).dtype, dims: [channels, 1, ...one] };
  const kernels = slope ? b.reshape(slope, type.dims) : b.full(type, 1);
  const none = fill(spatial, 0);
  const window = { kernel: one, strides: one, dilations: one, begin: none, end: none };
  return b.node("Conv", [x, kernels, offset], { ...windowAttributes(window), group: int(channels) });
}

/** Whether x comes from a convolution in the target's blocked layout. */
function isBlocked(b: Builder, x: Value): boolean {
  const block = b.target.convolutionBlock;
  return block !== undefined && x.producer !== undefined && blockedForm(x.producer, block) !== undefined;
}

/**
 * The training form. With μ and σ² the mean and population variance of each channel over n = N·space elements:
 * y = scale·(x − μ)/√(σ² + ε) + bias;
 * next running mean = m·running + (1 − m)·μ;  next running variance = m·running + (1 − m)·σ²·n/(n − 1).
 *
 * The unbiased n/(n − 1) is PyTorch's; the ONNX text takes σ² as it is. Students come from PyTorch more than from anywhere
 * else, and its inference must go on as its own training would have left it.
 */
function trainingForm(
  c: EmitContext,
  epsilon: number,
  running: NonNullable<ReturnType<EmitHooks["runningStatistics"]>>,
): Value {
  const { b } = c;
  const [x, scale, bias] = [c.x(0), c.x(1), c.x(2)];
  const dims = b.dims(x);
  const n = sizeOf(dims) / (dims[1] as number);
  if (n < 2)
    throw new DistillError(
      "E_SHAPE",
      `${c.where}: one value per channel in ${formatShape(dims)} has no variance; train with a batch of two or more, or freeze the node`,
    );
  const mean = b.scale(sumPerChannel(b, x), 1 / n);
  const blocked = isBlocked(b, x);
  const centred = blocked ? affineConv(b, x, undefined, b.neg(mean)) : b.sub(x, perChannel(b, mean, x));
  // A Mul and a vectorised ReduceSum: faster on the CPU than ReduceSumSquare.
  const variance = b.scale(sumPerChannel(b, b.square(centred)), 1 / n);
  const inverse = (): Value => inverseDeviation(b, variance, epsilon);
  /** a·(x − μ)/√(σ² + ε) + c. */
  const normalized = (a: Value, c: Value): Value =>
    blocked ? affineConv(b, centred, b.mul(a, inverse()), c) : affine(b, x, a, c, mean, variance, epsilon);
  const y = normalized(scale, bias);

  const momentum = c.attr.float("momentum", 0.9);
  const next = (old: Value, now: Value, factor: number): Value =>
    b.add(b.scale(old, momentum), b.scale(now, (1 - momentum) * factor));
  running.update(next(c.x(3), mean, 1), next(c.x(4), variance, n / (n - 1)));

  b.region({
    inputs: [x, scale, bias],
    outputs: [y],
    // dbias = Σdy;  dscale = Σ(dy·(x − μ))/√(σ² + ε);
    // dx = scale/√(σ² + ε) · (dy − dbias/n − (x − μ)/√(σ² + ε) · dscale/n), its last two terms as one affine map of x.
    grad: (dy) => {
      const dbias = (): Value => sumPerChannel(b, dy(0));
      const dscale = (): Value => b.mul(inverse(), sumPerChannel(b, b.mul(dy(0), centred)));
      const dx = (): Value => {
        const slope = b.mul(scale, inverse());
        const share = b.scale(slope, -1 / n);
        const back = normalized(b.mul(share, dscale()), b.mul(share, dbias()));
        const forth = blocked
          ? affineConv(b, dy(0), slope, undefined)
          : b.mul(dy(0), perChannel(b, slope, x));
        return b.add(forth, back);
      };
      return [dx, dscale, dbias];
    },
  });
  return y;
}

/**
 * y = scale·(x − mean)/√(var + ε) + bias per channel;  with i = 1/√(var + ε) and Σ over all axes but the channels:
 * dx = dy·scale·i;  dscale = i·Σdy·(x − mean);  dbias = Σdy;  dmean = −scale·i·Σdy;  dvar = −scale·i³/2·Σdy·(x − mean).
 */
export const batchNormalization = defineOp({
  op: "BatchNormalization",
  versions: [7, 9, 14, 15],
  weights: [1, 2],
  undecayed: [1, 2],
  statistics: [3, 4],
  note: "statistics of the batch in training, frozen ones on request",
  emit: (c) => {
    const { b, x, attr, where } = c;
    if (b.dims(x(0)).length < 2)
      throw new DistillError(
        "E_SHAPE",
        `${where}: its input is ${formatShape(b.dims(x(0)))}; it must be [N, C] or [N, C, …]`,
      );
    if (attr.int("spatial", 1) !== 1)
      throw new DistillError(
        "E_OP",
        `${where}: spatial=0 of opset 7 is not supported; export the model with opset 9 or newer`,
      );
    const epsilon = attr.float("epsilon", 1e-5);
    const running = c.hooks.runningStatistics(x(3), x(4));
    return [running ? trainingForm(c, epsilon, running) : affine(b, x(0), x(1), x(2), x(3), x(4), epsilon)];
  },
  infer: (c) => {
    const channels = c.dims(0)[1];
    for (let i = 1; i < 5; i++)
      if (c.dims(i).length !== 1 || c.dims(i)[0] !== channels)
        throw new DistillError(
          "E_SHAPE",
          `${c.where}: input ${i} is ${formatShape(c.dims(i))}; it must be [${channels}], one number per channel of ${formatShape(c.dims(0))}`,
        );
    return sameAsFirst(c);
  },
  grad: ({ b, x, dy, attr }) => {
    const epsilon = attr.float("epsilon", 1e-5);
    const inverse = (): Value => inverseDeviation(b, x(4), epsilon);
    const slope = (): Value => b.mul(x(1), inverse());
    const total = (): Value => sumPerChannel(b, dy(0));
    const moment = (): Value =>
      b.mul(inverse(), sumPerChannel(b, b.mul(dy(0), b.sub(x(0), perChannel(b, x(3), x(0))))));
    return [
      () => b.mul(dy(0), perChannel(b, slope(), x(0))),
      moment,
      total,
      () => b.neg(b.mul(slope(), total())),
      () => b.mul(b.scale(b.mul(slope(), inverse()), -0.5), moment()),
    ];
  },
});
