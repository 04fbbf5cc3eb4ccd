import { describe, expect, it } from "vitest";
import { didYouMean } from "../../src/base/errors.ts";

describe("did you mean", () => {
  const known = ["Conv", "FusedConv", "Gelu", "DFT", "Softmax", "batch-size", "best", "last", "cosine"];

  it.each([
    ["Convv", ' Did you mean "Conv"?'],
    ["conv", ' Did you mean "Conv" or "FusedConv"?'],
    ["Sotfmax", ' Did you mean "Softmax"?'],
    ["batchSize", ' Did you mean "batch-size"?'],
    ["/head/Softmax", ' Did you mean "Softmax"?'],
    ["bset", ' Did you mean "best"?'],
    ["cosin", ' Did you mean "cosine"?'],
  ])("%s", (name, said) => {
    expect(didYouMean(name, known)).toBe(said);
  });

  it.each(["Det", "CDist", "worst", "Attention", "com.microsoft.nchwc::Conv2", "", "x"])(
    "is not asked of what is far: %s",
    (name) => {
      expect(didYouMean(name, ["DFT", "com.microsoft::Gelu", "best", "last", "Einsum", "MatMul"])).toBe("");
    },
  );

  it("is asked of short names that are a letter short of one", () => {
    expect(didYouMean("dk", ["kd", "dkd", "dist"])).toBe(' Did you mean "dkd"?');
  });
});
