import { afterEach, beforeEach, expect, test } from 'vitest'
import { securityTxt } from '../../src/admin/security-txt.ts'
import { contact } from '../../src/setting-parsers.ts'
import { createWorkplace, type Workplace } from '../helpers/program.ts'

let place: Workplace

beforeEach(() => {
  place = createWorkplace()
})
afterEach(() => place.remove())

test('the control plane says where to report a vulnerability, in a file that is never out of date (RFC 9116)', async () => {
  const gate = await place.start('dev', {
    POSTERN_SECURITY_CONTACT: 'mailto:security@acme.test',
    POSTERN_PUBLIC_ADMIN_URL: 'https://gate.acme.test/',
  })
  const answer = await fetch(`${gate.ready.admin}/.well-known/security.txt`)
  expect(answer.status).toBe(200)
  // §3: text/plain, UTF-8.
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; ?charset=utf-8$/i)
  const [, expires = ''] =
    /^Contact: mailto:security@acme\.test\nExpires: (\S+)\nCanonical: https:\/\/gate\.acme\.test\/\.well-known\/security\.txt\n$/.exec(
      await answer.text(),
    ) ?? []
  const days = (Date.parse(expires) - Date.now()) / 86_400_000
  expect(days).toBeGreaterThan(30)
  expect(days).toBeLessThan(365)
  // Not where strangers are: the operator puts it there, if at all.
  expect((await fetch(`${gate.ready.http}/.well-known/security.txt`)).status).toBe(404)
})

test('without a contact there is no such file', async () => {
  const gate = await place.start('dev')
  expect((await fetch(`${gate.ready.admin}/.well-known/security.txt`)).status).toBe(404)
})

test('its instant goes with the clock, and a place that is not reached by https is not named as canonical', () => {
  const about = { contact: 'https://acme.test/report', publicUrl: 'http://127.0.0.1:8081' }
  expect(securityTxt(about, Date.parse('2026-11-25T12:00:00Z'))).toBe(
    'Contact: https://acme.test/report\nExpires: 2027-02-23T12:00:00.000Z\n',
  )
})

test.each([
  ['https://acme.test/report', 'https://acme.test/report'],
  ['mailto:security@acme.test', 'mailto:security@acme.test'],
])('%s is a contact', (text, read) => {
  expect(contact(text)).toBe(read)
})

test.each([
  'security@acme.test',
  'http://acme.test/report',
  'mailto:',
  'mailto:nobody',
  'mailto:a@acme.test,b@acme.test',
  'mailto:a@acme.test\nExpires: never',
  'tel:',
  'ftp://acme.test',
])('%j is none', (text) => {
  expect(() => contact(text)).toThrow('must be an https:// URL or mailto:ADDRESS')
})
