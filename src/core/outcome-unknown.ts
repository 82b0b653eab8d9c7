/**
 * A change may have been made or not: the connection broke while it was being committed, or it was committed without the
 * standby that was to have it. Nothing is assumed; the call can be repeated.
 */
export class OutcomeUnknown extends Error {
  override name = 'OutcomeUnknown'

  constructor(reason: string, options?: ErrorOptions) {
    super(`it is not known whether the change was made: repeat the call (${reason})`, options)
  }
}
