import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { nextTokens } from "../../src/data/next-tokens.ts";
import { failure } from "./files.ts";

describe("nextTokens", () => {
  const ids = tensor("int64", [5, 6, 7, 5, 8, 0], [2, 3]);

  it("moves ids by one; the last position has nothing to predict, nor has one before padding", () => {
    expect(nextTokens(ids)).toEqual(tensor("int32", [6, 7, -100, 8, 0, -100], [2, 3]));
    expect(nextTokens(ids, { pad: 0, ignoreIndex: -1 })).toEqual(
      tensor("int32", [6, 7, -1, 8, -1, -1], [2, 3]),
    );
  });

  it("refuses what is no matrix of ids", async () => {
    expect(await failure(() => nextTokens(tensor("float32", [1, 2], [1, 2])))).toBe(
      "E_DATA: nextTokens: ids are float32 [1,2], expected int64 or int32 [N, T]",
    );
    expect(await failure(() => nextTokens(tensor("int64", [1, 2])))).toBe(
      "E_DATA: nextTokens: ids are int64 [2], expected int64 or int32 [N, T]",
    );
  });
});
