// --no-decay, --lr-for and --weight-decay-for as they are typed.
import { describe, expect, it } from "vitest";
import { parseRow } from "../../src/cli/compare-row.ts";
import { noDecayOf, parameterGroupsOf } from "../../src/cli/parameter-group-option.ts";
import { spell } from "../../src/cli/train-options.ts";

const flags = (text: string) => parseRow(`row: ${text}`, {}).flags;

describe("--no-decay", () => {
  it.each<[string, unknown]>([
    ["", undefined],
    ["--no-decay", "auto"],
    ["--no-decay auto", "auto"],
    ["--no-decay none", "none"],
    ["--no-decay pos.* --no-decay '*.scale'", ["pos.*", "*.scale"]],
    ["--no-decay --no-decay pos.*", ["auto", "pos.*"]],
    ["--no-decay --weight-decay 0.1", "auto"],
  ])("%s", (text, wanted) => {
    const found = flags(text);
    expect(noDecayOf(found)).toEqual(wanted);
    expect(found).not.toHaveProperty("decay");
    if (found.noDecay) expect(flags(spell("noDecay", found.noDecay)).noDecay).toEqual(found.noDecay);
  });
});

describe("--lr-for and --weight-decay-for", () => {
  it("make one group for each pattern", () => {
    const text = "--lr-for backbone.*=0.1x --lr-for a=b=0.01 --weight-decay-for backbone.*=0";
    expect(parameterGroupsOf(flags(text))).toEqual([
      { match: "backbone.*", learningRateFactor: 0.1, weightDecay: 0 },
      { match: "a=b", learningRate: 0.01 },
    ]);
    expect(parameterGroupsOf(flags(""))).toBeUndefined();
  });

  it.each([
    [
      "--lr-for head.*",
      `--row 'row': option '--lr-for <p=x>' argument 'head.*' is invalid. Expected a pattern of weights, = and a learning rate (head.*=0.01) or a multiple of the run's (backbone.*=0.1x).`,
    ],
    [
      "--weight-decay-for head.*=-1",
      "--row 'row': option '--weight-decay-for <p=x>' argument 'head.*=-1' is invalid. Expected a pattern of weights, = and a weight decay: embedding.*=0.1.",
    ],
  ])("%s is refused", (text, message) => {
    expect(() => flags(text)).toThrow(message);
  });
});
