export async function inspectCommand(_m: string, _f: object, _io: unknown): Promise<number> {
  return 0;
}
