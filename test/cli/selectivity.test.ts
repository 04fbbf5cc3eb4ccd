import { readFileSync, writeFileSync } from "node:fs";
import { DOMParser } from "linkedom";
import { describe, expect, it } from "vitest";
import { npzFile } from "../data/files.ts";
import { bands, cli, refusal, world } from "./helpers.ts";

interface Side {
  value: string;
  neurons: number;
  rows: number;
  dead: number[];
  scores: Record<string, number[]>;
  classResponse?: number[][];
  excited: { neuron: number; samples: { sample: number; response: number }[] }[];
}
interface Found {
  samples: number;
  classesFrom?: string;
  taps: {
    name: string;
    model: Side;
    student?: Side;
    comparison?: { assignment: number[]; distances: { metric: string; match: string; relative: number }[] };
  }[];
}

describe("selectivity", () => {
  it("prints a table and writes a page; with a student, how far it is", async () => {
    const { at } = world();
    const { code, out, err } = await cli([
      ...["selectivity", at("teacher.onnx"), at("student.onnx"), "--data", at("data.npz")],
      ...["--tap", "features", "--neuron", "features:2", "--out", at("page.html")],
    ]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("on 96 samples of");
    expect(out).toMatch(/features +teacher +6 /);
    expect(out).toMatch(/variance +\S+ +\S+ +\S+\n/);
    const page = readFileSync(at("page.html"), "utf8");
    expect(page).toContain("Neuron 2");
    expect(page.match(/<img [^>]*src="data:image\/png;base64,/g)).toHaveLength(18);
    expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
    expect(new DOMParser().parseFromString(page, "text/html").querySelectorAll("section")).toHaveLength(2);
  });

  it("gives all scores as JSON, the same at every batch size", async () => {
    const { at } = world();
    const found = async (batch: string) => {
      const { code, out } = await cli([
        ...["selectivity", at("teacher.onnx"), "--data", at("data.npz"), "--batch", batch, "--json"],
      ]);
      expect(code).toBe(0);
      return JSON.parse(out) as Found;
    };
    const [a, b] = [await found("96"), await found("17")];
    expect(a.classesFrom).toBe("labels");
    expect(a.taps.length).toBeGreaterThan(0);
    a.taps.forEach((tap, i) => {
      expect(b.taps[i]?.model.excited).toEqual(tap.model.excited);
      for (const [metric, scores] of Object.entries(tap.model.scores))
        for (const [c, s] of scores.entries()) expect(b.taps[i]?.model.scores[metric]?.[c]).toBeCloseTo(s, 5);
    });
  });

  it("takes the model's predictions where there are no labels", async () => {
    const { at } = world();
    writeFileSync(
      at("bare.npz"),
      npzFile({ x: [new Uint8Array(40 * 64).map((_, i) => i * 37), [40, 8, 8]] }),
    );
    const { out } = await cli(["selectivity", at("teacher.onnx"), "--data", at("bare.npz"), "--json"]);
    const found = JSON.parse(out) as Found;
    expect(found.classesFrom).toBe("predictions");
    expect(found.taps[0]?.model.classResponse?.[0]).toHaveLength(4);
  });

  it("takes labels of one class a sample in any layout, and no label below 0", async () => {
    const { at } = world();
    const { images, labels } = bands(40, 3);
    const givenLabels = async (y: Parameters<typeof npzFile>[0][string]) => {
      writeFileSync(at("labelled.npz"), npzFile({ x: [images, [40, 8, 8]], y }));
      const { out } = await cli(["selectivity", at("teacher.onnx"), "--data", at("labelled.npz"), "--json"]);
      const { classesFrom, taps } = JSON.parse(out) as Found;
      return { classesFrom, response: taps[0]?.model.classResponse };
    };
    const plain = await givenLabels([labels, [40]]);
    expect(plain.classesFrom).toBe("labels");
    expect(await givenLabels([labels, [40, 1, 1]])).toEqual(plain);
    const oneHot = new Uint8Array(160).map((_, i) => Number(labels[i >> 2] === i % 4));
    expect(await givenLabels([oneHot, [40, 4]])).toEqual(plain);
    const some = Int32Array.from(labels, (k) => (k === 0 ? -1 : k));
    const { classesFrom, response } = await givenLabels([some, [40]]);
    expect(classesFrom).toBe("labels");
    expect(response?.map((r) => r.slice(1))).toEqual(plain.response?.map((r) => r.slice(1)));
  });

  it("refuses what does not fit, in one line", async () => {
    const { at } = world();
    const data = ["--data", at("data.npz"), "--out", at("page.html")];
    const teacher = at("teacher.onnx");
    expect(await refusal(["selectivity", teacher])).toBe("2 error: selectivity needs --data");
    expect(await refusal(["selectivity", teacher, ...data, "--tap", "featurs"])).toBe(
      `1 error: tap "featurs": ${teacher} has no value "featurs". Did you mean "features"? \`onnx-distill inspect\` lists them.`,
    );
    expect(
      await refusal(["selectivity", teacher, ...data, "--tap", "features", "--neuron", "feature:1"]),
    ).toBe(
      '1 error: --neuron feature:1: there is no tap "feature". Did you mean "features"? Taps are: features',
    );
    expect(
      await refusal(["selectivity", teacher, ...data, "--tap", "features", "--neuron", "features:6"]),
    ).toBe("1 error: --neuron features:6: the tap has 6 neurons, 0 to 5");
    expect(await refusal(["selectivity", teacher, ...data, "--neuron", "features"])).toBe(
      "2 error: --neuron features: expected a tap's name and the number of a neuron, for example features:12",
    );
    expect(await refusal(["selectivity", teacher, ...data, "--tap", "features:late"])).toBe(
      "2 error: --tap features:late: names two values, and there is one model; name one, or give a student after the model",
    );
    expect(
      await refusal([
        "selectivity",
        teacher,
        ...data.slice(0, 2),
        "--tap",
        "features",
        "--out",
        at("no/page.html"),
      ]),
    ).toBe(`1 error: ${at("no/page.html")}: the page cannot be written (ENOENT); give another --out`);
  });
});
