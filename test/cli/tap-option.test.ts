import { describe, expect, it } from "vitest";
import { parseTap, parseTaps, projectedTaps } from "../../src/cli/tap-option.ts";

const parse = (text: string, teacher: string[], student: string[]) =>
  Object.values(parseTap(text, new Set(teacher), new Set(student)));

describe("parseTap: name, teacher, student", () => {
  it.each([
    ["relu", ["relu"], ["relu"], ["relu", "relu", "relu"]],
    [
      "/layer3/relu:/stage/relu",
      ["/layer3/relu"],
      ["/stage/relu"],
      ["/stage/relu", "/layer3/relu", "/stage/relu"],
    ],
    ["f=a:b", ["a"], ["b"], ["f", "a", "b"]],
    ["f=a", ["a"], ["a"], ["f", "a", "a"]],
    // Names with ":" and "=" in them.
    ["model/relu:0", ["model/relu:0"], ["model/relu:0"], ["model/relu:0", "model/relu:0", "model/relu:0"]],
    ["t:0:s:0", ["t:0"], ["s:0"], ["s:0", "t:0", "s:0"]],
    ["f=t:0:s:0", ["t:0"], ["s:0"], ["f", "t:0", "s:0"]],
    ["a=b:c=d", ["a=b"], ["c=d"], ["c=d", "a=b", "c=d"]],
    ["f=a=b:c", ["a=b"], ["c"], ["f", "a=b", "c"]],
    // The whole as one name comes first.
    ["a:b", ["a", "a:b"], ["b", "a:b"], ["a:b", "a:b", "a:b"]],
  ])("%s", (text, teacher, student, expected) => {
    expect(parse(text, teacher, student)).toEqual(expected);
  });

  it("keeps what exists where the rest does not, so that the error names the missing one", () => {
    expect(parse("f=t:0:sss", ["t:0"], ["s"])).toEqual(["f", "t:0", "sss"]);
    expect(parse("f=xx:s", ["t"], ["s"])).toEqual(["f", "xx", "s"]);
    expect(parse("f=xx:yy", ["t"], ["s"])).toEqual(["f", "xx", "yy"]);
    expect(parse("xx", ["t"], ["s"])).toEqual(["xx", "xx", "xx"]);
  });

  it("does not take an empty name for a part", () => {
    expect(parse("=a", ["a"], ["a"])).toEqual(["=a", "=a", "=a"]);
    expect(parse("a:", ["a"], ["a"])).toEqual(["a:", "a:", "a:"]);
  });
});

describe("projectedTaps", () => {
  const taps = [
    { name: "early", teacher: "a", student: "b" },
    { name: "late", teacher: "c", student: "d" },
  ];
  it("marks the named taps", () => {
    expect(projectedTaps(taps, [])).toEqual(taps);
    expect(projectedTaps(taps, ["late"])).toEqual([taps[0], { ...taps[1], project: true }]);
  });
  it("refuses a name that no tap has", () => {
    expect(() => projectedTaps(taps, ["lat"])).toThrow(
      '--project lat: no --tap has that name. Did you mean "late"? There are: early, late.',
    );
    expect(() => projectedTaps([], ["late"])).toThrow(
      "--project late: no --tap has that name. There is no tap.",
    );
  });
});

describe("parseTaps", () => {
  const models = (...names: string[]) => [new Set(names), new Set(names)] as const;

  it("leaves the choice to distill() for auto alone, and has none without --tap", () => {
    expect(parseTaps({ tap: ["auto"] }, ...models("a"))).toBe("auto");
    expect(parseTaps({}, ...models("a"))).toBeUndefined();
    expect(() => parseTaps({ tap: ["a", "auto"] }, ...models("a"))).toThrow(
      "--tap auto chooses every tap; leave it out, or the others",
    );
  });

  it("takes auto for a value's name where both models have one", () => {
    expect(parseTaps({ tap: ["auto"] }, ...models("auto"))).toEqual([
      { name: "auto", teacher: "auto", student: "auto" },
    ]);
  });

  it("projects named taps only", () => {
    expect(parseTaps({ tap: ["a"], project: ["a"] }, ...models("a"))).toEqual([
      { name: "a", teacher: "a", student: "a", project: true },
    ]);
    for (const tap of [undefined, ["auto"]])
      expect(() => parseTaps({ ...(tap && { tap }), project: ["a"] }, ...models("a"))).toThrow(
        "--project a: no --tap has that name. There is no tap.",
      );
  });
});
