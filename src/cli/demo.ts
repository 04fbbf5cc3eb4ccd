export async function demoCommand(_f: object, _io: unknown): Promise<number> {
  return 0;
}
