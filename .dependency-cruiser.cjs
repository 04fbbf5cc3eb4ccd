// One direction of imports: a room imports only from the rooms above it (docs/architecture.md shows the same map).
const rooms = [
  ["base"],
  ["strategies"],
  ["graph"],
  ["onnx"],
  ["ops"],
  ["autodiff"],
  ["losses"],
  ["taps"],
  ["optim"],
  ["data"],
  ["tasks"],
  ["compile"],
  ["runtime"],
  ["nn"],
  ["prepare"],
  ["train"],
  ["analysis"],
  ["report"],
  ["compare"],
  ["cli"],
].map(([room]) => room);

module.exports = {
  forbidden: [
    // Types may refer to each other across two files; code may not.
    {
      name: "no-circular",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    { name: "not-to-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    ...rooms.map((room, i) => ({
      name: `${room}-imports-upwards-only`,
      severity: "error",
      from: { path: `^src/${room}/` },
      to: { path: `^src/(${[...rooms.slice(i + 1), "index", "node", "web"].join("|")})(/|\\.ts)` },
    })),
    {
      name: "strategies-need-base-alone",
      severity: "error",
      from: { path: "^src/strategies/" },
      to: { path: "^src/", pathNot: "^src/(base|strategies)/" },
    },
    {
      name: "only-onnx-knows-protobuf",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/onnx/" },
      to: { path: "node_modules/(onnx-buf|@bufbuild)" },
    },
    {
      name: "only-adapters-import-onnx-runtime",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/runtime/ort-(node|node-worker|web)\\.[tj]s$" },
      to: { path: "node_modules/onnxruntime-" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js", ".json"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
    },
  },
};
