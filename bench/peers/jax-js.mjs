// The student's step of the workload "resnet" in jax-js (wasm), as a peer (see bench/peer.ts): answers "student <count>".
// Same shapes, loss and optimizer as bench/workload.ts, the whole step under one jit; running statistics are left out, in
// its favour. jax-js counts references: what is used again is passed as `.ref`.
import { readFileSync } from "node:fs";
import { defaultDevice, init, jit, lax, nn, numpy as np, valueAndGrad } from "@jax-js/jax";
import { answer, noise } from "./answer.mjs";

await init("wasm");
defaultDevice("wasm");

const batch = 64;
const [temperature, alpha, selectivityWeight, weightDecay, rate, momentum] = [3, 0.3, 0.5, 5e-4, 0.001, 0.9];
const random = (dims, bound) => {
  const data = noise(dims.reduce((a, d) => a * d, 1));
  return np.array(data.map((v) => (v * bound) / 1.73)).reshape(dims);
};

/** All weights; a layer takes its own by index. */
const weights = [];
const weight = (value) => weights.push(value) - 1;

function convBn(inputs, outputs, kernel, stride) {
  const w = weight(random([outputs, inputs, kernel, kernel], 1 / Math.sqrt(inputs * kernel * kernel)));
  const [scale, bias] = [weight(np.ones([outputs])), weight(np.zeros([outputs]))];
  const pad = [(kernel - 1) / 2, (kernel - 1) / 2];
  return (p, x) => {
    const y = lax.convGeneralDilated(x, p[w].ref, [stride, stride], [pad, pad]);
    const mean = np.mean(y.ref, [0, 2, 3], { keepdims: true });
    const centred = np.subtract(y, mean);
    const variance = np.mean(np.square(centred.ref), [0, 2, 3], { keepdims: true });
    const inverse = np.reciprocal(np.sqrt(np.add(variance, 1e-5)));
    const slope = np.multiply(inverse, p[scale].ref.reshape([1, outputs, 1, 1]));
    return np.add(np.multiply(centred, slope), p[bias].ref.reshape([1, outputs, 1, 1]));
  };
}

function block(inputs, outputs, stride) {
  const [first, second] = [convBn(inputs, outputs, 3, stride), convBn(outputs, outputs, 3, 1)];
  const shortcut = stride === 1 && inputs === outputs ? (_, x) => x : convBn(inputs, outputs, 1, stride);
  return (p, x) => nn.relu(np.add(second(p, nn.relu(first(p, x.ref))), shortcut(p, x)));
}

const stem = convBn(3, 16, 3, 1);
const blocks = [block(16, 16, 1), block(16, 32, 2), block(32, 64, 2)];
const head = weight(random([64, 10], 1 / 8));
const headBias = weight(random([10], 1 / 8));

function loss(p, x, labels, said, scores) {
  const features = blocks.reduce((value, next) => next(p, value), nn.relu(stem(p, x)));
  const pooled = np.mean(features.ref, [2, 3]);
  const logits = np.add(np.matmul(pooled, p[head].ref), p[headBias].ref);
  const hard = np.mean(np.sum(np.multiply(labels, nn.logSoftmax(logits.ref)), 1)).mul(-1);
  const target = nn.logSoftmax(said.mul(1 / temperature));
  const distance = np.subtract(target.ref, nn.logSoftmax(logits.mul(1 / temperature)));
  const soft = np.mean(np.sum(np.multiply(np.exp(target), distance), 1));
  const mean = np.mean(features.ref, [0, 2, 3], { keepdims: true });
  const variance = np.mean(np.square(np.subtract(features, mean)), [0, 2, 3]);
  const selectivity = np.mean(np.square(np.subtract(variance, scores)));
  for (const each of p) each.dispose();
  return hard
    .mul(alpha)
    .add(soft.mul((1 - alpha) * temperature ** 2))
    .add(selectivity.mul(selectivityWeight));
}

const update = jit((p, momenta, x, labels, said, scores) => {
  const [value, gradients] = valueAndGrad(loss)(
    p.map((each) => each.ref),
    x,
    labels,
    said,
    scores,
  );
  const nextWeights = [];
  const nextMomenta = [];
  p.forEach((w, i) => {
    const g = gradients[i].add(w.ref.mul(weightDecay));
    const m = momenta[i].mul(momentum).add(g.ref);
    nextMomenta.push(m.ref);
    nextWeights.push(w.sub(g.add(m.mul(momentum)).mul(rate)));
  });
  return { value, weights: nextWeights, momenta: nextMomenta };
});

const image = np.array(noise(batch * 3 * 32 * 32)).reshape([batch, 3, 32, 32]);
const hot = new Float32Array(batch * 10);
for (let i = 0; i < batch; i++) hot[i * 10 + (i % 10)] = 1;
const labels = np.array(hot).reshape([batch, 10]);
const said = np.array(noise(batch * 10)).reshape([batch, 10]);
const scores = np.ones([64]);
let state = { weights, momenta: weights.map((w) => np.zeros(w.shape)) };

async function step() {
  const { value, ...next } = update(
    state.weights,
    state.momenta,
    image.ref,
    labels.ref,
    said.ref,
    scores.ref,
  );
  state = next;
  const [number] = await value.data();
  for (const each of [...state.weights, ...state.momenta]) await each.blockUntilReady();
  if (!Number.isFinite(number)) throw new Error("the loss is not finite");
}

const manifest = new URL("../node_modules/@jax-js/jax/package.json", import.meta.url);
await answer({ "jax-js": JSON.parse(readFileSync(manifest, "utf8")).version }, { student: step });
