import type { CommandContext } from './command.ts'
import type { Bytes } from './import-formats/row.ts'

/** Often enough to see it move. */
const everyMs = 200

/** One line that moves while an import runs: how many, how fast, and how long it will still take. */
export function createImportProgress(
  { longRun, values, clock }: CommandContext,
  size: number | undefined,
) {
  const show = values.json === true ? undefined : longRun.showProgress
  const startedAt = clock.now()
  let shownAt = startedAt
  let read = 0

  return {
    async *counting(bytes: Bytes) {
      for await (const chunk of bytes) {
        read += chunk.length
        yield chunk
      }
    },

    show(lines: number) {
      const now = clock.now()
      if (show === undefined || now < shownAt + everyMs) return
      shownAt = now
      const seconds = (now - startedAt) / 1_000
      const parts = [`${lines} lines`, `${Math.round(lines / seconds)}/s`]
      if (size !== undefined && read > 0) {
        const left = Math.ceil((seconds * (size - read)) / read)
        parts.push(`${Math.floor((100 * read) / size)} %`, `${left} s left`)
      }
      show(parts.join(', '))
    },

    /** What follows stands on a clean line. */
    end: () => show?.(''),
  }
}
