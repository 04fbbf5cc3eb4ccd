// The two models of the demo: a teacher of 175 thousand parameters and a student of 11 thousand, for 28×28 grey images in
// ten classes. Both end in a map `features` [N, 64, 7, 7], so that their neurons can be compared one to one.
import type { Model } from "../onnx/model.ts";
import { relu } from "./activations.ts";
import { buildModel } from "./build-model.ts";
import { sequential } from "./containers.ts";
import { linear } from "./linear.ts";
import { globalAveragePool } from "./pooling.ts";
import { convBn, resnet } from "./resnet.ts";

/** ResNet of 16, 32 and 64 channels, two basic blocks a stage: 174,970 parameters. `seed`: default 0. */
export function demoTeacher(seed = 0): Model {
  return resnet({
    widths: [16, 32, 64],
    blocks: 2,
    inputChannels: 1,
    size: 28,
    classes: 10,
    seed,
    name: "teacher",
  });
}

/** Three 3×3 convolutions, 1→8→16→64, the latter two halving the map: 11,266 parameters. `seed`: default 0. */
export function demoStudent(seed = 0): Model {
  return buildModel(
    { input: { name: "image", dims: ["batch", 1, 28, 28] }, seed, name: "student" },
    sequential(
      convBn(8, 3, 1),
      relu(),
      convBn(16, 3, 2),
      relu(),
      convBn(64, 3, 2),
      relu({ name: "features" }),
      globalAveragePool(),
      linear(10),
    ),
  );
}
