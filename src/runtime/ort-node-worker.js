// ONNX Runtime in a worker thread: loads models, runs them, and gives back the memory that came with a run. The other side is
// ort-thread.ts. Plain JavaScript that imports nothing of ours, so that Node can start it where it lies: in src (under tsx and
// in the tests) as in dist.
// @ts-check
import { parentPort, workerData } from "node:worker_threads";
import * as ort from "onnxruntime-node";

/** @typedef {import("./ort-thread.ts").Request} Request */
/** @typedef {import("./ort-thread.ts").Reply} Reply */
/** @typedef {import("../base/tensor.ts").Tensor} Tensor */

const port = /** @type {import("node:worker_threads").MessagePort} */ (parentPort);
/** @type {Map<number, ort.InferenceSession>} */
const sessions = new Map();
ort.env.logLevel = "fatal"; // What fails is thrown, and must not be printed as well.

/**
 * @param {Request} request
 * @returns {Promise<Partial<Reply>>}
 */
async function answer(request) {
  switch (request.kind) {
    case "load": {
      const session = await ort.InferenceSession.create(request.model, request.options);
      sessions.set(request.id, session);
      const { inputMetadata, outputMetadata } = session;
      return { loaded: { inputMetadata, outputMetadata } };
    }
    case "run":
      return { outputs: await run(request) };
    case "release":
      await sessions.get(request.session)?.release();
      sessions.delete(request.session);
      return {};
    case "end":
      port.close();
      return {};
  }
}

/**
 * The outputs that were not written into given memory.
 *
 * @param {Extract<Request, { kind: "run" }>} request
 */
async function run({ session, feeds, fetches }) {
  const given = Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, toOrt(name, t)]));
  const wanted = Object.fromEntries(Object.entries(fetches).map(([name, t]) => [name, t && toOrt(name, t)]));
  const found = await /** @type {ort.InferenceSession} */ (sessions.get(session)).run(given, wanted);
  return Object.fromEntries(
    Object.entries(found)
      .filter(([name]) => !wanted[name])
      .map(([name, { type, dims, data }]) => [name, { type, dims, data }]),
  );
}

/**
 * @param {string} name
 * @param {Tensor} tensor
 */
function toOrt(name, { dtype, data, dims }) {
  try {
    return new ort.Tensor(/** @type {"float32"} */ (dtype), /** @type {Float32Array} */ (data), dims);
  } catch (cause) {
    throw new TensorError(`"${name}" as ${dtype}[${dims}]`, { cause });
  }
}

/** Its message says which tensor it was, its cause why. */
class TensorError extends Error {}

/** @param {unknown} error */
const wordsOf = (error) => (error instanceof Error ? error.message : String(error));

/** @param {Request} request */
async function reply(request) {
  const lent = request.kind === "run" ? request.lent : [];
  /** @type {Reply} */
  let said = { id: request.id, lent };
  try {
    said = { ...said, ...(await answer(request)) };
  } catch (error) {
    said.failed =
      error instanceof TensorError
        ? { doing: error.message, message: wordsOf(error.cause) }
        : { message: wordsOf(error) };
  }
  const arrays = [...lent, ...Object.values(said.outputs ?? {}).map((t) => t.data)];
  const buffers = arrays.flatMap((a) =>
    ArrayBuffer.isView(a) ? [/** @type {ArrayBuffer} */ (a.buffer)] : [],
  );
  port.postMessage(said, [...new Set(buffers)]);
}

// One after the other, and none when the process is about to end: ONNX Runtime aborts it where its thread is taken away
// during a call.
const gate = new Int32Array(/** @type {SharedArrayBuffer} */ (workerData));
const [free, busy, closed] = [0, 1, 2];
let last = Promise.resolve();
port.on("message", (/** @type {Request} */ request) => {
  last = last.then(async () => {
    if (Atomics.compareExchange(gate, 0, free, busy) === closed) return;
    await reply(request);
    Atomics.store(gate, 0, free);
    Atomics.notify(gate, 0);
  });
});
port.postMessage({ id: 0, lent: [] });
Atomics.store(gate, 0, free);
Atomics.notify(gate, 0);
