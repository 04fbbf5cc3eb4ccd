// What each task makes of labels, and what it says of those it can't read.
import { describe, expect, it } from "vitest";
import { type Shape, type Tensor, tensor } from "../../src/base/tensor.ts";
import { type TaskName, type TaskOptions, taskNamed } from "../../src/tasks/index.ts";

const samples = [10, 11, 12, 13];
const source = { name: "the data", samples };
const feeds = (name: TaskName, labels: Tensor, logits: Shape, options: TaskOptions = {}) =>
  taskNamed(name, options).feeds(labels, logits, source);

describe("class indices", () => {
  it("of a classification: int32 as they are, without weights", () => {
    expect(feeds("classification", tensor("int32", [2, 0]), [2, 3])).toEqual({
      labels: tensor("int32", [2, 0]),
    });
  });

  it.each([
    ["token-classification", [2, 2, 3], [2, 2]],
    ["language-modelling", [2, 2, 3], [2, 2]],
    ["segmentation", [2, 3, 1, 2], [2, 1, 2]],
    ["segmentation", [2, 3, 1, 1, 2], [2, 1, 1, 2]],
  ] as [TaskName, number[], number[]][])(
    "of a %s with logits %j: ignored ones have weight 0",
    (name, logits, dims) => {
      expect(feeds(name, tensor("int32", [2, -100, 0, 1], dims), logits)).toEqual({
        labels: tensor("int32", [2, 0, 0, 1]),
        weights: tensor("float32", [1, 0, 1, 1]),
      });
      const other = feeds(name, tensor("int32", [2, 255, 255, 1], dims), logits, { ignoreIndex: 255 });
      expect(other?.weights).toEqual(tensor("float32", [1, 0, 0, 1]));
    },
  );

  it("of a classification are ignored only when asked for", () => {
    expect(feeds("classification", tensor("int32", [-1, 1]), [2, 3], { ignoreIndex: -1 })).toEqual({
      labels: tensor("int32", [0, 1]),
      weights: tensor("float32", [0, 1]),
    });
  });

  it("of 64 bits, as a data set of one's own may give them, are read alike", () => {
    expect(feeds("token-classification", tensor("int64", [2, -100], [1, 2]), [1, 2, 3])).toEqual({
      labels: tensor("int32", [2, 0]),
      weights: tensor("float32", [1, 0]),
    });
    expect(() => feeds("classification", tensor("int64", [3]), [1, 3])).toThrow("sample 10 has label 3");
    expect(feeds("classification", tensor("float64", [0.25, 0.75], [1, 2]), [1, 2])?.labels).toEqual(
      tensor("float32", [0.25, 0.75], [1, 2]),
    );
    expect(feeds("multi-label", tensor("int64", [1, 0], [1, 2]), [1, 2])?.labels).toEqual(
      tensor("float32", [1, 0], [1, 2]),
    );
    expect(feeds("ctc", tensor("int64", [1, -100], [1, 2]), [1, 5, 4])).toBeUndefined();
  });

  it("may be distributions instead", () => {
    const y = tensor("float32", [0.5, 0.5, 0, 1], [2, 2]);
    expect(feeds("classification", y, [2, 2])).toEqual({ labels: y });
    expect(() => feeds("classification", tensor("float32", [0, 1, 1, 1], [2, 2]), [2, 2])).toThrow(
      "the data: the labels of sample 11 are 1 for 2 classes of one row; in the shape of the logits [2,2] task classification takes a distribution over the classes (several labels a sample: --task multi-label)",
    );
    const scaled = tensor("float32", [0, 5, 0.5, 0], [2, 2]);
    expect(feeds("classification", scaled, [2, 2])).toEqual({ labels: scaled });
    // One-hot, as whole numbers; of a map along its classes.
    expect(feeds("classification", tensor("int32", [0, 1, 1, 0], [2, 2]), [2, 2])).toEqual({
      labels: tensor("float32", [0, 1, 1, 0], [2, 2]),
    });
    const map = [0, 1, 1, 0, 0, 0];
    expect(feeds("segmentation", tensor("int32", map, [1, 3, 1, 2]), [1, 3, 1, 2])).toEqual({
      labels: tensor("float32", map, [1, 3, 1, 2]),
    });
    expect(() => feeds("classification", tensor("int32", [1, 1, 1, 0], [2, 2]), [2, 2])).toThrow(
      "the data: labels are int32 [2,2]; with logits [2,2], task classification takes whole numbers [2], the index of the class, or distributions [2,2] of float32",
    );
  });

  it("that are out of range, or of another shape, are refused with the sample", () => {
    expect(() => feeds("classification", tensor("int32", [0, 3]), [2, 3])).toThrow(
      "the data: sample 11 has label 3, but 3 classes leave only 0 to 2; correct the label or the number of classes",
    );
    expect(() => feeds("token-classification", tensor("int32", [0, 1, 2, -1], [2, 2]), [2, 2, 3])).toThrow(
      "the data: sample 11 has label -1, but 3 classes leave only 0 to 2, and -100 for what is ignored; correct the label or the number of classes",
    );
    expect(() => feeds("classification", tensor("int32", [0, 1, 1, 0], [2, 2]), [2, 3])).toThrow(
      "the data: labels are int32 [2,2]; with logits [2,3], task classification takes whole numbers [2], the index of the class, or distributions [2,3] of float32",
    );
    expect(() => feeds("segmentation", tensor("int32", [0, 1]), [2, 3, 2, 2])).toThrow(
      "the data: labels are int32 [2]; with logits [2,3,2,2], task segmentation takes whole numbers [2,2,2], the index of the class, or distributions [2,3,2,2] of float32",
    );
    expect(() => feeds("classification", tensor("float32", [0.5, 1]), [2, 3])).toThrow(
      "the data: labels are float32 [2]; with logits [2,3], task classification takes whole numbers [2], the index of the class, or distributions [2,3] of float32",
    );
  });
});

describe("labels of each output", () => {
  it("are float32 in the shape of the outputs, whatever they came as", () => {
    const wanted = { labels: tensor("float32", [1, 0, 1, 1], [2, 2]) };
    expect(feeds("multi-label", tensor("int32", [1, 0, 1, 1], [2, 2]), [2, 2])).toEqual(wanted);
    expect(feeds("regression", tensor("float32", [1, 0, 1, 1], [2, 2]), [2, 2])).toEqual(wanted);
  });

  it("may leave out an axis of one: a single output, or outputs [N]", () => {
    expect(feeds("multi-label", tensor("int32", [1, 0]), [2, 1])?.labels.dims).toEqual([2, 1]);
    expect(feeds("regression", tensor("float32", [0.5, 2]), [2, 1])?.labels.dims).toEqual([2, 1]);
    expect(feeds("regression", tensor("float32", [0.5, 2], [2, 1]), [2])?.labels.dims).toEqual([2]);
    expect(
      feeds("regression", tensor("float32", [1, 2, 3, 4], [1, 2, 2]), [1, 1, 2, 2])?.labels.dims,
    ).toEqual([1, 1, 2, 2]);
  });

  it("are refused where they do not fit", () => {
    expect(() => feeds("multi-label", tensor("int32", [1, 0]), [2, 3])).toThrow(
      "the data: labels are int32 [2]; with outputs [2,3], task multi-label takes numbers of the same shape",
    );
    expect(() => feeds("multi-label", tensor("int32", [0, 1, 4, 1], [2, 2]), [2, 2])).toThrow(
      "the data: sample 11 has label 4; each must lie in [0, 1]: 1 for a label that holds, 0 for one that does not",
    );
    expect(() => feeds("regression", tensor("float32", [1, Number.NaN], [2, 1]), [2, 1])).toThrow(
      "the data: sample 11 has label NaN; a target must be finite; drop or repair such samples before training",
    );
    expect(() => feeds("regression", tensor("float32", [1, 2, 3, 4], [4, 1]), [2, 2])).toThrow(
      "the data: labels are float32 [4,1]; with outputs [2,2], task regression takes numbers of the same shape",
    );
  });
});

describe("sequences of symbols", () => {
  it("are not fed; they are checked", () => {
    expect(feeds("ctc", tensor("int32", [1, 2, 3, -100], [2, 2]), [2, 5, 4])).toBeUndefined();
    expect(() => feeds("ctc", tensor("int32", [1, 2, 4, -100], [2, 2]), [2, 5, 4])).toThrow(
      "the data: sample 11 has label 4, but 4 classes leave only 0 to 3, and -100 to fill up; correct the label or the number of classes",
    );
    expect(() => feeds("ctc", tensor("int32", [1, 2]), [2, 5, 4])).toThrow(
      "the data: labels are int32 [2]; with logits [2,5,4], task ctc takes whole numbers [2,L], the symbols of each sequence, filled up with -100",
    );
  });
});
