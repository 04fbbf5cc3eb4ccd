import stringWidth from "string-width";
import { describe, expect, it } from "vitest";
import { createProgress, type ProgressOptions } from "../../src/cli/progress.ts";

const CLEAR = "\r\x1b[2K";

/** A stream that remembers, a clock that is set, and what a terminal would show in the end. */
function setUp(options: Partial<ProgressOptions> & { tty?: boolean; columns?: number } = {}) {
  const { tty = true, columns = 100, ...rest } = options;
  const writes: string[] = [];
  const clock = { ms: 0 };
  const stream = { columns, write: (text: string) => writes.push(text) };
  const progress = createProgress({
    stream,
    total: 200,
    label: "student",
    now: () => clock.ms,
    bar: tty,
    ...rest,
  });
  const screen = () => {
    const lines = [""];
    for (const piece of writes
      .join("")
      .replaceAll(CLEAR, "\r")
      .split(/([\n\r])/)) {
      if (piece === "\n") lines.push("");
      else if (piece === "\r") lines[lines.length - 1] = "";
      else lines[lines.length - 1] += piece;
    }
    return lines;
  };
  return { writes, clock, stream, progress, screen };
}

describe("on a terminal", () => {
  it("shows bar, percentage, steps, rate, time left and the caller's text", () => {
    const { clock, progress, screen } = setUp();
    for (let step = 1; step <= 50; step++) {
      clock.ms = step * 100;
      progress.update(step, "loss 0.41");
    }
    expect(screen()).toEqual([
      "student  25 % ███████▌░░░░░░░░░░░░░░░░░░░░░░ 50/200  10 steps/s  15 s left  loss 0.41",
    ]);
  });

  it("redraws at most ten times a second, and always at the end", () => {
    const { writes, clock, progress } = setUp({ total: 1000 });
    for (let step = 1; step < 1000; step++) {
      clock.ms = step;
      progress.update(step);
    }
    expect(writes.length).toBe(10);
    progress.update(1000);
    expect(writes.at(-1)).toContain("100 %");
  });

  it.each([10, 20, 39, 40, 60, 200])("never reaches the edge of %i columns", (columns) => {
    const { writes, clock, progress } = setUp({ columns, label: "学生 distilled" });
    for (let step = 1; step <= 200; step += 20) {
      clock.ms = step * 500;
      progress.update(step, "loss 0.41  hard 0.62  soft 1.31  selectivity/层3 0.0123");
    }
    for (const line of writes) expect(stringWidth(line.replace(CLEAR, ""))).toBeLessThan(columns);
  });

  it("follows a window that becomes narrower", () => {
    const { writes, clock, stream, progress } = setUp({ columns: 120 });
    progress.update(1, "a long text of many loss terms");
    stream.columns = 30;
    clock.ms = 200;
    progress.update(2);
    expect(writes.at(-1)!.replace(CLEAR, "").length).toBe(29);
    expect(writes.at(-1)).toMatch(/…$/);
  });

  it("prints a logged line above the bar and clears the bar at the end", () => {
    const { clock, progress, screen } = setUp();
    clock.ms = 1000;
    progress.update(100, "loss 1");
    progress.log("epoch 1: top-1 81.0 %");
    expect(screen()[0]).toBe("epoch 1: top-1 81.0 %");
    expect(screen()[1]).toContain("100/200");
    clock.ms = 4000;
    progress.update(200, "loss 0.5");
    progress.finish();
    expect(screen()).toEqual(["epoch 1: top-1 81.0 %", "student: 200 steps in 4.0 s, 50 steps/s", ""]);
  });

  it("does nothing after finish, and finish('') leaves no line", () => {
    const { writes, progress, screen } = setUp();
    progress.update(1);
    progress.finish("");
    const count = writes.length;
    progress.update(2);
    progress.finish();
    expect(writes.length).toBe(count);
    expect(screen()).toEqual([""]);
  });

  it("keeps text with line breaks and escape codes on its line", () => {
    const { progress, screen } = setUp();
    progress.update(1, "a\nb\x1b[31mc\x1b[0m");
    expect(screen()[0]).toMatch(/ {2}a bc$/);
  });

  it("counts a resumed run's rate from where it began", () => {
    const { clock, progress, screen } = setUp({ start: 100 });
    clock.ms = 2000;
    progress.update(110);
    expect(screen()[0]).toContain("110/200  5 steps/s  18 s left");
    progress.finish();
    expect(screen()[0]).toBe("student: 10 steps in 2.0 s, 5 steps/s");
  });

  it("forgets a slow start", () => {
    const { clock, progress, screen } = setUp({ total: 100_000 });
    clock.ms = 60_000;
    progress.update(1);
    for (let step = 2; step <= 5000; step++) {
      clock.ms += 10;
      progress.update(step);
    }
    expect(screen()[0]).toContain("100 steps/s");
  });

  it("needs no total", () => {
    const { clock, progress, screen } = setUp({ total: 0, unit: "image" });
    clock.ms = 2000;
    progress.update(3000);
    expect(screen()[0]).toBe("student  3,000 images  1,500 images/s");
  });
});

describe("elsewhere", () => {
  it("prints a plain line every ten seconds, none soon after a logged line, and a closing line", () => {
    const { clock, progress, screen } = setUp({ tty: false });
    for (let step = 1; step <= 200; step++) {
      clock.ms = step * 150;
      progress.update(step, "loss 0.4");
      if (step === 100) progress.log("epoch 1: top-1 81.0 %");
    }
    progress.finish();
    expect(screen()).toEqual([
      "student 33 %  67/200  6.67 steps/s  20 s left  loss 0.4",
      "epoch 1: top-1 81.0 %",
      "student 83 %  167/200  6.67 steps/s  5.0 s left  loss 0.4",
      "student: 200 steps in 30 s, 6.67 steps/s",
      "",
    ]);
  });

  it("writes no control characters", () => {
    const { writes, clock, progress } = setUp({ tty: false });
    clock.ms = 20_000;
    progress.update(10);
    progress.log("a");
    progress.finish();
    expect(writes.join("")).not.toContain("\r");
    expect(writes.join("")).not.toContain("\x1b");
  });
});
