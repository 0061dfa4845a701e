/** The tile that is there, and which part of it is meant: finer tiles than the file has are cut out of its finest. */
export function tileFor(x: number, y: number, z: number, finest: number) {
  const deeper = Math.max(0, z - finest);
  const parts = 2 ** deeper;
  return {
    z: z - deeper,
    x: Math.floor(x / parts),
    y: Math.floor(y / parts),
    parts,
    left: x % parts,
    top: y % parts,
  };
}
