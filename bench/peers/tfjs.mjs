// The student's step of the workload "resnet" in TensorFlow.js, as a peer (see bench/peer.ts): answers "student <count>".
// Same shapes, loss and optimizer as bench/workload.ts; running statistics are left out, in its favour.
//
// tfjs.mjs <backend> [<batch>]: "cpu" trains as it is. "wasm" has no kernel for a convolution's weight gradient (Conv2DBackpropFilter),
// so that gradient is written here as a convolution of the exchanged tensors, which wasm has.
import * as tf from "@tensorflow/tfjs";
import { answer, noise } from "./answer.mjs";

const [backend, samples = "64"] = process.argv.slice(2);
if (backend === "wasm") await import("@tensorflow/tfjs-backend-wasm");
await tf.setBackend(backend);
await tf.ready();

const batch = Number(samples);
const [temperature, alpha, selectivityWeight, weightDecay] = [3, 0.3, 0.5, 5e-4];
const weights = [];
const variable = (dims, fill) => {
  const v = tf.variable(fill(dims));
  weights.push(v);
  return v;
};

/** x [N, H, W, C], w [kh, kw, C, K], "same" padding for odd kernels. */
const plainConv = (x, w, stride) => tf.conv2d(x, w, stride, "same");

/** The same with a weight gradient by kernels that wasm has: x as [C, H, W, N] convolved with dy as [h, w, N, K]. */
const ownConv = (stride) =>
  tf.customGrad((x, w, save) => {
    save([x, w]);
    const { shape: of } = x;
    const [kh, kw] = w.shape;
    return {
      value: tf.conv2d(x, w, stride, "same"),
      gradFunc: (dy, [input, filter]) => {
        const dx = () => tf.conv2dTranspose(dy, filter, of, stride, "same");
        const dw = () => {
          const pad = (kernel, size, out) => {
            const total = Math.max(0, (out - 1) * stride + kernel - size);
            return [Math.floor(total / 2), total - Math.floor(total / 2)];
          };
          const rows = pad(kh, of[1], dy.shape[1]);
          const columns = pad(kw, of[2], dy.shape[2]);
          const padded = tf.pad(input, [[0, 0], rows, columns, [0, 0]]);
          // Exactly what the windows cover, so that the result has the kernel's size.
          const height = (dy.shape[1] - 1) * stride + kh;
          const width = (dy.shape[2] - 1) * stride + kw;
          const covered = tf.slice(padded, [0, 0, 0, 0], [of[0], height, width, of[3]]);
          const exchanged = tf.transpose(covered, [3, 1, 2, 0]);
          const kernel = tf.transpose(dy, [1, 2, 0, 3]);
          return tf.transpose(tf.conv2d(exchanged, kernel, 1, "valid", "NHWC", stride), [1, 2, 0, 3]);
        };
        return [dx(), dw()];
      },
    };
  });
const ownConvs = { 1: ownConv(1), 2: ownConv(2) };

function convBn(inputs, outputs, kernel, stride) {
  const bound = 1 / Math.sqrt(inputs * kernel * kernel);
  const w = variable([kernel, kernel, inputs, outputs], (dims) => tf.randomUniform(dims, -bound, bound));
  const scale = variable([outputs], tf.ones);
  const bias = variable([outputs], tf.zeros);
  return (x) => {
    const y = backend === "wasm" ? ownConvs[stride](x, w) : plainConv(x, w, stride);
    const { mean, variance } = tf.moments(y, [0, 1, 2]);
    const slope = tf.mul(scale, tf.rsqrt(tf.add(variance, 1e-5)));
    return tf.add(tf.mul(tf.sub(y, mean), slope), bias);
  };
}

function block(inputs, outputs, stride) {
  const [first, second] = [convBn(inputs, outputs, 3, stride), convBn(outputs, outputs, 3, 1)];
  const shortcut = stride === 1 && inputs === outputs ? (x) => x : convBn(inputs, outputs, 1, stride);
  return (x) => tf.relu(tf.add(second(tf.relu(first(x))), shortcut(x)));
}

const stem = convBn(3, 16, 3, 1);
const blocks = [block(16, 16, 1), block(16, 32, 2), block(32, 64, 2)];
const head = variable([64, 10], (dims) => tf.randomUniform(dims, -1 / 8, 1 / 8));
const headBias = variable([10], (dims) => tf.randomUniform(dims, -1 / 8, 1 / 8));

function student(x) {
  const features = blocks.reduce((value, next) => next(value), tf.relu(stem(x)));
  return { features, logits: tf.add(tf.matMul(tf.mean(features, [1, 2]), head), headBias) };
}

const image = tf.tensor(noise(batch * 32 * 32 * 3), [batch, 32, 32, 3]);
const labels = tf.oneHot(
  tf.tensor1d(
    Array.from({ length: batch }, (_, i) => i % 10),
    "int32",
  ),
  10,
);
const said = { logits: tf.tensor(noise(batch * 10), [batch, 10]), scores: tf.ones([64]) };

function loss() {
  const { features, logits } = student(image);
  const hard = tf.neg(tf.mean(tf.sum(tf.mul(labels, tf.logSoftmax(logits)), 1)));
  const target = tf.logSoftmax(tf.div(said.logits, temperature));
  const distance = tf.sub(target, tf.logSoftmax(tf.div(logits, temperature)));
  const soft = tf.mul(temperature ** 2, tf.mean(tf.sum(tf.mul(tf.exp(target), distance), 1)));
  const { variance } = tf.moments(features, [0, 1, 2]);
  const selectivity = tf.mean(tf.square(tf.sub(variance, said.scores)));
  const outputs = tf.add(tf.mul(alpha, hard), tf.mul(1 - alpha, soft));
  return tf.add(outputs, tf.mul(selectivityWeight, selectivity));
}

const optimizer = tf.train.momentum(0.001, 0.9, true);

async function step() {
  const value = tf.tidy(() => {
    const { value, grads } = tf.variableGrads(loss, weights);
    for (const w of weights) grads[w.name] = tf.add(grads[w.name], tf.mul(w, weightDecay));
    optimizer.applyGradients(grads);
    return value;
  });
  const [number] = await value.data();
  value.dispose();
  if (!Number.isFinite(number)) throw new Error("the loss is not finite");
}

await answer({ [`tfjs ${backend}`]: tf.version_core }, { student: step });
