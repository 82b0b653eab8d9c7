import { maxClaims } from '../core/challenge.ts'
import { maxGrants } from '../core/grants.ts'
import type { Outcome } from '../service/confirm.ts'
import type { Change, Receipt, Refusal } from '../service/ports/registry.ts'
import { CommandFailed, type Output } from './command.ts'
import { receiptJson, receiptText } from './render.ts'

/** The value of a change that was made; throws the sentence of one that was refused. */
export function unwrap<C extends Change<unknown> | Outcome<unknown>>(
  change: C,
): Extract<C, { done: true }> {
  if (change.done) return change as Extract<C, { done: true }>
  throw new CommandFailed(refusalSentence(change.refusal))
}

/** Adds to an answer how far the change has got. */
export function withReceipt(
  output: { readonly json: object; readonly text: string },
  receipt: Receipt | null,
): Output {
  return {
    json: { ...output.json, receipt: receiptJson(receipt) },
    text: [output.text, receiptText(receipt)].filter((line) => line !== '').join('\n'),
    unconfirmed: receipt?.propagation === 'pending',
  }
}

/** What a command answers that was to remove what is not there: refused, once that holds on every node. */
export function answerAbsence(sentence: string, json: object, receipt: Receipt | null): Output {
  if (receipt?.propagation !== 'pending') throw new CommandFailed(sentence)
  return withReceipt({ json, text: sentence }, receipt)
}

export const noSuchToken = 'there is no such token: "postern token list" shows them'

export function noSuchDomain(wanted: string): string {
  return `there is no domain ${wanted} in this account: "postern domain list" shows them`
}

function refusalSentence(refusal: Refusal): string {
  switch (refusal.reason) {
    case 'no-such-account':
      return 'there is no such account: "postern account list" shows them'
    case 'no-such-domain':
      return 'there is no such domain in this account: "postern domain list" shows them'
    case 'no-such-token':
      return noSuchToken
    case 'domain-taken':
      return `${refusal.name} belongs to an account already`
    case 'too-many-claims':
      return `an account has ${maxClaims} unverified domains at most`
    case 'last-token':
      return `this would leave ${refusal.domains.join(', ')} without a lasting token: give another token admin on it first, or replace this one with "postern token reset"`
    case 'already-reset':
      return `this token was reset at ${new Date(refusal.at).toISOString()}; its successor is token ${refusal.successorId}`
    case 'expired':
      return 'this token has ended'
    case 'not-reset':
      return 'no reset window of this token is running'
    case 'window-too-long':
      return `a reset window may last until ${new Date(refusal.latest).toISOString()} at most`
    case 'key-of-another-call':
      return 'this idempotency key was used for another call: choose a new one'
    case 'too-many-grants':
      return `a token has ${maxGrants} permissions at most: one on the account covers all of its domains`
    case 'not-permitted':
    case 'caller-gone':
      return 'the token that asks may not do this'
    case 'not-sealed':
      return 'no copy of this token was kept: reset it to get a new one'
  }
}
