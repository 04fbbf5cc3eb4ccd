import { expect, it } from "vitest";
import { Names } from "../../src/base/names.ts";

it("gives the first free name, and never one twice", () => {
  const names = new Names(["a", "a_2", "b_3"]);
  expect(["a", "a", "b", "b", "b", "b", "a_2", "a"].map((base) => names.take(base))).toEqual([
    ...["a_3", "a_4", "b", "b_2", "b_4", "b_5"],
    ...["a_2_2", "a_5"],
  ]);
  expect([names.has("a_5"), names.has("a_6")]).toEqual([true, false]);
});
