import { createPauseWatch } from '../measure/pauses.ts'

/** Loaded into a subject before its program, to tell how long its event loop stood still. */

const takeWorst = createPauseWatch()

process.on('message', ({ id, name }: { readonly id: number; readonly name: string }) => {
  if (name === 'takeWorstPauses') process.send?.({ id, value: takeWorst() })
})
// The program ends when it wants to.
process.channel?.unref()
