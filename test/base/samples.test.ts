import { describe, expect, it } from "vitest";
import { joinBatches, takeSamples } from "../../src/base/samples.ts";
import { tensor } from "../../src/base/tensor.ts";

const t = tensor("float32", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [2, 3, 2]);

describe("samples", () => {
  it("are taken along any axis, also more than once", () => {
    expect(takeSamples(t, [1])).toEqual(tensor("float32", [6, 7, 8, 9, 10, 11], [1, 3, 2]));
    expect(takeSamples(t, [2, 0, 2], 1)).toEqual(
      tensor("float32", [4, 5, 0, 1, 4, 5, 10, 11, 6, 7, 10, 11], [2, 3, 2]),
    );
    expect(takeSamples(tensor("int64", [7, 8, 9]), [2, 1])).toEqual(tensor("int64", [9, 8]));
  });

  it("are put together again", () => {
    for (const axis of [0, 1, 2]) {
      const n = t.dims[axis] as number;
      const each = Array.from({ length: n }, (_, i) => takeSamples(t, [i], axis));
      expect(joinBatches(each, axis)).toEqual(t);
    }
    expect(joinBatches([t])).toBe(t);
  });

  it("must be alike, and numbers", () => {
    expect(() => joinBatches([t, takeSamples(t, [0], 1)])).toThrow(
      "batches of [2,3,2] and [2,1,2] hold samples of different shapes",
    );
    expect(() => joinBatches([])).toThrow("no batches to put together");
    expect(() => takeSamples({ dtype: "string", dims: [1], data: ["a"] }, [0])).toThrow(
      "samples of text can't be put into batches; tokenize them first",
    );
  });
});
