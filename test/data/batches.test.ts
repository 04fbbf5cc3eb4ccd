import { describe, expect, it } from "vitest";
import { batchOrder, evaluationBatches } from "../../src/data/batches.ts";
import { count, failure } from "./files.ts";

const numbers = (batches: Uint32Array[]) => batches.map((b) => [...b]);

describe("batchOrder", () => {
  it("gives full batches of distinct samples and drops the remainder", () => {
    const batches = numbers(batchOrder(23, 5, 1, 0));
    expect(batches.map((b) => b.length)).toEqual([5, 5, 5, 5]);
    expect(new Set(batches.flat()).size).toBe(20);
    expect(batches.flat().every((i) => i < 23)).toBe(true);
  });

  it("is the same for the same seed and epoch, and another for others", () => {
    const orders = [
      [1, 0],
      [1, 1],
      [2, 0],
    ].map(([seed, epoch]) => String(numbers(batchOrder(50, 10, seed!, epoch!))));
    expect(new Set(orders).size).toBe(3);
    expect(String(numbers(batchOrder(50, 10, 1, 1)))).toBe(orders[1]);
  });

  it("leaves nobody out for ever: over epochs every sample comes", () => {
    const seen = new Set(count(20).flatMap((epoch) => numbers(batchOrder(7, 4, 3, epoch)).flat()));
    expect(seen.size).toBe(7);
  });

  it("keeps the order without shuffling", () => {
    expect(numbers(batchOrder(7, 3, 1, 5, { shuffle: false }))).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
  });

  it("says what to do about a set smaller than a batch", async () => {
    expect(await failure(() => batchOrder(100, 128, 1, 0))).toBe(
      "E_DATA: a batch of 128 needs at least as many samples, the data set has 100; lower the batch size or add data",
    );
    expect(await failure(() => batchOrder(100, 0, 1, 0))).toBe(
      "E_ARGUMENT: batch size: expected a whole number from 1 on, got 0",
    );
  });
});

describe("evaluationBatches", () => {
  it("goes through all samples in order, the last batch as small as it is", () => {
    expect(numbers(evaluationBatches(7, 3))).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
    expect(numbers(evaluationBatches(6, 3))).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect(evaluationBatches(0, 3)).toEqual([]);
  });
});
