// The student of the Fashion-MNIST and MNIST studies: 11,266 parameters, built by the package (`npm run build` first).
import { nn } from "../../dist/index.js";

export default (seed) => nn.demoStudent(seed);
