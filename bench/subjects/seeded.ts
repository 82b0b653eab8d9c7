/**
 * Bytes that are the same in every run (xorshift32, Marsaglia 2003), for `mintToken`: tokens of a benchmark protect
 * nothing.
 */
export function createSeededBytes(seed: number): (length: number) => Uint8Array {
  const next = createSeededNumbers(seed)
  return (length) => Uint8Array.from({ length }, () => Math.floor(next() * 256))
}

/** Evenly distributed in [0, 1), the same in every run. */
export function createSeededNumbers(seed: number): () => number {
  // An odd factor gives every seed a state of its own; zero, which would stay zero, is nobody's.
  let state = Math.imul(seed + 1, 0x9e3779b1)
  function next() {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
  for (let i = 0; i < 16; i++) next()
  return next
}

/**
 * Ranks from 0 to `count - 1` as tokens are used: few very often, most hardly ever. Log-uniform, which is Zipf's law with
 * exponent 1 as near as makes no difference: rank k comes with a probability of ln(1 + 1/(k + 1)) / ln(count + 1).
 */
export function createZipf(count: number, seed: number): () => number {
  const next = createSeededNumbers(seed)
  const scale = Math.log(count + 1)
  return () => Math.min(count - 1, Math.floor(Math.exp(next() * scale)) - 1)
}
