/** tr46 comes without types. Unicode Technical Standard #46, §4.2 ToASCII and §4.3 ToUnicode. */
declare module 'tr46' {
  interface Options {
    readonly checkBidi: boolean
    readonly checkHyphens: boolean
    readonly checkJoiners: boolean
    readonly transitionalProcessing: boolean
    readonly useSTD3ASCIIRules: boolean
    readonly verifyDNSLength?: boolean
  }
  export function toASCII(domain: string, options: Options): string | null
  export function toUnicode(domain: string, options: Options): { domain: string; error: boolean }
}
