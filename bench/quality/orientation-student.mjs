// The student of the orientation study, a fifth of its teacher's size; every stage has a name, so that it can be tapped.
import { buildModel, nn } from "../../dist/index.js";

const stages = [
  [16, 2],
  [24, 2],
  [32, 1],
  [48, 2],
];

export default (seed) =>
  buildModel(
    { input: { name: "image", dims: ["batch", 3, 48, 192] }, seed, name: "orientation" },
    nn.sequential(
      ...stages.flatMap(([channels, stride], i) => [
        nn.conv(channels, 3, { padding: 1, stride, bias: false }),
        nn.batchNorm(),
        nn.relu({ name: `stage${i + 1}` }),
      ]),
      nn.globalAveragePool(),
      nn.linear(2),
    ),
  );
